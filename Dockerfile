# The official image of PostgreSQL, with the extension:
#
#     docker build --build-arg PG_MAJOR=17 -t postgres-tasker-checkpoint .
#
# The server's headers and the compiler stay in the first stage.

ARG PG_MAJOR=17

FROM postgres:${PG_MAJOR}-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends "postgresql-server-dev-$PG_MAJOR" gcc make
WORKDIR /sources
COPY Makefile tasker_checkpoint.control ./
COPY src src
# an object that a build has left in src is no good here
RUN make clean all PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config"
RUN make install PG_CONFIG="/usr/lib/postgresql/$PG_MAJOR/bin/pg_config" DESTDIR=/installed

FROM postgres:${PG_MAJOR}-bookworm
COPY --from=build /installed /
CMD ["postgres", "-c", "shared_preload_libraries=tasker_checkpoint"]

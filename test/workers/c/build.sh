#!/bin/sh
# sh build.sh DIR
#
# Compiles the worker with its client into DIR/worker; CC chooses the compiler.
#
# Packages: make, gcc or clang, libpq-dev, pkg-config.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
client=$here/../../../clients/c
mkdir -p "$1"
build=$(cd "$1" && pwd)
make -s -C "$client" BUILD="$build" CFLAGS='-O2 -g -Werror' static
libpq=$(pkg-config --cflags --libs libpq 2>/dev/null || echo "-I$(pg_config --includedir) -L$(pg_config --libdir) -lpq")
# shellcheck disable=SC2086	# several arguments
exec "${CC:-cc}" -O2 -g -Wall -Wextra -Werror -I"$client" -o "$build/worker" \
	"$here/worker.c" "$here/batch.c" "$build/libtasker_checkpoint_client.a" $libpq -pthread

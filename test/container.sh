#!/bin/sh
# sh test/container.sh
#
# Before a release: buildah builds the Dockerfile as it stands, of an image in the place of
# the official one, since that takes a registry of images: Debian 12's server in the folders
# and with the configuration that the official one has. A container of it begins an empty
# cluster, and does a first yield. Needs root or sudo, and the network. The last line counts
# steps.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
# shellcheck source=test/bare.sh
. "$tc_root/test/bare.sh"

if [ "$(id -u)" -ne 0 ]; then
	exec sudo env MIRROR="${MIRROR-}" sh "$tc_root/test/container.sh"
fi
bare_begin debootstrap buildah
major=15

# What is mounted for images is gone with each command.
cat >"$tc_work/buildah" <<END
#!/bin/sh
exec unshare --mount buildah --root $tc_work/storage --runroot $tc_work/run "\$@"
END
chmod 755 "$tc_work/buildah"
buildah=$tc_work/buildah

bare_make
cp /etc/resolv.conf "$chroot/etc"
cat >"$chroot/release/server" <<END
apt-get -y -qq install --no-install-recommends postgresql-common
echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
apt-get -y -qq install --no-install-recommends postgresql-$major
rm -r /var/lib/apt/lists/* /usr/sbin/policy-rc.d
install -d -o postgres -m 1777 /var/lib/postgresql/data
install -d -o postgres -m 3777 /run/postgresql
END
guest 'with the server that it delivers' server
rm -r "$chroot/release"

# As the official one begins: as root, then as postgres, a server for the time of the setup
cat >"$chroot/usr/local/bin/docker-entrypoint.sh" <<'END'
#!/bin/bash
set -eu
if [ "$(id -u)" = 0 ]; then
	chown postgres "$PGDATA"
	chmod 700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
initdb -U postgres --pwfile=<(echo "$POSTGRES_PASSWORD")
postgres -C password_encryption "${@:2}"
pg_ctl -o "$(printf '%q ' "${@:2}") -c listen_addresses=''" -w start
pg_ctl -m fast -w stop
exec "$@"
END
chmod 755 "$chroot/usr/local/bin/docker-entrypoint.sh"

cat >"$tc_work/base" <<END
container=\$($buildah from scratch)
$buildah add -q "\$container" $chroot /
$buildah config --env PG_MAJOR=$major --env PGDATA=/var/lib/postgresql/data \
	--env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/$major/bin \
	--entrypoint '["docker-entrypoint.sh"]' --cmd postgres "\$container"
$buildah commit -q "\$container" postgres:$major-bookworm
END
step 'an image of it' sh -eux "$tc_work/base"

# An object of another build is in the folder, and not taken.
tc_sources "$tc_work/sources"
echo 'no object' >"$tc_work/sources/src/init.o"
touch -d '1 hour' "$tc_work/sources/src/init.o"
step 'buildah builds the Dockerfile' "$buildah" bud --isolation chroot --pull-never --build-arg "PG_MAJOR=$major" \
	-t tasker_checkpoint "$tc_work/sources"

# The setup's server listens nowhere.
cat >"$tc_work/inside" <<'END'
[ -z "$(command -v gcc cc clang make)" ]
"$@" &
until [ "$(psql -X -A -t -U postgres -c 'SHOW listen_addresses' 2>/dev/null)" = localhost ]; do
	kill -0 "$!"
done
psql -X -q -A -t -v ON_ERROR_STOP=1 -U postgres >/tmp/said <<-'SQL'
	SET client_min_messages = warning;
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_create_table('jobs');
	INSERT INTO jobs (name) VALUES ('first') RETURNING id AS job \gset
	SELECT sequence, directive FROM tasker_checkpoint_yield(:'job', '100', 100);
	SELECT step_uuid = :'job', cursor, sequence FROM tasker_checkpoint_claim('w');
	SELECT count(*) FROM tasker_checkpoint_doctor() WHERE status <> 'ok';
	SELECT name, setting FROM pg_settings WHERE name = 'shared_preload_libraries';
SQL
diff - /tmp/said <<-'SAID'
	jobs
	1|continue
	t|100|1
	0
	shared_preload_libraries|tasker_checkpoint
SAID
END
cat >"$tc_work/container" <<END
container=\$($buildah from --pull-never tasker_checkpoint)
command=\$($buildah inspect --type image \
	--format '{{range .OCIv1.Config.Entrypoint}}{{.}} {{end}}{{range .OCIv1.Config.Cmd}}{{.}} {{end}}' tasker_checkpoint)
$buildah run --isolation chroot --env POSTGRES_PASSWORD=secret "\$container" -- \
	bash -eux -c "\$(cat $tc_work/inside)" bash \$command
END
# shellcheck disable=SC2086	# words
step 'a container of it begins an empty cluster, and does a first yield' $inside --net --mount-proc \
	sh -eux "$tc_work/container"
finish

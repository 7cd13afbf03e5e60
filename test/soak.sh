#!/bin/sh
# sh test/soak.sh [MINUTES]
#
# Mixed workers on a partitioned table, for two minutes or as many as told, beside all
# that a DBA does to it: vacuum, REINDEX CONCURRENTLY, pg_repack, purges, partitions
# that come and go. Prints a line for each period: what was done, how long a run took,
# what a backend takes of memory, how large the tables are. Nothing may be lost, and
# nothing may grow. The last line counts checks.
#
# PG_CONFIG or PG_MAJOR choose another server, see test/lib.sh.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

minutes=${1:-2}
case $minutes in
	'' | *[!0-9]* | 0) tc_die "usage: sh test/soak.sh [MINUTES]" ;;
esac

tc_begin
tc_need gcc libc6-dev make postgresql-@ postgresql-server-dev-@ 'postgresql-@-repack?' python3-psycopg
tc_private
if ! tc_make all || ! tc_make install; then
	echo "0 passed, 1 failed"
	exit 1
fi
tc_start "shared_preload_libraries = 'tasker_checkpoint'" 'tasker_checkpoint.archive_history = on' \
	'autovacuum_naptime = 5s' 'log_lock_waits = on' 'max_wal_size = 256MB'

status=0
# shellcheck disable=SC2086	# lists, made of words without blanks
setsid $tc_as $tc_env /usr/bin/python3 -B "$tc_tree/test/soak/run.py" "$minutes" </dev/null &
tc_child=$!
wait "$tc_child" || status=$?
tc_child=
exit "$status"

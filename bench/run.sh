#!/bin/sh
# sh bench/run.sh [--list] [ROW...]
#
# Measures what the extension costs: builds it, starts two private servers (one
# with the notifier, one without), runs the rows named, or all of them, and
# writes bench/results/: the samples of each as CSV, and a line for each figure
# in summary.csv. The plots and tables of docs/performance.md follow. What is of
# rows that were not run stays as it is. Samples are not kept in git.
#
# Installs what it needs by apt (as root or by sudo). test/lib.sh says what can be
# set from outside. QUICK=1 runs everything for a moment only, to see that it runs,
# and leaves the results that are there as they are.

set -eu
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

if [ "${1-}" = --list ]; then
	exec /usr/bin/python3 -B "$tc_root/bench/bench.py" --list
fi

tc_begin
tc_need gcc libc6-dev make postgresql-@ postgresql-server-dev-@ \
	python3-psycopg python3-matplotlib
tc_private
tc_make all
tc_make install

# start DIRECTORY SETTING...: a server that waits for its disk, and that nothing
# but the measured statements keeps busy.
start()
{
	tc_data=$tc_home/$1
	shift
	tc_start 'fsync = on' 'autovacuum = off' 'shared_buffers = 512MB' \
		'checkpoint_timeout = 1h' 'max_wal_size = 8GB' 'max_connections = 250' "$@"
}
start data 'port = 5432' "shared_preload_libraries = 'tasker_checkpoint'"
start data_notify 'port = 5433'

# How long a write of the log takes to reach the disk.
# shellcheck disable=SC2016	# expands in the inner shell
tc_user sh -c 'pg_test_fsync -s 1 -f "$HOME/fsync.test" >"$HOME/fsync.out" 2>&1' || :

compiler=$(gcc --version | head -n 1)
commit=$(git -c safe.directory='*' -C "$tc_root" describe --always --dirty 2>/dev/null || echo unknown)
status=0
# shellcheck disable=SC2086	# lists, made of words without blanks
setsid $tc_as $tc_env QUICK="${QUICK:-}" BENCH_COMPILER="$compiler" BENCH_COMMIT="$commit" \
	/usr/bin/python3 -B "$tc_tree/bench/bench.py" "$@" </dev/null &
tc_child=$!
wait "$tc_child" || status=$?
tc_child=

if [ "$status" -eq 0 ] && [ -z "${QUICK:-}" ]; then
	mkdir -p "$tc_root/bench/results"
	cp "$tc_tree"/bench/results/*.csv "$tc_root/bench/results"
	/usr/bin/python3 -B "$tc_root/bench/plots.py" "$@"
	/usr/bin/python3 -B "$tc_root/bench/tables.py"
fi
exit $status

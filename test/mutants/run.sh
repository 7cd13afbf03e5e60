#!/bin/sh
# sh test/mutants/run.sh [NAME...]
#
# Tests of the tests: puts each fault of mutants.txt, or those named, into a copy of the
# source, and runs the test that has to fail with it. First these tests pass without.
#
# A line for each says which test has found it. The last line counts them: passed are
# those that were found. The server is private, as in test/run.sh, and is used for all;
# only what has changed is compiled. All take some minutes, so .ci/run only looks
# whether each still fits (mutants.py).

set -u
tc_root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

passed=0
failed=0

# result STATUS TEXT
result()
{
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok - $2"
	else
		failed=$((failed + 1))
		echo "not ok - $2"
	fi
}

# Compiles what has changed, without bitcode, and installs it.
build()
{
	tc_run "$tc_work/build.out" make -s -C "$tc_tree" with_llvm=no all install
}

# try SUITE TEST...: whether they pass, on a server that is started anew, whatever the
# fault before has done to it: what fails without a server has found nothing.
try()
{
	suite=$1
	shift
	tc_user "$tc_bin/pg_ctl" -s -w -D "$tc_data" -l "$tc_home/server.log" -m fast restart ||
		tc_die 'the server does not come back'
	case $suite in
		regress) set -- ISOLATION= REGRESS="$*" ;;
		isolation) set -- REGRESS= ISOLATION="$*" ;;
		server)
			cluster_test "$@"
			return
			;;
	esac
	tc_run "$tc_work/test.out" timeout 300 env PGISOLATIONTIMEOUT=20 make -s -C "$tc_tree" with_llvm=no installcheck "$@"
}

# One that starts a server of its own.
cluster_test()
{
	tc_run "$tc_work/test.out" timeout 600 env -C "$tc_tree" -u PGHOST -u PGPORT -u PGUSER \
		PATH="$tc_bin:/usr/local/bin:/usr/bin:/bin" PG_TEST_TIMEOUT_DEFAULT=60 \
		TESTDIR="$tc_tree" TESTDATADIR="$tc_tree/tmp_check" TESTLOGDIR="$tc_tree/tmp_check/log" \
		PG_REGRESS="$tc_pgxs/src/test/regress/pg_regress" \
		prove -I "$tc_pgxs/src/test/perl" "test/server/t/$1.pl"
}

mutants()
{
	(cd "$tc_root" && /usr/bin/python3 test/mutants/mutants.py --list)
}

# The tests of a suite that the faults named, or all, are found by.
tests_of()
{
	suite=$1
	shift
	mutants | while read -r name _ in test; do
		case "$suite: $* " in
			"$in:  " | "$in: "*" $name "* | "$in: $name "*) echo "$test" ;;
		esac
	done | sort -u
}

tc_begin
tc_need postgresql-@ postgresql-server-dev-@ libipc-run-perl make gcc python3
tc_private
if ! build; then
	cat "$tc_work/build.out"
	echo "0 passed, 1 failed"
	exit 1
fi
tc_start

for suite in regress isolation server; do
	tests=$(tests_of $suite "$@")
	# shellcheck disable=SC2086	# names without blanks
	if [ -n "$tests" ] && ! try $suite $tests; then
		tail -n 40 "$tc_work/test.out"
		result 1 "without a fault: $suite"
	fi
done

# shellcheck disable=SC2046	# names without blanks
[ $# -gt 0 ] || set -- $(mutants | cut -d ' ' -f 1)
for name; do
	# shellcheck disable=SC2046
	set -- $(mutants | grep "^$name ")
	if [ $# -ne 4 ]; then
		result 1 "$name: no such fault"
		continue
	fi
	file=$2
	tc_user cp -p "$tc_tree/$file" "$tc_home/kept"
	if ! tc_user sh -c "cd '$tc_tree' && python3 test/mutants/mutants.py --apply '$name'"; then
		result 1 "$name: does not fit"
	elif ! build; then
		tail -n 20 "$tc_work/build.out"
		result 1 "$name: does not compile"
	elif try "$3" "$4"; then
		result 1 "$name: $3 $4 passes"
	else
		result 0 "$name: $3 $4"
	fi
	tc_user cp "$tc_home/kept" "$tc_tree/$file"
done
tc_stop

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

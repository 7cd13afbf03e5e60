#!/bin/sh
# sh test/deep.sh [valgrind | ubsan [SUITE [NAME...]]]
#
# Runs regress, isolation and the calls of server/security_hostile, or the suite and tests
# named, twice: with every process of the server under valgrind, and with an extension that
# the compiler has told to complain of undefined behaviour (-fsanitize=undefined), wrapping
# overflows included (-fno-wrapv; the server's own flags allow them). What they find is one
# test more in each run, which fails if it is anything. The server is the distribution's.
# valgrind.supp says what of that is let pass.
#
# Takes an hour, most of it under valgrind, and is not part of .ci/run. PG_CONFIG leads to
# another server, say one with assertions. The last line adds up.

set -u
root=$(cd "$(dirname "$0")/.." && pwd)
case ${1-} in
	valgrind | ubsan)
		tools=$1
		shift
		;;
	*) tools='ubsan valgrind' ;;
esac

log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0
failed=0

# Runs a suite, or regress and isolation, under the tool.
watch()
{
	env WATCH="$tool" SUITES="regress isolation" sh "$root/test/run.sh" "$@" | tee "$log"
	last=$(tail -n 1 "$log")
	case $last in
		[0-9]*" passed, "*" failed")
			passed=$((passed + ${last%% *}))
			last=${last#*, }
			failed=$((failed + ${last%% *}))
			;;
		*) failed=$((failed + 1)) ;;
	esac
}

for tool in $tools; do
	watch "$@"
	[ $# -gt 0 ] || watch server security_hostile
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

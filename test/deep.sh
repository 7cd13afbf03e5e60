#!/bin/sh
# sh test/deep.sh [TOOL [ARGUMENT...]]
#
# Looks for what other tests can't see. A tool is one of
#
#	analyze		clang's analyzer and cppcheck read the sources
#	fuzz [SECONDS]	documents that libFuzzer thinks up (fuzz/run.sh)
#	ubsan		the compiler has the extension complain of undefined behaviour
#			(-fsanitize=undefined), wrapping overflows included (-fno-wrapv; the
#			server's own flags allow them)
#	asserts		the server is built with assertions; its tests are run in parallel
#			workers, too, and some with caches that are thrown away as soon as they may be
#	valgrind	every process of the server runs under it (valgrind.supp says what it may find)
#
# Without one, all run. ubsan, asserts and valgrind run regress, isolation and the calls of
# server/security_hostile, or the suite and tests that are named; what the first and the
# last find is one test more.
#
# Takes hours; .ci/run has analyze alone. PG_CONFIG leads to another server than the
# distribution's. The last line adds up.

set -u
root=$(cd "$(dirname "$0")/.." && pwd)
case ${1-} in
	analyze | fuzz | ubsan | asserts | valgrind)
		tools=$1
		shift
		;;
	'') tools='analyze fuzz ubsan asserts valgrind' ;;
	*)
		sed -n 's/^# \(sh test.*\)/usage: \1/p' "$0" >&2
		exit 2
		;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# Adds what the last line of a command says.
count()
{
	"$@" | tee "$work/log"
	last=$(tail -n 1 "$work/log")
	case $last in
		[0-9]*" passed, "*" failed")
			passed=$((passed + ${last%% *}))
			last=${last#*, }
			failed=$((failed + ${last%% *}))
			;;
		*) failed=$((failed + 1)) ;;
	esac
}

# What runs where no suite is named.
suites()
{
	count env "$@" sh "$root/test/run.sh"
	count env "$@" sh "$root/test/run.sh" server security_hostile
}

for tool in $tools; do
	echo "== $tool"
	case $tool:$# in
		analyze:* | fuzz:*) count sh "$root/test/$tool/run.sh" "$@" ;;
		asserts:*)
			chmod 755 "$work"
			sh "$root/test/assertions.sh" "$work/server" || { failed=$((failed + 1)); continue; }
			export PG_CONFIG="$work/server/bin/pg_config"
			if [ $# -eq 0 ]; then
				suites SUITES="regress isolation parallel discard"
			else
				count sh "$root/test/run.sh" "$@"
			fi
			unset PG_CONFIG
			;;
		*:0) suites WATCH="$tool" SUITES="regress isolation" ;;
		*) count env WATCH="$tool" sh "$root/test/run.sh" "$@" ;;
	esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

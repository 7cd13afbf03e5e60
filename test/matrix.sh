#!/bin/sh
# sh test/matrix.sh [17 | 18 | 19]...
#
# Runs test/run.sh on later servers (17, 18 and 19 unless told), each in the Debian
# release that delivers it, in a folder of chroots.sh's.
#
# SUITES="workers monitoring" runs these; without, those that ask the server most. A
# server that cannot be had is skipped and said so. The last line adds up the last
# lines of all runs.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
# shellcheck source=test/chroots.sh
. "$tc_root/test/chroots.sh"

by_root "test/matrix.sh" "$@"
[ $# -gt 0 ] || set -- 17 18 19

tc_begin
own
for version; do
	if arrive "$version"; then
		enter env SUITES="${SUITES:-regress isolation pgtap server}" sh "$guest/tree/test/run.sh"
		leave
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

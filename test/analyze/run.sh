#!/bin/sh
# sh test/analyze/run.sh
#
# clang's analyzer and cppcheck read the sources of the extension, as they are compiled
# for the distribution's server. The last line counts the files that each has read.

set -u
tc_root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

tc_begin
tc_need postgresql-@ postgresql-server-dev-@ make clang cppcheck
tc_private
passed=0
failed=0

# read_by COMMAND...: fine if that finds nothing.
read_by()
{
	if tc_run "$tc_work/found" "$@" && [ ! -s "$tc_work/found" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		cat "$tc_work/found"
	fi
}

for file in "$tc_tree"/src/*.c "$tc_tree"/src/*/*.c; do
	# what the server's macros and inline functions do is the server's; what is asserted holds
	read_by clang --analyze --analyzer-output text -Xclang -analyzer-werror -o /dev/null \
		-DUSE_ASSERT_CHECKING -isystem "$tc_includes" -I"$tc_tree/src" -DTCKPT_VERSION='""' "$file"
	# nor does it see across functions what was set field by field, or checked as a pair
	read_by cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
		--library=posix --suppress=ctuuninitvar --suppress=ctunullpointer \
		--include="$tc_tree/test/analyze/server.h" -I "$tc_tree/src" \
		-D TCKPT_VERSION='""' -D PG_VERSION_NUM="${tc_major}0000" "$file"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

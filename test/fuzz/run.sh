#!/bin/sh
# sh test/fuzz/run.sh [SECONDS]
#
# What src/document/ makes of documents that libFuzzer thinks up (document.c), for
# as long as that (60 s unless told), beginning with the corpus, in a backend in
# single-user mode of the distribution's server. The code under test is compiled to
# end at undefined behaviour, wrapping overflows included.
#
# The corpus is a text, an input in base64 a line. CORPUS=1 adds what has been
# found; from an empty corpus it makes a small one, since only inputs of its own are
# replaced by shorter ones. An input that fails is printed as such a line. The last line
# counts one test.

set -u
tc_root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
seconds=${1:-60}
corpus=$tc_root/test/fuzz/corpus

tc_begin
tc_need postgresql-@ postgresql-server-dev-@ make clang libclang-rt-dev
tc_private
inputs=$tc_home/inputs
found=$tc_home/found
tc_user mkdir "$inputs" "$found"

# Runs libFuzzer on these arguments, within so many seconds.
fuzz()
{
	limit=$1
	shift
	words=$(printf ", '%s'" "$@")
	tc_user tee "$tc_home/fuzz.sql" >/dev/null <<-EOF_SQL
		CREATE OR REPLACE FUNCTION tckpt_fuzz(VARIADIC text[]) RETURNS int LANGUAGE c AS '$tc_home/fuzz.so'
		SELECT tckpt_fuzz(${words#, })
	EOF_SQL
	# shellcheck disable=SC2016	# expands in the inner shell
	tc_run "$tc_work/fuzz.out" timeout --kill-after=10 "$limit" sh -c \
		'exec postgres --single -D "$1" postgres <"$2"' sh "$tc_data" "$tc_home/fuzz.sql"
}

runtime=$(clang -print-file-name=libclang_rt.fuzzer_no_main-x86_64.a)
[ -e "$runtime" ] || tc_die "no libFuzzer for this machine ($runtime)"
# shellcheck disable=SC2086	# the sources
tc_run "$tc_work/build.out" clang -shared -fPIC -g -O1 -Wall -Werror \
	-fsanitize=fuzzer-no-link,undefined -fsanitize-trap=undefined -fno-wrapv \
	-isystem "$tc_includes" -I"$tc_tree/src" "$tc_tree"/test/fuzz/*.c "$tc_tree"/src/document/*.c \
	-o "$tc_home/fuzz.so" "$runtime" -lstdc++ -lm -lpthread || {
	cat "$tc_work/build.out"
	echo "0 passed, 1 failed"
	exit 1
}
tc_run "$tc_work/initdb.log" initdb -D "$tc_data" -U postgres -N --locale=C --encoding=UTF8 ||
	tc_die "initdb failed: $(cat "$tc_work/initdb.log")"
n=0
while read -r line; do
	n=$((n + 1))
	printf %s "$line" | base64 -d | tc_user tee "$inputs/$n" >/dev/null
done <"$corpus"

# It ends the process with 0 when the time is over; a process that hangs instead is ended.
status=0
fuzz $((seconds + 120)) "$inputs" "-max_total_time=$seconds" -timeout=30 -max_len=2000 -len_control=10 \
	"-artifact_prefix=$found/" || status=$?
for input in "$found"/*; do
	if [ -e "$input" ]; then
		status=1
		base64 -w 0 "$input"
		echo
	fi
done
if [ "$status" -ne 0 ] || ! grep '^Done' "$tc_work/fuzz.out"; then
	tail -n 60 "$tc_work/fuzz.out"
	echo "0 passed, 1 failed"
	exit 1
fi
sed -n 's/^#\([0-9]*\)\tDONE *cov: \([0-9]*\).* corp: \([0-9]*\).*/figure fuzz: \1 pairs of documents, nothing found; \2 edges of the code, reached by \3 of them/p' "$tc_work/fuzz.out"

if [ -n "${CORPUS-}" ]; then
	for input in "$inputs"/*; do
		base64 -w 0 "$input"
		echo
	done | LC_ALL=C sort -u >"$corpus"
fi
echo "1 passed, 0 failed"

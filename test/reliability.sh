#!/bin/sh
# sh test/reliability.sh [KEY...]
#
# Runs the commands of docs/reliability.md, each once, and writes what they print into
# its last column. With keys, only the rows that have them.
#
# A new row has its command in backquotes, and as its last cell
#
#	<!-- figure KEY --><!-- end -->
#
# where the test prints "# figure KEY: TEXT" (in Perl, figure() of
# test/server/Reliability.pm; in a suite of another language, to its output). A key
# that begins with "passed" stands for the command's last line.
#
# A command that fails, or does not print its figure, leaves the row as it is, and 1 is
# returned.

set -u
cd "$(dirname "$0")/.." || exit 1
document=docs/reliability.md
outputs=$(mktemp -d) || exit 1
trap 'rm -rf "$outputs"' EXIT
failed=0
wanted=" $* "

# The rows, as "LINE KEY COMMAND".
awk -F '`' '/<!-- figure [a-z_]+ -->/ {
	key = $0
	sub(/.*<!-- figure /, "", key)
	sub(/ -->.*/, "", key)
	print NR, key, $(NF - 1)
}' "$document" >"$outputs/rows"

while read -r line key command; do
	case $wanted in
		"  " | *" $key "*) ;;
		*) continue ;;
	esac
	output=$outputs/$(echo "$command" | cksum | tr ' ' -)
	if [ ! -e "$output" ]; then
		echo "$command"
		sh -c "$command" >"$output" 2>&1 </dev/null || echo "failed" >>"$output"
	fi
	last=$(tail -n 1 "$output")
	case $key in
		passed*) figure=$last ;;
		*) figure=$(sed -n "s/^figure $key: //p" "$output" | tail -n 1) ;;
	esac
	if [ "$last" = failed ] || [ -z "$figure" ]; then
		tail -n 40 "$output"
		echo "no figure $key by: $command"
		failed=1
		continue
	fi
	echo "$key: $figure"
	text=$(echo "$figure" | sed 's/[&|\\]/\\&/g')
	sed -i "${line}s|<!-- figure $key -->.*<!-- end -->|<!-- figure $key -->$text<!-- end -->|" "$document"
done <"$outputs/rows"
exit "$failed"

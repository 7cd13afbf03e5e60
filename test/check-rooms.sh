#!/bin/sh
# sh test/check-rooms.sh
#
# The folders of src/ are in layers. A file includes headers of its own folder, of those
# listed for it here, and of the top level, which includes none of them but to set the
# parts up. Shows the lines of each folder and the includes between them; the last line
# adds up the folders.

set -u
cd "$(dirname "$0")/.." || exit 1

rooms='
api      table dispatch archive wakeup rows document
table    dispatch archive document
dispatch wakeup rows
archive  rows document
wakeup
rows
document
'

# Each include of one folder in another, as "FROM TO FILE".
includes()
{
	find src -name '*.[ch]' | LC_ALL=C sort | while read -r file; do
		from=${file#src/}
		case $from in
			*/*) from=${from%%/*} ;;
			*) from=. ;;
		esac
		sed -n 's|^#include "\([a-z]*\)/[a-z_]*\.h"$|\1|p' "$file" | while read -r to; do
			[ ! -d "src/$to" ] || [ "$to" = "$from" ] || echo "$from $to $file"
		done
	done
}

all=$(includes)
passed=0
failed=0
while read -r room below; do
	[ -n "$room" ] || continue
	lines=$(cat "src/$room"/*.[ch] | wc -l)
	used=$(echo "$all" | awk -v room="$room" '$1 == room { n[$2]++ }
		END { for (to in n) print to " " n[to] }' | LC_ALL=C sort | paste -s -d, -)
	echo "src/$room: $lines lines; includes from ${used:-no other}"
	bad=$(echo "$all" | while read -r from to file; do
		case "$from: $below " in
			"$room: "*) case " $below " in *" $to "*) ;; *) echo "$file includes from $to/" ;; esac ;;
		esac
	done)
	if [ -z "$bad" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "$bad"
	fi
done <<END
$rooms
END

# The top level, and folders that nobody has listed
bad=$(echo "$all" | awk '$1 == "." && $3 != "src/init.c" { print $3 " includes from " $2 "/" }')
for folder in src/*/; do
	folder=$(basename "$folder")
	[ "$folder" = sql ] || echo "$rooms" | grep -q "^$folder\>" ||
		bad="$bad
src/$folder is in no layer"
done
if [ -z "$bad" ]; then
	passed=$((passed + 1))
else
	failed=$((failed + 1))
	echo "$bad"
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

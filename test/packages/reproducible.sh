#!/bin/sh
# sh test/packages/reproducible.sh
#
# make writes the same bytes in two folders whose paths differ, of sources whose times
# differ: the library with its symbols, the bitcode, the install script. Prints TAP.
#
# Packages: gcc, make.

set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

# build FOLDER TIME
build()
{
	mkdir -p "$work/$1" &&
		cp -R Makefile tasker_checkpoint.control src "$work/$1" &&
		find "$work/$1" \( -name '*.o' -o -name '*.bc' \) -exec rm {} + &&
		find "$work/$1" -type f -exec touch -d "$2" {} + &&
		make -s -j 2 -C "$work/$1" all >"$work/out" 2>&1 && return
	sed 's/^/# /' "$work/out"
	return 1
}

# same WHAT PATTERN: files of that name, which are there and do not differ
same()
{
	tests=$((tests + 1))
	what=$1
	count=$(cd "$work/a" && find . -name "$2" | while read -r file; do
		cmp "$file" "$work/another/folder/$file" >&2 && echo "$file"
	done 2>"$work/differ" | wc -l)
	if [ "$count" -gt 0 ] && [ ! -s "$work/differ" ]; then
		echo "ok $tests - $what"
	else
		echo "not ok $tests - $what: $count are the same"
		sed 's/^/# /' "$work/differ"
	fi
}

tests=0
if build a 2026-01-02 && build another/folder 2026-03-04; then
	same 'the library' tasker_checkpoint.so
	[ -z "$(find "$work/a" -name '*.bc')" ] || same 'its bitcode' '*.bc'
	same 'the install script' '*--*.sql'
	echo "1..$tests"
else
	echo 'Bail out! it does not build'
fi

#!/bin/sh
# sh test/check-trust.sh
#
# Root runs no program, and makes no work directory, where somebody else could have
# put another in its place. Needs root, by sudo where that is not who calls. The last
# line counts checks.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
if [ "$(id -u)" -ne 0 ]; then
	exec sudo sh "$tc_root/test/check-trust.sh"
fi
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
passed=0
failed=0

# check WHAT COMMAND...: fine if the command succeeds.
check()
{
	what=$1
	shift
	if "$@" >"$tc_work/check.out" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok: $what"
		sed 's/^/    /' "$tc_work/check.out"
	fi
}

as_other()
{
	setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups "$@"
}

# matrix FOLDER: what test/matrix.sh says about a place for its chroots. It has one
# with a program, if root is not told to leave it alone, and knows no version 1.
matrix()
{
	TASKER_CHECKPOINT_CHROOTS=$1 sh "$tc_root/test/matrix.sh" 1 2>&1 </dev/null
}

refuses()
{
	said=$(matrix "$1")
	echo "$said"
	[ "$said" = "refused to run programs from $1: $2
0 passed, 1 failed" ]
}

accepts()
{
	said=$(matrix "$1")
	echo "$said"
	case $said in
		*"don't know which release"*) ;;
		*) return 1 ;;
	esac
	[ "$(stat -c '%U %a' "$1")" = 'root 755' ]
}

# Where the work directory is made for a given TMPDIR.
work_directory()
{
	(
		TMPDIR=$1
		tc_begin
		dirname "$tc_work"
	)
}

made_in()
{
	made=$(work_directory "$1")
	echo "$made"
	[ "$made" = "$2" ]
}

tc_begin
# all can look into it
place=$tc_work/place
chmod 755 "$tc_work"
mkdir "$place" "$place/root" "$place/open" "$place/sticky" "$place/group"
chmod 777 "$place/open"
chmod 1777 "$place/sticky"
chmod 775 "$place/group"
install -d -o nobody "$place/other"
as_other mkdir "$place/open/other" "$place/sticky/other" "$place/other/inner"
as_other ln -s "$place/root" "$place/sticky/link"
mkdir "$place/open/root" "$place/other/root"

check "a folder in root's folder is made, by root" accepts "$place/root/new"
check "and is taken the next time" accepts "$place/root/new"
check "a folder with the sticky bit will do around it" accepts "$place/sticky/new"
check "folders around it are made, too" accepts "$place/root/some/where/else"
check "another's folder is refused" refuses "$place/other" "$place/other is not root's alone"
check "made in root's" refuses "$place/sticky/other" "$place/sticky/other is not root's alone"
check "or in an open one" refuses "$place/open/other" "$place/open/other is not root's alone"
check "so is root's in another's" refuses "$place/other/root" "$place/other is not root's alone"
check "one that is new there" refuses "$place/other/new" "$place/other is not root's alone"
check "root's in an open one" refuses "$place/open/root" "$place/open is not root's alone"
check "one that a group may write to" refuses "$place/group" "$place/group is not root's alone"
check "one that everybody may write to" refuses "$place/sticky" "$place/sticky is not root's alone"
check "a symlink" refuses "$place/sticky/link" "$place/sticky/link is no folder"
check "a symlink with a slash" refuses "$place/sticky/link/" "$place/sticky/link/ is no folder"
check "a file" refuses "$tc_root/Makefile" "$tc_root/Makefile is no folder"

check "a work directory is made where TMPDIR says" made_in "$place/root" "$place/root"
check "also in an open folder with the sticky bit" made_in "$place/sticky" "$place/sticky"
check "but not in one without" made_in "$place/open" /tmp
check "nor in another's" made_in "$place/other" /tmp
check "nor behind another's" made_in "$place/other/inner" /tmp

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

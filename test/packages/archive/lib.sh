# shellcheck shell=sh
# Shared by pgxn.sh and rpm.sh, which begin with the archive of the sources as they stand.
# They set root, where they are called, and work, a folder of their own.
# shellcheck disable=SC2034,SC2154

version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" tasker_checkpoint.control)
name=tasker_checkpoint-$version
tests=0

# ok WHAT COMMAND...: fine if the command succeeds.
ok()
{
	tests=$((tests + 1))
	what=$1
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok $tests - $what"
	else
		echo "not ok $tests - $what"
		tail -n 40 "$work/out" | sed 's/^/# /'
	fi
}

# A commit of what is here, in $work/clone: the tests have no clone's history.
commit()
{
	cp -R "$root" "$work/clone" && cd "$work/clone" && rm -rf .git && make -s clean &&
		git init -q && git add -A &&
		git -c user.name=test -c user.email=test@localhost commit -q -m test
}

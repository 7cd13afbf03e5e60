# shellcheck shell=sh
# Shared by pgxn.sh, release.sh and rpm.sh, which begin with a commit of the sources as they stand.
# They set root, where they are called, and work, a folder of their own.
# shellcheck disable=SC2034,SC2154

version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" tasker_checkpoint.control)
name=tasker_checkpoint-$version
# shellcheck source=test/packages/lib/ok.sh
. test/packages/lib/ok.sh

# A commit of what is here, in $work/clone: the tests have no clone's history.
commit()
{
	cp -R "$root" "$work/clone" && cd "$work/clone" && rm -rf .git && make -s clean &&
		git init -q && git add -A &&
		git -c user.name=test -c user.email=test@localhost commit -q -m test
}

# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154	# $tc_… are lib.sh's
# Shared by test/install.sh and test/container.sh, which are for a release: a Debian 12 of
# which there is nothing but apt, in the folder $chroot, gone afterwards, and steps that are
# counted. They source lib.sh first, and are root: bare_begin, then bare_make.

passed=0
failed=0
inside="unshare --mount --pid --fork --kill-child"

# What is behind a step that fails is not tried.
finish()
{
	echo "$passed passed, $failed failed"
	exit $failed
}

# step WHAT COMMAND...
step()
{
	what=$1
	began=$(date +%s)
	shift
	if tc_run "$tc_work/step.out" "$@"; then
		passed=$((passed + 1))
		echo "ok: $what, $(($(date +%s) - began)) s"
	else
		failed=$((failed + 1))
		tail -n 60 "$tc_work/step.out"
		echo "not ok: $what"
		finish
	fi
}

# guest WHAT SCRIPT [OPTION...]: a file in $chroot/release. What is mounted or started there
# ends with it.
guest()
{
	what=$1
	script=$2
	shift 2
	# shellcheck disable=SC2086	# words
	step "$what" $inside "$@" --mount-proc="$chroot/proc" chroot "$chroot" env -i HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -eux "/release/$script"
}

# bare_begin PACKAGE...: with these
bare_begin()
{
	tc_begin
	tc_env='env'
	tc_bin=
	tc_as=
	chroot=$tc_work/clean
	# A server there is gone with its namespace, whatever its file says.
	trap 'rm -f "$tc_work"/*/var/lib/postgresql/*/*/postmaster.pid; tc_cleanup' EXIT
	tc_need "$@"
}

bare_make()
{
	step 'a clean Debian 12' unshare --mount debootstrap --variant=minbase bookworm "$chroot" "${MIRROR-}"
	mkdir -p "$chroot/release"
	# With the servers' corrections, as any Debian has them
	sed -n 's/ bookworm / bookworm-updates /p; s|/debian/* bookworm-updates |/debian-security bookworm-security |p' \
		"$chroot/etc/apt/sources.list" >"$chroot/etc/apt/sources.list.d/corrections.list"
	# As in a container, nothing is started by a package.
	printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"
	chmod 755 "$chroot/usr/sbin/policy-rc.d"
	echo 'apt-get -qq update' >"$chroot/release/update"
	guest 'knows what there is' update
}

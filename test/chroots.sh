# shellcheck shell=sh
# shellcheck disable=SC2154	# $tc_… are lib.sh's
# Shared by test/matrix.sh and test/upgrade.sh: later servers, each in the Debian
# release that delivers it. That is a folder made by debootstrap, kept for the next
# time in $TASKER_CHECKPOINT_CHROOTS (/var/tmp/tasker_checkpoint-chroots), which must
# be root's, since root runs what is in there. 19 comes from experimental, as far as
# that delivers it. MIRROR overrides debootstrap's.
#
# The caller has sourced lib.sh. It calls by_root, tc_begin and own, once, and for each
# server arrive, enter and leave. In $passed and $failed are the sums.

chroots=${TASKER_CHECKPOINT_CHROOTS:-/var/tmp/tasker_checkpoint-chroots}
part=
here=
passed=0
failed=0

# by_root SCRIPT ARGUMENT...: root goes on, anybody else begins anew as root, with what
# was set for us: sudo drops it.
by_root()
{
	[ "$(id -u)" -ne 0 ] || return 0
	script=$1
	shift
	set -- sh "$tc_root/$script" "$@"
	for name in SUITES MIRROR TASKER_CHECKPOINT_CHROOTS NODE_EXTRA_CA_CERTS SSL_CERT_FILE $tc_network; do
		value=$(printenv "$name") && set -- "$name=$value" "$@"
	done
	exec sudo env "$@"
}

# The folder for the chroots is made, or was made by root. It is looked at when it is
# there and by the path without symlinks, which is the one that is used from then on.
own()
{
	mkdir -p "$(dirname "$chroots")"
	mkdir -m 755 "$chroots" 2>/dev/null
	reason=$(tc_untrusted "$chroots")
	if [ -z "$reason" ]; then
		chroots=$(cd "$chroots" && pwd -P)
		reason=$(tc_untrusted "$chroots")
	fi
	if [ -z "$reason" ]; then
		tc_need debootstrap
		trap 'tc_cleanup; rm -rf --one-file-system ${here:+"$here"} ${part:+"$part"}' EXIT
		return
	fi
	echo "refused to run programs from $chroots: $reason"
	echo "0 passed, 1 failed"
	exit 1
}

# Makes the folder of a release, once. It appears under its name when complete.
prepare()
{
	chroot=$chroots/$suite
	if [ -e "$chroot" ]; then
		return 0
	fi
	# Older debootstraps don't know the name of a later release.
	script=
	[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid

	echo "debootstrap: $suite in $chroot"
	part=$(mktemp -d "$chroots/$suite.XXXXXX")
	if ! within debootstrap.out debootstrap --variant=minbase "$suite" "$part" "${MIRROR-}" $script
	then
		rm -rf --one-file-system "$part"
		return 1
	fi
	chmod 755 "$part"
	# A release in the making is not signed anew every week.
	echo 'Acquire::Check-Valid-Until "false";' >"$part/etc/apt/apt.conf.d/99tasker_checkpoint"
	if [ "$suite" = sid ]; then
		sed 's/ sid / experimental /' "$part/etc/apt/sources.list" \
			>"$part/etc/apt/sources.list.d/experimental.list"
		printf 'Package: src:postgresql-19\nPin: release a=experimental\nPin-Priority: 500\n' \
			>"$part/etc/apt/preferences.d/experimental"
	fi
	# Another run may have been faster.
	mv -T "$part" "$chroot" 2>/dev/null || rm -rf --one-file-system "$part"
}

# What is mounted in a mount namespace of our own is gone when that ends, however
# it ends.
within()
{
	log=$tc_work/$1
	shift
	setsid unshare --mount "$@" >"$log" 2>&1 </dev/null &
	tc_child=$!
	status=0
	wait "$tc_child" || status=$?
	tc_child=
	return "$status"
}

# arrive MAJOR: makes $here, a folder in the release that delivers this server, with the
# sources in $here/tree; seen from there it is $guest.
arrive()
{
	major=$1
	case $major in
		17) suite=trixie ;;
		18) suite=forky ;;
		19) suite=sid ;;
		*) tc_die "don't know which release delivers PostgreSQL $major" ;;
	esac
	if ! within unshare.out true; then
		reason=$(cat "$tc_work/unshare.out")
		mountpoint -q / || reason="$reason: / is no mount point, as in a chroot"
		echo "$major: skipped: $reason"
		return 1
	fi
	if ! prepare; then
		reason=$(grep -E "^E: (Failed getting release file|No such script|Couldn't find these debs)" \
			"$tc_work/debootstrap.out")
		if [ -n "$reason" ]; then
			echo "$major: skipped: debootstrap $suite: ${reason#E: }"
		else
			tail -n 20 "$tc_work/debootstrap.out"
			echo "$major: debootstrap $suite failed"
			failed=$((failed + 1))
		fi
		return 1
	fi
	here=$(mktemp -d "$chroot/tmp/tckpt.XXXXXX")
	guest=${here#"$chroot"}
	chmod 755 "$here"
	tc_sources "$here/tree"
	trusted=
	! tc_trusted >"$here/trusted.pem" || trusted=NODE_EXTRA_CA_CERTS=$guest/trusted.pem
	echo "$major: Debian $suite in $chroot"
}

# enter COMMAND...: runs it there, and adds what its last line counts.
enter()
{
	status=0
	within run.out --mount-proc="$chroot/proc" chroot "$chroot" env -u PG_CONFIG \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR="$guest" PG_MAJOR="$major" ${trusted:+"$trusted"} "$@" || status=$?

	last=$(tail -n 1 "$tc_work/run.out")
	if [ "$status" -eq "$tc_not_delivered" ]; then
		echo "$major: skipped: $last"
		return
	fi
	sed "s/^/$major: /" "$tc_work/run.out"
	case $last in
		[0-9]*" passed, "*" failed")
			passed=$((passed + ${last%% *}))
			last=${last#*, }
			failed=$((failed + ${last%% *}))
			;;
		*)
			echo "$major: no result"
			failed=$((failed + 1))
			;;
	esac
}

leave()
{
	rm -rf --one-file-system "$here"
	here=
}

#!/bin/sh
# sh test/install.sh PACKAGE.deb...
#
# Before a release: packages that dpkg-buildpackage has made are installed by apt into a
# Debian 12 of which there is nothing but apt, in a folder that is gone afterwards. There
# the README's quickstart runs as it stands, but for make, and then debian/tests/. Needs
# root or sudo, and the network. The last line counts steps.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

[ $# -gt 0 ] || tc_die 'usage: sh test/install.sh PACKAGE.deb...'
if [ "$(id -u)" -ne 0 ]; then
	exec sudo env MIRROR="${MIRROR-}" sh "$tc_root/test/install.sh" "$@"
fi
passed=0
failed=0

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
	shift
	began=$(date +%s)
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

# guest WHAT SCRIPT [OPTION...]: what is mounted or started there ends with it.
inside="unshare --mount --pid --fork --kill-child"
guest()
{
	what=$1
	script=$2
	shift 2
	# shellcheck disable=SC2086	# words
	step "$what" $inside "$@" --mount-proc="$chroot/proc" chroot "$chroot" env -i HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -eux "/release/$script"
}

# The README's blocks as one script of root's, in a container: statements are typed into
# psql, what make does the packages have done.
quickstart()
{
	awk '
		function close_it() { if (end != "") print end; end = "" }
		/^```(sh|sql|python)$/ {
			language = substr($0, 4)
			if (language != last) {
				close_it()
				if (language == "sql") { print "psql -X -v ON_ERROR_STOP=1 shop <<\"SQL\""; end = "SQL" }
				if (language == "python") { print "cat >worker.py <<\"PYTHON\""; end = "PYTHON" }
			}
			last = language
			inside = 1
			next
		}
		/^```$/ { if (inside) inside = 0; next }
		/^(sudo apt-get .*|make|sudo make install|psql shop)$/ { next }
		inside { sub(/^sudo -u postgres/, "runuser -u postgres --"); print }
		END { close_it() }' "$tc_root/README.md"
}

tc_begin
tc_env='env'
tc_bin=
tc_as=
chroot=$tc_work/root
# A server there is gone with its namespace, whatever its file says.
trap 'rm -f "$chroot"/var/lib/postgresql/*/*/postmaster.pid; tc_cleanup' EXIT
tc_need debootstrap
for package; do
	case $package in
		/*) ;;
		*) package=$OLDPWD/$package ;;
	esac
	mkdir -p "$tc_work/packages"
	cp "$package" "$tc_work/packages" || exit 1
done

step 'a clean Debian 12' unshare --mount debootstrap --variant=minbase bookworm "$chroot" "${MIRROR-}"
mkdir -p "$chroot/release"
tc_sources "$chroot/release/tree"
mv "$tc_work/packages" "$chroot/release"
# With the servers' corrections, as any Debian has them
sed -n 's/ bookworm / bookworm-updates /p; s|/debian/* bookworm-updates |/debian-security bookworm-security |p' \
	"$chroot/etc/apt/sources.list" >"$chroot/etc/apt/sources.list.d/corrections.list"
# As in a container, nothing is started by a package.
printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"
chmod 755 "$chroot/usr/sbin/policy-rc.d"

cat >"$chroot/release/install" <<'END'
apt-get -qq update
apt-get -y -qq install --no-install-recommends /release/packages/*.deb
END
guest 'apt installs the packages, and what they depend on' install

# What the README's worker and debian/tests need
cat >"$chroot/release/more" <<'END'
apt-get -y -qq install --no-install-recommends iproute2 python3-psycopg procps make gcc libc6-dev pkg-config postgresql-server-dev-all
END
guest 'and what the README and the tests need' more

{
	echo 'ip link set lo up'
	echo 'mkdir /root/shop'
	echo 'cd /root/shop'
	echo 'ln -s /usr/share/doc/postgresql-15-tasker-checkpoint/examples .'
	echo 'ln -s /release/tree/clients .'
	echo 'pg_ctlcluster 15 main start'
	quickstart
	echo "psql -X -At shop -c 'SELECT count(*), count(DISTINCT order_id), sum(amount) FROM invoices' | grep -x '100000|100000|4950000'"
	echo 'pg_ctlcluster 15 main stop'
} >"$chroot/release/quickstart"
guest "the README's quickstart" quickstart --net

for file in "$tc_root"/debian/tests/*; do
	name=${file##*/}
	[ "$name" != control ] || continue
	cat >"$chroot/release/$name" <<-END
		ip link set lo up
		mkdir /tmp/$name
		cd /release/tree
		AUTOPKGTEST_TMP=/tmp/$name sh -x debian/tests/$name
	END
	guest "debian/tests/$name" "$name" --net
done
finish

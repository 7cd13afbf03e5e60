#!/bin/sh
# sh test/install.sh [PACKAGE.deb... [ARCHIVE.zip]]
#
# Before a release: into a Debian 12 of which there is nothing but apt, in a folder that
# is gone afterwards, apt installs packages that dpkg-buildpackage has made. There the
# README's quickstart runs as it stands, but for make, and then debian/tests/. Into
# another one pgxn installs the archive of make dist, for a first yield. Without
# arguments both are made in a third, as docs/install.md says. Needs root or sudo, and
# the network. The last line counts steps.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
# shellcheck source=test/bare.sh
. "$tc_root/test/bare.sh"

for file; do
	case $file in
		*.deb | *.zip) ;;
		*) tc_die 'usage: sh test/install.sh [PACKAGE.deb... [ARCHIVE.zip]]' ;;
	esac
done
if [ "$(id -u)" -ne 0 ]; then
	exec sudo env MIRROR="${MIRROR-}" sh "$tc_root/test/install.sh" "$@"
fi

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

# A Debian of its own, as clean as the first. What guest runs then runs there.
place()
{
	chroot=$tc_work/$1
	cp -a "$tc_work/clean" "$chroot"
}

# What docs/install.md says under a heading that Debian's packages are needed
wanted()
{
	# shellcheck disable=SC2016	# Markdown's backquotes
	sed -n "/^## $1\$/,/^## /p" "$tc_root/docs/install.md" |
		sed -n 's/^sudo apt-get install //p; s/.*(Debian: `\(.*\)`).*/\1/p'
}

# The packages and the archive, of a commit of the sources as they stand
make_them()
{
	place build
	cat >"$chroot/release/build" <<-END
		apt-get -y -qq install --no-install-recommends git $(wanted 'Debian package')
		cd /release/tree
		git init -q
		git add -A
		git -c user.name=test -c user.email=test@localhost commit -q -m test
		dpkg-buildpackage -b -us -uc
		make dist
	END
	guest 'packages and archive are made' build
	rm -f "$chroot"/release/*-dbgsym_*.deb
	mv "$chroot"/release/*.deb "$chroot"/release/tree/*.zip "$tc_work/packages"
}

bare_begin debootstrap
mkdir "$tc_work/packages"
for file; do
	case $file in
		/*) ;;
		*) file=$OLDPWD/$file ;;
	esac
	cp "$file" "$tc_work/packages" || exit 1
done

bare_make
tc_sources "$chroot/release/tree"
[ $# -gt 0 ] || make_them

place debian
mkdir "$chroot/release/packages"
cp "$tc_work"/packages/*.deb "$chroot/release/packages"
cat >"$chroot/release/install" <<'END'
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

cat >"$chroot/release/purge" <<'END'
for package in /release/packages/*.deb; do
	dpkg-deb -f "$package" Package
done | xargs apt-get -y -qq purge
find / -xdev \( -path /release -o -path /root -o -path /tmp \) -prune -o -name '*tasker?checkpoint*' -print >/release/left
cat /release/left
[ ! -s /release/left ]
END
guest 'apt purges them, and leaves nothing of them' purge

for file in "$tc_work"/packages/*.zip; do
	[ -e "$file" ] || finish
	place pgxn
	cp "$file" "$chroot/release"
	cat >"$chroot/release/pgxn" <<-END
		apt-get -y -qq install --no-install-recommends postgresql-15 $(wanted PGXN)
		cd /release
		rm -r tree
		pgxn install ./${file##*/}
	END
	guest 'pgxn installs the archive' pgxn
	cat >"$chroot/release/yield" <<-'END'
		pg_ctlcluster 15 main start
		runuser -u postgres -- psql -X -At -v ON_ERROR_STOP=1 <<'SQL' | tail -n 1 | grep -x '1|4711'
		CREATE EXTENSION tasker_checkpoint;
		SELECT tasker_checkpoint_create_table('jobs');
		INSERT INTO jobs (name) VALUES ('first') RETURNING id AS job \gset
		SELECT sequence FROM tasker_checkpoint_yield(:'job', '4711', 100);
		SELECT sequence, cursor FROM tasker_checkpoint_claim('worker');
		SQL
		pg_ctlcluster 15 main stop
	END
	guest 'and there is a first yield' yield --net
done
finish

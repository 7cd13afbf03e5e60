#!/bin/sh
# sh test/upgrade.sh [17 | 18 | 19]...
#
# From older servers to later ones (17, 18 and 19 unless told), with data: by pg_upgrade,
# which needs the programs of both side by side, and by dump and restore. Each runs in
# the Debian release that delivers the later one, in a folder of chroots.sh's, and has
# there a copy of each older server, with those libraries that its release lacks.
#
# The tests are install_upgrade and install_dump of test/server/t. What a server's minor
# releases make impossible is shown with a table that is nobody's, and said: skipped. The
# last line counts assertions.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
# shellcheck source=test/chroots.sh
. "$tc_root/test/chroots.sh"

# meet OUT [OLD...]: builds for the server that this system delivers, tests each older
# one, a folder of OUT of another system's, and leaves this one in OUT.
meet()
{
	out=$1
	shift
	tc_need postgresql-@ postgresql-server-dev-@ libipc-run-perl make gcc
	programs=$("$tc_pg_config" --bindir)
	plugins=$("$tc_pg_config" --pkglibdir)
	tc_private
	tc_env="$tc_env MAKEFLAGS=with_llvm=no"
	if ! tc_build gcc || ! tc_make install; then
		echo "0 passed, 1 failed"
		exit 1
	fi
	[ $# -eq 0 ] || echo "$(tc_user pg_config --version) on $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)"
	cd "$tc_tree" || exit 1
	for old; do
		from "$old"
	done

	keep=$out/$tc_major
	mkdir -p "$keep/libraries"
	(cd "$tc_work/server" && tar --exclude=pgxs --exclude=bitcode --exclude='llvmjit*' -cf - \
		"${tc_bin#"$tc_work/server/"}" "${plugins#/}" "${tc_sharedir#"$tc_work/server/"}") |
		tar --no-same-owner -xf - -C "$keep"
	ln -s ".${plugins%/lib}" "$keep/install"
	ldd "$programs"/* "$plugins"/libpqwalreceiver.so "$plugins"/dict_snowball.so 2>/dev/null |
		sed -n 's|.* => \(/[^ ]*\) .*|\1|p' | sort -u |
		grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv)\.so' |
		while read -r library; do
			cp -L "$library" "$keep/libraries"
		done
}

from()
{
	old=$(cd "$1/install" && pwd -P)
	ldconfig -p | sed -n 's/^\t\([^ ]*\) .*/\1/p' >"$tc_work/libraries"
	for library in "$1/libraries"/*; do
		grep -qxF "${library##*/}" "$tc_work/libraries" || cp "$library" "$old/lib"
	done

	for test in install_upgrade install_dump; do
		status=0
		tc_run "$tc_work/$test.out" env -u PGHOST -u PGPORT -u PGUSER oldinstall="$old" \
			TESTDIR="$tc_tree" TESTDATADIR="$tc_tree/tmp_check" TESTLOGDIR="$tc_tree/tmp_check/log" \
			PG_REGRESS="$tc_pgxs/src/test/regress/pg_regress" \
			perl -I "$tc_pgxs/src/test/perl" "test/server/t/$test.pl" || status=$?
		ok=$(grep -c '^ok ' "$tc_work/$test.out")
		bad=$(grep -c '^not ok ' "$tc_work/$test.out")
		if [ $status -ne 0 ]; then
			[ "$bad" -gt 0 ] || bad=1
			grep -v '^ok ' "$tc_work/$test.out" | head -n 60
		fi
		grep '^# .*skipped: ' "$tc_work/$test.out"
		echo "from ${1##*/}, $test: $ok passed, $bad failed"
		passed=$((passed + ok))
		failed=$((failed + bad))
		rm -rf "$tc_tree/tmp_check"
	done
}

if [ "${1-}" = meet ]; then
	shift
	tc_begin
	meet "$@"
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
	exit
fi

by_root "test/upgrade.sh" "$@"
[ $# -gt 0 ] || set -- 17 18 19

tc_begin
own
servers=$tc_work/servers
mkdir "$servers"
if ! within run.out env -u PG_CONFIG sh "$tc_root/test/upgrade.sh" meet "$servers"; then
	cat "$tc_work/run.out"
	exit 1
fi
for version; do
	if arrive "$version"; then
		cp -a "$servers" "$here/old"
		mkdir "$here/new"
		# shellcheck disable=SC2046	# names without blanks
		enter sh "$guest/tree/test/upgrade.sh" meet "$guest/new" \
			$(find "$here/old" -mindepth 1 -maxdepth 1 -printf "$guest/old/%f\n" | sort)
		cp -a "$here/new/." "$servers"
		leave
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

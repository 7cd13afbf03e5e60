#!/bin/sh
# sh test/assertions.sh FOLDER
#
# Builds the server that the distribution delivers, or the newest that its source
# packages have, with assertions, and installs it into FOLDER, which must not exist;
# ten minutes. PG_CONFIG=FOLDER/bin/pg_config then leads run.sh and deep.sh there.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
if [ $# -ne 1 ] || [ -e "$1" ]; then
	sed -n 's/^# \(sh test.*\)/usage: \1/p' "$0" >&2
	exit 2
fi
mkdir -p "$1" && folder=$(cd "$1" && pwd -P) || exit 1

tc_begin
tc_need postgresql-@ make gcc bison flex perl dpkg-dev pkg-config liblz4-dev libipc-run-perl
cd "$tc_work" || exit 1

# apt with a list of its own, the system's with sources in the place of packages.
mkdir -p lists/partial
cat /etc/apt/sources.list.d/*.sources >sources.sources 2>/dev/null
sed -i 's/^Types:.*/Types: deb-src/' sources.sources
cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | sed 's/^deb /deb-src /' >sources.list
parts=$tc_work/parts
mkdir "$parts"
mv sources.sources sources.list "$parts"
sources()
{
	command=$1
	shift
	"apt-$command" -q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$parts" \
		-o Dir::State::lists="$tc_work/lists" -o APT::Sandbox::User=root "$@"
}
sources get update >apt.log 2>&1 || tc_die "$(cat apt.log)"

# The registry may list a version that it does not have any more.
for version in $(sources cache showsrc --only-source "postgresql-$tc_major" | sed -n 's/^Version: //p' | sort -rVu); do
	if sources get source --download-only "postgresql-$tc_major=$version" >apt.log 2>&1; then
		break
	fi
	echo "the registry does not deliver the source of $version"
done
tar -xf "postgresql-${tc_major}_${version%%-*}.orig.tar.bz2" || tc_die "no source of postgresql-$tc_major: $(cat apt.log)"
cd postgresql-* || exit 1

# Without what the tests do not need.
{
	./configure -q --prefix="$folder" --enable-cassert --enable-debug --enable-tap-tests \
		--with-lz4 --without-icu --without-readline --without-zlib CFLAGS='-O1 -fno-omit-frame-pointer' &&
		make -s -j "$(nproc)" &&
		for part in . contrib src/test/regress src/test/isolation; do
			make -s -C $part install || exit 1
		done
} >../build.log 2>&1 || tc_die "$(tail -n 40 ../build.log)"
"$folder/bin/pg_config" --version

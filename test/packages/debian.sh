#!/bin/sh
# sh test/packages/debian.sh
#
# Makes the Debian packages of a copy of the sources, twice: the bytes are the same in a
# folder of another path, of sources of another time. What is in the package is unpacked
# into a copy of the server that has no extension yet, in which the README's statements
# run and a worker's first yield. Prints TAP.
#
# Packages: build-essential, debhelper, lintian, pkg-config, libpq-dev,
# Packages: postgresql-server-dev-all.

set -u
root=$(pwd)
bin=$(pg_config --bindir)
version=$(pg_config --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
package=postgresql-$version-tasker-checkpoint
release=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" tasker_checkpoint.control)
case $bin in
	*/usr/lib/postgresql/"$version"/bin) ;;
	*) echo '1..0 # SKIP the server is not from a package'; exit ;;
esac
work=$(mktemp -d) || exit 1

cleanup()
{
	[ ! -e "$work/data/postmaster.pid" ] || pg_ctl -s -D "$work/data" -m immediate stop
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' TERM INT HUP

# shellcheck source=test/packages/lib/ok.sh
. test/packages/lib/ok.sh

# build FOLDER TIME: of what git has, without results of builds or tests. The packages
# get the changelog's time, but for what is older than that by a clock that is wrong.
build()
(
	mkdir -p "$work/$1/sources" && cd "$work/$1/sources" || exit
	for name in debian src docs examples clients/c Makefile tasker_checkpoint.control README.md CHANGELOG.md; do
		mkdir -p "$(dirname "$name")" && cp -R "$root/$name" "$name" || exit
	done
	find . \( -name '*.o' -o -name '*.bc' -o -name build \) -prune -exec rm -r {} +
	find . -type f -exec touch -d "$2" {} +
	env -u PG_CONFIG HOME="$work" SOURCE_DATE_EPOCH=1000000000 DEB_BUILD_OPTIONS='parallel=2' \
		dpkg-buildpackage -b -us -uc >"$work/$1/log" 2>&1 && exit
	tail -n 40 "$work/$1/log"
	exit 1
)

same()
{
	for file in "$work"/a/*.deb; do
		cmp "$file" "$work/another/folder/${file##*/}" || return
	done
}

# debian/changelog says the extension's version.
agrees()
{
	dpkg-parsechangelog -S Version | grep "^$release-[0-9]*\$"
}

# contents PACKAGE FILE...: these are in it, but for documents and bitcode, and nothing else.
contents()
{
	name=$1
	shift
	printf './%s\n' "$@" | sort >"$work/expected"
	dpkg -c "$work/a/${name}"_*.deb | sed -n '/^d/d; s/^.* \(\.\/[^ ]*\)\( -> .*\)\{0,1\}$/\1/p' |
		grep -vE '^\./usr/(share/doc|lib/postgresql/[0-9]+/lib/bitcode)/' | sort | diff "$work/expected" -
}

documents()
{
	dpkg -c "$work/a/${package}"_*.deb >"$work/list"
	for name in copyright changelog.gz changelog.Debian.gz README.md.gz guide.md.gz operations.md.gz reference.md.gz \
		examples/grants.sql examples/monitoring/alerts.yaml; do
		grep "/usr/share/doc/$package/$name\$" "$work/list" || return
	done
	dpkg --fsys-tarfile "$work/a/${package}"_*.deb | tar -xOf - "./usr/share/doc/$package/copyright" >"$work/copyright" &&
		head -n 1 "$work/copyright" | grep '^Format: .*/copyright-format/1\.0/$' &&
		sed 1d "$work/copyright" | cmp - "$root/debian/copyright"
}

depends()
{
	dpkg-deb -f "$work/a/$1"_*.deb Depends >"$work/depends"
	shift
	for name; do
		grep -E "(^|, )$name( |,|\$)" "$work/depends" || { cat "$work/depends"; return 1; }
	done
}

# A copy of the server, without the extension that make install has put into it.
unpack()
{
	server=$work/server
	for folder in lib share; do
		mkdir -p "$server/usr/$folder/postgresql" &&
			cp -a "${bin%/lib/postgresql/*}/$folder/postgresql/$version" "$server/usr/$folder/postgresql" || return
	done
	find "$server" -name 'tasker_checkpoint*' -prune -exec rm -r {} +
	[ -z "$(find "$server" -path '*/share/postgresql*/extension/tasker*')" ] || return
	dpkg -x "$work"/a/"${package}"_*.deb "$server"
	bin=$server/usr/lib/postgresql/$version/bin
	docs=$server/usr/share/doc/$package
}

start()
{
	PATH=$bin:$PATH PGHOST=$work PGPORT=5432 PGUSER=postgres
	export PATH PGHOST PGPORT PGUSER
	initdb -D "$work/data" -U "$PGUSER" -A trust -N && pg_ctl -s -w -D "$work/data" -l "$work/server.log" \
		-o "-c listen_addresses= -c unix_socket_directories=$work -c shared_preload_libraries=tasker_checkpoint" start
}

# The README's blocks of SQL, beside the examples as they are installed
quickstart()
{
	createdb shop &&
		(cd "$docs" && zcat README.md.gz | awk '/^```sql$/ { n = 1; next } /^```$/ { n = 0 } n' |
			psql -X -q -v ON_ERROR_STOP=1 shop)
}

first_yield()
{
	psql -X -q -A -t -v ON_ERROR_STOP=1 -U app shop >"$work/yield" <<-'SQL' || return
		SELECT event_id, step_uuid FROM tasker_checkpoint_claim('worker') \gset
		BEGIN;
		INSERT INTO invoices SELECT id, amount FROM orders WHERE id <= 5000;
		SELECT sequence, directive FROM tasker_checkpoint_yield(:'step_uuid', '5000', 5000, NULL, :'event_id');
		COMMIT;
		SELECT count(*), checkpoint ->> 'cursor', tasker_checkpoint_version() FROM jobs, invoices GROUP BY checkpoint;
	SQL
	printf '1|continue\n5000|5000|%s\n' "$release" | diff - "$work/yield"
}

ok 'the packages are built' build a 2026-01-02
ls "$work"/a/*.changes >/dev/null 2>&1 || { echo 'Bail out! no packages'; exit 1; }
ok 'lintian finds no error' env HOME="$work" lintian --fail-on error "$work"/a/*.changes
ok "the version is the extension's" agrees
ok 'library, control file and script are in it' contents "$package" \
	"usr/lib/postgresql/$version/lib/tasker_checkpoint.so" \
	"usr/share/postgresql/$version/extension/tasker_checkpoint.control" \
	"usr/share/postgresql/$version/extension/tasker_checkpoint--$release.sql"
ok 'so are documents and examples' documents
ok 'it depends on the server and on its compiler of bitcode' depends "$package" "postgresql-$version" "postgresql-$version-jit-llvm"
lib=usr/lib/$(dpkg-architecture -q DEB_HOST_MULTIARCH)
ok "the client's library is named by its soname" contents libtasker-checkpoint-client1 \
	"$lib/libtasker_checkpoint_client.so.1" "$lib/libtasker_checkpoint_client.so.$release"
ok 'it depends on libpq' depends libtasker-checkpoint-client1 libpq5
ok 'what compiles with it is in the other package' contents libtasker-checkpoint-client-dev \
	"$lib/libtasker_checkpoint_client.so" "$lib/libtasker_checkpoint_client.a" "$lib/pkgconfig/tasker_checkpoint_client.pc" \
	usr/include/tasker_checkpoint_client.h usr/include/tasker_checkpoint_testing.h
ok 'which depends on the library and on libpq' depends libtasker-checkpoint-client-dev libtasker-checkpoint-client1 libpq-dev
ok 'it is unpacked into a copy of the server' unpack
ok 'the server starts with it preloaded' start
ok "the README's statements run" quickstart
ok 'and the first yield' first_yield
ok 'they are built in another folder' build another/folder 2026-03-04
ok 'byte by byte the same' same
echo "1..$tests"

#!/bin/sh
# sh test/packages/rpm.sh
#
# The RPM's spec, and packages built by it with the folders that it is for, /usr/pgsql-15
# and the like, of the headers at hand: what it needs is named as there, and not looked at.
# The debugger's packages are built as well, as distributions of RPMs have it. Prints TAP.
#
# Packages: git, gcc, make, unzip, rpm, rpmlint, elfutils, debugedit.

set -u
root=$(pwd)
work=$(mktemp -d) || exit 1
spec=$root/packaging/tasker_checkpoint.spec
# shellcheck source=test/packages/lib/archive.sh
. test/packages/lib/archive.sh

trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

# The version is the control file's, and so is that of the newest entry.
agrees()
{
	grep -qE "^Version: +$version\$" "$spec" &&
		sed -n '/^%changelog/{n;p;}' "$spec" | grep -E -- "- $version-1\$"
}

# rpmlint counts errors in its last line, and returns its own figure.
lint()
{
	rpmlint "$spec" >"$work/lint"
	cat "$work/lint"
	grep -E ' 0 errors, ' "$work/lint"
}

build()
{
	rpmbuild --nodeps -D "_topdir $work/rpm" -D "_tmppath $work" -D "pgmajorversion $major" "$@" "$spec"
}

# Where the server is not, as where many packages are built of sources that were packed before
packed()
{
	commit && make -s dist && mkdir -p "$work/rpm/SOURCES" && cp "$name.zip" "$work/rpm/SOURCES" || return 1
	build -bs -D "pg_config $work/nowhere" && ls "$work/rpm/SRPMS/tasker_checkpoint_$major-$version"-*.src.rpm
}

# The server's own, but for the folders
cat >"$work/pg_config" <<'END'
#!/bin/sh
case $* in
	--pkglibdir) echo "$PREFIX/lib" ;;
	--sharedir) echo "$PREFIX/share" ;;
	*) exec "$PG_CONFIG" "$@" ;;
esac
END
chmod 755 "$work/pg_config"

# What Fedora and its kin define. It fails over a file that is not there, or that no list
# has, and over a list without a file.
cat >"$work/macros" <<'END'
%_enable_debug_packages 1
%_debugsource_packages 1
%install %{?_enable_debug_packages:%{?buildsubdir:%{debug_package}}}\
%%install\
%{nil}
END
binary()
{
	build -bb --load="$work/macros" -D "pg_config $work/pg_config"
}

# contents PACKAGE PATTERN: its files of that name
contents()
{
	rpm -q -p --list "$work/rpm/RPMS"/*/"$1-$version"-*.rpm >"$work/all" && grep -E "$2" "$work/all" | sort >"$work/list"
	cat "$work/list"
}

# Where yum.postgresql.org has them
placed()
{
	contents "$package" '^/usr/pgsql' &&
		diff - "$work/list" <<-END
			$PREFIX/lib/tasker_checkpoint.so
			$PREFIX/share/extension/tasker_checkpoint--$version.sql
			$PREFIX/share/extension/tasker_checkpoint.control
		END
}

documented()
{
	rpm -q -p --docfiles "$binary" >"$work/docs" &&
		grep /docs/reference.md "$work/docs" && grep /examples/grants.sql "$work/docs" &&
		rpm -q -p --licensefiles "$binary" | grep /LICENSE
}

needs()
{
	rpm -q -p --requires "$binary" | grep -x "postgresql$major-server"
}

debugged()
{
	contents "$package-debuginfo" "$PREFIX/lib/tasker_checkpoint\.so-.*\.debug\$" && [ -s "$work/list" ] &&
		contents "$package-debugsource" '\.c$' && (cd "$root" && find src -name '*.c') | wc -l >"$work/count" &&
		[ "$(wc -l <"$work/list")" -eq "$(cat "$work/count")" ]
}

# By an rpm that takes itself for root, into a folder
rooted()
{
	unshare --user --map-root-user rpm --root "$work/installed" "$@"
}

installed()
{
	mkdir "$work/installed" && rooted --nodeps -i "$binary" && rooted -V --nodeps "$package" || return 1
	cmp "$work/clone/tasker_checkpoint.control" "$work/installed$PREFIX/share/extension/tasker_checkpoint.control" &&
		make -s -C "$work/clone" "tasker_checkpoint--$version.sql" &&
		cmp "$work/clone/tasker_checkpoint--$version.sql" "$work/installed$PREFIX/share/extension/tasker_checkpoint--$version.sql"
}

erased()
{
	rooted -e "$package" && find "$work/installed" -name '*tasker*' >"$work/left" && cat "$work/left" && [ ! -s "$work/left" ]
}

major=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
package=tasker_checkpoint_$major
PREFIX=/usr/pgsql-$major
export PREFIX
ok "the version is the control file's" agrees
ok "rpmlint finds no error in the spec" lint
ok "rpmbuild makes the package of sources without a server" packed
ok "it builds the packages, and each file is in a list" binary
binary=$(ls "$work"/rpm/RPMS/*/"$package-$version"-*.rpm)
ok "library, control file and script are where the server looks" placed
ok "it has documents, examples and the licence" documented
ok "it needs its server" needs
ok "the debugger has symbols and all sources" debugged
if unshare --user --map-root-user true; then
	ok "rpm installs it, with the files that make installs" installed
	ok "and erases it whole" erased
else
	echo "ok $((tests + 1)) - rpm installs it # SKIP no namespace of a user's own"
	tests=$((tests + 1))
fi 2>/dev/null
echo "1..$tests"

#!/bin/sh
# sh test/packages/rpm.sh
#
# The RPM's spec, and a package built by it for the server at hand, which is not one that
# it is meant for: what it needs is named as there, and not looked at. Prints TAP.
#
# Packages: git, gcc, make, unzip, cpio, rpm, rpmlint.

set -u
root=$(pwd)
work=$(mktemp -d) || exit 1
spec=$root/packaging/tasker_checkpoint.spec
# shellcheck source=test/packages/lib/archive.sh
. test/packages/lib/archive.sh

package=
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

# It fails over a file that is not there, or that no list has.
build()
{
	commit && make -s dist && mkdir -p "$work/rpm/SOURCES" && mv "$name.zip" "$work/rpm/SOURCES" || return 1
	rpmbuild -bb --nodeps -D "_topdir $work/rpm" -D "_tmppath $work" -D "pgmajorversion $major" -D "pg_config $PG_CONFIG" "$spec" &&
		package=$(ls "$work"/rpm/RPMS/*/"tasker_checkpoint_$major-$version"-*.rpm)
}

# What it installs is what make does, less the bitcode.
same()
{
	mkdir "$work/unpacked" && (cd "$work/unpacked" && rpm2cpio "$package" | cpio -i -d --quiet) &&
		make -s -C "$work/clone" install with_llvm=no DESTDIR="$work/installed" || return 1
	for folder in unpacked installed; do
		(cd "$work/$folder" && find . -name 'tasker_checkpoint*' -type f ! -path './usr/share/doc*') | sort >"$work/$folder.list"
	done
	cat "$work/unpacked.list"
	diff "$work/installed.list" "$work/unpacked.list" && [ "$(wc -l <"$work/unpacked.list")" -eq 3 ] &&
		script=$(grep "$name.sql\|--$version.sql" "$work/unpacked.list") &&
		cmp "$work/installed/$script" "$work/unpacked/$script"
}

documented()
{
	rpm -q -p --docfiles "$package" >"$work/docs" &&
		grep /docs/reference.md "$work/docs" && grep /examples/grants.sql "$work/docs" &&
		rpm -q -p --licensefiles "$package" | grep /LICENSE
}

needs()
{
	rpm -q -p --requires "$package" | grep -x "postgresql$major-server"
}

major=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
ok "the version is the control file's" agrees
ok "rpmlint finds no error in the spec" lint
ok "rpmbuild builds it, and each file is in a list" build
ok "it installs what make does" same
ok "it has documents, examples and the licence" documented
ok "it needs its server" needs
echo "1..$tests"

#!/bin/sh
# sh test/check-indent.sh [--fix]
#
# Looks whether the C is laid out as PostgreSQL's pgindent does it, and shows what is
# not; --fix lays it out. It has to know what is a type: ours are found in the sources,
# the server's and the system's that we use are in src/typedefs.list.
#
# Debian has pgindent since PostgreSQL 17, in trixie. The packages are fetched by apt,
# and unpacked for this run only, with the C library that the program wants. The last
# line counts checks.

set -u
tc_root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"
mode='--check --diff'
case ${1-} in
	'') ;;
	--fix) mode= ;;
	*)
		sed -n 's/^# \(sh test.*\)/usage: \1/p' "$0" >&2
		exit 2
		;;
esac
folders="$tc_root/src $tc_root/clients/c $tc_root/test/workers/c"

# apt_trixie COMMAND...: apt-get with lists of its own.
apt_trixie()
{
	tc_apt "$@" -o Dir::Etc::SourceList="$tc_work/sources" -o Dir::Etc::SourceParts=- \
		-o Dir::State::Lists="$tc_work/lists" -o Dir::Cache="$tc_work/cache" -o APT::Sandbox::User=root
}

fetch()
{
	mkdir -p "$tc_work/lists/partial" "$tc_work/cache/archives/partial" "$tc_work/packages"
	# from where this machine has its own packages, unless MIRROR says otherwise
	# shellcheck disable=SC2016	# apt expands it
	mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' \
		"Release: $(. /etc/os-release && echo "$VERSION_CODENAME")" | head -n 1)}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
		>"$tc_work/sources"
	apt_trixie update
	cd "$tc_work/packages" || exit 1
	apt_trixie download postgresql-server-dev-17 libc6
	for package in *.deb; do
		dpkg-deb --extract "$package" . || exit 1
	done
	cd "$tc_work" || exit 1
}

tc_begin
if ! (fetch) >"$tc_work/fetch.out" 2>&1; then
	if grep -qE ' 404 |Unable to locate|has no installation candidate|Release file' "$tc_work/fetch.out"; then
		echo "skipped: the registry does not deliver pgindent"
		echo "0 passed, 0 failed"
		exit 0
	fi
	cat "$tc_work/fetch.out"
	echo "0 passed, 1 failed"
	exit 1
fi

# Run by its own loader, as the library may be newer than ours.
loader=$(find "$tc_work/packages" -type f -name 'ld-linux*.so.*' | head -n 1)
cat >"$tc_work/pg_bsd_indent" <<END
#!/bin/sh
exec '$loader' --library-path '${loader%/*}' '$tc_work/packages/usr/lib/postgresql/17/bin/pg_bsd_indent' "\$@"
END
chmod 755 "$tc_work/pg_bsd_indent"

# shellcheck disable=SC2046,SC2086	# paths without blanks
sed -nE 's/^\}( pg_attribute_[a-z()]*)? (\w+);$/\2/p; s/^typedef (struct |enum )?\w+ (\w+);$/\2/p; s/^typedef .*\(\*(\w+)\).*/\1/p' \
	$(find $folders -name '*.[ch]') | sort -u - "$tc_root/src/typedefs.list" >"$tc_work/typedefs"

status=0
# It leaves its own files where it is called.
# shellcheck disable=SC2086	# two arguments, or none; folders
"$tc_work/packages/usr/lib/postgresql/17/bin/pgindent" $mode --indent="$tc_work/pg_bsd_indent" \
	--typedefs="$tc_work/typedefs" $folders || status=1
if [ "$status" -eq 0 ]; then
	echo "1 passed, 0 failed"
else
	echo "0 passed, 1 failed"
fi
exit "$status"

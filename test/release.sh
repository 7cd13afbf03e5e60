#!/bin/sh
# sh test/release.sh VERSION
#
# Whether the commit that is checked out can be released as VERSION: what a program can
# tell, then what is left for a person. Needs git, make, perl, and the server's
# pg_config (in the PATH, or PG_CONFIG). The last line counts checks.

set -u
cd "$(dirname "$0")/.." || exit 1
if [ $# -ne 1 ]; then
	sed -n 's/^# \(sh test.*\)/usage: \1/p' "$0" >&2
	exit 2
fi
version=$1
name=tasker_checkpoint
script=$name--$version.sql
passed=0
failed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

# check WHAT COMMAND...: fine if the command succeeds and says nothing.
check()
{
	what=$1
	shift
	if output=$("$@" 2>&1) && [ -z "$output" ]; then
		passed=$((passed + 1))
		echo "ok: $what"
	else
		failed=$((failed + 1))
		echo "not ok: $what"
		echo "${output:-could not run}" | sed 's/^/    /'
	fi
}

clean()
{
	git status --porcelain
}

# says FILE PATTERN: the first line that the pattern fits, which has a group, says the version.
says()
{
	found=$(sed -n "s/$2/\1/p" "$1" | head -n 1)
	[ "$found" = "$version" ] || echo "$1: ${found:-no version}"
}

versions()
{
	says $name.control "^default_version = '\(.*\)'\$"
	says META.json '^   "version": "\(.*\)",$'
	says META.json '^         "version": "\(.*\)"$'
	says debian/changelog '^[a-z-]* (\([0-9.]*\)-[0-9]*) .*'
	says packaging/$name.spec '^Version: *\(.*\)$'
	says packaging/$name.spec '^\* .* - \([0-9.]*\)-[0-9]*$'
	says clients/c/Makefile '^VERSION = \(.*\)$'
	says clients/python/pyproject.toml '^version = "\(.*\)"$'
	says clients/ruby/lib/${name}_client/version.rb "^ *VERSION = [\"']\(.*\)[\"'].*"
	says clients/typescript/package.json '^  "version": "\(.*\)",$'
}

# The newest heading of each list of changes is that of the version, with a date.
dated()
{
	for file in CHANGELOG.md clients/*/CHANGELOG.md; do
		heading=$(grep -m 1 '^## ' "$file")
		case $heading in
			"## [$version] - 20"[0-9][0-9]-[01][0-9]-[0-3][0-9]) ;;
			*) echo "$file: $heading, not ## [$version] - DATE" ;;
		esac
	done
	sed -n '1s/.*\(UNRELEASED\).*/debian\/changelog: \1/p' debian/changelog
}

stable()
{
	grep -q '"release_status": "stable"' META.json || echo "META.json: release_status is not stable"
}

# As it is released: it never changes afterwards.
frozen()
{
	make -s "$script" || return 1
	cmp "$script" "src/sql/upgrade/$script"
}

# What was released is still there, unchanged, and leads to this version.
released()
{
	git tag --list 'v[0-9]*' | while read -r tag; do
		old=${tag#v}
		[ "$old" != "$version" ] || continue
		file=src/sql/upgrade/$name--$old.sql
		git show "$tag:$file" >"$work/old" 2>/dev/null && cmp "$work/old" "$file" || echo "$file: not as in $tag"
		ls "src/sql/upgrade/$name--$old--"*.sql >/dev/null 2>&1 || echo "$old: no script leads from it"
	done
}

untagged()
{
	tagged=$(git rev-parse -q --verify "v$version^{commit}") || return 0
	[ "$tagged" = "$(git rev-parse HEAD)" ] || echo "v$version is another commit: $tagged"
}

# The same bytes, wherever and whenever it is made
dist()
{
	mkdir "$work/again" && make -s -C "$work/again" -f "$PWD/Makefile" VPATH="$PWD" dist &&
		git clone -q . "$work/clone" &&
		TZ=Asia/Kathmandu make -s -C "$work/clone" dist &&
		cmp "$work/again/$name-$version.zip" "$work/clone/$name-$version.zip"
}

style()
{
	sh test/check-style.sh >"$work/style" || cat "$work/style"
}

check "nothing is uncommitted" clean
check "the version is $version everywhere" versions
check "lists of changes have the version's date" dated
check "META.json says stable" stable
check "src/sql/upgrade/ has the script as it is released" frozen
check "scripts released before are unchanged, and lead here" released
check "v$version is no other commit" untagged
check "make dist makes the same bytes twice" dist
check "test/check-style.sh is content" style

cat <<END

For a person:
  1. bash .ci/run, sh test/deep.sh, sh test/mutants/run.sh, sh test/install.sh and
     sh test/container.sh pass, of this commit, as do the clients on later servers
     (docs/stability.md, "What is tested"); sh test/reliability.sh has written its figures.
  2. META.json names repository, bug tracker and homepage under "resources", Dockerfile's
     and the workflows' versions are the newest, and SECURITY.md says whom to tell.
  3. docker build . of the official image, and a first yield in it: no test here has that.
  4. git tag -s v$version; git push origin v$version. The workflow Release makes archive,
     packages, bill of materials and provenance.
  5. gh attestation verify of each; sha256sum of the archive is that of make dist here.
  6. The archive goes to PGXN, the packages, clients and image to where they are had.
  7. Behind it: the next version in tasker_checkpoint.control, META.json, CHANGELOG.md, and
     an upgrade script with the next change (CONTRIBUTING.md, "Add an upgrade script").

END
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

#!/bin/sh
# sh test/packages/release.sh
#
# What releases are made by: the checklist finds what is in the way of one, the workflows
# and the Dockerfile name what is here. Docker itself does not run here, nor do the
# workflows: the commands of a release do, but for apt and the actions between them, and
# the Dockerfile's with the files that it copies (all of it: test/container.sh). Prints TAP.
#
# Packages: git, gcc, make, python3, python3-yaml, build-essential, debhelper, pkg-config,
# Packages: libpq-dev, postgresql-server-dev-all.

set -u
root=$(pwd)
work=$(mktemp -d) || exit 1
# shellcheck source=test/packages/lib/archive.sh
. test/packages/lib/archive.sh
major=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')

trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

git_commit()
{
	git add -A && git -c user.name=test -c user.email=test@localhost commit -q -m test
}

# As at a release
prepare()
{
	commit &&
		sed -i "0,/^## .*/s//## [$version] - 2026-12-01/" CHANGELOG.md clients/*/CHANGELOG.md &&
		sed -i 1s/UNRELEASED/unstable/ debian/changelog &&
		sed -i 's/"release_status": "[a-z]*"/"release_status": "stable"/' META.json &&
		make -s "tasker_checkpoint--$version.sql" && mkdir -p src/sql/upgrade &&
		cp "tasker_checkpoint--$version.sql" src/sql/upgrade && git_commit
}

passes()
{
	cd "$work/clone" && sh test/release.sh "$version"
}

# In a clone of that commit, what the workflow runs for its tag. Nothing is
# installed meanwhile, and a server from elsewhere than a package has none made.
workflow()
{
	mkdir -p "$work/release/bin" && ln -s /bin/true "$work/release/bin/apt-get" &&
		git clone -q "$work/clone" "$work/release/repository" && cd "$work/release/repository" || return
	python3 test/packages/release.py commands >"$work/commands" && grep dpkg-buildpackage "$work/commands" || return
	env -u PG_CONFIG HOME="$work" PATH="$work/release/bin:$PATH" DEB_BUILD_OPTIONS='parallel=2' \
		GITHUB_REF_NAME="v$version" GITHUB_WORKSPACE="$PWD" sh -eux "$work/commands" &&
		cd artifacts && ls "$name.zip" "postgresql-$major-tasker-checkpoint_$version-1"_*.deb \
			"libtasker-checkpoint-client1_$version-1"_*.deb "libtasker-checkpoint-client-dev_$version-1"_*.deb
}

# The script as it was released is not installed twice, which install refuses.
installs()
{
	make -n -C "$work/clone" install >"$work/steps" && grep -F "tasker_checkpoint--$version.sql" "$work/steps" &&
		! grep -F src/sql/upgrade/ "$work/steps"
}

# Each check, but for that of the archive, finds one thing.
fails()
{
	cd "$work/clone" || return 1
	sed -i "s/^VERSION = .*/VERSION = 0.9/" clients/c/Makefile
	sed -i "0,/^## .*/s//## [$version] - unreleased/" CHANGELOG.md
	sed -i 's/"release_status": "stable"/"release_status": "testing"/' META.json
	echo '-- another' >>"src/sql/upgrade/tasker_checkpoint--$version.sql"
	git tag "v$version" && git tag v0.9.0 && git_commit && echo 'trailing ' >new.md
	sh test/release.sh "$version" >"$work/said" && return 1
	cat "$work/said"
	sed -n 's/^not ok: //p' "$work/said" >"$work/said.bad"
	diff - "$work/said.bad" <<-END
		nothing is uncommitted
		the version is $version everywhere
		lists of changes have the version's date
		META.json says stable
		src/sql/upgrade/ has the script as it is released
		scripts released before are unchanged, and lead here
		v$version is no other commit
		test/check-style.sh is content
	END
}

# In the order of the Dockerfile, what its first stage does without apt
container()
{
	mkdir "$work/image" && cd "$work/image" || return 1
	sed -n 's/^COPY \([^-].*\) \([^ ]*\)$/\1|\2/p' "$root/Dockerfile" | while IFS='|' read -r from to; do
		for file in $from; do
			cp -R "$root/$file" "$to" || exit 1
		done
	done || return 1
	PG_MAJOR=$major
	export PG_MAJOR
	sed -n 's/^RUN \(make.*\)/\1/p' "$root/Dockerfile" | sed "s|=/installed|=$work/root|" >"$work/commands"
	# of another build, and not taken
	echo 'no object' >src/init.o && touch -d '1 hour' src/init.o &&
		[ "$(wc -l <"$work/commands")" -eq 2 ] && MAKEFLAGS=with_llvm=no sh -eux "$work/commands" &&
		[ -f "$work/root/usr/lib/postgresql/$PG_MAJOR/lib/tasker_checkpoint.so" ] &&
		[ -f "$work/root/usr/share/postgresql/$PG_MAJOR/extension/tasker_checkpoint--$version.sql" ]
}

ok "a commit as at a release" prepare
ok "the checklist is content with it" passes
case $("$PG_CONFIG" --bindir) in
	*/usr/lib/postgresql/"$major"/bin) ok "the workflow's commands make archive and packages" workflow ;;
esac
ok "make install takes its script once" installs
ok "the checklist finds what is in the way" fails
cd "$root" || exit 1
ok "the workflows, forms and Dockerfile name what is here" python3 test/packages/release.py
ok "the Dockerfile's commands build it of what it copies" container
echo "1..$tests"

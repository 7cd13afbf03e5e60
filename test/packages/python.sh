#!/bin/sh
# sh test/packages/python.sh
#
# The Python client as its users get it: a wheel and an sdist, in a new environment.
# There the README's program runs as it stands, and so does what it says of
# connections, with psycopg's pool, SQLAlchemy and Django. Debian 12's versions of
# the latter know no psycopg 3: they are trixie's, fetched and not installed.
#
# Packages: python3-build, python3-venv, python3-wheel, python3-setuptools, python3-psycopg, python3-psycopg-pool.

language=python
# shellcheck source=test/packages/lib/package.sh
. test/packages/lib/package.sh

# Neither the sources nor what they leave behind when built.
build()
{
	cp -r clients/python "$work/client" &&
		find "$work/client" -name __pycache__ -prune -exec rm -r {} + &&
		(cd "$work/client" && /usr/bin/python3 -m build --no-isolation --outdir "$work/dist" .)
}

has()
{
	for name; do
		grep -q "/$name\$" "$work/list" || { echo "no $name in"; cat "$work/list"; return 1; }
	done
}

contents()
{
	tar -tf "$work"/dist/*.tar.gz >"$work/list"
	has LICENSE CHANGELOG.md README.md pyproject.toml py.typed worker.py testing.py || return
	/usr/bin/python3 -m zipfile -l "$work"/dist/*.whl | awk '{ print "/" $1 }' >"$work/list"
	has LICENSE METADATA py.typed worker.py testing.py || return
	! grep -E 'build|egg|__pycache__|\.pyc' "$work/list"
}

# install PACKAGE: nothing but the package, in place of what was there.
install()
{
	"$work/new/bin/pip" install --quiet --no-index --no-build-isolation --force-reinstall --no-deps "$1" &&
		(cd "$work" && "$work/new/bin/python" -c '
import sys, tasker_checkpoint_client
sys.exit(not tasker_checkpoint_client.__file__.startswith(sys.prefix))')
}

# A program of ours that uses the package as it is installed.
program()
{
	cp "test/packages/python/$1" "$work" && cd "$work" && "$work/new/bin/python" "$@"
}

invoices()
{
	block python >"$work/example.py"
	cd "$work" && example "$work/new/bin/python" example.py
}

# Packages of trixie, unpacked into $work/trixie.
fetch()
{
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/trixie" && cd "$work/trixie" || return
	# shellcheck disable=SC2016	# apt expands it
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Identifier: Packages' 'Release: bookworm' | head -n 1)
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources"
	for how in update "download $*"; do
		# shellcheck disable=SC2086	# words
		apt-get -q -o Dir::Etc::SourceList="$work/sources" -o Dir::Etc::SourceParts=- \
			-o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" $how || return
	done
	for archive in *.deb; do
		dpkg-deb --extract "$archive" . || return
	done
}

# connections WHOSE: the README's ways to connect, by a program each.
connections()
{
	block python from_sqlalchemy >"$work/snippet.py"
	again && program connect.py "$1" && invoiced
}

ok 'wheel and sdist are built' build
ok 'they have what they should, and nothing else' contents
ok 'there is a new environment' /usr/bin/python3 -m venv --system-site-packages "$work/new"
ok 'the folder can be installed' install "$work/client"
ok 'so can the sdist' install "$work"/dist/*.tar.gz
ok 'so can the wheel' install "$work"/dist/*.whl
ok "the README's tables are made" tables
ok "the README's program runs as it stands, each order has one invoice" invoices
ok 'a function that makes connections' connections token
ok "psycopg's pool" connections pool
ok 'SQLAlchemy and Django can be had' \
	fetch python3-sqlalchemy python3-django python3-typing-extensions python3-asgiref python3-sqlparse python3-psycopg
export PYTHONPATH="$work/trixie/usr/lib/python3/dist-packages"
ok 'SQLAlchemy' connections sqlalchemy
ok 'Django' connections django
unset PYTHONPATH
ok 'it does for its users what it says' program behaves.py
echo "1..$tests"

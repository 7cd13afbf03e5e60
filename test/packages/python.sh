#!/bin/sh
# The Python client as its users get it: a wheel and an sdist, in a new environment.
# Packages: python3-build, python3-venv, python3-wheel, python3-setuptools, python3-psycopg

set -u
work=$(mktemp -d)
database=app
number=0

cleanup()
{
	dropdb --if-exists "$database"
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# ok WHAT COMMAND...: a line of TAP, with what the command said if it failed.
ok()
{
	number=$((number + 1))
	what=$1
	shift
	if "$@" >"$work/said" 2>&1; then
		echo "ok $number - $what"
	else
		echo "not ok $number - $what"
		sed 's/^/# /' "$work/said"
	fi
}

# block LANGUAGE: the first such block of the README.
block()
{
	sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/{ /^\`\`\`\$/q; /^\`\`\`/d; p; }" "$work/client/README.md"
}

query()
{
	psql -XqAt -v ON_ERROR_STOP=1 -d "$database" -c "$1"
}

is()
{
	[ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }
}

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

rows=20000

prepare()
{
	createdb "$database" &&
		block sql | sed "s/5000000/$rows/" | psql -Xq -v ON_ERROR_STOP=1 -d "$database"
}

# As it stands, until the step is done; SIGTERM ends it.
example()
{
	block python >"$work/example.py"
	(cd "$work" && exec "$work/new/bin/python" example.py) &
	worker=$!
	until [ "$(query 'SELECT count(*) FROM tasker_checkpoint_events')" = 0 ]; do
		kill -0 $worker || return
		query "CALL tasker_checkpoint_wait(ARRAY['nothing'], '100 ms')"
	done
	kill $worker
	wait $worker
}

done_once()
{
	is "$(query 'SELECT count(*), count(DISTINCT order_id), sum(amount) FROM invoices')" \
		"$(query 'SELECT count(*), count(*), sum(amount) FROM orders')" || return
	is "$(query "SELECT checkpoint -> 'items_processed' FROM steps")" "$rows"
}

# What its users may do, by the package as it is installed.
behaves()
{
	cp test/packages/python.py "$work/behaves.py" && (cd "$work" && "$work/new/bin/python" behaves.py)
}

ok 'wheel and sdist are built' build
ok 'they have what they should, and nothing else' contents
ok 'there is a new environment' /usr/bin/python3 -m venv --system-site-packages "$work/new"
ok 'the folder can be installed' install "$work/client"
ok 'so can the sdist' install "$work"/dist/*.tar.gz
ok 'so can the wheel' install "$work"/dist/*.whl
ok "the README's tables are made" prepare
ok "the README's example runs as it stands" example
ok 'each order has one invoice' done_once
ok 'it does for its users what it says' behaves
echo "1..$number"

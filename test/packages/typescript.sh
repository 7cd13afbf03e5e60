#!/bin/sh
# sh test/packages/typescript.sh
#
# Builds the TypeScript client's tarball from a copy of its sources, installs it
# into fresh projects, and the folder as well. There its types are complete, both
# kinds of module load it, its helpers run steps, and the program of its README
# runs as it stands. PGHOST, PGPORT and PGUSER name a server that has the
# extension. Node.js 18 or later.
#
# Packages: nodejs, npm.

set -u
root=$(pwd)
work=$(mktemp -d)
database=package_typescript_$$
count=0
trap 'dropdb --if-exists --force "$database" >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# try WHAT COMMAND...: a test, whose output is shown if it fails
try()
{
	what=$1
	shift
	count=$((count + 1))
	# in a condition set -e would say nothing
	(set -e; "$@") >"$work/output" 2>&1
	status=$?
	if [ $status -eq 0 ]; then
		echo "ok $count - $what"
	else
		echo "not ok $count - $what"
		sed 's/^/# /' "$work/output"
	fi
}

# same WHAT EXPECTED COMMAND...: what it prints
same()
{
	what=$1
	expected=$2
	shift 2
	actual=$("$@" 2>&1)
	count=$((count + 1))
	if [ "$actual" = "$expected" ]; then
		echo "ok $count - $what"
	else
		echo "not ok $count - $what"
		printf '%s\n' "$actual" | sed 's/^/# /'
	fi
}

# the README's first block of a language
block()
{
	awk -v begin="\`\`\`$1" '$0 == "```" { if (inside) exit } inside { print } $0 == begin { inside = 1 }' \
		"$root/clients/typescript/README.md"
}

sql()
{
	psql -XAtq -v ON_ERROR_STOP=1 -d "$database" "$@"
}

pack()
{
	cd "$work/client"
	npm pack --silent --pack-destination "$work"
}

# project NAME WHAT...: a fresh one, with the client and more installed
project()
{
	mkdir "$work/$1"
	cd "$work/$1"
	shift
	npm init -y
	npm install --prefer-offline --no-audit --no-fund "$@"
}

checked()
{
	cp "$root"/test/packages/typescript/types.mts "$work/fresh"
	cp "$work/fresh/types.mts" "$work/fresh/types.cts"
	cp "$work/fresh/types.mts" "$work/fresh/types.ts"
	cd "$work/fresh"
	for how in "node16 types.mts types.cts" "nodenext types.mts types.cts" "esnext --moduleResolution bundler types.ts"; do
		# shellcheck disable=SC2086	# they are words
		"$work/client/node_modules/.bin/tsc" --noEmit --strict --target es2022 --module $how
	done
}

# loaded PROJECT: as a module of either kind
loaded()
{
	cd "$work/$1"
	cat >loaded.mjs <<-'JS'
		import { createRequire } from "node:module";
		import { Superseded } from "tasker-checkpoint-client";
		import { runStep } from "tasker-checkpoint-client/testing";
		const require = createRequire(import.meta.url);
		if (require("tasker-checkpoint-client").Superseded !== Superseded) throw new Error("two classes");
		if (require("tasker-checkpoint-client/testing").runStep !== runStep) throw new Error("two functions");
	JS
	node loaded.mjs
}

# until its step is done
run_example()
{
	cd "$work/fresh"
	block sql | sed 's/5000000/25000/' >tables.sql
	sql -f tables.sql
	block js >example.mjs
	DATABASE_URL="postgresql:///$database" node example.mjs &
	worker=$!
	until [ "$(sql -c 'SELECT count(*) FROM tasker_checkpoint_events')" = 0 ]; do
		kill -0 $worker
	done
	kill $worker
	wait $worker
	[ "$(sql -c 'SELECT count(*), count(DISTINCT order_id), sum(amount) FROM invoices')" = "25000|25000|3125125.00" ]
}

mkdir "$work/client"
(cd clients/typescript && tar -cf - --exclude=node_modules --exclude=dist .) | tar -xf - -C "$work/client"
createdb "$database" || exit 1
sql -c 'CREATE EXTENSION tasker_checkpoint' 2>/dev/null

try "the folder is installed into a fresh project" project linked "$work/client" pg
try "both kinds of module get the same classes there" loaded linked
try "the tarball is built" pack
same "nothing else is in it" \
	"package/CHANGELOG.md package/LICENSE package/README.md package/package.json" \
	sh -c "tar -tzf '$work'/*.tgz | grep -v '^package/dist/[a-z]*\.\(js\|mjs\|d\.ts\|d\.mts\)\$' | LC_ALL=C sort | xargs"
try "it is installed into a fresh project" project fresh "$work"/*.tgz
try "its types are complete for node16, nodenext and bundlers" checked
try "both kinds of module get the same classes" loaded fresh
try "the README's program does its step to the end" run_example
echo "1..$count"

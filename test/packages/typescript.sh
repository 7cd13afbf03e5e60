#!/bin/sh
# sh test/packages/typescript.sh
#
# Builds the TypeScript client's tarball from a copy of its sources, installs it
# into fresh projects, and the folder as well. There its types are complete, both
# kinds of module load it, its helpers run steps, and the program of its README
# runs as it stands, and what it says of pg's pool. Node.js 18 or later.
#
# Packages: nodejs, npm.

language=typescript
# shellcheck source=test/packages/lib/package.sh
. test/packages/lib/package.sh

copy()
{
	mkdir "$work/client"
	(cd clients/typescript && tar -cf - --exclude=node_modules --exclude=dist .) | tar -xf - -C "$work/client"
}

pack()
{
	cd "$work/client" && npm pack --silent --pack-destination "$work"
}

# Nothing but what is built, and what goes with it.
contents()
{
	same "$(tar -tzf "$work"/*.tgz | grep -v '^package/dist/[a-z]*\.\(js\|mjs\|d\.ts\|d\.mts\)$' | LC_ALL=C sort | xargs)" \
		'package/CHANGELOG.md package/LICENSE package/README.md package/package.json'
}

# project NAME WHAT...: a fresh one, with the client and more installed
project()
{
	mkdir "$work/$1" && cd "$work/$1" || return
	shift
	npm init -y && npm install --prefer-offline --no-audit --no-fund "$@"
}

# npm 12 builds it only when that is allowed.
folder()
{
	project linked "$work/client" pg || return
	[ -e "$work/client/dist" ] ||
		{ npm install-scripts approve tasker-checkpoint-client && npm install --prefer-offline --no-audit --no-fund; }
}

checked()
{
	cp "$root"/test/packages/typescript/types.mts "$work/fresh"
	cp "$work/fresh/types.mts" "$work/fresh/types.cts"
	cp "$work/fresh/types.mts" "$work/fresh/types.ts"
	cd "$work/fresh" || return
	for how in "node16 types.mts types.cts" "nodenext types.mts types.cts" "esnext --moduleResolution bundler types.ts"; do
		# shellcheck disable=SC2086	# they are words
		"$work/client/node_modules/.bin/tsc" --noEmit --strict --target es2022 --module $how || return
	done
}

# loaded PROJECT: as a module of either kind
loaded()
{
	cd "$work/$1" || return
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

# What a worker can't do is said when it is made.
refused()
{
	cd "$work/fresh" && node --input-type=module -e '
		import { Worker } from "tasker-checkpoint-client";
		for (const options of [{ concurrency: 0 }, { concurrency: NaN }, { wait: "sometimes" }]) {
			let error;
			try { new Worker({ connection: "", ...options }); } catch (thrown) { error = thrown; }
			if (!error?.message.startsWith(Object.keys(options)[0])) throw new Error("not refused");
		}'
}

invoices()
{
	block js >"$work/fresh/example.mjs"
	cd "$work/fresh" && example node example.mjs
}

# No variable says who connects: it is the account, as libpq has it.
nameless()
{
	again || return
	createuser --superuser "$(id -un)" # or it is there
	cd "$work/fresh" && example env -u PGUSER -u USER node example.mjs
}

# The README's line, in a program.
pool()
{
	again || return
	(cat "$root/test/packages/typescript/pool.mjs" && block ts pool.connect | sed -n 's/^new .*pool.connect.*/run(&);/p' |
		sed 's/;\( *\/\/.*\));/\1\n);/') >"$work/fresh/pool.mjs"
	cd "$work/fresh" && node pool.mjs && invoiced
}

ok "the sources are copied" copy
ok "the folder is installed into a fresh project" folder
ok "both kinds of module get the same classes there" loaded linked
ok "the tarball is built" pack
ok "nothing else is in it" contents
ok "it is installed into a fresh project" project fresh "$work"/*.tgz
ok "its types are complete for node16, nodenext and bundlers" checked
ok "both kinds of module get the same classes" loaded fresh
ok "options that can't be are refused" refused
ok "the README's tables are made" tables
ok "the README's program runs as it stands, each order has one invoice" invoices
ok "who connects is the account, where no variable names another" nameless
ok "pg's pool" pool
echo "1..$tests"

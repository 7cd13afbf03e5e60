#!/bin/sh
# sh test/packages/pgxn.sh
#
# The archive for PGXN, made of the sources as they stand, and used as its users do:
# unpacked, built with nothing but make, installed into a copy of the server,
# tested there by make installcheck. Prints TAP.
#
# Packages: git, gcc, make, unzip.

set -u
root=$(pwd)
work=$(mktemp -d) || exit 1
# shellcheck source=test/packages/lib/archive.sh
. test/packages/lib/archive.sh

cleanup()
{
	[ ! -e "$work/data/postmaster.pid" ] || pg_ctl -s -D "$work/data" -m immediate stop
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' TERM INT HUP

# In another time zone and another folder, at a later time, it has the same bytes.
twice()
{
	cd "$work/clone" && make -s dist && mkdir "$work/again" &&
		TZ=Asia/Kathmandu make -s -C "$work/again" -f "$work/clone/Makefile" VPATH="$work/clone" dist &&
		cmp "$name.zip" "$work/again/$name.zip" &&
		[ -z "$(git status --porcelain)" ]
}

unpacked()
{
	unzip -q "$work/again/$name.zip" -d "$work/unpacked" && [ "$(ls "$work/unpacked")" = "$name" ]
}

# check-style.sh finds META.json valid; what it names has to be here, too.
described()
{
	cmp "$root/META.json" META.json || return 1
	sed -n 's/^ *"\(doc\)\{0,1\}file": "\(.*\)",\{0,1\}$/\2/p' META.json >"$work/named"
	[ -s "$work/named" ] && xargs ls <"$work/named"
}

# What README and docs lead to, but for the tools of those who change it.
leads()
{
	grep -oE '\]\([^):#]+[)#]' README.md SECURITY.md docs/*.md docs/decisions/*.md clients/*.md examples/*/*.md |
		sed 's/:](/ /; s/.$//' | while read -r file link; do
		[ -e "$(dirname "$file")/$link" ] || echo "$file: no $link"
	done >"$work/nowhere"
	cat "$work/nowhere"
	[ ! -s "$work/nowhere" ]
}

# Neither what is built, nor what only a developer of it needs.
small()
{
	cd "$work/unpacked/$name" && ls -A >"$work/top" && ls test >>"$work/top"
	diff - "$work/top" <<-END
		CHANGELOG.md
		CONTRIBUTING.md
		LICENSE
		META.json
		Makefile
		README.md
		SECURITY.md
		clients
		docs
		examples
		expected
		sql
		src
		tasker_checkpoint.control
		test
		databases.sql
		isolation
		lib.sh
		plant.sql
	END
}

# A server of our own, without the extension, and an instance of it.
serve()
{
	PG_CONFIG=$work/server${PG_CONFIG#"${root%/*}/server"}
	[ -x "$PG_CONFIG" ] || return 1
	PATH=$("$PG_CONFIG" --bindir):$PATH
	PGHOST=$work
	export PG_CONFIG PATH PGHOST
	find "$("$PG_CONFIG" --sharedir)/extension" "$("$PG_CONFIG" --pkglibdir)" -name 'tasker_checkpoint*' -exec rm -r {} + &&
		initdb -D "$work/data" -U postgres -A trust -N --locale=C --encoding=UTF8 &&
		echo "unix_socket_directories = '$work'" >>"$work/data/postgresql.conf" &&
		pg_ctl -s -w -D "$work/data" -l "$work/log" -o "-c listen_addresses=" start &&
		! psql -X -q -d postgres -c 'CREATE EXTENSION tasker_checkpoint'
}

# The first yield, by what the archive has installed.
works()
{
	[ "$(psql -X -q -A -t -v ON_ERROR_STOP=1 -d postgres <<-'END'
		SET client_min_messages = warning;
		CREATE EXTENSION tasker_checkpoint;
		SELECT tasker_checkpoint_create_table('jobs');
		INSERT INTO jobs (name) VALUES ('first') RETURNING id AS job \gset
		SELECT sequence, directive FROM tasker_checkpoint_yield(:'job', '100', 100);
		SELECT step_uuid = :'job', cursor, sequence FROM tasker_checkpoint_claim('w');
		SELECT extversion FROM pg_extension WHERE extname = 'tasker_checkpoint';
	END
	)" = "jobs
1|continue
t|100|1
$version" ]
}

cp -a ../server "$work/server"
ok "a commit" commit
ok "make dist, the same bytes twice, and the tree stays clean" twice
ok "it unpacks to one folder, $name" unpacked
ok "it has what a user needs" small
cd "$work/unpacked/$name" || exit 1
ok "META.json is the one that is checked, and what it names is there" described
ok "links of its documents lead somewhere" leads
serve >"$work/served" 2>&1 || sed 's/^/# /' "$work/served"
ok "it builds" make -s
ok "it installs" make -s install
ok "CREATE EXTENSION, a first yield, and its claim" works
ok "make installcheck, a few tests of each kind" make -s installcheck \
	REGRESS='read claim_lease' ISOLATION=yield-and-clear
echo "1..$tests"

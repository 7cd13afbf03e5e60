#!/bin/sh
# Packages: ruby ruby-pg postgresql-client
# sh test/packages/ruby.sh
#
# The gem, built from a copy of its sources and installed into a fresh project,
# in which the README's example runs as it stands, with fewer rows.

set -u
rows=5000
work=$(mktemp -d)
database=packages_ruby_$$
worker=
finish()
{
	[ -z "$worker" ] || kill "$worker" 2>/dev/null
	dropdb --if-exists --force "$database" 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM

tests=0
# is WHAT COMMAND...: ok if the command succeeds; what it says is shown if not.
is()
{
	tests=$((tests + 1))
	what=$1
	shift
	if "$@" >"$work/said" 2>&1; then
		echo "ok $tests - $what"
	else
		echo "not ok $tests - $what"
		sed 's/^/# /' "$work/said"
	fi
}

sql()
{
	psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$database" "$@"
}

# The first block of a language in the README.
block()
{
	sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" clients/ruby/README.md | sed -n '1d; /^```$/q; p'
}

# Whether a query finds what it is to, now or soon.
soon()
{
	until=$(($(date +%s) + 60))
	until [ "$(sql -c "$1" 2>&1)" = "$2" ]; do
		if [ "$(date +%s)" -ge $until ] || ! kill -0 "$worker" 2>/dev/null; then
			echo "$1: not $2 but $(sql -c "$1")"
			cat "$work/log"
			return 1
		fi
	done
}

build()
(
	cp -R clients/ruby "$work/source" && cd "$work/source" &&
		gem build tasker_checkpoint_client.gemspec --output "$work/client.gem"
)

# Nothing but what is needed, and nothing missing.
contents()
{
	(cd clients/ruby && find lib CHANGELOG.md LICENSE README.md -type f | sort) >"$work/expected"
	gem specification "$work/client.gem" files |
		sed -n 's/^- //p' | sort | diff "$work/expected" -
}

version()
{
	version=$(sed -n "s/^default_version = '\(.*\)'$/\1/p" tasker_checkpoint.control)
	[ "$(gem specification "$work/client.gem" version | sed -n 's/^version: //p')" = "$version" ]
}

# Without a warning, and not from the sources.
loads()
{
	[ -z "$(ruby -w -e 'require "tasker_checkpoint_client/testing"' 2>&1)" ] &&
		gem contents tasker_checkpoint_client | grep -q "^$GEM_HOME/gems/"
}

ends()
{
	kill -TERM "$worker"
	wait "$worker" || { cat "$work/log"; return 1; }
	worker=
	[ ! -s "$work/log" ] || { cat "$work/log"; return 1; }
}

unset RUBYLIB RUBYOPT GEM_PATH
export GEM_HOME="$work/gems" HOME="$work"
export DATABASE_URL="postgresql:///$database"

is "gem builds" build
is "gem has what is needed" contents
is "gem has the extension's version" version
is "gem installs" gem install --local --no-document "$work/client.gem"
is "gem loads" loads

createdb "$database" || exit 1
block sql | sed "s/5000000/$rows/" >"$work/tables.sql"
is "the README's tables" sql -o /dev/null -f "$work/tables.sql"
mkdir "$work/project"
block ruby >"$work/project/worker.rb"
(cd "$work/project" && exec ruby -w worker.rb) >"$work/log" 2>&1 &
worker=$!
is "the README's worker does the step" soon "SELECT count(*) FROM tasker_checkpoint_dispatched()" 0
is "each row once" soon "SELECT count(*) = $rows AND count(DISTINCT reading) = $rows FROM bills" t
is "it ends when it is told to, and had nothing to say" ends

echo "1..$tests"

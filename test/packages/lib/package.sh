# shellcheck shell=sh
# What the scripts of this folder's parent begin with. They run in the root of the
# sources, name their language, and source this file. PGHOST, PGPORT and PGUSER name
# a server that has the extension. In the end $work and the database "app", which
# the READMEs name, are gone, and so is the worker of an example.

set -u
root=$(pwd)
work=$(mktemp -d) || exit 1
readme=$root/clients/${language:?}/README.md
rows=20000
tests=0
export PGDATABASE=app DATABASE_URL=postgresql:///app

finish()
{
	[ ! -e "$work/worker" ] || kill -KILL "$(cat "$work/worker")" 2>/dev/null
	dropdb --if-exists --force app 2>/dev/null
	rm -rf "$work"
}
createdb app || exit 1
trap finish EXIT
trap 'exit 143' HUP INT TERM

# ok WHAT COMMAND...: fine if the command succeeds; what it says is shown if not. Its
# shell is its own.
ok()
{
	tests=$((tests + 1))
	what=$1
	shift
	if ("$@") >"$work/said" 2>&1; then
		echo "ok $tests - $what"
	else
		echo "not ok $tests - $what"
		sed 's/^/# /' "$work/said"
	fi
}

# same ONE OTHER
same()
{
	[ "$1" = "$2" ] || { echo "$1 is not $2"; return 1; }
}

sql()
{
	psql -XqAt -v ON_ERROR_STOP=1 -c "$1"
}

# block LANGUAGE [TEXT]: the README's first block of the language, with that text.
block()
{
	awk -v begin="\`\`\`$1" -v text="${2-}" '
		$0 == "```" && inside { inside = 0; if (index(code, text)) { printf "%s", code; exit } }
		inside { code = code $0 "\n" }
		$0 == begin { inside = 1; code = "" }' "$readme"
}

# The README's tables with fewer rows. The four READMEs have the same.
tables()
{
	for other in c python ruby typescript; do
		same "$(block sql)" "$(readme=$root/clients/$other/README.md && block sql)" || return
	done
	block sql | sed "s/5000000/$rows/" | psql -Xq -v ON_ERROR_STOP=1
}

# example COMMAND...: starts the README's program, and ends it by SIGTERM when its
# step is done; then each order has one invoice.
example()
{
	"$@" &
	worker=$!
	echo "$worker" >"$work/worker"
	until [ "$(sql 'SELECT count(*) FROM tasker_checkpoint_events')" = 0 ]; do
		kill -0 "$worker" || return
		sql "CALL tasker_checkpoint_wait(ARRAY['nothing'], '100 ms')"
	done
	kill "$worker"
	wait "$worker" || return
	rm "$work/worker"
	invoiced
}

# Each order has one invoice, and the one step knows that it is through.
invoiced()
{
	same "$(sql 'SELECT count(*), count(DISTINCT order_id), sum(amount) FROM invoices')" \
		"$(sql 'SELECT count(*), count(*), sum(amount) FROM orders')" &&
		same "$(sql "SELECT checkpoint ->> 'items_processed' FROM jobs ORDER BY created_at DESC LIMIT 1")" "$rows"
}

# The same again, for another program.
again()
{
	sql "TRUNCATE invoices; INSERT INTO jobs (name) VALUES ('invoices') RETURNING id" >"$work/step" &&
		sql "SELECT tasker_checkpoint_dispatch('$(cat "$work/step")')"
}

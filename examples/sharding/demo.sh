#!/bin/sh
# demo.sh - lose one of two servers, and see the other's steps go on
#
#     sh examples/sharding/demo.sh
#
# Installs what it needs by apt (as root or by sudo), builds the extension and starts
# two private servers with jobs and a third one, the proxy, that knows which job is
# where. All is gone again at the end. Exits non-zero if a row is missing or doubled.
# test/lib.sh says what can be set from outside.

set -eu
tc_root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

say()
{
	printf '%s\n' "$@"
}

# sql SERVER PSQL-ARGUMENT...; a server is named by its port.
sql()
{
	server=$1
	shift
	tc_user psql -XqAt -v ON_ERROR_STOP=1 -p "$server" -d postgres "$@"
}

# show SERVER STATEMENT: what it is and what comes of it, indented; an error is shown, too.
show()
{
	say "   $2"
	tc_user psql -Xq -P footer=off -p "$1" -d postgres -c 'SET search_path = public' -c "$2" >"$tc_work/shown" 2>&1 || :
	sed '/^$/d; /^DETAIL/d; /Is the server running/d; s/^/      /' "$tc_work/shown"
}

# await SERVER CONDITION: until it is true.
await()
{
	for _ in $(seq 600); do
		[ "$(sql "$1" -c "SET client_min_messages = error" -c "SELECT $2")" != t ] || return 0
		sleep 0.1
	done
	tc_die "it took too long until $2"
}

cleanup()
{
	for worker in $workers; do
		kill -KILL "-$worker" 2>/dev/null || :
	done
	tc_cleanup
}

say 'tasker_checkpoint: lose one of two servers, and see the steps of the other go on.' ''
say '1. Build the extension, start two servers with jobs, and a proxy that has none.'
workers=
tc_begin
trap cleanup EXIT
tc_need gcc libc6-dev make postgresql-@ postgresql-server-dev-@ postgresql-@-plproxy python3-psycopg
tc_private
tc_make all
tc_make install
proxy=5432
for n in 0 1; do
	tc_data=$tc_home/shard$n
	port=$((5433 + n))
	tc_start "port = $port" "shared_preload_libraries = 'tasker_checkpoint'"
	sql $port -c 'CREATE ROLE batch_worker LOGIN' \
		-c 'CREATE TABLE written (job uuid, number integer); GRANT INSERT ON written TO batch_worker'
	sql $port -v shard=$n -v shards=2 -f "$tc_tree/examples/sharding/shard.sql" >"$tc_work/shard.out" 2>&1 ||
		tc_die "$(cat "$tc_work/shard.out")"
	sql $port -v worker=batch_worker -f "$tc_tree/examples/grants.sql"
	sql $port -c 'GRANT SELECT, INSERT, UPDATE (processed) ON jobs TO batch_worker'
done
tc_data=$tc_home/proxy
tc_start "port = $proxy"
sql $proxy -v shard0="host=$tc_home port=5433 dbname=postgres" -v shard1="host=$tc_home port=5434 dbname=postgres" \
	-f "$tc_tree/examples/sharding/proxy.sql"
sql $proxy -c 'CREATE ROLE batch_worker LOGIN'

say '' '2. Eight jobs, through the proxy. The hash of its key says on which server a job is:'
sql $proxy -c "SELECT add_job('job ' || n, id => md5('job ' || n)::uuid) FROM generate_series(1, 8) AS n" >"$tc_work/jobs"
show $proxy 'SELECT shard, waiting FROM tasker_checkpoint_queues'
grep -q ' 1 | ' "$tc_work/shown" || tc_die 'a server has none'

say '' '3. Two workers for each server. Each is connected to that one alone, and writes its rows' \
	'   there, in the transactions of its checkpoints.'
for name in 0-a 0-b 1-a 1-b; do
	# shellcheck disable=SC2086	# lists, made of words without blanks
	setsid $tc_as $tc_env PYTHONPATH="$tc_tree/clients/python" /usr/bin/python3 "$tc_tree/examples/sharding/worker.py" \
		"worker $name" "host=$tc_home port=$((5433 + ${name%-*})) dbname=postgres user=batch_worker" \
		>>"$tc_work/worker.log" 2>&1 </dev/null &
	workers="$workers $!"
done
await $proxy '(SELECT count(DISTINCT shard) = 2 FROM tasker_checkpoint_progress WHERE items_processed > 500)'
show $proxy 'SELECT shard, step_name, items_processed, total, state, worker FROM tasker_checkpoint_progress ORDER BY 1, 2'

say '' '4. Server 1 dies. What it has can not be reached, what the other has goes on:'
tc_user "$tc_bin/pg_ctl" -s -D "$tc_home/shard1" -m immediate stop
there=$(sql 5433 -c 'SELECT id FROM jobs WHERE checkpoint IS NOT NULL LIMIT 1')
lost=$(sql $proxy -c "SELECT md5('job ' || n)::uuid FROM generate_series(1, 8) AS n
	WHERE sharding.hash(md5('job ' || n)::uuid) & 1 = 1 LIMIT 1")
show $proxy "SELECT tasker_checkpoint_items_processed('$there') > 0 AS reached"
show $proxy "SELECT tasker_checkpoint_items_processed('$lost') > 0 AS reached"
grep -q 'ERROR' "$tc_work/shown" || tc_die 'a server that is down answers'
show $proxy 'SELECT shard, waiting, claimed FROM tasker_checkpoint_queues'
grep -q 'shard 1 does not answer' "$tc_work/shown" || tc_die 'the proxy does not say who is down'
await 5433 '(SELECT bool_and(processed) FROM jobs)'
say '   All jobs of server 0 are done.'

say '' '5. Server 1 comes back. Its workers have tried to connect all the time, and go on.'
tc_user "$tc_bin/pg_ctl" -s -w -D "$tc_home/shard1" -l "$tc_home/shard1.log" start
await 5434 '(SELECT bool_and(processed) FROM jobs)'
for port in 5433 5434; do
	show $port 'SELECT job, count(*), count(DISTINCT number) FROM written GROUP BY job ORDER BY job'
	[ "$(sql $port -c 'SELECT count(*) = 3000 * (SELECT count(*) FROM jobs)
			AND count(*) = count(DISTINCT (job, number)) FROM written')" = t ] ||
		tc_die "rows are missing or doubled on the server at port $port"
done

say '' '6. What does not cross the proxy: each call is a transaction of its own on its server. A' \
	'   worker at the proxy writes its rows there, yields, and rolls back:'
for worker in $workers; do
	kill "$worker"
	wait "$worker" || tc_die "$(tail -n 5 "$tc_work/worker.log")"
done
workers=
sql $proxy -c 'CREATE TABLE written (job uuid, number integer)'
sql $proxy -c "SELECT add_job('job 9', id => md5('job 9')::uuid)" >"$tc_work/jobs"
job=$(sql $proxy -c "SELECT md5('job 9')::uuid")
sql $proxy >"$tc_work/jobs" <<SQL
	SELECT event_id AS event FROM tasker_checkpoint_claim('at the proxy', step_uuid => '$job') \gset
	BEGIN;
	INSERT INTO written SELECT '$job', generate_series(1, 100);
	SELECT tasker_checkpoint_yield('$job', '100', 100, event_id => :'event');
	ROLLBACK;
SQL
show $proxy "SELECT count(*) AS rows, tasker_checkpoint_cursor('$job') AS cursor FROM written"
grep -q '0 | 100' "$tc_work/shown" || tc_die 'the yield was undone'
say '   The next run would begin behind a hundred rows that are not there: nothing is exactly' \
	'   once across the proxy. Rows that are to be are written as in 3.'

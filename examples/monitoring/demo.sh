#!/bin/sh
# demo.sh - see the metrics of workers at work, in Prometheus
#
#     sh examples/monitoring/demo.sh
#
# Starts a private server, the exporter and Prometheus on loopback, and steps for
# pgbench's clients to work on: one of them is poison, and a worker hangs. After half
# a minute it shows what Prometheus says, and removes all of it. DURATION=600 gives
# you ten minutes at Prometheus' own page, whose address it prints.
#
# What it needs comes by apt (as root or by sudo); Prometheus and the exporter
# are unpacked and not installed. test/lib.sh says what can be set from outside.

set -eu
tc_root=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=test/lib.sh
. "$tc_root/test/lib.sh"

duration=${DURATION:-30}

# daemon COMMAND...: in the background, in a process group of its own.
daemon()
{
	# shellcheck disable=SC2086	# lists, made of words without blanks
	setsid $tc_as $tc_env "$@" >"$tc_work/${1##*/}.log" 2>&1 </dev/null &
	daemons="$daemons $!"
}

cleanup()
{
	for group in $daemons; do
		kill -TERM "-$group" 2>/dev/null || :
	done
	tc_cleanup
}

free_port()
{
	perl -MIO::Socket::INET -e \
		'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# ask WHAT EXPRESSION: Prometheus' answer, which is {LABELS} => VALUE @[TIME].
ask()
{
	echo
	echo "$1"
	echo "   $2"
	tc_user "$packages/promtool" query instant "$url" "$2" >"$tc_work/answer" ||
		tc_die "$(tail -n 5 "$tc_work/prometheus.log")"
	sed 's/, *instance="[^"]*"//; s/, *job="[^"]*"//; s/, *server="[^"]*"//; s/ @\[.*//; s/^/   /' "$tc_work/answer"
}

echo 'tasker_checkpoint: see the metrics of workers at work.'
daemons=
tc_begin
trap cleanup EXIT
tc_need gcc libc6-dev make postgresql-@ postgresql-server-dev-@
tc_private
tc_make all
tc_make install
# what begins with libjs or fonts is for Prometheus' page
tc_unpack prometheus prometheus-postgres-exporter \
	fonts-glyphicons-halflings libjs-bootstrap4 libjs-d3 libjs-eonasdan-bootstrap-datetimepicker \
	libjs-jquery libjs-jquery-hotkeys libjs-moment libjs-moment-timezone libjs-mustache \
	libjs-popper.js libjs-rickshaw
packages=$tc_work/packages/usr/bin
tc_start "shared_preload_libraries = 'tasker_checkpoint'"

# Twenty steps, one of them poison: no claim of it leads to a checkpoint.
{
	cat "$tc_tree/examples/steps.sql"
	cat <<-'SQL'
		DROP INDEX tasker.idx_workflow_steps_checkpoint_cursor;
		DROP INDEX tasker.idx_workflow_steps_checkpoint_exists;
		CREATE EXTENSION tasker_checkpoint;
		CREATE VIEW poison AS SELECT md5('step 1')::uuid AS poison;
		INSERT INTO tasker.tasks SELECT md5('task')::uuid;
		INSERT INTO tasker.named_steps
			SELECT md5('step ' || n)::uuid, 'step ' || n FROM generate_series(1, 20) n;
		INSERT INTO tasker.workflow_steps
			(workflow_step_uuid, task_uuid, named_step_uuid, inputs, created_at, updated_at)
			SELECT named_step_uuid, task_uuid, named_step_uuid,
				'{"cursor": {"start_cursor": 0, "end_cursor": 100000}}', now(), now()
			FROM tasker.tasks, tasker.named_steps;
		SELECT tasker_checkpoint_dispatch(workflow_step_uuid) FROM tasker.workflow_steps;
	SQL
} | tc_user psql -Xq -v ON_ERROR_STOP=1 -d postgres >"$tc_work/setup.log" 2>&1 ||
	tc_die "$(tail -n 5 "$tc_work/setup.log")"

# The exporter's role, as README.md says.
tc_user psql -Xq -v ON_ERROR_STOP=1 -v reader=prometheus -f "$tc_tree/examples/grants.sql" -d postgres
# shellcheck disable=SC2016	# backquotes
sed -n '/^```sql$/,/^```$/{/^```/!p}' "$tc_tree/examples/monitoring/README.md" |
	tc_user psql -Xq -v ON_ERROR_STOP=1 -d postgres

exporter=127.0.0.1:$(free_port)
url=http://127.0.0.1:$(free_port)
# For the eye all is looked at each second.
sed "s/localhost:9187/$exporter/; s/_interval: 15s/_interval: 1s/" \
	"$tc_tree/examples/monitoring/prometheus.yaml" >"$tc_work/prometheus.yaml"
sed '/cache_seconds:/d' "$tc_tree/examples/monitoring/queries.yaml" >"$tc_work/queries.yaml"
cp "$tc_tree/examples/monitoring/alerts.yaml" "$tc_work"
daemon env DATA_SOURCE_NAME="user=prometheus dbname=postgres host=$tc_home sslmode=disable" \
	"$packages/prometheus-postgres-exporter" --web.listen-address="$exporter" \
	--disable-default-metrics --disable-settings-metrics \
	--extend.query-path="$tc_work/queries.yaml"
daemon "$packages/prometheus" --config.file="$tc_work/prometheus.yaml" \
	--storage.tsdb.path="$tc_home/prometheus" --web.listen-address="${url#http://}" \
	--web.local-assets="$tc_work/packages/usr/share/prometheus/web/"
echo "Prometheus is here for $duration seconds:"
echo "   $url/classic/graph?g0.expr=tasker_checkpoint_dispatched_steps&g0.range_input=1m"
echo "   $url/classic/alerts"

# Workers claim a step, do ten items and yield; what is poison they drop.
cat >"$tc_work/worker.sql" <<'SQL'
SELECT tasker_checkpoint_yield(c.step_uuid, to_jsonb(c.items_processed + 10),
	c.items_processed + 10, NULL, c.event_id)
FROM tasker_checkpoint_claim('worker ' || :client_id, '1 second') AS c, poison
WHERE c.step_uuid <> poison;
SQL
# One of them claims a step for two seconds and hangs.
cat >"$tc_work/hangs.sql" <<'SQL'
SELECT FROM tasker_checkpoint_claim('hangs', '2 seconds');
SQL
tc_user psql -Xq -d postgres -c 'ALTER SYSTEM SET tasker_checkpoint.max_deliveries = 5' -c 'SELECT pg_reload_conf()' -o /dev/null
daemon pgbench -n -T "$duration" -R 1 -c 1 -f "$tc_work/hangs.sql" postgres
tc_run "$tc_work/pgbench.log" pgbench -n -T "$duration" -R 100 -c 4 -f "$tc_work/worker.sql" postgres ||
	tc_die "$(tail -n 5 "$tc_work/pgbench.log")"

ask 'Steps by state:' 'tasker_checkpoint_dispatched_steps'
ask 'Checkpoints a second:' 'rate(tasker_checkpoint_stats_yields_total[20s])'
ask 'Items a second, as the histories tell:' 'tasker_checkpoint_progress_items_per_second'
ask 'Taken over from the worker that hangs:' 'tasker_checkpoint_stats_expired_claims_total'
ask 'Findings:' 'tasker_checkpoint_health_findings'
ask 'The alerts that fire:' 'ALERTS{alertstate="firing"}'
grep -q TaskerCheckpointParked "$tc_work/answer" || tc_die 'no alert fires'

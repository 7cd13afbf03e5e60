# Yields of steps in Tasker's own table, with its many indexes, are HOT updates;
# Tasker's two indexes on the checkpoint column end that.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hot');
$node->init;
$node->append_conf('postgresql.conf', q{
autovacuum = off
log_statement = none
statement_timeout = 60s
});
$node->start;

my $steps = 100;
$node->safe_psql('postgres', qq{
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.tasks (task_uuid uuid PRIMARY KEY);
	CREATE TABLE tasker.named_steps (named_step_uuid uuid PRIMARY KEY);
	CREATE TABLE tasker.workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
		task_uuid uuid NOT NULL REFERENCES tasker.tasks,
		named_step_uuid uuid NOT NULL REFERENCES tasker.named_steps,
		retryable boolean NOT NULL DEFAULT true,
		max_attempts integer DEFAULT 3,
		in_process boolean NOT NULL DEFAULT false,
		processed boolean NOT NULL DEFAULT false,
		processed_at timestamp,
		attempts integer,
		last_attempted_at timestamp,
		backoff_request_seconds integer,
		inputs jsonb,
		results jsonb,
		created_at timestamp(6) NOT NULL DEFAULT now(),
		updated_at timestamp(6) NOT NULL DEFAULT now(),
		priority integer NOT NULL DEFAULT 0,
		checkpoint jsonb,
		UNIQUE (task_uuid, named_step_uuid)
	);
	CREATE INDEX ON tasker.workflow_steps (named_step_uuid);
	CREATE INDEX ON tasker.workflow_steps (task_uuid);
	CREATE INDEX ON tasker.workflow_steps (processed_at);
	CREATE INDEX ON tasker.workflow_steps (workflow_step_uuid, task_uuid)
		WHERE processed = false OR processed IS NULL;
	CREATE INDEX ON tasker.workflow_steps (task_uuid, processed, in_process);
	CREATE INDEX ON tasker.workflow_steps (task_uuid, processed, in_process)
		INCLUDE (workflow_step_uuid, attempts, max_attempts, retryable) WHERE processed = false;
	CREATE INDEX ON tasker.workflow_steps (attempts, max_attempts, retryable);
	CREATE INDEX ON tasker.workflow_steps (attempts, max_attempts);
	CREATE INDEX ON tasker.workflow_steps (task_uuid)
		INCLUDE (workflow_step_uuid, processed, in_process, attempts, max_attempts);
	CREATE INDEX ON tasker.workflow_steps (task_uuid, workflow_step_uuid)
		WHERE processed = false OR processed IS NULL;
	CREATE INDEX ON tasker.workflow_steps (task_uuid, processed, workflow_step_uuid)
		WHERE processed = false;
	CREATE INDEX ON tasker.workflow_steps (workflow_step_uuid, named_step_uuid)
		INCLUDE (task_uuid, processed);

	INSERT INTO tasker.tasks SELECT gen_random_uuid() FROM generate_series(1, 10);
	INSERT INTO tasker.named_steps SELECT gen_random_uuid() FROM generate_series(1, $steps / 10);
	INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, named_step_uuid, inputs)
	SELECT ('00000000-0000-0000-0000-' || lpad((row_number() OVER () - 1)::text, 12, '0'))::uuid,
		task_uuid, named_step_uuid,
		'{"cursor": {"batch_id": "001", "start_cursor": 0, "end_cursor": 1000, "batch_size": 1000}, "is_no_op": false}'
	FROM tasker.tasks, tasker.named_steps;
	CREATE EXTENSION tasker_checkpoint;
});
is($node->safe_psql('postgres', q{
		SELECT count(*) FROM pg_index WHERE indrelid = 'tasker.workflow_steps'::regclass}),
	14, 'the table has its fourteen indexes');

# with as many digits all through
my $n = 100_000;

# The share of HOT among so many yields, one step after the other.
sub hot_share
{
	my ($count) = @_;
	my $counters = q{
		SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'workflow_steps'};

	my ($all, $hot) = split(/\|/, $node->safe_psql('postgres', $counters));
	$node->pgbench("-n -M prepared -t $count -D n=$n", 0, [qr{processed: $count/$count}], [qr{^$}],
		"$count yields",
		{ "hot_$n" => qq{\\set n :n + 1
SELECT tasker_checkpoint_yield(
	('00000000-0000-0000-0000-' || lpad((:n % $steps)::text, 12, '0'))::uuid,
	to_jsonb(:n::int), :n::int, '{"running_total": 5050}');
} });
	$n += $count;

	# a backend reports when it ends
	$node->poll_query_until('postgres', qq{
		SELECT n_tup_upd = $all + $count FROM pg_stat_user_tables WHERE relname = 'workflow_steps'});
	my ($all_after, $hot_after) = split(/\|/, $node->safe_psql('postgres', $counters));
	return ($hot_after - $hot) / ($all_after - $all);
}

# While a history grows its row outgrows its place now and then. It is warm when
# the history is full.
my $share = hot_share(100 * $steps);
note("HOT share while the history grows: $share");
$share = hot_share(10 * $steps);
note("HOT share with a full history: $share");
cmp_ok($share, '>=', 0.99, 'yields are HOT updates');

# Room on the page makes them so earlier.
$node->safe_psql('postgres', 'ALTER TABLE tasker.workflow_steps SET (fillfactor = 70)');
$node->safe_psql('postgres', 'UPDATE tasker.workflow_steps SET checkpoint = NULL; SELECT pg_stat_force_next_flush()');
$node->safe_psql('postgres', 'VACUUM FULL tasker.workflow_steps');
hot_share(15 * $steps);
$share = hot_share(10 * $steps);
note("HOT share while the history grows, fillfactor 70: $share");
cmp_ok($share, '>=', 0.99, 'with a lower fillfactor also while the history grows');

$node->safe_psql('postgres', q{
	CREATE INDEX idx_workflow_steps_checkpoint_cursor ON tasker.workflow_steps ((checkpoint ->> 'cursor'))
		WHERE checkpoint IS NOT NULL;
	CREATE INDEX idx_workflow_steps_checkpoint_exists ON tasker.workflow_steps (workflow_step_uuid)
		WHERE checkpoint IS NOT NULL;
});
$share = hot_share(5 * $steps);
note("HOT share with Tasker's checkpoint indexes: $share");
cmp_ok($share, '<=', 0.01, "Tasker's two checkpoint indexes end them");

$node->stop;
done_testing();

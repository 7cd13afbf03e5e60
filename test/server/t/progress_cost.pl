# What the view of progress reads: of steps that are done nothing but what the
# index leaves, and each checkpoint that it shows once.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('progress_cost');
$node->init;
$node->append_conf('postgresql.conf', q{
autovacuum = off
log_statement = none
});
$node->start;

# 10,000 steps are done, 20 are not; each has a checkpoint that is out of line,
# and a total that only its inputs have.
$node->safe_psql('postgres', slurp_file('examples/steps.sql') . q{
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
DROP INDEX tasker.idx_workflow_steps_checkpoint_cursor, tasker.idx_workflow_steps_checkpoint_exists;
ALTER TABLE tasker.workflow_steps ALTER COLUMN checkpoint SET STORAGE EXTERNAL;
INSERT INTO tasker.named_steps (name) VALUES ('import');
INSERT INTO tasker.tasks SELECT FROM generate_series(1, 10020);
INSERT INTO tasker.workflow_steps (task_uuid, named_step_uuid, processed, inputs, checkpoint, created_at, updated_at)
SELECT task_uuid, named_step_uuid, row_number() OVER () > 20, '{"cursor": {"start_cursor": 0, "end_cursor": 40}}',
	jsonb_build_object('cursor', repeat('x', 3000), 'items_processed', 10, 'timestamp', '2026-01-01T00:00:10Z'), now(), now()
FROM tasker.tasks, tasker.named_steps;
VACUUM ANALYZE tasker.workflow_steps;
});

# Counters of the server's, before and after a query in a session that has done
# it once before: rows of the steps table read, times that something out of line
# was looked up, scans of the whole table.
sub reads
{
	my ($query) = @_;
	my $counters = q{
		SELECT pg_stat_force_next_flush();
		SELECT 'counters', sum(seq_scan), sum(coalesce(idx_tup_fetch, 0) + seq_tup_read),
			(SELECT t.idx_scan FROM pg_stat_all_tables t JOIN pg_class c ON c.reltoastrelid = t.relid
			 WHERE c.oid = 'tasker.workflow_steps'::regclass)
		FROM pg_stat_all_tables WHERE relid = 'tasker.workflow_steps'::regclass;
	};
	my @counters = map { [ (split /\|/)[ 1 .. 3 ] ] } grep { /^counters/ }
	  split(/\n/, $node->safe_psql('postgres', "$query; $counters $query; $counters"));
	return map { $counters[1][$_] - $counters[0][$_] } 0 .. 2;
}

is($node->safe_psql('postgres', 'SELECT count(*), count(total), sum(items_processed) FROM tasker_checkpoint_progress'), '20|20|200',
	'20 steps are shown');
my ($scans, $rows, $detoasted) = reads('SELECT * FROM tasker_checkpoint_progress');
is($scans, 0, 'the view: the table is not read as a whole');
cmp_ok($rows, '<=', 50, 'the view: no row is read that is not shown');
is($detoasted, 20, 'the view: each checkpoint is read once');

my $step = $node->safe_psql('postgres', 'SELECT step_uuid FROM tasker_checkpoint_progress LIMIT 1');
($scans, $rows, $detoasted) = reads("SELECT * FROM tasker_checkpoint_progress('$step')");
is($scans, 0, 'one step: found by its key');
cmp_ok($rows, '<=', 5, 'one step: no other is read');

$node->stop;
done_testing();

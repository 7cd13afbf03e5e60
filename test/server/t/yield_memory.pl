# A backend's memory is flat over twenty thousand yields, and a transaction of
# thousands of savepoints ends.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('memory');
$node->init;
$node->append_conf('postgresql.conf', q{
log_statement = none
statement_timeout = 60s
});
$node->start;

my $steps = 100;
$node->safe_psql('postgres', qq{
	CREATE TABLE tasker_workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps
	SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid FROM generate_series(0, $steps - 1) n;
	CREATE EXTENSION tasker_checkpoint;
});

sub yield_sql
{
	my ($n) = @_;
	return sprintf "SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-%012d', '%d', %d);\n",
	  $n % $steps, $n, $n;
}

# in use: a context takes its memory in blocks that double
my $used = "\\o\nSELECT sum(used_bytes) FROM pg_backend_memory_contexts;\n\\o /dev/null\n";
my $used_by_us = "\\o\nSELECT sum(used_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'tasker_checkpoint%';\n\\o /dev/null\n";

# one transaction each, in one session
my ($early, $early_ours, $late, $late_ours) = split(/\n/,
	$node->safe_psql('postgres',
		"\\o /dev/null\n"
		  . join('', map { yield_sql($_) } 1 .. 2_000) . $used . $used_by_us
		  . join('', map { yield_sql($_) } 2_001 .. 20_000) . $used . $used_by_us));
note("bytes after 2,000 yields: $early, after 20,000: $late");
cmp_ok($late, '<=', $early * 1.05, 'memory after 20,000 yields is what it was after 2,000');
is($late_ours, $early_ours, 'and our own is the same');

# the table changes under a live session: what was kept of it goes
($early, $late) = split(/\n/,
	$node->safe_psql('postgres',
		"\\o /dev/null\n"
		  . join('', map { yield_sql(30_000 + $_) . "ALTER TABLE tasker_workflow_steps ALTER processed SET DEFAULT false;\n" } 1 .. 200)
		  . $used
		  . join('', map { yield_sql(30_000 + $_) . "ALTER TABLE tasker_workflow_steps ALTER processed SET DEFAULT false;\n" } 201 .. 1_000)
		  . $used));
note("bytes after 200 changes of the table: $early, after 1,000: $late");
cmp_ok($late, '<=', $early * 1.05, 'memory after 1,000 changes of the table is what it was after 200');

# refused ones leave nothing either
($early, $late) = split(/\n/,
	($node->psql('postgres',
		"\\o /dev/null\n"
		  . join('', map { yield_sql($_ % 1000) } 1 .. 500) . $used
		  . join('', map { yield_sql($_ % 1000) } 501 .. 5_000) . $used,
		on_error_stop => 0))[1]);
note("bytes after 500 refused yields: $early, after 5,000: $late");
cmp_ok($late, '<=', $early * 1.05, 'memory after 5,000 refused yields is what it was after 500');

# savepoints: released, rolled back, and deep
my $total = $node->safe_psql('postgres',
	"\\o /dev/null\nBEGIN;\n"
	  . join('', map { "SAVEPOINT a;\n" . yield_sql(40_000 + $_) . ($_ % 2 ? "RELEASE a;\n" : "ROLLBACK TO a; RELEASE a;\n") } 1 .. 5_000)
	  . "COMMIT;\n\\o\nSELECT count(*) FROM tasker_workflow_steps WHERE (checkpoint -> 'items_processed')::int > 40000;");
is($total, $steps / 2, 'a transaction of 5,000 yields in savepoints ends');
$total = $node->safe_psql('postgres',
	"\\o /dev/null\nBEGIN;\n"
	  . join('', map { "SAVEPOINT s$_;\n" . yield_sql(50_000 + $_) } 1 .. 1_000)
	  . "COMMIT;\n\\o\nSELECT count(*) FROM tasker_workflow_steps WHERE (checkpoint -> 'items_processed')::int > 50000;");
is($total, $steps, 'and one of 1,000 nested ones');

$node->stop;
done_testing();

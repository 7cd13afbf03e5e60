# A logical subscriber stores checkpoints as they were published: its own guard
# leaves them alone, and takes over when workers move there.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $step = '00000000-0000-0000-0000-000000000001';
my $other = '00000000-0000-0000-0000-000000000002';
my @nodes = map { PostgreSQL::Test::Cluster->new($_) } 'publisher', 'subscriber';
foreach my $node (@nodes)
{
	$node->init(allows_streaming => 'logical');
	$node->append_conf('postgresql.conf', 'log_statement = none');
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE TABLE tasker_workflow_steps (
			workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
		CREATE EXTENSION tasker_checkpoint;
	});
}
my ($publisher, $subscriber) = @nodes;

# stricter limits than the publisher's, which would show
$subscriber->append_conf('postgresql.conf', q{
tasker_checkpoint.history_limit = 2
tasker_checkpoint.cursor_limit = 1000
tasker_checkpoint.require_monotonic_items = all
});
$subscriber->reload;

sub same
{
	my ($name) = @_;
	my $stored = "SELECT workflow_step_uuid, md5(checkpoint::text) FROM tasker_workflow_steps ORDER BY 1";

	$publisher->wait_for_catchup('steps');
	is($subscriber->safe_psql('postgres', $stored), $publisher->safe_psql('postgres', $stored), $name);
}

$publisher->safe_psql('postgres', qq{
	INSERT INTO tasker_workflow_steps VALUES ('$step'), ('$other');
	SELECT tasker_checkpoint_yield('$step', to_jsonb(n), n) FROM generate_series(1, 5) n;
	CREATE PUBLICATION steps FOR TABLE tasker_workflow_steps;
});
$subscriber->safe_psql('postgres',
	"CREATE SUBSCRIPTION steps CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION steps");
$subscriber->wait_for_subscription_sync($publisher, 'steps');
same('what was there is copied');

$publisher->safe_psql('postgres', qq{
	SELECT tasker_checkpoint_yield('$step', to_jsonb(n), n) FROM generate_series(6, 8) n;
	SELECT tasker_checkpoint_yield('$other', to_jsonb(repeat('x', 5000)), 9);
});
same('new checkpoints are applied as they are');
$publisher->safe_psql('postgres', qq{
	UPDATE tasker_workflow_steps SET processed = false;
	UPDATE tasker_workflow_steps SET checkpoint = '{"cursor": 3, "items_processed": 3}' WHERE workflow_step_uuid = '$other';
	SELECT tasker_checkpoint_clear('$step');
	SELECT tasker_checkpoint_yield('$step', '1', 1);
	SELECT tasker_checkpoint_yield('$step', '2', 2);
	SELECT tasker_checkpoint_yield('$step', '3', 3);
});
same('so are direct writes and clears');

$subscriber->safe_psql('postgres', 'ALTER SUBSCRIPTION steps DISABLE');
is($subscriber->safe_psql('postgres', qq{
		SELECT sequence FROM tasker_checkpoint_yield('$step', '4', 4);
		SELECT jsonb_path_query_array(checkpoint, '\$.history[*].cursor'), checkpoint -> 'history_truncated'
		FROM tasker_workflow_steps WHERE workflow_step_uuid = '$step'}),
	"4\n[3, 4]|2", "the subscriber's guard takes over");

$subscriber->stop;
$publisher->stop;
done_testing();

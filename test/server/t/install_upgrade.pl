# pg_upgrade carries checkpoints, guard, dispatch table, archive and grants over,
# and work goes on in the new server.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $step = '00000000-0000-0000-0000-000000000001';
my $claimed = '00000000-0000-0000-0000-000000000002';
my @node = map { PostgreSQL::Test::Cluster->new($_) } 'old', 'new';
foreach my $node (@node)
{
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node->append_conf('postgresql.conf', "log_statement = none\nshared_preload_libraries = tasker_checkpoint");
}
my ($old, $new) = @node;

$old->start;
$old->safe_psql('postgres', qq{
	CREATE ROLE worker;
	CREATE SCHEMA tasker;
	CREATE TABLE tasker.workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	INSERT INTO tasker.workflow_steps VALUES ('$step'), ('$claimed');
	CREATE EXTENSION tasker_checkpoint;
	GRANT USAGE ON SCHEMA tasker TO worker;
	GRANT SELECT, UPDATE ON tasker.workflow_steps TO worker;
	GRANT EXECUTE ON FUNCTION tasker_checkpoint_save TO worker;
	SET tasker_checkpoint.archive_history = on;
	SET tasker_checkpoint.history_limit = 4;
	SELECT tasker_checkpoint_yield('$step', to_jsonb(n), n, '{"sum": 1.50}') FROM generate_series(1, 9) n;
	SELECT tasker_checkpoint_pause('$step');
	SELECT tasker_checkpoint_dispatch('$claimed');
});
my $event = $old->safe_psql('postgres', "SELECT event_id FROM tasker_checkpoint_claim('worker', '1 hour')");

my @facts = (
	"SELECT workflow_step_uuid, checkpoint FROM tasker.workflow_steps ORDER BY 1",
	"SELECT * FROM tasker_checkpoint_events ORDER BY 1",
	"SELECT * FROM tasker_checkpoint_archive ORDER BY 1, 2, 3",
	"SELECT * FROM tasker_checkpoint_history('$step')",
	"SELECT extversion, tasker_checkpoint_table() FROM pg_extension WHERE extname = 'tasker_checkpoint'",
	q{SELECT count(*), count(*) FILTER (WHERE deptype = 'e') FROM pg_depend
		WHERE refclassid = 'pg_extension'::regclass
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint')});
my @before = map { $old->safe_psql('postgres', $_) } @facts;
like($before[2], qr/^\Q$step\E/, 'there is something in the archive');
$old->stop;

# pg_upgrade leaves files in the current folder
my $here = "$PostgreSQL::Test::Utils::tmp_check/upgrade";
mkdir $here or die "$here: $!";
chdir $here or die "$here: $!";
my $bin = $old->config_data('--bindir');
command_ok([ 'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bin, '-B', $bin,
		'-s', $new->host, '-p', $old->port, '-P', $new->port ], 'pg_upgrade');

$new->start;
is($new->safe_psql('postgres', $facts[$_]), $before[$_], "the same: $facts[$_]") for 0 .. $#facts;
is($new->safe_psql('postgres', "SET ROLE worker; SELECT sequence, event_id = '$event' FROM tasker_checkpoint_save('$claimed', '1', 1, NULL, '$event')"),
	'1|t', 'a claim goes on');
is($new->safe_psql('postgres', "SELECT count(*) FROM tasker_checkpoint_claim('other', max_steps => 9)"), '0', 'what is paused is not claimed');
is($new->safe_psql('postgres', "SELECT tasker_checkpoint_resume('$step'); SELECT step_uuid, cursor FROM tasker_checkpoint_claim('other')"),
	"t\n$step|9", 'until it is resumed');
is($new->safe_psql('postgres', 'DROP EXTENSION tasker_checkpoint; SELECT count(checkpoint) FROM tasker.workflow_steps'), '2',
	'DROP EXTENSION leaves the checkpoints');

$new->stop;
done_testing();

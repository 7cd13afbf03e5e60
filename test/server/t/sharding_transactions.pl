# Across the proxy nothing is exactly once: what a shard did stays when the transaction at
# the proxy is rolled back, and no repetition is noticed. In a transaction on the shard all
# is as it is on one server. Notifications stay on the shard.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sharding;
use Test::More;

my ($proxy, @shards) = Sharding::start() or plan skip_all => 'PL/Proxy is not installed';

$_->safe_psql('app', 'CREATE TABLE imported (item integer); GRANT SELECT, INSERT ON imported TO batch_worker')
  for $proxy, @shards;

# Output of statements in one session of a worker's.
sub worker
{
	my ($node, $sql) = @_;
	return $node->safe_psql('app', $sql, extra_params => [ '-U', 'batch_worker' ]);
}

my $step = worker($proxy, 'SELECT add_job(\'import\')');
my ($shard) = grep { $_->safe_psql('app', 'SELECT count(*) FROM jobs') } @shards;
my $written = 'SELECT count(*) FROM imported';
my $cursor = "SELECT cursor FROM tasker_checkpoint_load('$step')";
my $claim = "SELECT event_id AS event FROM tasker_checkpoint_claim('w', '1 hour', step_uuid => '$step') \\gset";
my $rows = 'INSERT INTO imported SELECT generate_series(1, 100);';
my $save = "SELECT sequence, replayed FROM tasker_checkpoint_save('$step', '100', 100, event_id => :'event');";
my $rolled_back = "$claim\nBEGIN; $rows $save ROLLBACK; $written; $cursor;";

# On the shard: both are gone.
is(worker($shard, qq{
		$rolled_back
		SELECT tasker_checkpoint_release(:'event');
	}), "1|f\n0\n\nt", 'on the shard rows and checkpoint are rolled back together');

# At the proxy: the rows are gone, the checkpoint is not, and the next run goes on
# behind items that nobody has written.
is(worker($proxy, qq{
		$rolled_back
		SELECT tasker_checkpoint_release('$step', :'event');
		SELECT has_checkpoint, cursor, items_processed FROM tasker_checkpoint_claim('w', '1 hour');
	}), "1|f\n0\n100\nt\nt|100|100", 'at the proxy the rows are rolled back, and the checkpoint stays');
is(worker($shard, $cursor), '100', 'as the shard says, too');

# So it is with a savepoint, and with an error afterwards.
my ($ret, $out) = $proxy->psql('app', qq{
	BEGIN;
	SAVEPOINT a;
	SELECT tasker_checkpoint_pause('$step');
	ROLLBACK TO a;
	SELECT 1 / 0;
}, on_error_stop => 0);
is($out, 't', 'a step is paused in a transaction that fails');
is($shard->safe_psql('app', "SELECT tasker_checkpoint_resume('$step')"), 't', 'and it is paused');

# A lost reply: the rows are written twice, and the call that is repeated is answered.
$shard->safe_psql('app', "SELECT tasker_checkpoint_reset_for_retry('$step', true)");
my $event = worker($shard, "SELECT event_id FROM tasker_checkpoint_claim('w', '1 hour')");
my $again = "\\set event $event\nBEGIN; $rows $save COMMIT;\n";
is(worker($proxy, $again), '1|f', 'rows and checkpoint at the proxy');
is(worker($proxy, $again), '1|t', 'the same again is taken for a repeated call');
is(worker($proxy, $written), '200', 'and the rows are there twice');

# On the shard that is TC003.
$shard->safe_psql('app', "SELECT tasker_checkpoint_reset_for_retry('$step', true)");
$event = worker($shard, "SELECT event_id FROM tasker_checkpoint_claim('w', '1 hour')");
$again = "\\set VERBOSITY sqlstate\n\\set event $event\nBEGIN; $rows $save COMMIT;\n";
is(worker($shard, $again), '1|f', 'rows and checkpoint on the shard');
like(($shard->psql('app', $again))[2], qr/ERROR:  TC003/, 'the same again is refused');
is(worker($shard, $written), '100', 'and the rows are there once');

# Nor does the transaction at the proxy hold a lock on the step.
is(worker($proxy, qq{
		BEGIN;
		SELECT tasker_checkpoint_save('$step', '200', 200, event_id => '$event') IS NOT NULL;
		SELECT tasker_checkpoint_complete('$step', '$event');
		ROLLBACK;
	}), "t\nt", 'two calls of a transaction are two of the shard');

# A notification of a dispatch comes to who listens on the shard, and to nobody at the
# proxy. psql prints it with its next command.
my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
my (%talk, %heard, %listener);

# What a listener has printed since it was asked last.
sub heard
{
	my ($where) = @_;

	$talk{$where} .= "SELECT 'looked';\n";
	$listener{$where}->pump until $heard{$where} =~ s/(.*)looked\n//s;
	return $1;
}

foreach ([ 'shard', $shard ], [ 'proxy', $proxy ])
{
	my ($where, $node) = @$_;
	$talk{$where} = "LISTEN tasker_checkpoint;\n";
	$heard{$where} = '';
	$listener{$where} = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('app') ],
		'<', \$talk{$where}, '>', \$heard{$where}, $timeout);
	heard($where);
}
worker($proxy, "SELECT tasker_checkpoint_dispatch('$step')");
my $notified = '';
$notified = heard('shard') until $notified =~ /^Asynchronous notification "tasker_checkpoint"/;
pass('who listens on the shard hears of a dispatch');
is(heard('proxy'), '', 'who listens at the proxy does not');
foreach my $where (keys %listener)
{
	$talk{$where} .= "\\q\n";
	$listener{$where}->finish;
}

$_->stop for $proxy, @shards;
done_testing();

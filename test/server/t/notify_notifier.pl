# With the library preloaded a background worker sends the wake-ups, once and in
# order. It starts with the load, leaves with it, and knows what was reloaded.

use strict;
use warnings;

use lib 'test/server';

use Notifier qw($step $workers heard idle leave listener payload payloads say_in senders session starts wait_setting worker yield_sql yields_sql);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = Notifier::start('notifier');
my $one = listener($node, 'one');

# The first commit sends its own wake-up, as does one now and then. Commits in
# quick succession leave that to a worker.
my $offset = -s $node->logfile;
my @heard;
foreach my $sequence (1 .. 3)
{
	$node->safe_psql('one', yield_sql());
	@heard = heard($one, 1);
	is(payloads(@heard), payload($sequence), 'a wake-up arrives while no worker runs');
	my $soon = $node->safe_psql('one', "SELECT clock_timestamp() + interval '110 ms'");
	$node->poll_query_until('one', "SELECT clock_timestamp() > '$soon'");
}
is(starts($node, $offset), 0, 'and none is started for one now and then');
my $pid = worker($one);
isnt(senders(@heard), $pid, 'and is not from a worker');
cmp_ok(starts($node, $offset), '>=', 1, 'commits in quick succession start one');
like(say_in($one->{beside}, "SELECT datname, state, wait_event_type, wait_event FROM $workers"),
	$node->pg_version >= 17 ? qr/^one\|idle\|Extension\|TaskerCheckpointNotifierMain$/m : qr/^one\|idle\|Extension\|Extension$/m,
	'the worker shows what it is');
say_in($one->{beside}, yield_sql());
@heard = heard($one, 1);
is(payloads(@heard), payload(4), 'a wake-up arrives by the worker');
is($heard[0][0], 'tasker_checkpoint', 'on its channel');
is(senders(@heard), $pid, 'from the worker');

# Only what is committed is sent, and all of it.
my $session = session($node, 'one');
$pid = worker($one);
say_in($session, 'BEGIN;' . yield_sql() . 'ROLLBACK');
say_in($session, 'BEGIN;' . yield_sql() . 'SAVEPOINT a;' . yield_sql() . 'ROLLBACK TO a;' . yield_sql()
	. 'SAVEPOINT b;' . yield_sql() . 'RELEASE b; COMMIT');
@heard = heard($one, 3);
is(payloads(@heard), join(' ', map { payload($_) } 5, 6, 7),
	'each yield of a transaction wakes, none that was rolled back');
is(senders(@heard), $pid, 'all by the worker');
ok(idle($node), 'the worker leaves');
is(scalar(heard($one, 0)), 0, 'nothing else was sent');

# A transaction that fails after it has reserved its place.
my ($first, $second) = map { session($node, 'one') } 1, 2;
$node->safe_psql('one', 'CREATE TABLE skew (n int); INSERT INTO skew VALUES (0)');
foreach ($first, $second)
{
	say_in($_, 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM skew');
}
$pid = worker($one);
say_in($first, 'INSERT INTO skew VALUES (1);' . yield_sql());
say_in($second, 'INSERT INTO skew VALUES (2);' . yields_sql(1));
say_in($first, 'COMMIT');
like(say_in($second, 'COMMIT'), qr/ERROR:  could not serialize access/, 'a commit fails');
@heard = heard($one, 1);
is(senders(@heard), $pid, 'while the worker runs');
ok(idle($node), 'and nothing stays reserved');
is(scalar(heard($one, 0)), 0, 'nor is it sent');
leave($first, $second);

# One that waits for a standby when it has reserved its place, holding up nobody.
my $self = say_in($session, 'SELECT pg_backend_pid()') =~ /(\d+)/ ? $1 : '';
$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_commit = local');
$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_standby_names = nobody');
wait_setting($session, 'synchronous_standby_names', 'nobody');
wait_setting($one->{beside}, 'synchronous_commit', 'local');
# commits wait from when the checkpointer has read the setting, which it does between two checkpoints
$node->safe_psql('postgres', 'CHECKPOINT');
say_in($session, 'SET synchronous_commit = on; BEGIN;' . yields_sql(2));
$pid = worker($one);
$session->{in} .= "COMMIT;\n";
$session->{run}->pump_nb;
ok($node->poll_query_until('postgres',
	"SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $self"), 'a commit waits for a standby');
say_in($one->{beside}, yield_sql());
is(scalar(heard($one, 1)), 1, 'the wake-up of another does not');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($self)");
@heard = heard($one, 2);
is(scalar(@heard) . ' ' . senders(@heard), "2 $pid", 'its own come from the same worker when it is over');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
$node->reload;
like(say_in($session, 'RESET synchronous_commit'), qr/said/, 'it goes on');

# PREPARE TRANSACTION drops the wake-up, before anything is reserved for it.
$pid = worker($one);
say_in($session, 'BEGIN;' . yield_sql() . "PREPARE TRANSACTION 'yielded'");
ok(idle($node), 'a prepared transaction does not keep the worker');
$node->safe_psql('one', "COMMIT PREPARED 'yielded'");
my $sequence = $node->safe_psql('one', "SELECT sequence FROM tasker_checkpoint_load('$step')");
say_in($session, yield_sql());
is(payloads(heard($one, 1)), payload($sequence + 1), 'COMMIT PREPARED wakes nobody');

# Settings.
idle($node);
$node->safe_psql('postgres', 'ALTER SYSTEM SET tasker_checkpoint.notify_channel = elsewhere');
wait_setting($session, 'tasker_checkpoint.notify_channel', 'elsewhere');
say_in($one, 'LISTEN elsewhere');
$pid = worker($one);
say_in($session, yield_sql());
@heard = heard($one, 1);
is($heard[0][0], 'elsewhere', 'a reload changes the channel');
is(senders(@heard), $pid, 'also for the worker');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET tasker_checkpoint.notify_channel');
wait_setting($session, 'tasker_checkpoint.notify_channel', 'tasker_checkpoint');
$pid = worker($one);
say_in($session, yield_sql());
@heard = heard($one, 1);
is($heard[0][0], 'tasker_checkpoint', 'and back');
say_in($session, 'SET tasker_checkpoint.notify = off;' . yield_sql() . 'RESET tasker_checkpoint.notify;' . yield_sql());
is(scalar(heard($one, 1)), 1, 'notify = off is obeyed');

# How much memory a worker uses.
sub memory
{
	my ($worker) = @_;
	my $before = -s $node->logfile;

	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($worker)");
	$node->wait_for_log(qr/Grand total: .* used/, $before);
	my ($used) = slurp_file($node->logfile, $before) =~ /Grand total: .* (\d+) used/;
	return $used;
}

# 8 sessions, each of whose transactions commits by itself.
say_in($session, yields_sql(4096));
heard($one, 4096);
my $before = memory(worker($one));
$node->pgbench('--no-vacuum --client=8 --jobs=2 --transactions=500', 0,
	[qr{processed: 4000/4000}], [qr/^$/], '8 sessions yield',
	{ notifier => q{SELECT tasker_checkpoint_yield(md5(:client_id || 'step')::uuid, '0', 0);} }, 'one');
@heard = heard($one, 4000);
my %of;
# one worker or another, with one cache more or less: not what 4,000 payloads take
cmp_ok(memory(worker($one)), '<=', $before + 4000 * 40, 'the worker does not grow');
$of{$_->[1]}++ foreach @heard;
is(scalar(@heard) . ' ' . scalar(keys %of), '4000 4000', 'each of 4,000 wake-ups arrives, and once');
idle($node);
is(scalar(heard($one, 0)), 0, 'and nothing else does');

leave($one, $session);
$node->stop;
done_testing();

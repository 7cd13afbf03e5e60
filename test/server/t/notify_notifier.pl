# With the library preloaded a background worker sends the wake-ups, once and in
# order. It starts with the load, leaves with it, and stands in nobody's way.
# Where it can't be had the transaction notifies by itself, and where nobody can
# notify the transaction commits all the same.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(restarted);
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('notifier');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'tasker_checkpoint'
max_prepared_transactions = 2
log_statement = none
log_min_messages = debug1
});
$node->start;

my $step = '00000000-0000-0000-0000-000000000001';
my $other = '00000000-0000-0000-0000-000000000002';
my $setup = qq{
	CREATE TABLE tasker_workflow_steps (
		workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps VALUES ('$step'), ('$other');
	INSERT INTO tasker_workflow_steps SELECT md5(n || 'step')::uuid FROM generate_series(0, 4999) n;
	CREATE EXTENSION tasker_checkpoint;
};
foreach my $database ('one', 'two')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, $setup);
}

my $workers = q{pg_stat_activity WHERE backend_type = 'tasker_checkpoint notifier'};

sub yield_sql { return "SELECT FROM tasker_checkpoint_yield('" . ($_[0] // $step) . "', '0', 0);"; }

# So many, each of a step of its own.
sub yields_sql
{
	my ($times) = @_;
	return qq{SELECT count(tasker_checkpoint_yield(md5(n || 'step')::uuid, '0', 0)) FROM generate_series(0, $times - 1) n;};
}

sub session
{
	my ($database, $server) = @_;
	my %self = (in => '', out => '', err => '');

	$self{run} = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-f', '-', '-d', ($server // $node)->connstr($database) ],
		'<', \$self{in}, '>', \$self{out}, '2>', \$self{err}, $timeout);
	return \%self;
}

# What a session answers, with the notifications that it shows.
sub say_in
{
	my ($session, $sql) = @_;

	($session->{out}, $session->{err}) = ('', '');
	$timeout->start($PostgreSQL::Test::Utils::timeout_default);
	$session->{in} .= "$sql;\n\\warn said\n\\echo said\n";
	pump_until($session->{run}, $timeout, \$session->{out}, qr/^said$/m)
	  and pump_until($session->{run}, $timeout, \$session->{err}, qr/^said$/m)
	  or BAIL_OUT('a session does not answer');
	return $session->{out} . $session->{err};
}

sub listener
{
	my ($database, $server) = @_;
	my $session = session($database, $server);

	say_in($session, 'LISTEN tasker_checkpoint');
	return $session;
}

sub leave
{
	foreach my $session (@_)
	{
		$session->{in} .= "\\q\n";
		$session->{run}->finish;
	}
	return;
}

# The next notifications, as soon as there are so many: channel, payload, sender.
sub heard
{
	my ($session, $wanted) = @_;
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;
	my @heard;

	do
	{
		my $out = say_in($session, 'SELECT');
		push @heard, [ $1, $2, $3 ]
		  while $out =~ /^Asynchronous notification "(\w+)" with payload "(.*)" received .* PID (\d+)\.$/mg;
	} while (@heard < $wanted && time < $deadline);
	return @heard;
}

sub payload
{
	my ($of, $sequence) = @_;
	return qq({"step_uuid":"$of","sequence":$sequence,"queue":"default"});
}

sub payloads { return join(' ', map { $_->[1] } @_); }

sub senders
{
	my %senders = map { $_->[2] => 1 } @_;
	return join(' ', sort keys %senders);
}

# The worker of a database, which waits for work. What started it, two commits
# in quick succession, was sent by the session; the listener has heard that when
# this returns.
sub worker
{
	my ($database, $listener, $server) = @_;
	my $pid = '';

	$server //= $node;
	until ($pid)
	{
		$server->safe_psql($database, yield_sql($other) . yield_sql($other));
		heard($listener, 2);
		$pid = $server->safe_psql('postgres',
			"SELECT pid FROM $workers AND datname = '$database' AND wait_event_type = 'Extension'");
	}
	return $pid;
}

# When it has left, nothing is reserved, and all that was to be sent is.
sub idle
{
	my ($server) = @_;
	return ($server // $node)->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM $workers)");
}

my $one = listener('one');
my $two = listener('two');

# How many workers were started since.
sub starts
{
	my ($offset) = @_;
	my @starts = slurp_file($node->logfile, $offset) =~ /starting background worker process "tasker_checkpoint notifier"/g;
	return scalar(@starts);
}

# The first commit sends its own wake-up, as does one now and then. Commits in
# quick succession leave that to a worker.
my $offset = -s $node->logfile;
my @heard;
foreach my $sequence (1 .. 3)
{
	$node->safe_psql('one', yield_sql());
	@heard = heard($one, 1);
	is(payloads(@heard), payload($step, $sequence), 'a wake-up arrives while no worker runs');
	my $soon = $node->safe_psql('one', "SELECT clock_timestamp() + interval '110 ms'");
	$node->poll_query_until('one', "SELECT clock_timestamp() > '$soon'");
}
is(starts($offset), 0, 'and none is started for one now and then');
my $pid = worker('one', $one);
isnt(senders(@heard), $pid, 'and is not from a worker');
cmp_ok(starts($offset), '>=', 1, 'commits in quick succession start one');
is($node->safe_psql('postgres', "SELECT datname, state, wait_event_type, wait_event FROM $workers"),
	'one|idle|Extension|' . ($node->pg_version >= 17 ? 'TaskerCheckpointNotifierMain' : 'Extension'),
	'the worker shows what it is');
$node->safe_psql('one', yield_sql());
@heard = heard($one, 1);
is(payloads(@heard), payload($step, 4), 'a wake-up arrives by the worker');
is($heard[0][0], 'tasker_checkpoint', 'on its channel');
is(senders(@heard), $pid, 'from the worker');

# Only what is committed is sent, and all of it.
my $session = session('one');
$pid = worker('one', $one);
say_in($session, 'BEGIN;' . yield_sql() . 'ROLLBACK');
say_in($session, 'BEGIN;' . yield_sql() . 'SAVEPOINT a;' . yield_sql() . 'ROLLBACK TO a;' . yield_sql()
	. 'SAVEPOINT b;' . yield_sql() . 'RELEASE b; COMMIT');
@heard = heard($one, 3);
is(payloads(@heard), join(' ', map { payload($step, $_) } 5, 6, 7),
	'each yield of a transaction wakes, none that was rolled back');
is(senders(@heard), $pid, 'all by the worker');
ok(idle(), 'the worker leaves');
is(scalar(heard($one, 0)), 0, 'nothing else was sent');

# A transaction that fails after it has reserved its place.
my ($first, $second) = (session('one'), session('one'));
$node->safe_psql('one', 'CREATE TABLE skew (n int); INSERT INTO skew VALUES (0)');
foreach ($first, $second)
{
	say_in($_, 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM skew');
}
$pid = worker('one', $one);
say_in($first, 'INSERT INTO skew VALUES (1);' . yield_sql());
say_in($second, 'INSERT INTO skew VALUES (2);' . yields_sql(1));
say_in($first, 'COMMIT');
like(say_in($second, 'COMMIT'), qr/ERROR:  could not serialize access/, 'a commit fails');
@heard = heard($one, 1);
is(senders(@heard), $pid, 'while the worker runs');
ok(idle(), 'and nothing stays reserved');
is(scalar(heard($one, 0)), 0, 'nor is it sent');
leave($first, $second);

# One that waits for a standby when it has reserved its place, holding up nobody.
my $self = say_in($session, 'SELECT pg_backend_pid()') =~ /(\d+)/ ? $1 : '';
$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_commit = local');
$node->safe_psql('postgres', 'ALTER SYSTEM SET synchronous_standby_names = nobody');
$node->reload;
1 until say_in($session, 'SHOW synchronous_standby_names') =~ /^nobody$/m;
$node->poll_query_until('postgres', 'SHOW synchronous_commit', 'local');
say_in($session, 'SET synchronous_commit = on; BEGIN;' . yields_sql(2));
$pid = worker('one', $one);
$session->{in} .= "COMMIT;\n";
$session->{run}->pump_nb;
ok($node->poll_query_until('postgres',
	"SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = $self"), 'a commit waits for a standby');
$node->safe_psql('one', yield_sql());
is(scalar(heard($one, 1)), 1, 'the wake-up of another does not');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($self)");
@heard = heard($one, 2);
is(scalar(@heard) . ' ' . senders(@heard), "2 $pid", 'its own come from the same worker when it is over');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
$node->reload;
like(say_in($session, 'RESET synchronous_commit'), qr/said/, 'it goes on');

# PREPARE TRANSACTION drops the wake-up, before anything is reserved for it.
$pid = worker('one', $one);
$node->safe_psql('one', 'BEGIN;' . yield_sql() . "PREPARE TRANSACTION 'yielded'");
ok(idle(), 'a prepared transaction does not keep the worker');
$node->safe_psql('one', "COMMIT PREPARED 'yielded'");
my $sequence = $node->safe_psql('one', "SELECT sequence FROM tasker_checkpoint_load('$step')");
$node->safe_psql('one', yield_sql());
is(payloads(heard($one, 1)), payload($step, $sequence + 1), 'COMMIT PREPARED wakes nobody');

# More than the ring holds, and a ring that is full: commits do not wait for it.
sub counted
{
	my ($expected, $from, $what, @heard) = @_;
	my %payloads = map { $_->[1] => 1 } @heard;
	is(scalar(@heard) . ' ' . scalar(keys %payloads), "$expected $expected", "$what: all arrive");
	is(senders(@heard), $from, "$what: as they should");
	return;
}
foreach my $times (4096, 4097, 5000)
{
		say_in($session, 'BEGIN;' . yields_sql($times));
	$pid = worker('one', $one);
	say_in($session, 'COMMIT');
	counted($times, $times > 4096 ? $self : $pid, "$times yields in a transaction", heard($one, $times));
}

$pid = worker('one', $one);
is(kill('STOP', $pid), 1, 'the worker is stopped');
say_in($session, yields_sql(4000));
say_in($session, yields_sql(97));
counted(97, $self, 'what the full ring does not hold', heard($one, 97));
say_in($session, yields_sql(96));
is(scalar(heard($one, 0)), 0, 'what it does hold waits');
is(kill('CONT', $pid), 1, 'the worker goes on');
counted(4096, $pid, 'what the ring holds', heard($one, 4096));

# The worker is terminated.
$pid = worker('one', $one);
$offset = -s $node->logfile;
kill('STOP', $pid);
say_in($session, yields_sql(3));
$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
kill('CONT', $pid);
ok($node->wait_for_log(qr/LOG:  up to 3 wake-ups of tasker_checkpoint were lost/, $offset),
	'a worker that is terminated says what is lost');
ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM $workers AND pid = $pid)"), 'it is gone');
$node->safe_psql('one', yield_sql());
is(scalar(heard($one, 1)), 1, 'the next wake-up arrives');
isnt(worker('one', $one), $pid, 'and another worker is started');
$pid = worker('one', $one);
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
$node->safe_psql('one', yield_sql());
is(scalar(heard($one, 1)), 1, 'a wake-up arrives while it is cancelled');

# Settings.
idle();
$node->safe_psql('postgres', 'ALTER SYSTEM SET tasker_checkpoint.notify_channel = elsewhere');
$node->reload;
1 until say_in($session, 'SHOW tasker_checkpoint.notify_channel') =~ /^elsewhere$/m;
say_in($one, 'LISTEN elsewhere');
$pid = worker('one', $one);
say_in($session, yield_sql());
is($heard[0][0], 'elsewhere', 'a reload changes the channel') if @heard = heard($one, 1);
is(senders(@heard), $pid, 'also for the worker');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET tasker_checkpoint.notify_channel');
$node->reload;
1 until say_in($session, 'SHOW tasker_checkpoint.notify_channel') =~ /^tasker_checkpoint$/m;
$pid = worker('one', $one);
say_in($session, yield_sql());
is($heard[0][0], 'tasker_checkpoint', 'and back') if @heard = heard($one, 1);
say_in($session, 'SET tasker_checkpoint.notify = off;' . yield_sql() . 'RESET tasker_checkpoint.notify;' . yield_sql());
is(scalar(heard($one, 1)), 1, 'notify = off is obeyed');
idle();
$node->safe_psql('postgres', "ALTER DATABASE one SET $_ = '1ms'")
  foreach ('lock_timeout', $node->pg_version >= 17 ? 'transaction_timeout' : ());
$node->safe_psql('postgres', 'ALTER DATABASE one ALLOW_CONNECTIONS false');
my $yields = 0;
do
{
	say_in($session, yield_sql() . yield_sql());
	$yields += 2;
} until $node->safe_psql('postgres', "SELECT count(*) FROM $workers AND datname = 'one' AND wait_event_type = 'Extension'");
pass('a worker starts for sessions in a database that takes no new ones');
$node->safe_psql('postgres', 'ALTER DATABASE one RESET ALL');
$node->safe_psql('postgres', 'ALTER DATABASE one ALLOW_CONNECTIONS true');
heard($one, $yields);

# A worker that cannot connect is not started with each commit, and is when it
# can: 1, 3, 7, 15 s after the first.
idle();
$node->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'one'});
$offset = -s $node->logfile;
my $began = time;
my $sent = 0;
do
{
	say_in($session, yields_sql(1) x 50);
	$sent += 50;
} until (starts($offset) >= 3 || time - $began > $PostgreSQL::Test::Utils::timeout_default);
like(slurp_file($node->logfile, $offset), qr/FATAL:  cannot connect to invalid database/, 'a worker cannot connect');
cmp_ok(time - $began, '>=', 2, 'the third start is 3 s after the first');
is(starts($offset), 3, 'and there was none in between');
@heard = heard($one, $sent);
is(scalar(@heard) . ' ' . senders(@heard), "$sent $self", "each of $sent commits notified by itself");
$node->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -1 WHERE datname = 'one'});
isnt(worker('one', $one), '', 'it is started when it can connect');

# A queue that is nearly full, held by a listener that ends no transaction (on a channel
# of its own, since what nobody hears takes no room in it from PostgreSQL 19 on):
# commits go on, both by themselves and by the worker, and none of them fails.
SKIP:
{
	skip 'the NOTIFY queue has a fixed size of 8 GB before PostgreSQL 17', 11 if $node->pg_version < 17;

	leave($one, $two, $session);
	$node->append_conf('postgresql.conf', 'max_notify_queue_pages = 64');
	$node->restart;
	($one, $two, $session) = (listener('one'), listener('two'), session('one'));
	my $holder = listener('one');
	say_in($holder, 'LISTEN x; BEGIN; SELECT');
	$node->safe_psql('one', q{SELECT pg_notify('x', repeat('x', 7000) || n) FROM generate_series(1, 49) n});
	cmp_ok($node->safe_psql('one', 'SELECT pg_notification_queue_usage()'), '>=', 0.75, 'the queue is nearly full');
	heard($one, 0);
	like(say_in($session, yield_sql()),
		qr/WARNING:  1 wake-ups of tasker_checkpoint were not sent\nDETAIL:  The NOTIFY queue is 7\d% full, since a session that listens does not end its transaction\. Workers/,
		'a transaction that would notify commits, and warns');
	$offset = -s $node->logfile;
	is(say_in($session, yields_sql(1) x 20), "1\n" x 20 . "said\nsaid\n", 'and no other does for a while');
	ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM $workers AND datname = 'one' AND wait_event_type = 'Extension')"),
		'a worker starts');
	$pid = $node->safe_psql('postgres', "SELECT pid FROM $workers AND datname = 'one'");
	is(say_in($session, yields_sql(1) x 100), "1\n" x 100 . "said\nsaid\n", 'with it commits go on');
	ok($node->wait_for_log(qr/WARNING:  \d+ wake-ups of tasker_checkpoint were not sent/, $offset), 'it warns');
	my @warnings = slurp_file($node->logfile, $offset) =~ /were not sent/g;
	cmp_ok(scalar(@warnings), '<=', 2, 'now and then');
	is($node->safe_psql('postgres', "SELECT pid FROM $workers AND datname = 'one'"), $pid, 'it goes on');
	is(scalar(heard($one, 0)), 0, 'nothing was sent');
	say_in($holder, 'COMMIT');
	leave($holder);
	$pid = worker('one', $one);
	say_in($session, yields_sql(3));
	@heard = heard($one, 3);
	is(scalar(@heard) . ' ' . senders(@heard), "3 $pid", 'once the listener has gone on wake-ups arrive again');
	is($node->safe_psql('one', 'SELECT pg_notification_queue_usage() < 0.75'), 't', 'there is room');

	leave($one, $two, $session);
	$node->append_conf('postgresql.conf', 'max_notify_queue_pages = 1048576');
	$node->restart;
	($one, $two, $session) = (listener('one'), listener('two'), session('one'));
}

# Each database has its worker; it is in the way of no command for long.
$pid = worker('one', $one);
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers"), '1', 'a database in use has a worker');
my $databases = '';
until ($databases eq 'one two')
{
	worker('two', $two);
	worker('one', $one);
	$databases = $node->safe_psql('postgres', "SELECT string_agg(datname, ' ' ORDER BY datname) FROM $workers");
}
pass('and another has another');
$node->safe_psql('one', 'DROP EXTENSION tasker_checkpoint');
pass('DROP EXTENSION goes on while a worker runs');
$node->safe_psql('one', 'CREATE EXTENSION tasker_checkpoint');
$pid = worker('one', $one);
$node->safe_psql('one', yield_sql());
is(scalar(heard($one, 1)), 1, 'and so does the extension when it is back');
worker('two', $two);
leave($two);
is(($node->psql('postgres', 'DROP DATABASE two'))[0], 0, 'DROP DATABASE right after the load');
$pid = worker('one', $one);
leave($one, $session);
is(($node->psql('postgres', 'ALTER DATABASE one RENAME TO three; ALTER DATABASE three RENAME TO one'))[0], 0,
	'ALTER DATABASE RENAME right after the load');

# How much memory a worker uses.
sub memory
{
	my ($pid) = @_;
	my $offset = -s $node->logfile;

	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_for_log(qr/Grand total: .* used/, $offset);
	my ($used) = slurp_file($node->logfile, $offset) =~ /Grand total: .* (\d+) used/;
	return $used;
}

# 8 sessions, each of whose transactions commits by itself.
$one = listener('one');
$node->safe_psql('one', yields_sql(4096));
heard($one, 4096);
my $before = memory(worker('one', $one));
$node->pgbench('--no-vacuum --client=8 --jobs=2 --transactions=500', 0,
	[qr{processed: 4000/4000}], [qr/^$/], '8 sessions yield',
	{ notifier => q{SELECT tasker_checkpoint_yield(md5(:client_id || 'step')::uuid, '0', 0);} }, 'one');
@heard = heard($one, 4000);
my %of;
# one worker or another, with one cache more or less: not what 4,000 payloads take
cmp_ok(memory(worker('one', $one)), '<=', $before + 4000 * 40, 'the worker does not grow');
$of{$_->[1]}++ foreach @heard;
is(scalar(@heard) . ' ' . scalar(keys %of), '4000 4000', 'each of 4,000 wake-ups arrives, and once');
idle();
is(scalar(heard($one, 0)), 0, 'and nothing else does');

# A crash loses what was not yet sent, and nothing that comes after it.
worker('one', $one);
$node->stop('immediate');
$one->{run}->finish;
$node->start;
$one = listener('one');
$pid = worker('one', $one);
$node->safe_psql('one', yield_sql());
is(senders(heard($one, 1)), $pid, 'wake-ups arrive after an immediate shutdown');

$node->safe_psql('postgres', 'ALTER SYSTEM SET restart_after_crash = on');
$node->reload;
$pid = worker('one', $one);
$offset = -s $node->logfile;
is(kill('KILL', $pid), 1, 'the worker is killed');
restarted($node, $offset);
$one->{run}->finish;
$one = listener('one');
$pid = worker('one', $one);
$node->safe_psql('one', yield_sql());
is(senders(heard($one, 1)), $pid, 'wake-ups arrive after a crash');

# A standby has no worker until it is promoted.
leave($one);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('notifier_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
$node->stop;
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()');
$one = listener('one', $standby);
$pid = worker('one', $one, $standby);
$standby->safe_psql('one', yield_sql());
is(senders(heard($one, 1)), $pid, 'a promoted standby has a worker');
leave($one);
$standby->stop;

# Where no worker can be had.
sub restarted_with
{
	$node->append_conf('postgresql.conf', $_[0]);
	$node->restart;
	return listener('one');
}

# Three yields, each in a session: how many are heard, from how many senders.
sub alone
{
	my ($database, $listener) = @_;

	$node->safe_psql($database, yield_sql()) foreach 1 .. 3;
	my @heard = heard($listener, 3);
	return scalar(@heard) . ' ' . scalar(split(/ /, senders(@heard)));
}

$node->start;
$one = restarted_with('tasker_checkpoint.max_notifiers = 1');
$node->safe_psql('postgres', 'CREATE DATABASE two');
$node->safe_psql('two', $setup);
$two = listener('two');
$pid = worker('one', $one);
is(alone('two', $two), '3 3', 'max_notifiers = 1: another database notifies');
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers AND datname = 'two'"), '0', 'without a worker');
idle();
isnt(worker('two', $two), '', 'it can have one when the first has left');
leave($one, $two);

$one = restarted_with('tasker_checkpoint.max_notifiers = 0');
is(alone('one', $one), '3 3', 'max_notifiers = 0: every transaction notifies');
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers"), '0', 'without a worker');
leave($one);

$one = restarted_with("tasker_checkpoint.max_notifiers = 2\nmax_worker_processes = 0");
is(alone('one', $one), '3 3', 'no background worker to be had: every transaction notifies');
is($node->safe_psql('postgres', "SELECT count(*) FROM $workers"), '0', 'there is none');
$node->pgbench('--no-vacuum --client=8 --jobs=2 --transactions=50', 0,
	[qr{processed: 400/400}], [qr/^$/], '8 sessions yield',
	{ notifier_alone => q{SELECT tasker_checkpoint_yield(md5(:client_id || 'step')::uuid, '0', 0);} }, 'one');
is(scalar(heard($one, 400)), 400, 'and none of their wake-ups is lost');
leave($one);

# Without preload the setting is known, and does nothing.
$one = restarted_with("tasker_checkpoint.max_notifiers = 3\nmax_worker_processes = 8\nshared_preload_libraries = ''");
is(($node->psql('one', yield_sql() . 'SHOW tasker_checkpoint.max_notifiers'))[1] =~ s/^\n//r, '3',
	'max_notifiers can be set without preload');
is(($node->psql('one', yield_sql()))[2], '', 'without a warning in each session');
is(scalar(heard($one, 2)), 2, 'and wake-ups arrive');
leave($one);

$node->stop;
done_testing();

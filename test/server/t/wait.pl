# Workers that wait hold no snapshot, transaction id or lock of a table, and leave at
# once when they are told to: by a cancel, a terminate, a client that is gone, DROP
# EXTENSION, DROP DATABASE, a timeout, a shutdown, the postmaster's death. A standby
# refuses, and lets them wait once it is promoted.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# those who sleep look every five seconds: what takes less has woken them
my $at_once = 4;
my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'tasker_checkpoint'
max_connections = 100
autovacuum = off
log_statement = none
});
$node->start;

my $step = '00000000-0000-0000-0000-000000000001';
my $setup = qq{
	CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb);
	INSERT INTO steps VALUES ('$step');
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_attach('steps', 'id');
};
$node->safe_psql('postgres', $setup);
my $major = $node->safe_psql('postgres', 'SHOW server_version_num') / 10000;

my $waiting = q{pg_stat_activity WHERE application_name = 'waiting' AND state = 'active' AND wait_event_type = 'Extension'};

# A session that waits, by psql.
sub waiter
{
	my ($database, $server) = @_;
	my %self = (out => '', err => '');

	$self{run} = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', ($server // $node)->connstr($database) . ' application_name=waiting',
			'-c', q{CALL tasker_checkpoint_wait(timeout => '1 hour')}, '-c', q{SELECT 'returned'} ],
		'>', \$self{out}, '2>', \$self{err}, $timeout);
	return \%self;
}

# So many, asleep.
sub waiters
{
	my ($n, $database, $server) = @_;
	my @waiters = map { waiter($database, $server) } 1 .. $n;

	($server // $node)->poll_query_until('postgres', "SELECT count(*) = $n FROM $waiting")
	  or BAIL_OUT('sessions do not wait');
	return @waiters;
}

# What they have said when all have ended, and how long that took.
sub ended
{
	my ($began, @waiters) = @_;

	$timeout->start($PostgreSQL::Test::Utils::timeout_default);
	IPC::Run::finish($_->{run}) foreach @waiters;
	return (time - $began, join('', sort map { $_->{out} . $_->{err} } @waiters));
}

sub leave_at_once
{
	my ($how, $says, $what, @waiters) = @_;
	my $began = time;

	$how->();
	my ($seconds, $said) = ended($began, @waiters);
	like($said, $says, "$what: they say so");
	cmp_ok($seconds, '<', $at_once, "$what: at once");
	return;
}

# What they hold
my @waiters = waiters(50, 'postgres');
ok($node->poll_query_until('postgres', qq{
	SELECT count(*) = 50 AND bool_and(backend_xmin IS NULL AND backend_xid IS NULL) FROM $waiting}),
	'50 who wait have no snapshot and no transaction id');
ok($node->poll_query_until('postgres', qq{
	SELECT count(*) = 0 FROM pg_locks WHERE locktype <> 'virtualxid' AND pid IN (SELECT pid FROM $waiting)}),
	'nor a lock');
is($node->safe_psql('postgres', "SELECT DISTINCT wait_event FROM $waiting"),
	$major >= 17 ? 'TaskerCheckpointWait' : 'Extension', 'what they wait for has a name');
$node->safe_psql('postgres', 'CREATE TABLE dead AS SELECT n FROM generate_series(1, 1000) n; DELETE FROM dead');
my $vacuum;
foreach my $try (1 .. 20)
{
	# one that looks just now has a snapshot
	$vacuum = ($node->psql('postgres', 'VACUUM (VERBOSE) dead'))[2];
	last if $vacuum =~ /tuples: 1000 removed/;
}
like($vacuum, qr/tuples: 1000 removed, 0 remain, 0 are dead but not yet removable/,
	'VACUUM removes what has died while they wait');
is($node->safe_psql('postgres', "SELECT count(*) FROM $waiting"), 50, 'they wait still');

# One by one, or all
my @first = splice(@waiters, 0, 45);
leave_at_once(
	sub { $node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM $waiting"); },
	qr/^(ERROR:  canceling statement due to user request\n){50}$/, 'a cancel', @first, @waiters);

@waiters = waiters(2, 'postgres');
leave_at_once(
	sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM $waiting"); },
	qr/^(FATAL:  terminating connection due to administrator command\n(?:.*\n)*?){2}/, 'a terminate', @waiters);

@waiters = waiters(2, 'postgres');
my $began = time;
IPC::Run::kill_kill($_->{run}) foreach @waiters;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'waiting'}),
	'a client that is gone: its session ends');
cmp_ok(time - $began, '<', $at_once, 'a client that is gone: at once');

# DROP EXTENSION has a message of its own
@waiters = waiters(3, 'postgres');
leave_at_once(
	sub { $node->safe_psql('postgres', 'DROP EXTENSION tasker_checkpoint'); },
	qr/^(ERROR:  the extension has been dropped\nDETAIL:  .* tasker_checkpoint_wait\(\) could wait for\.\n){3}$/,
	'DROP EXTENSION', @waiters);
$node->safe_psql('postgres', q{CREATE EXTENSION tasker_checkpoint; SELECT tasker_checkpoint_attach('steps', 'id')});

# one that is rolled back ends nothing: an offer wakes one still
@waiters = waiters(2, 'postgres');
$node->safe_psql('postgres', 'BEGIN; DROP EXTENSION tasker_checkpoint; ROLLBACK');
$began = time;
$node->safe_psql('postgres', "SELECT tasker_checkpoint_dispatch('$step')");
ok($node->poll_query_until('postgres', "SELECT count(*) < 2 FROM $waiting"), 'after one that is rolled back they are woken');
cmp_ok(time - $began, '<', $at_once, 'at once');
$node->safe_psql('postgres', "DELETE FROM tasker_checkpoint_events; SELECT pg_cancel_backend(pid) FROM $waiting");
like((ended(time, @waiters))[1], qr/^returned$/m, 'for an offer');

# DROP DATABASE, which waits for five seconds as it does for any session
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', $setup);
@waiters = waiters(2, 'other');
my ($ret, $stdout, $stderr) = $node->psql('postgres', 'DROP DATABASE other');
like($stderr, qr/database "other" is being accessed by other users/, 'DROP DATABASE is refused');
leave_at_once(
	sub { $node->safe_psql('postgres', 'DROP DATABASE other WITH (FORCE)'); },
	qr/^(FATAL:  terminating connection due to administrator command\n(?:.*\n)*?){2}/, 'DROP DATABASE WITH (FORCE)', @waiters);

# Settings that end a transaction: each look is one of its own. statement_timeout is in
# sql/wait.sql.
sub wait_under
{
	my ($setting, $seconds) = @_;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', "SET $setting; CALL tasker_checkpoint_wait('{other}', '$seconds s'); SELECT 'returned'");

	return $stdout . $stderr;
}
is(wait_under(q{idle_in_transaction_session_timeout = '100 ms'}, 0.5), 'returned', 'who waits is not idle in a transaction');
SKIP:
{
	skip 'this server has no transaction_timeout', 2 if $major < 17;
	like(wait_under(q{transaction_timeout = '1 s'}, 3600), qr/FATAL:  terminating connection due to transaction timeout/,
		'transaction_timeout ends the session');
	is(wait_under(q{transaction_timeout = '6 s'}, 8), 'returned', 'but not if it is longer than from look to look');
}

# A standby
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
($ret, $stdout, $stderr) = $standby->psql('postgres', "\\set VERBOSITY verbose\nCALL tasker_checkpoint_wait();");
like($stderr, qr/ERROR:  25006: cannot execute tasker_checkpoint_wait\(\)/, 'a standby refuses at once');
$standby->promote;
@waiters = waiters(2, 'postgres', $standby);
leave_at_once(
	sub { $standby->stop('fast'); },
	qr/^(FATAL:  terminating connection due to administrator command\n(?:.*\n)*?){2}/,
	'once it is promoted they wait there; a fast shutdown', @waiters);

# The postmaster dies
@waiters = waiters(2, 'postgres');
my $postmaster = $node->safe_psql('postgres', q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)});
leave_at_once(sub { kill 'KILL', $postmaster; }, qr/server closed the connection unexpectedly/, 'the postmaster dies', @waiters);
$node->{_pid} = undef;

done_testing();

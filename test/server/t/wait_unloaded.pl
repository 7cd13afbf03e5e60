# Workers wait without preload as well: from PostgreSQL 17 on they are woken, by a segment
# that the first one to dispatch or wait makes; before, they look by themselves, at growing
# pauses.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nlog_statement = none");
$node->start;

my @steps = map { sprintf('00000000-0000-0000-0000-%012d', $_) } 1 .. 9;
foreach my $database ('one', 'two')
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, qq{
		CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb);
		INSERT INTO steps SELECT unnest('{@{[ join(',', @steps) ]}}'::uuid[]);
		CREATE EXTENSION tasker_checkpoint;
		SELECT tasker_checkpoint_attach('steps', 'id')});
}
my $woken = $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;
my $waiting = q{pg_stat_activity WHERE application_name = 'waiting' AND state = 'active' AND wait_event_type = 'Extension'};

sub waiter
{
	my ($database) = @_;
	my %self = (out => '', err => '');

	$self{run} = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) . ' application_name=waiting',
			'-c', q{CALL tasker_checkpoint_wait(timeout => '1 hour')},
			'-c', q{SELECT 'claimed ' || count(*) FROM tasker_checkpoint_claim('one')} ],
		'>', \$self{out}, '2>', \$self{err}, $timeout);
	return \%self;
}

# So many, one after the other.
sub waiters
{
	my ($n, $database) = @_;
	my @waiters;

	foreach my $i (1 .. $n)
	{
		push @waiters, waiter($database);
		$node->poll_query_until('postgres', "SELECT count(*) = $i FROM $waiting AND datname = '$database'")
		  or BAIL_OUT('sessions do not wait');
	}
	return @waiters;
}

sub answer
{
	my ($waiter) = @_;

	$timeout->start($PostgreSQL::Test::Utils::timeout_default);
	IPC::Run::finish($waiter->{run});
	return $waiter->{out} . $waiter->{err};
}

my @others = waiters(2, 'two');
my @waiters = $woken ? waiters(3, 'one') : ();
foreach my $i (0 .. 2)
{
	# who looks by itself may find what another one claims
	@waiters = waiters(1, 'one') if !$woken;
	my $began = time;
	$node->safe_psql('one', "SELECT tasker_checkpoint_dispatch('$steps[$i]')");
	is(answer(pop @waiters), "claimed 1\n", 'the last one of those who wait claims what is dispatched');
	cmp_ok(time - $began, '<', 4, 'soon');
}

# a session that has dispatched before anybody waited
@waiters = waiters(1, 'one');
my $session = { in => '', out => '' };
$session->{run} = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-f', '-', '-d', $node->connstr('one') ],
	'<', \$session->{in}, '>', \$session->{out}, '2>', '/dev/null', $timeout);
$session->{in} = "SELECT tasker_checkpoint_dispatch('$steps[3]', delay => '0.5 s') IS NOT NULL;\n";
pump_until($session->{run}, $timeout, \$session->{out}, qr/t\n/);
my $began = time;
is(answer($waiters[0]), "claimed 1\n", 'one is woken for a delay that ends');
cmp_ok(time - $began, '<', 4, 'on time');
$session->{in} .= "\\q\n";
IPC::Run::finish($session->{run});

is($node->safe_psql('postgres', "SELECT count(*) FROM $waiting"), 2, 'those of another database sleep');

# DROP EXTENSION, by a session that does not know the library
foreach my $waiter (@others)
{
	$node->safe_psql('two', 'DROP EXTENSION IF EXISTS tasker_checkpoint');
	like(answer($waiter), qr/^ERROR:  the extension has been dropped\n/, 'DROP EXTENSION ends a wait');
}

# the memory of a server that has crashed is not that of the next
@waiters = waiters(2, 'one');
$node->stop('immediate');
answer($_) foreach @waiters;
$node->start;
@waiters = waiters(2, 'one');
$node->safe_psql('one', "SELECT tasker_checkpoint_dispatch(id) FROM steps WHERE id IN ('$steps[4]', '$steps[5]')");
is(answer($_), "claimed 1\n", 'after a crash others are woken') foreach @waiters;

$node->stop;
done_testing();

# Workers that wait keep their connections. The doctor says when they take more than half
# of those there are, and how many connections would be enough, with the library preloaded
# and without.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('connections');
$node->init;
# ten for roles that are not superusers
$node->append_conf('postgresql.conf', q{
max_connections = 13
superuser_reserved_connections = 3
autovacuum = off
log_statement = none
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb);
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_attach('steps', 'id');
});

my @sessions;

# So many sessions that run this, or nothing.
sub sessions
{
	my ($n, @command) = @_;

	foreach (1 .. $n)
	{
		# psql reads on as long as this is open
		my %self = (in => '', out => '', err => '');

		$self{run} = IPC::Run::start(
			[ 'psql', '-X', '-q', '-d', $node->connstr('postgres') . ' application_name=session', @command ],
			'<', \$self{in}, '>', \$self{out}, '2>', \$self{err}, $timeout);
		push @sessions, \%self;
	}
	return;
}

# All of them, so many of which wait for work.
sub begun
{
	my ($n) = @_;
	my $all = @sessions;

	$node->poll_query_until('postgres', qq{
		SELECT count(*) = $all AND count(*) FILTER (WHERE wait_event_type = 'Extension') = $n
		FROM pg_stat_activity WHERE application_name = 'session'})
	  or BAIL_OUT("$n of $all sessions do not wait");
	return;
}

sub finish
{
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'session'});
	IPC::Run::finish($_->{run}) foreach @sessions;
	@sessions = ();
	return;
}

# Those that have ended may be there still.
sub finds
{
	my ($finding, $what) = @_;

	$finding =~ s/'/''/g;
	return ok($node->poll_query_until('postgres', q{
		SELECT coalesce(string_agg(concat_ws('|', status, substring(found FROM '^.*?\.'), statement), E'\n'), '')
		FROM tasker_checkpoint_doctor() WHERE "check" = 'connections' AND status <> 'ok'}, $finding), $what);
}

my @wait = ('-c', q{CALL tasker_checkpoint_wait(timeout => '1 hour')});
my $taken = 'Of the 10 connections that are not reserved sessions that wait for work (tasker_checkpoint_wait) take 6, and all together';

foreach my $libraries ('', 'tasker_checkpoint')
{
	my $how = $libraries ? 'preloaded' : 'not preloaded';

	$node->append_conf('postgresql.conf', "shared_preload_libraries = '$libraries'");
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_connections');
	$node->restart;

	sessions(5, @wait);
	sessions(3);
	begun(5);
	finds('', "half of them wait, $how");
	finish();

	sessions(6, @wait);
	begun(6);
	finds("notice|$taken 7.|ALTER SYSTEM SET max_connections = 15;", "more than half of them wait, $how");
	sessions(3);
	begun(6);
	finds("warning|$taken 10.|ALTER SYSTEM SET max_connections = 15;", "and none is left, $how");

	$node->safe_psql('postgres', 'ALTER SYSTEM SET max_connections = 15');
	$node->reload;
	finds("warning|$taken 10.", "it is not to be changed again before the restart, $how");
	finish();

	$node->restart;
	sessions(6, @wait);
	begun(6);
	finds('', "as many are no more than half now, $how");
	finish();
}

$node->stop;
done_testing();

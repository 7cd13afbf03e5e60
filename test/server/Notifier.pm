# A server with the notifier, who listens there and what is heard, for tests of wake-ups.

package Notifier;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(wait_until);
use Test::More;

our @EXPORT_OK = qw($step $workers add_database heard idle leave listener payload payloads say_in senders session
	start starts wait_setting worker yield_sql yields_sql);

# The one step whose payloads are looked at
our $step = '00000000-0000-0000-0000-000000000001';
our $workers = q{pg_stat_activity WHERE backend_type = 'tasker_checkpoint notifier'};

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
my $other = '00000000-0000-0000-0000-000000000002';

# A server that has the library preloaded, with a database "one".
sub start
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'tasker_checkpoint'
max_connections = 20
max_prepared_transactions = 2
log_statement = none
log_min_messages = debug1
});
	$node->start;
	add_database($node, 'one');
	return $node;
}

# One more database, with steps
sub add_database
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, qq{
		CREATE TABLE tasker_workflow_steps (
			workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
		INSERT INTO tasker_workflow_steps VALUES ('$step'), ('$other');
		INSERT INTO tasker_workflow_steps SELECT md5(n || 'step')::uuid FROM generate_series(0, 4999) n;
		CREATE EXTENSION tasker_checkpoint;
	});
	return;
}

sub yield_sql { return "SELECT FROM tasker_checkpoint_yield('" . ($_[0] // $step) . "', '0', 0);"; }

# So many, each of a step of its own.
sub yields_sql
{
	my ($times) = @_;
	return qq{SELECT count(tasker_checkpoint_yield(md5(n || 'step')::uuid, '0', 0)) FROM generate_series(0, $times - 1) n;};
}

sub session
{
	my ($node, $database) = @_;
	my %self = (node => $node, in => '', out => '', err => '');

	$self{run} = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-q', '-f', '-', '-d', $node->connstr($database) ],
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

# Waits until a session knows a setting that was reloaded.
sub wait_setting
{
	my ($session, $name, $value) = @_;

	$session->{node}->reload;
	wait_until("$name is $value", sub { return say_in($session, "SHOW $name") =~ /^$value$/m });
	return;
}

# A session that listens, and another beside it that commits for it.
sub listener
{
	my ($node, $database) = @_;
	my $session = session($node, $database);

	$session->{beside} = session($node, $database);
	say_in($session, 'LISTEN tasker_checkpoint');
	return $session;
}

# They end; whether the server still knows them does not matter.
sub leave
{
	$timeout->start($PostgreSQL::Test::Utils::timeout_default);
	$_->{run}->finish foreach map { $_, $_->{beside} // () } @_;
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

# What the step's yield with this sequence tells
sub payload
{
	my ($sequence) = @_;
	return qq({"step_uuid":"$step","sequence":$sequence,"queue":"default"});
}

sub payloads { return join(' ', map { $_->[1] } @_); }

sub senders
{
	my %senders = map { $_->[2] => 1 } @_;
	return join(' ', sort keys %senders);
}

# The worker of a listener's database, which waits for work. It leaves two seconds later,
# so that what it is to send comes from a session that is there. What has started it, two
# commits in quick succession, the listener has heard when this returns.
sub worker
{
	my ($listener) = @_;
	my $pid;

	wait_until('a worker', sub {
		say_in($listener->{beside}, yield_sql($other) x 2);
		heard($listener, 2);
		($pid) = say_in($listener->{beside},
			"SELECT pid FROM $workers AND datname = current_database() AND wait_event_type = 'Extension'") =~ /^(\d+)$/m;
		return $pid;
	});
	return $pid;
}

# When all workers have left, nothing is reserved, and all that was to be sent is.
sub idle
{
	my ($node) = @_;
	return $node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM $workers)");
}

# How many workers were started since.
sub starts
{
	my ($node, $offset) = @_;
	my @starts = slurp_file($node->logfile, $offset) =~ /starting background worker process "tasker_checkpoint notifier"/g;
	return scalar(@starts);
}

1;

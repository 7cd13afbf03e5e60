# A yield or save that was committed, but whose reply was lost, is made again
# with the same event: one history entry, one event. Events, claims and
# directives outlive a crash; a prepared transaction carries its event.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(restarted);
use Test::More;

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('dispatch_crash');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', q{
restart_after_crash = on
max_prepared_transactions = 2
log_statement = none
});
$node->start;

sub query
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub step
{
	my ($n) = @_;
	return sprintf('00000000-0000-0000-0000-%012d', $n);
}

query(q{
	CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
	INSERT INTO tasker_workflow_steps
	SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid FROM generate_series(1, 40) i;
	CREATE EXTENSION tasker_checkpoint;
});

# A session that waits for a standby that does not exist has committed, and has
# not replied.
sub no_replies
{
	my ($on) = @_;
	$node->append_conf('postgresql.conf', sprintf("synchronous_standby_names = '%s'", $on ? 'nobody' : ''));
	$node->reload;
	return $node->poll_query_until('postgres', sprintf("SELECT current_setting('synchronous_standby_names') %s ''", $on ? '<>' : '='));
}

sub start_session
{
	my ($sql) = @_;
	my %self = (in => '', out => '', err => '');
	$self{run} = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres') ],
		'<', \$self{in}, '>', \$self{out}, '2>', \$self{err}, $timeout);
	$self{in} .= "$sql;\n";
	$self{run}->pump_nb;
	return \%self;
}

my $waits = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";

# How a reply is lost.
my %ways = (
	'the client dies' => sub {
		my ($session) = @_;
		$session->{run}->kill_kill;
		no_replies(0);
	},
	'the backend is terminated' => sub {
		query("SELECT pg_terminate_backend(pid) $waits");
		$node->poll_query_until('postgres', "SELECT count(*) = 0 $waits");
		no_replies(0);
	},
	'the backend is killed' => sub {
		my $offset = -s $node->logfile;
		kill('KILL', query("SELECT pid $waits"));
		restarted($node, $offset);
		no_replies(0);
	},
	'the server stops at once' => sub {
		$node->stop('immediate');
		$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
		$node->start;
	});

my $n = 0;
foreach my $way (sort keys %ways)
{
	foreach my $function ('yield', 'save')
	{
		my $step = step(++$n);
		my $name = "$function, $way";

		query("SELECT tasker_checkpoint_dispatch('$step')");
		my $event = query("SELECT event_id FROM tasker_checkpoint_claim('one', '1 hour', 1, '$step')");
		my $write = "SELECT sequence, event_id, directive FROM tasker_checkpoint_$function('$step', '{\"at\": 10}', 10, '[1]', '$event')";

		no_replies(1);
		my $session = start_session($write);
		$session->{run}->pump_nb until query("SELECT count(*) $waits") eq '1';
		is($session->{out}, '', "$name: committed, no reply");
		$ways{$way}->($session);
		$session->{run}->finish;
		is($session->{out}, '', "$name: no reply ever");

		my ($entries, $current) = split(/\|/, query(qq{
			SELECT jsonb_array_length(checkpoint -> 'history'), event_id
			FROM tasker_workflow_steps JOIN tasker_checkpoint_events ON step_uuid = workflow_step_uuid
			WHERE step_uuid = '$step'}));
		is($entries, 1, "$name: it is there");
		is(query($write), "1|$current|continue", "$name: the same again is answered with its receipt");
		is(query($write), "1|$current|continue", "$name: and again");
		is(query(qq{
			SELECT jsonb_array_length(checkpoint -> 'history'), (SELECT count(*) FROM tasker_checkpoint_events WHERE step_uuid = '$step'),
				(SELECT event_id FROM tasker_checkpoint_events WHERE step_uuid = '$step')
			FROM tasker_workflow_steps WHERE workflow_step_uuid = '$step'}),
			"1|1|$current", "$name: one history entry, one event");
		is(query("SELECT cursor, deliveries FROM tasker_checkpoint_claim('two', '1 hour', 1, '$step')"),
			$function eq 'yield' ? '{"at": 10}|1' : '', "$name: the step goes on");
	}
}

# Events, claims and directives are as durable as what they are about.
my ($offered, $claimed, $paused, $cancelled, $late) = map { step(++$n) } 1 .. 5;
query(qq{
	SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events;
	SELECT tasker_checkpoint_dispatch('$offered'), tasker_checkpoint_dispatch('$claimed'),
		tasker_checkpoint_dispatch('$paused'), tasker_checkpoint_dispatch('$late');
	SELECT tasker_checkpoint_pause('$paused'), tasker_checkpoint_cancel('$cancelled');
	SELECT tasker_checkpoint_release(tasker_checkpoint_dispatch('$late'), '1 day');
});
my $event = query("SELECT event_id FROM tasker_checkpoint_claim('one', '1 hour', 1, '$claimed')");
query("SELECT tasker_checkpoint_save('$claimed', '1', 1, NULL, '$event')");
my $everything = 'SELECT * FROM tasker_checkpoint_events ORDER BY step_uuid';
my $before = query($everything);

# one that is not committed, claims and all
my $open = start_session("BEGIN; SELECT tasker_checkpoint_claim('two', max_steps => 9); SELECT tasker_checkpoint_yield('$claimed', '2', 2, NULL, '$event'); SELECT 'open'");
$open->{run}->pump until $open->{out} =~ /^open$/m;
$node->stop('immediate');
$open->{run}->finish;
$node->start;
is(query($everything), $before, 'a crash keeps events, claims and directives, and undoes what was not committed');
is(query("SELECT step_uuid, deliveries FROM tasker_checkpoint_claim('three', max_steps => 9)"), "$offered|1", 'what was offered is claimed');
is(query("SELECT sequence FROM tasker_checkpoint_yield('$claimed', '2', 2, NULL, '$event')"), 2, 'who had claimed goes on');
is(query("SELECT tasker_checkpoint_resume('$paused'), tasker_checkpoint_resume('$cancelled')"), 't|t', 'what was paused is resumed');
is(query("SELECT step_uuid FROM tasker_checkpoint_claim('three', max_steps => 9) ORDER BY 1"), "$claimed\n$paused", 'and claimed');

# A prepared transaction carries its event over a crash.
my ($first, $second) = map { step(++$n) } 1 .. 2;
query("BEGIN; SELECT tasker_checkpoint_yield('$first', '1', 1); PREPARE TRANSACTION 'first'");
query("SELECT tasker_checkpoint_dispatch('$second')");
$event = query("SELECT event_id FROM tasker_checkpoint_claim('one', '1 hour', 1, '$second')");
query("BEGIN; SELECT tasker_checkpoint_yield('$second', '1', 1, NULL, '$event'); PREPARE TRANSACTION 'second'");
$node->stop('immediate');
$node->start;
is(query("SELECT step_uuid FROM tasker_checkpoint_claim('two', max_steps => 9)"), '', 'a prepared yield: nothing is to be claimed yet');
is(query("SELECT tasker_checkpoint_heartbeat('$event')"), 't', 'and who has the event is not told otherwise');
query("COMMIT PREPARED 'first'");
is(query("SELECT step_uuid, cursor, sequence FROM tasker_checkpoint_claim('two', max_steps => 9)"), "$first|1|1", 'COMMIT PREPARED brings the event');
query("ROLLBACK PREPARED 'second'");
is(query("SELECT sequence, directive FROM tasker_checkpoint_yield('$second', '1', 1, NULL, '$event')"), '1|continue', 'ROLLBACK PREPARED leaves the claim');

$node->stop;
done_testing();

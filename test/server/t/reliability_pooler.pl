# Workers go through PgBouncer in each of its modes, and it is killed: nothing that was
# acknowledged is lost, and nothing is half there. What a client may use in which mode:
# transactions, prepared statements, LISTEN, wait. ROUNDS (3): some kills in each, a mode
# after the other; SEED as in reliability_crash.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(acknowledged amcheck_problems begin_round end_round figure has_acknowledged nothing_lost prepare start_workers stop_workers wait_until);
use Test::More;

my $rounds = $ENV{ROUNDS} || 3;
my $seed = $ENV{SEED} || 1 + time % 100_000;
srand $seed;
note("SEED=$seed ROUNDS=$rounds");

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);
my $program = '/usr/sbin/pgbouncer';
my ($version) = `$program --version` =~ /(\d+\.\d+)/ or die "no $program";
# since 1.21 it can keep the protocol's prepared statements
my $keeps = $version =~ s/^1\.//r >= 21;

my $node = PostgreSQL::Test::Cluster->new('server');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'tasker_checkpoint'
tasker_checkpoint.archive_history = on
tasker_checkpoint.max_deliveries = 0
log_statement = none
});
$node->start;
prepare($node);
$node->safe_psql('postgres', 'GRANT EXECUTE ON ALL PROCEDURES IN SCHEMA public TO worker');

# A database for each mode, all of the same. Where connections are shared there are fewer
# than clients, and they take turns, so that two statements of a client come by two.
my $folder = PostgreSQL::Test::Utils::tempdir_short();
my $to = sprintf('host=%s port=%s dbname=postgres user=worker', $node->host, $node->port);
append_to_file("$folder/pgbouncer.ini", qq{
[databases]
session = $to pool_mode=session pool_size=8
transaction = $to pool_mode=transaction pool_size=2
statement = $to pool_mode=statement pool_size=2
[pgbouncer]
listen_port = @{[ $node->port ]}
unix_socket_dir = $folder
auth_type = any
server_round_robin = 1
logfile = $folder/pgbouncer.log
} . ($keeps ? "max_prepared_statements = 100\n" : ''));

my $pooler;

sub start_pooler
{
	my $socket = "$folder/.s.PGSQL." . $node->port;

	# of one that was killed
	unlink $socket;
	$pooler = IPC::Run::start([ $program, '-q', "$folder/pgbouncer.ini" ], '<', \undef, '>&', "$folder/pgbouncer.err");
	wait_until('a pooler', sub { return -S $socket });
	return;
}

sub kill_pooler
{
	$pooler->signal('KILL');
	$pooler->finish;
	return;
}

sub by_pooler
{
	my ($mode) = @_;
	return sprintf('host=%s port=%s dbname=%s', $folder, $node->port, $mode);
}

# What a client hears, as far as the first error.
sub client
{
	my ($mode, $sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, connstr => by_pooler($mode));
	return $status == 0 ? $out : $err;
}

# More clients than connections, until the next statement of a client comes by another one.
# A pool begins with one, and loses that of a client that is refused.
sub take_turns
{
	my ($mode) = @_;

	append_to_file("$folder/nothing.sql", "SELECT;\n");
	wait_until('two connections', sub {
		run_log([ 'pgbench', '-n', '-c', 4, '-t', 20, '-f', "$folder/nothing.sql", by_pooler($mode) ], '>', \my $out, '2>', \my $err);
		return client($mode, "SELECT pg_backend_pid() AS pid \\gset\nSELECT pg_backend_pid() <> :pid") eq 't';
	}) if $mode ne 'session';
	return;
}

# A step that is dispatched, as the only one.
sub dispatched
{
	return $node->safe_psql('postgres', q{
		INSERT INTO steps (id, round) VALUES (gen_random_uuid(), 0) RETURNING id \gset
		DO $$ BEGIN PERFORM tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events; END $$;
		SELECT tasker_checkpoint_dispatch(:'id') \g /dev/null
		SELECT :'id'});
}

# One statement is a transaction everywhere, more of them where BEGIN is allowed.
sub transactions
{
	my ($mode) = @_;
	my $step = dispatched();
	my $others = $mode eq 'session' ? 'f' : 't';

	take_turns($mode);
	is(client($mode, qq{
		SELECT event_id AS event, pg_backend_pid() AS pid FROM tasker_checkpoint_claim('pooled') \\gset
		WITH written AS (INSERT INTO work SELECT '$step', i, 2 FROM generate_series(1, 2) i)
		SELECT sequence, pg_backend_pid() <> :pid FROM tasker_checkpoint_save('$step', '2', 2, '{"sum": 3}', :'event');
		WITH written AS (INSERT INTO work SELECT '$step', i, 3 FROM generate_series(3, 3) i)
		SELECT sequence FROM tasker_checkpoint_yield('$step', '3', 3, '{"sum": 6}', :'event')}),
		"1|$others\n2", "$mode: a claim is saved " . ($others eq 't' ? 'by another connection' : 'by its own'));

	my $answer = client($mode, qq{
		SELECT event_id AS event FROM tasker_checkpoint_claim('pooled') \\gset
		BEGIN;
		INSERT INTO work VALUES ('$step', 4, 4);
		SELECT sequence FROM tasker_checkpoint_save('$step', '4', 4, '{"sum": 10}', :'event');
		ROLLBACK;
		BEGIN;
		INSERT INTO work SELECT '$step', i, 5 FROM generate_series(4, 5) i;
		SELECT sequence FROM tasker_checkpoint_save('$step', '5', 5, '{"sum": 15}', :'event');
		COMMIT});
	if ($mode eq 'statement')
	{
		like($answer, qr/transaction blocks not allowed in statement pooling mode/, "$mode: BEGIN is refused");
	}
	else
	{
		is($answer, "3\n3", "$mode: a transaction is one, rolled back or not");
	}
	is($node->safe_psql('postgres', "SELECT count(*), max(items_processed) FROM work, tasker_checkpoint_load('$step') WHERE step = '$step'"),
		$mode eq 'statement' ? '3|3' : '5|5', "$mode: rows are those of the checkpoint");
	return;
}

# A statement that is prepared by SQL, and by the protocol.
sub prepared_statements
{
	my ($mode) = @_;
	my $step = dispatched();
	my $event = $node->safe_psql('postgres', q{SELECT event_id FROM tasker_checkpoint_claim('direct')});

	take_turns($mode);
	my $answer = client($mode, qq{
		PREPARE save AS SELECT sequence FROM tasker_checkpoint_save(\$1, \$2, \$3, event_id => \$4);
		EXECUTE save('$step', '1', 1, '$event')});
	if ($mode eq 'session')
	{
		is($answer, '1', "$mode: PREPARE and EXECUTE");
	}
	else
	{
		like($answer, qr/prepared statement "save" does not exist/, "$mode: EXECUTE does not find what was prepared");
	}

	append_to_file("$folder/$mode.sql", "SELECT sequence FROM tasker_checkpoint_save('$step', '2', :items, event_id => '$event');\n");
	my $saved = sub {
		my ($protocol) = @_;
		my ($out, $err);
		my $done = IPC::Run::run([ 'pgbench', '-n', '-M', $protocol, '-t', 5, '-D', 'items=2', '-f', "$folder/$mode.sql", by_pooler($mode) ],
			'>', \$out, '2>', \$err, $timeout);
		return $done ? 'saved' : $err;
	};
	is($saved->('extended'), 'saved', "$mode: parameters without a prepared statement");
	if ($mode eq 'session' or $keeps)
	{
		is($saved->('prepared'), 'saved', "$mode: a statement that the driver prepares");
	}
	else
	{
		like($saved->('prepared'), qr/prepared statement "P\w+" does not exist/, "$mode: what the driver prepared is not found");
	}
	return;
}

# Who waits is woken; who listens hears of it only by a connection of its own.
sub wake_ups
{
	my ($mode) = @_;
	my ($in, $out) = ("LISTEN tasker_checkpoint;\nSELECT count(*) FROM pg_listening_channels();\n\\echo asked\n", '');

	take_turns($mode);
	my $listener = IPC::Run::start([ 'psql', '-XAtq', '-d', by_pooler($mode) ], '<', \$in, '>', \$out, $timeout);
	$listener->pump until $out =~ /asked/;
	if ($mode eq 'session')
	{
		dispatched();
		until ($out =~ /Asynchronous notification/)
		{
			$in .= "SELECT;\n";
			$listener->pump;
		}
		pass("$mode: a wake-up is heard");
	}
	else
	{
		is($out, "0\nasked\n", "$mode: the connection of the next statement does not listen");
	}
	$listener->finish;

	$node->safe_psql('postgres', 'SELECT count(tasker_checkpoint_complete(event_id)) FROM tasker_checkpoint_events');
	my $waiter = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', by_pooler($mode), '-c', q{CALL tasker_checkpoint_wait(timeout => '1 hour')},
			'-c', q{SELECT step_uuid FROM tasker_checkpoint_claim('pooled')} ],
		'<', \undef, '>', \$out, $timeout);
	$node->poll_query_until('postgres', q{
		SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE query LIKE 'CALL tasker_checkpoint_wait%' AND state = 'active' AND wait_event_type = 'Extension')}) or die 'nobody waits';
	my $step = dispatched();
	$waiter->finish;
	# after what another client's LISTEN has left to it
	like($out, qr/^$step$/m, "$mode: who waits is woken, and claims the step");
	return;
}

start_pooler();
my ($kills, $acknowledged, $lost) = (0, 0, 0);
foreach my $round (1 .. $rounds)
{
	my $mode = ('session', 'transaction', 'statement')[ ($round - 1) % 3 ];
	my $name = "round $round of seed $seed, $mode";
	begin_round($node, $round);
	my @workers = start_workers(by_pooler($mode), $round, 4, $seed, $mode eq 'statement');
	# often, since a COMMIT is on its way for a small part of the time
	foreach (1 .. 10)
	{
		has_acknowledged($round, 10 + int(rand 40) + keys %{ (acknowledged($round))[0] });
		kill_pooler();
		start_pooler();
		$kills++;
	}
	has_acknowledged($round, 50 + keys %{ (acknowledged($round))[0] });
	stop_workers(@workers);

	my @counted = nothing_lost($node, $round, $name);
	end_round($node, $round);
	$acknowledged += $counted[0];
	$lost += $counted[1];
	next if $round > 3;

	transactions($mode);
	prepared_statements($mode);
	wake_ups($mode);
	$node->safe_psql('postgres', 'SELECT count(tasker_checkpoint_complete(event_id)) FROM tasker_checkpoint_events');
}
is(join("\n", amcheck_problems($node)), '', 'heaps and indexes are sound');
figure('pooler', sprintf('%d kills of PgBouncer %s, seed %d: %d acknowledged checkpoints, %d lost (PostgreSQL %s)',
	$kills, $version, $seed, $acknowledged, $lost, $node->pg_version));

kill_pooler();
$node->stop;
done_testing();

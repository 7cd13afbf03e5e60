# Of the workers that wait one is woken for one offer. One that is woken and is not there
# any more when it should look, or that can't see the step, hands on. A delay that ends
# and a lease that runs out wake one on time, and so does a claim that is rolled back. So
# it is with many, and after a crash.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Reliability qw(restarted);
use Test::More;
use Time::HiRes qw(time);

my $timeout = IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default);

my $node = PostgreSQL::Test::Cluster->new('primary');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'tasker_checkpoint'
restart_after_crash = on
max_connections = 250
max_prepared_transactions = 1
tasker_checkpoint.notify = off
log_statement = none
});
$node->start;

$node->safe_psql('postgres', q{
	CREATE TABLE steps (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n integer, tenant name, checkpoint jsonb);
	INSERT INTO steps (n) SELECT generate_series(1, 400);
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_attach('steps', 'id');

	CREATE TABLE offers (id uuid, at timestamptz);
	CREATE TABLE claims (worker text, id uuid, at timestamptz);

	-- what a worker does: waits, claims, notes that it has begun, completes
	CREATE PROCEDURE work(worker text, queues text[] DEFAULT NULL, rounds integer DEFAULT NULL) LANGUAGE plpgsql AS $$
	DECLARE
		delivery record;
	BEGIN
		WHILE rounds IS NULL OR rounds > 0 LOOP
			CALL tasker_checkpoint_wait(queues, '1 hour');
			SELECT * INTO delivery FROM tasker_checkpoint_claim(worker, queues => queues);
			INSERT INTO claims VALUES (worker, delivery.step_uuid, clock_timestamp());
			IF delivery.event_id IS NOT NULL THEN
				PERFORM tasker_checkpoint_complete(delivery.event_id);
			END IF;
			COMMIT;
			rounds := rounds - 1;
		END LOOP;
	END $$;

	-- dispatches steps one by one, a pause between two of them
	CREATE PROCEDURE dispatch(first integer, last integer, pause interval) LANGUAGE plpgsql AS $$
	DECLARE
		step uuid;
	BEGIN
		FOR i IN first .. last LOOP
			SELECT id INTO step FROM steps WHERE n = i;
			PERFORM tasker_checkpoint_dispatch(step);
			COMMIT;
			INSERT INTO offers VALUES (step, clock_timestamp());
			COMMIT;
			CALL tasker_checkpoint_wait('{nothing is ever here}', pause);
		END LOOP;
	END $$;

	-- these return when somebody waits, and when somebody has claimed
	CREATE FUNCTION asleep() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		LOOP
			PERFORM pg_stat_clear_snapshot();
			EXIT WHEN EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'waiting' AND wait_event_type = 'Extension');
		END LOOP;
	END $$;
	CREATE FUNCTION claimed() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT EXISTS (SELECT FROM claims) LOOP END LOOP;
	END $$;
});

my $waiting = q{pg_stat_activity WHERE application_name = 'waiting' AND state = 'active' AND wait_event_type = 'Extension'};

sub background
{
	my ($sql, $user) = @_;
	my %self = (out => '', err => '');

	$self{run} = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres') . ' application_name=waiting' . ($user ? " user=$user" : ''),
			'-c', $sql ],
		'>', \$self{out}, '2>', \$self{err}, $timeout);
	return \%self;
}

sub are_asleep
{
	my ($n) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) = $n FROM $waiting") or BAIL_OUT("$n sessions do not wait");
	return;
}

sub stop_all
{
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'waiting'});
	IPC::Run::finish($_->{run}) foreach @_;
	$node->safe_psql('postgres', 'TRUNCATE offers, claims; DELETE FROM tasker_checkpoint_events');
	return;
}

sub dispatch_sql
{
	my ($n, $more) = @_;
	return "SELECT tasker_checkpoint_dispatch(id" . ($more // '') . ") FROM steps WHERE n = $n";
}

# One for one
foreach my $n (24, 200)
{
	my @workers = map { background("CALL work('w$_')") } 1 .. $n;

	are_asleep($n);
	$node->safe_psql('postgres', q{CALL dispatch(1, 100, '20 ms')});
	ok($node->poll_query_until('postgres', 'SELECT count(id) = 100 FROM claims'), "100 offers to $n who wait are claimed");
	are_asleep($n);
	my ($claims, $steps, $median, $most) = split(/\|/, $node->safe_psql('postgres', q{
		SELECT count(*), count(DISTINCT id), percentile_cont(0.5) WITHIN GROUP (ORDER BY late), percentile_cont(0.99) WITHIN GROUP (ORDER BY late)
		FROM (SELECT c.id, 1000 * extract(epoch FROM c.at - o.at) AS late FROM claims c LEFT JOIN offers o USING (id)) s}));
	note("$n wait: $claims claims, p50 $median ms, p99 $most ms");
	is($steps, 100, "each once, $n who wait");
	cmp_ok($claims, '<=', 130, "by about as many claims, $n who wait");
	cmp_ok($median, '<=', 50, "soon, $n who wait");
	stop_all(@workers);
}

# Many offers of one transaction wake as many, of its queues; what is in a queue that
# nobody waits for wakes nobody.
my @workers = map { background("CALL work('w$_', " . ($_ % 2 ? "'{odd,both}'" : "'{even,both}'") . ')') } 1 .. 20;
are_asleep(20);
$node->safe_psql('postgres', q{
	SELECT count(tasker_checkpoint_dispatch(id, CASE n % 4 WHEN 1 THEN 'odd' WHEN 3 THEN 'both' WHEN 0 THEN 'even' ELSE 'nobody' END))
	FROM steps WHERE n <= 40});
ok($node->poll_query_until('postgres', 'SELECT count(id) = 30 FROM claims'), 'all of the queues that somebody waits for are claimed');
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM claims JOIN steps USING (id)
	WHERE n % 4 = 2 OR (n % 4 = 1 AND right(worker, 1)::int % 2 = 0) OR (n % 4 = 0 AND right(worker, 1)::int % 2 = 1)}),
	0, 'each by one who waits for its queue');
stop_all(@workers);

# A step that is dispatched again and again in a transaction is one offer.
@workers = map { background("CALL work('w$_')") } 1 .. 5;
are_asleep(5);
$node->safe_psql('postgres', q{
	DO $$DECLARE step uuid := (SELECT id FROM steps WHERE n = 1);
	BEGIN FOR i IN 1..50 LOOP PERFORM tasker_checkpoint_yield(step, to_jsonb(i), i); END LOOP; END$$});
ok($node->poll_query_until('postgres', 'SELECT count(id) = 1 FROM claims'), 'a step that is yielded 50 times is claimed');
are_asleep(5);
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM claims'), '<=', 2, 'once');
stop_all(@workers);

# Two offers wake two, also where these are slow to claim. Nobody looks by himself within
# five seconds.
my $woken;
foreach (1 .. 20)
{
	my $begun = time;

	@workers = map { background(q{CALL tasker_checkpoint_wait(timeout => '1 hour')}) } 1 .. 6;
	are_asleep(6);
	$node->safe_psql('postgres', 'SELECT count(tasker_checkpoint_dispatch(id)) FROM steps WHERE n <= 2');
	$node->poll_query_until('postgres', "SELECT count(*) <= 4 FROM $waiting");
	$woken = $node->safe_psql('postgres', qq{
		SELECT count(*) FROM tasker_checkpoint_claim('test', max_steps => 2);
		SELECT 6 - count(*) FROM $waiting}) =~ s/.*\n//r;
	my $took = time - $begun;
	stop_all(@workers);
	last if $took < 4.5;
}
is($woken, 2, 'two offers wake two');

# Delays and leases: on time, also those that begin while all sleep; by one for each.
@workers = map { background("CALL work('w$_')") } 1 .. 10;
are_asleep(10);
$node->safe_psql('postgres', q{
	INSERT INTO offers SELECT id, clock_timestamp() + n * interval '100 ms' FROM steps WHERE n BETWEEN 5 AND 14;
	SELECT count(tasker_checkpoint_dispatch(id, delay => at - clock_timestamp())) FROM offers JOIN steps USING (id)});
# a worker that is gone, whose lease is extended past the place of its event in the index
my $claimed = $node->safe_psql('postgres', dispatch_sql(20) . q{;
	INSERT INTO offers SELECT step_uuid, clock_timestamp() + interval '1.4 s' FROM tasker_checkpoint_claim('gone', '1.4 s', step_uuid => (SELECT id FROM steps WHERE n = 20))});
$node->safe_psql('postgres', q{
	UPDATE tasker_checkpoint_events SET available_at = lease_until - interval '0.5 s' WHERE worker = 'gone'});
ok($node->poll_query_until('postgres', q{SELECT count(DISTINCT id) >= 11 FROM claims}), 'all are claimed when they are due');
my ($early, $late, $claims) = split(/\|/, $node->safe_psql('postgres', q{
	SELECT min(c.at - o.at) < interval '-10 ms', 1000 * extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY c.at - o.at)), count(*)
	FROM claims c JOIN offers o USING (id)}));
note("due: median $late ms late");
is($early, 'f', 'none early');
cmp_ok($late, '<=', 100, 'on time');
cmp_ok($claims, '<=', 15, 'each by one');
stop_all(@workers);

# Who is woken and terminated before it looks hands on: a stopped process is woken, the
# last of those who wait, and can't look.
@workers = (background("CALL work('first')"));
are_asleep(1);
push @workers, background("CALL work('last')");
are_asleep(2);
my $last = $node->safe_psql('postgres', "SELECT pid FROM $waiting AND query LIKE '%last%'");
kill 'STOP', $last;
$node->safe_psql('postgres', dispatch_sql(1));
my $began = time;
$node->safe_psql('postgres', "SELECT pg_terminate_backend($last)");
kill 'CONT', $last;
ok($node->poll_query_until('postgres', q{SELECT count(id) = 1 FROM claims WHERE worker = 'first'}), 'a woken one that is terminated hands on');
cmp_ok(time - $began, '<', 4, 'at once');
stop_all(@workers);

# Who does not see the step hands on to one who does.
$node->safe_psql('postgres', q{
	CREATE ROLE blind LOGIN;
	CREATE ROLE sighted LOGIN;
	GRANT SELECT, UPDATE ON steps TO blind, sighted;
	GRANT INSERT ON claims TO blind, sighted;
	GRANT EXECUTE ON ALL ROUTINES IN SCHEMA public TO blind, sighted;
	UPDATE steps SET tenant = 'sighted';
	ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
	CREATE POLICY tenants ON steps USING (tenant = current_user);
});
@workers = (background("CALL work('sighted')", 'sighted'));
are_asleep(1);
push @workers, map { background("CALL work('blind')", 'blind') } 1 .. 5;
are_asleep(6);
$began = time;
$node->safe_psql('postgres', dispatch_sql(1));
ok($node->poll_query_until('postgres', q{SELECT count(id) = 1 FROM claims WHERE worker = 'sighted'}), 'who does not see the step hands on');
cmp_ok(time - $began, '<', 4, 'at once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM claims WHERE worker = 'blind'}), 0, 'and claims nothing');
stop_all(@workers);
$node->safe_psql('postgres', 'ALTER TABLE steps DISABLE ROW LEVEL SECURITY');

# What somebody has locked is passed over, and is there again when that is rolled back or
# has changed nothing, without an offer: one of those who have passed over it is woken.
my $claim = q{SELECT count(*) FROM tasker_checkpoint_claim('holder')};
foreach (
	[ 'a claim that is rolled back', $claim, 'SELECT asleep()', 'ROLLBACK' ],
	[ 'one that is rolled back with a savepoint', 'SAVEPOINT a', $claim, 'SELECT asleep()', 'ROLLBACK TO a', 'SELECT claimed()' ],
	[ 'one that fails in an EXCEPTION block', q{DO $$BEGIN
		BEGIN
			PERFORM tasker_checkpoint_claim('holder');
			PERFORM asleep();
			PERFORM 1 / 0;
		EXCEPTION WHEN division_by_zero THEN PERFORM claimed();
		END;
	END$$} ],
	[ 'one whose session is terminated', $claim, 'SELECT asleep()', 'SELECT pg_terminate_backend(pg_backend_pid())' ],
	[ 'a dispatch that moves it and is rolled back', dispatch_sql(1, ", 'other'"), 'SELECT asleep()', 'ROLLBACK' ],
	[ 'a dispatch that changes nothing', dispatch_sql(1), 'SELECT asleep()', 'COMMIT' ],
	[ 'one of a step whose lease ran out', dispatch_sql(1), 'SELECT asleep()', 'COMMIT' ])
{
	my ($what, @statements) = @$_;

	$node->safe_psql('postgres', dispatch_sql(1));
	$node->safe_psql('postgres', q{SELECT count(*) FROM tasker_checkpoint_claim('gone', '1 ms')}) if $what =~ /lease/;
	@workers = (background(join('; ', 'BEGIN', @statements)));
	$node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiting' AND backend_xid IS NOT NULL})
	  or BAIL_OUT("$what: not begun");
	$began = time;
	push @workers, background(q{CALL work('w', '{default}', 1)});
	ok($node->poll_query_until('postgres', 'SELECT count(id) = 1 FROM claims'), "$what: it is claimed");
	cmp_ok(time - $began, '<', 4, "$what: at once");
	stop_all(@workers);
}

# One that has found the front of its queue long, and begins behind that for a while, meets
# all the same what it is woken for: what was committed late, and what was moved there.
my $worker = q{DO $$BEGIN
	PERFORM tasker_checkpoint_claim('w', queues => '{long}');
	COMMIT;
	CALL work('w', '{long}', 1);
END$$};
my $earlier = q{; UPDATE tasker_checkpoint_events SET available_at = available_at - interval '1 minute'};
$node->safe_psql('postgres', q{BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'old'});
foreach (
	[ 'what is committed late', 'BEGIN', dispatch_sql(1, ", 'long'") . $earlier, 'SELECT asleep()', 'COMMIT' ],
	[ 'what is moved there', dispatch_sql(1, ", 'other'") . $earlier, 'COMMIT', 'BEGIN', dispatch_sql(2, ", 'none'"),
		'SELECT asleep()', dispatch_sql(1, ", 'long', 7"), 'COMMIT' ])
{
	my ($what, @statements) = @$_;

	$node->safe_psql('postgres', q{DO $$BEGIN
		FOR i IN 1 .. 15 LOOP
			PERFORM tasker_checkpoint_dispatch(id, 'long') FROM steps;
			PERFORM tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events;
		END LOOP;
	END$$});
	@workers = (background(join('; ', @statements)));
	$node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'waiting' AND query LIKE '%asleep%' AND backend_xid IS NOT NULL})
	  or BAIL_OUT("$what: not begun");
	push @workers, background($worker);
	$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM claims') or BAIL_OUT("$what: nobody is woken");
	is($node->safe_psql('postgres', 'SELECT count(id) FROM claims'), 1, "$what: it is claimed by who is woken");
	stop_all(@workers);
}
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'old'});

# A woken one is killed: the server restarts, and what was offered is claimed.
@workers = map { background("CALL work('w$_')") } 1 .. 3;
are_asleep(3);
my $pid = $node->safe_psql('postgres', "SELECT pid FROM $waiting LIMIT 1");
kill 'STOP', $pid;
$node->safe_psql('postgres', dispatch_sql(1));
my $offset = -s $node->logfile;
kill 'KILL', $pid;
IPC::Run::finish($_->{run}) foreach @workers;
restarted($node, $offset);
@workers = map { background("CALL work('w$_')") } 1 .. 3;
ok($node->poll_query_until('postgres', 'SELECT count(id) >= 1 FROM claims'), 'after a crash it is claimed by those who come');
are_asleep(3);
$node->safe_psql('postgres', dispatch_sql(2));
ok($node->poll_query_until('postgres', 'SELECT count(DISTINCT id) = 2 FROM claims'), 'and others are woken again');
stop_all(@workers);

# What others have locked is not in the way of what can be claimed, however much it is.
$node->safe_psql('postgres', q{
	SELECT count(tasker_checkpoint_dispatch(id, 'large')) FROM steps WHERE n BETWEEN 201 AND 400;
	BEGIN;
	SELECT count(*) FROM tasker_checkpoint_claim('w', max_steps => 190, queues => '{large}');
	PREPARE TRANSACTION 'open';
});
$began = time;
$node->safe_psql('postgres', q{CALL tasker_checkpoint_wait('{large}', '1 hour')});
cmp_ok(time - $began, '<', 4, 'behind many that are locked: at once');
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'open'});

# What a session leaves to its end does not keep it from leaving those who wait.
$node->safe_psql('postgres', q{
	DO $$BEGIN CREATE TEMPORARY TABLE made (n integer); CALL tasker_checkpoint_wait('{other}', '50 ms'); END$$;
	DO $$BEGIN LISTEN something; CALL tasker_checkpoint_wait('{other}', '50 ms'); END$$;
	CALL tasker_checkpoint_wait('{other}', '50 ms');
	SELECT tasker_checkpoint_dispatch(id, 'other', delay => '500 ms') FROM steps WHERE n = 1;
});
$began = time;
$node->safe_psql('postgres', q{CALL tasker_checkpoint_wait('{other}', '1 hour')});
cmp_ok(time - $began, '<', 4, 'a delay that ends wakes on time all the same');

$node->stop;
done_testing();

# examples/sharding: what has a step goes to its server, claim and wait look at both, and
# while one of them is down the steps of the other go on.

use strict;
use warnings;

use lib 'test/server';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sharding;
use Test::More;

my ($proxy, @shards) = Sharding::start() or plan skip_all => 'PL/Proxy is not installed';

# Output of statements at the proxy, in one session of a worker's.
sub worker
{
	my ($sql) = @_;
	return $proxy->safe_psql('app', $sql, extra_params => [ '-U', 'batch_worker' ]);
}

# The SQLSTATE and message of the error that a statement ends with.
sub failure
{
	my ($sql) = @_;
	my ($ret, $out, $err) = $proxy->psql('app', "\\set VERBOSITY verbose\n$sql",
		extra_params => [ '-U', 'batch_worker' ]);
	return $err =~ /ERROR:  (.*)/ ? $1 : "none: $out";
}

# The same functions, to the letter, but that the step comes first where only the event is
# given. Not there: what walks all steps, or is the extension's own business.
my $routines = q{
	SELECT proname || '(' || %s || ') ' || coalesce(pg_get_function_result(p.oid), 'void')
	FROM pg_proc p
	WHERE proname LIKE 'tasker\_checkpoint\_%%' AND proargnames && '{step_uuid,event_id,worker,queues}'
		AND proname !~ '_(survey|progress|dispatched|health)$'
	ORDER BY 1};
is($proxy->safe_psql('app', sprintf($routines, 'pg_get_function_arguments(p.oid)')),
	$shards[0]->safe_psql('app', sprintf($routines, q{
		CASE WHEN 'step_uuid' = ANY (proargnames) OR proname ~ '_(yield_step_event|wait)$' THEN '' ELSE 'step_uuid uuid, ' END ||
		pg_get_function_arguments(p.oid)})),
	'the functions of the proxy are those of a shard');

# Forty steps, each on the server that its key says.
is(worker("SELECT count(add_job('job ' || n, '{}', md5(n::text)::uuid)) FROM generate_series(1, 40) n"), 40,
	'the proxy adds jobs');
is(worker("SELECT add_job('job 1', '{}', md5('1')::uuid) = md5('1')::uuid"), 't', 'one of them again: nothing new');
my @jobs = map { $_->safe_psql('app', 'SELECT count(*) FROM jobs') } @shards;
note("jobs: @jobs");
is($jobs[0] + $jobs[1], 40, 'each is on one server');
cmp_ok($_, '>', 5, 'and each server has some') for @jobs;
my @step = map { $_->safe_psql('app', 'SELECT id FROM jobs ORDER BY id LIMIT 1') } @shards;
is(($shards[1]->psql('app', "\\set VERBOSITY sqlstate\nINSERT INTO jobs (id) VALUES ('$step[0]')"))[2] =~ s/\s+\z//r,
	'psql:<stdin>:2: ERROR:  23514', 'a server takes no step of the other');

# A step's way, on either server.
foreach my $n (0, 1)
{
	my $step = $step[$n];
	is(worker(qq{
			SELECT event_id AS event FROM tasker_checkpoint_claim('w', '1 hour', step_uuid => '$step') \\gset
			SELECT tasker_checkpoint_heartbeat('$step', :'event'), tasker_checkpoint_heartbeat('$step', gen_random_uuid());
			SELECT * FROM tasker_checkpoint_save('$step', '1', 1, '{"sum": 1}', :'event') \\gset
			SELECT :sequence, :'event_id' = :'event', :'directive', :'replayed';
			SELECT event_id AS next FROM tasker_checkpoint_yield('$step', '2', 2, '{"sum": 3}', :'event') \\gset
			SELECT tasker_checkpoint_release('$step', :'event'), tasker_checkpoint_complete('$step', :'event');
			SELECT tasker_checkpoint_release('$step', :'next');
			SELECT cursor, items_processed, accumulated_results, sequence FROM tasker_checkpoint_load('$step');
			SELECT event_id AS event FROM tasker_checkpoint_claim('w', '1 hour', step_uuid => '$step') \\gset
			SELECT tasker_checkpoint_yield_step_event(:'event', '{"step_uuid": "$step", "cursor": 3, "items_processed": 3}');
			SELECT event_id AS event FROM tasker_checkpoint_claim('w', '1 hour', step_uuid => '$step') \\gset
			SELECT tasker_checkpoint_complete('$step', :'event');
			SELECT count(*) FROM tasker_checkpoint_history('$step');
			SELECT tasker_checkpoint_dispatch('$step') IS NOT NULL;
		}), "t|f\n1|t|continue|f\nf|f\nt\n2|2|{\"sum\": 3}|2\nt\nt\n3\nt", "a step's way on server $n");
	like(failure("SELECT tasker_checkpoint_save('$step', '3', 3, event_id => gen_random_uuid())"), qr/^TC002/, 'and its errors are the server\'s');
	is($shards[$n]->safe_psql('app', "SELECT checkpoint -> 'cursor' FROM jobs WHERE id = '$step'"), '3', 'it is there');
	is($proxy->safe_psql('app', qq{
			SELECT tasker_checkpoint_pause('$step'), tasker_checkpoint_cancel('$step'), tasker_checkpoint_resume('$step');
			SELECT sequence, directive FROM tasker_checkpoint_rewind('$step', 2);
			SELECT tasker_checkpoint_cursor('$step'), tasker_checkpoint_items_processed('$step'),
				tasker_checkpoint_accumulated_results('$step'), tasker_checkpoint_get('$step') -> 'cursor';
			SELECT tasker_checkpoint_reset_for_retry('$step');
			SELECT tasker_checkpoint_clear('$step'), tasker_checkpoint_exists('$step');
		}), "t|t|t\n4|continue\n2|2||2\n\nt|f", 'and an operator\'s');
}
like(failure("SELECT tasker_checkpoint_load(gen_random_uuid())"), qr/^P0002/, 'no such step');
like(failure("SELECT tasker_checkpoint_load(NULL)"), qr/^22004/, 'nor none');
like(failure("SELECT tasker_checkpoint_pause('$step[1]')"), qr/^42501/, 'a server asks for the caller\'s rights');

# Claims, from home first and then from the other.
is(worker(qq{
		SET sharding.home = 1;
		SELECT DISTINCT sharding.hash(step_uuid) & 1 FROM tasker_checkpoint_claim('w', '1 hour', 3);
	}), '1', 'a claim looks at home first');
is(worker(q{
		CREATE TEMPORARY TABLE claimed (step uuid);
		SELECT 'INSERT INTO claimed SELECT step_uuid FROM tasker_checkpoint_claim(''w'', ''1 hour'')' FROM generate_series(1, 40) \gexec
		SELECT count(*), count(DISTINCT step), count(DISTINCT sharding.hash(step) & 1) FROM claimed;
	}), '37|37|2', 'and then at the other, until there is nothing');
is($proxy->safe_psql('app', 'SELECT count(*), count(DISTINCT shard), sum(deliveries) FROM tasker_checkpoint_progress'), '40|2|40',
	'progress shows all');
is($proxy->safe_psql('app', 'SELECT sum(claimed), count(*) FROM tasker_checkpoint_queues'), '40|2', 'queues, too');

# A worker waits at home, on that server, until something comes.
my ($out, $err) = ('', '');
my $wait_and_claim = q{
	DO $$
	DECLARE
		step uuid;
	BEGIN
		WHILE step IS NULL LOOP
			CALL tasker_checkpoint_wait(timeout => '1 hour');
			step := (SELECT step_uuid FROM tasker_checkpoint_claim('w', '1 hour'));
		END LOOP;
		RAISE NOTICE '%', step;
	END $$};
my $waits = IPC::Run::start([ 'psql', '-XqAt', '-d', $proxy->connstr('app') . ' user=batch_worker',
		'-c', 'SET sharding.home = 1', '-c', $wait_and_claim ], '<', \undef, '>', \$out, '2>', \$err,
	IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
ok($shards[1]->poll_query_until('app',
	"SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND usename = 'batch_worker' AND query LIKE 'CALL tasker_checkpoint_wait%'"),
	'a worker waits at home');
$shards[1]->safe_psql('app', "SELECT tasker_checkpoint_reset_for_retry('$step[1]')");
IPC::Run::finish($waits);
like($err, qr/NOTICE:  $step[1]/, 'and claims what is offered there');

# One server dies. Its steps stand still, the others do not notice.
$shards[1]->stop('immediate');
my $event = $shards[0]->safe_psql('app', "SELECT event_id FROM tasker_checkpoint_events WHERE step_uuid = '$step[0]'");
is(worker(qq{
		SELECT sequence FROM tasker_checkpoint_save('$step[0]', '1', 1, event_id => '$event');
		SELECT add_job('more', '{}', id) IS NOT NULL FROM (SELECT md5(n::text)::uuid AS id FROM generate_series(41, 99) n) g
		WHERE sharding.hash(id) & 1 = 0 LIMIT 1;
		SET sharding.home = 1;
		CALL tasker_checkpoint_wait(timeout => '1 hour');
		SELECT sharding.hash(step_uuid) & 1 FROM tasker_checkpoint_claim('w', '1 hour');
	}), "1\nt\n0", 'one is down: a step of the other is saved, offered, waited for and claimed');
like(failure("SELECT tasker_checkpoint_load('$step[1]')"), qr/^XX000:.*connection to server/, 'its own are out of reach');
(my $ret, $out, $err) = $proxy->psql('app', 'SELECT DISTINCT shard FROM tasker_checkpoint_progress');
is($out, '0', 'progress shows the others');
like($err, qr/WARNING:  shard 1 does not answer/, 'and says so');
is(worker("SET client_min_messages = error; SELECT count(*) FROM tasker_checkpoint_claim('w')"), 0, 'nothing to claim is no error');
$shards[0]->stop('immediate');
like(failure("SELECT tasker_checkpoint_claim('w')"), qr/^08006: no shard answers/, 'with both down it is one');
like(failure("CALL tasker_checkpoint_wait()"), qr/^08006: no shard answers/, 'for who waits, too');

# Both are there again, as they were, for sessions that knew them before as well.
$_->start for @shards;
$event = $shards[1]->safe_psql('app', "SELECT event_id FROM tasker_checkpoint_events WHERE step_uuid = '$step[1]'");
is(worker(qq{
		SELECT sequence FROM tasker_checkpoint_save('$step[1]', '1', 1, event_id => '$event');
		SELECT tasker_checkpoint_complete('$step[1]', '$event');
	}), "1\nt", 'back again, a claim from before is good');

$_->stop for $proxy, @shards;
done_testing();

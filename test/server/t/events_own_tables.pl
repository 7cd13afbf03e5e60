# What a DBA does to the tables while steps are dispatched, claimed, saved and completed
# loses nothing that was committed, and no step is done twice: REINDEX CONCURRENTLY, CREATE
# INDEX CONCURRENTLY, VACUUM FULL, CLUSTER, pg_repack of the whole database, and REPACK.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = 4;

my $node = PostgreSQL::Test::Cluster->new('own_tables');
$node->init(allows_streaming => 'logical');
$node->append_conf('postgresql.conf', q{
fsync = off
max_connections = 50
log_statement = none
autovacuum_naptime = 1s
});
$node->start;

sub query
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

query(q{
	CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
	CREATE EXTENSION tasker_checkpoint;
	SELECT tasker_checkpoint_attach('steps');
	CREATE TABLE dispatched (step_uuid uuid);
	CREATE TABLE done (step_uuid uuid, sequence bigint);
	CREATE TABLE stop (now boolean);
	INSERT INTO stop VALUES (false);
	CREATE ROLE worker LOGIN;
	GRANT SELECT, INSERT, UPDATE ON steps, dispatched, done, stop TO worker;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO worker;

	-- Dispatches steps, and takes each of them twice, until it is told to stop, and then takes what is
	-- left. A step is saved and yielded at first, and completed the next time. Each call is a
	-- transaction. There is an end to what is dispatched, so that a tool that has to catch up with
	-- what was changed meanwhile does so.
	CREATE PROCEDURE work(worker text) LANGUAGE plpgsql AS $$
	DECLARE
		big text := (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 256) i);
		step uuid;
		d record;
		dispatches integer := 0;
	BEGIN
		LOOP
			IF dispatches < 1000 AND NOT (SELECT now FROM stop) THEN
				dispatches := dispatches + 1;
				step := gen_random_uuid();
				INSERT INTO steps VALUES (step);
				ASSERT tasker_checkpoint_dispatch(step) IS NOT NULL, 'dispatch';
				INSERT INTO dispatched VALUES (step);
				COMMIT;
			END IF;
			SELECT * INTO d FROM tasker_checkpoint_claim(worker, '1 hour');
			COMMIT;
			IF d.event_id IS NULL THEN
				EXIT WHEN (SELECT now FROM stop);
				CONTINUE;
			END IF;
			ASSERT tasker_checkpoint_heartbeat(d.event_id), 'heartbeat';
			COMMIT;
			IF d.has_checkpoint THEN
				INSERT INTO done VALUES (d.step_uuid, d.sequence);
				ASSERT tasker_checkpoint_complete(d.event_id), 'complete';
			ELSE
				PERFORM tasker_checkpoint_save(d.step_uuid, '1', 1, to_jsonb(big), d.event_id);
				COMMIT;
				PERFORM tasker_checkpoint_yield(d.step_uuid, '2', 2, to_jsonb(big), d.event_id);
			END IF;
			COMMIT;
		END LOOP;
	END
	$$;

	-- Makes and removes rows of the same few steps, which others do, too.
	INSERT INTO steps SELECT md5(i::text)::uuid, false FROM generate_series(1, 3) i;
	CREATE PROCEDURE toggle() LANGUAGE plpgsql AS $$
	DECLARE
		step uuid;
	BEGIN
		FOR round IN 1 .. 500 LOOP
			FOR i IN 1 .. 3 LOOP
				step := md5(i::text)::uuid;
				PERFORM tasker_checkpoint_pause(step), tasker_checkpoint_get(step);
				COMMIT;
				PERFORM tasker_checkpoint_resume(step);
				COMMIT;
			END LOOP;
			EXIT WHEN (SELECT now FROM stop);
		END LOOP;
	END
	$$;
});

# Runs the code beside the clients, and checks what is left.
sub under_load
{
	my ($what, $code) = @_;
	my @running;

	query(q{
		UPDATE stop SET now = false;
		TRUNCATE dispatched, done;
		DELETE FROM steps WHERE processed IS NULL;
	});
	for my $call ((map { "work('worker $_')" } 1 .. $clients), ('toggle()') x 3)
	{
		my $client = { err => '' };
		$client->{run} = IPC::Run::start(
			[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' user=worker',
				'-c', "CALL $call" ],
			'<', \undef, '>', \my $out, '2>', \$client->{err});
		push @running, $client;
	}
	$node->poll_query_until('postgres', 'SELECT count(*) > 20 FROM done') or die 'no load';
	$code->();
	query('UPDATE stop SET now = true');
	for my $client (@running)
	{
		IPC::Run::finish($client->{run});
		is($client->{err}, '', "$what: a client meets no error");
	}
	note(query('SELECT count(*) FROM dispatched') . " steps beside $what");
	is(query(q{
		SELECT (SELECT count(*) FROM dispatched WHERE step_uuid NOT IN (SELECT step_uuid FROM done)),
			(SELECT count(*) FROM done) - (SELECT count(DISTINCT step_uuid) FROM done),
			(SELECT count(*) FROM done WHERE sequence <> 2),
			(SELECT count(*) FROM tasker_checkpoint_events)}),
		'0|0|0|0', "$what: each step is done once, from its last checkpoint, and no event is left");
	return;
}

under_load('REINDEX CONCURRENTLY', sub {
	query("REINDEX TABLE CONCURRENTLY $_") for ('tasker_checkpoint_events', 'steps') x 5;
});
under_load('CREATE INDEX CONCURRENTLY', sub {
	for (1 .. 4)
	{
		query('CREATE UNIQUE INDEX CONCURRENTLY again ON tasker_checkpoint_events (step_uuid)');
		query('CREATE INDEX CONCURRENTLY more ON tasker_checkpoint_events (worker, available_at)');
		query('DROP INDEX CONCURRENTLY again');
		query('DROP INDEX CONCURRENTLY more');
	}
});
under_load('VACUUM FULL', sub {
	for (1 .. 5)
	{
		query('VACUUM FULL tasker_checkpoint_events, steps');
		query('CLUSTER tasker_checkpoint_events USING tasker_checkpoint_events_pkey');
	}
});

SKIP:
{
	my ($repack) = grep { -x } map { "$_/pg_repack" } split /:/, $ENV{PATH};
	skip 'pg_repack is not installed', $clients + 5
	  if !defined $repack || query("SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_repack'") eq '0';

	query('CREATE EXTENSION pg_repack');
	my $repacked = 1;
	under_load('pg_repack', sub {
		for (1 .. 5)
		{
			my $result = IPC::Run::run([ $repack, '-h', $node->host, '-p', $node->port, '-d', 'postgres' ],
				'>', \my $out, '2>', \my $err);
			note($err);
			$repacked &&= $result && $err =~ /tasker_checkpoint_events/;
		}
	});
	ok($repacked, 'the table of events was repacked');
	query('DROP EXTENSION pg_repack');
}

SKIP:
{
	my $version = query('SHOW server_version_num');
	skip "server $version has no REPACK", 2 * ($clients + 4) if $version < 190000;

	foreach my $repack ('REPACK', 'REPACK (CONCURRENTLY)')
	{
		under_load($repack, sub {
			do
			{
				query("$repack $_") for ('tasker_checkpoint_events', 'steps') x 5;
			} until query('SELECT count(*) >= 2000 FROM dispatched') eq 't';
		});
	}
}

$node->stop;
done_testing();

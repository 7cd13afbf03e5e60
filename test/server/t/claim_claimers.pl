# 16 claimers on 10,000 events: each is delivered once, none is lost, the oldest
# come first. What they do to the table of events is undone by VACUUM, and a
# heartbeat or a save leaves nothing behind at all.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dispatch_claimers');
$node->init;
$node->append_conf('postgresql.conf', q{
autovacuum = off
log_statement = none
});
$node->start;

sub query
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

query(q{
	CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
	CREATE TABLE deliveries (n serial, step_uuid uuid, event_id uuid, worker int);
	CREATE TABLE dispatched (n serial, step_uuid uuid);
	CREATE EXTENSION tasker_checkpoint;
	CREATE ROLE worker LOGIN;
	GRANT SELECT, UPDATE ON tasker_workflow_steps TO worker;
	GRANT SELECT, INSERT ON deliveries TO worker;
	GRANT USAGE ON deliveries_n_seq TO worker;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO worker;
	INSERT INTO tasker_workflow_steps SELECT md5(i || 'step')::uuid FROM generate_series(1, 10000) i;
	-- in an order that is not that of the keys
	DO $$
	DECLARE
		step uuid;
	BEGIN
		FOR step IN SELECT workflow_step_uuid FROM tasker_workflow_steps ORDER BY md5(workflow_step_uuid::text)
		LOOP
			PERFORM tasker_checkpoint_dispatch(step);
			INSERT INTO dispatched (step_uuid) VALUES (step);
		END LOOP;
	END
	$$;
});
is(query('SELECT count(*) FROM tasker_checkpoint_events'), 10_000, '10,000 steps are dispatched');

# However long the queue is, and before the table was ever analyzed.
cmp_ok(query(q{
	BEGIN;
	CREATE TEMPORARY TABLE claimed ON COMMIT DROP AS SELECT * FROM tasker_checkpoint_claim('one', '1 hour', 3);
	SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'tasker_checkpoint_events';
	ROLLBACK}), '<', 100, 'a claim reads few rows of a long queue');

my $bench = 0;

sub pgbench
{
	my ($clients, $transactions, $what, $script) = @_;

	$bench++;
	$node->pgbench(
		"--no-vacuum --client=$clients --jobs=2 --transactions=$transactions --random-seed=17 --username=worker",
		0, [qr/processed: (\d+)\/\1/], [qr/^pgbench: setting random seed to 17$/], $what, { "dispatch_$bench" => $script });
	return;
}

my $claim = q{
	\set wanted random(1, 3)
	INSERT INTO deliveries (step_uuid, event_id, worker)
	SELECT step_uuid, event_id, :client_id FROM tasker_checkpoint_claim('worker ' || :client_id, '1 hour', :wanted);
};
pgbench(16, 400, '16 workers claim', $claim);
is(query(q{
	SELECT count(*), count(DISTINCT step_uuid), count(DISTINCT event_id), count(DISTINCT worker) FROM deliveries}),
	'10000|10000|10000|16', 'each step is delivered once, and every worker has some');
is(query(q{
	SELECT count(*), bool_and(e.worker = 'worker ' || d.worker), min(deliveries), max(deliveries)
	FROM deliveries d JOIN tasker_checkpoint_events e USING (step_uuid, event_id)}),
	'10000|t|1|1', 'and its event says to whom');
cmp_ok(query('SELECT corr(a.n, b.n) FROM dispatched a JOIN deliveries b USING (step_uuid)'),
	'>', 0.99, 'in the order of the dispatch, but for what was locked meanwhile');

# The lease of about a third runs out.
query(q{
	UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01', available_at = '2000-01-01'
	WHERE ascii(step_uuid::text) % 3 = 0;
	TRUNCATE deliveries;
});
my $late = query("SELECT count(*) FROM tasker_checkpoint_events WHERE lease_until < now()");
pgbench(16, 400, 'they claim again', $claim);
is(query('SELECT count(*), count(DISTINCT step_uuid) FROM deliveries'), "$late|$late",
	'those whose lease has run out, and no others');

# Each yields once, and each continuation is delivered once.
query('TRUNCATE deliveries');
query(q{
	DO $$
	DECLARE
		e record;
	BEGIN
		FOR e IN SELECT step_uuid, event_id FROM tasker_checkpoint_events ORDER BY step_uuid
		LOOP
			PERFORM tasker_checkpoint_yield(e.step_uuid, '1', 1, NULL, e.event_id);
		END LOOP;
	END
	$$});
pgbench(16, 200, 'they claim and yield', q{
	\set wanted random(1, 3)
	INSERT INTO deliveries (step_uuid, event_id, worker)
	SELECT c.step_uuid, y.event_id, :client_id
	FROM tasker_checkpoint_claim('worker ' || :client_id, '1 hour', :wanted) c,
		tasker_checkpoint_yield(c.step_uuid, to_jsonb(c.items_processed + 1), c.items_processed + 1, NULL, c.event_id) y;
});
is(query(q{
	SELECT count(*) FROM tasker_workflow_steps
	WHERE (checkpoint ->> 'items_processed')::int <> jsonb_array_length(checkpoint -> 'history')}),
	0, 'no yield was lost or counted twice');
is(query(q{
	SELECT sum(jsonb_array_length(checkpoint -> 'history')) - 10000 = (SELECT count(*) FROM deliveries)
	FROM tasker_workflow_steps}), 't', 'every delivery made one yield');

# All done.
query(q{
	UPDATE tasker_checkpoint_events SET worker = NULL, available_at = '2000-01-01';
	TRUNCATE deliveries;
});
pgbench(16, 400, 'they complete all', q{
	INSERT INTO deliveries (step_uuid, worker)
	SELECT step_uuid, :client_id FROM tasker_checkpoint_claim('worker ' || :client_id, '1 hour', 2)
	WHERE tasker_checkpoint_complete(event_id);
});
query(q{
	INSERT INTO deliveries (step_uuid)
	SELECT step_uuid FROM tasker_checkpoint_claim('last', '1 hour', 1000) WHERE tasker_checkpoint_complete(event_id);
}) for 1 .. 10;
is(query(q{
	SELECT count(*), count(DISTINCT step_uuid), (SELECT count(*) FROM tasker_checkpoint_events) FROM deliveries}),
	'10000|10000|0', 'each is completed once, and no event is left');
query('VACUUM tasker_checkpoint_events');
is(query("SELECT pg_relation_size('tasker_checkpoint_events')"), 0, 'VACUUM makes the table empty');

# Dead rows over a long run: 40 steps go round and round.
query(q{
	TRUNCATE deliveries;
	SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM (SELECT * FROM tasker_workflow_steps LIMIT 40) s;
});
my $turn = q{
	SELECT y.sequence FROM tasker_checkpoint_claim('worker ' || :client_id) c,
		tasker_checkpoint_yield(c.step_uuid, to_jsonb(c.items_processed + 1), c.items_processed + 1, NULL, c.event_id) y;
};
my @size;
foreach my $round (1 .. 6)
{
	pgbench(4, 250, "round $round", $turn);
	query('VACUUM tasker_checkpoint_events');
	push @size, query("SELECT pg_total_relation_size('tasker_checkpoint_events')");
}
# How many pages a round needs depends on how the clients' turns fall. If each
# round left some behind there would be three times as many.
cmp_ok($size[5], '<=', $size[1] * 2, 'the table and its indexes are no larger after 6,000 claims and 6,000 yields than after 2,000');

# A heartbeat and a save are HOT: they leave nothing to be vacuumed.
query(q{
	CREATE TABLE claimed AS SELECT * FROM tasker_checkpoint_claim('one', '1 hour');
	GRANT SELECT ON claimed TO worker;
	VACUUM tasker_checkpoint_events;
	SELECT pg_stat_reset_single_table_counters('tasker_checkpoint_events'::regclass);
});
my $before = query("SELECT pg_total_relation_size('tasker_checkpoint_events')");
pgbench(1, 1000, 'heartbeats and saves', q{
	\set n random(1, 1000000000)
	SELECT tasker_checkpoint_heartbeat(event_id) FROM claimed;
	SELECT s.sequence FROM claimed, tasker_checkpoint_save(step_uuid, to_jsonb(:n), 1000000000, NULL, event_id) s;
});
$node->poll_query_until('postgres', q{
	SELECT n_tup_upd >= 2000 FROM pg_stat_user_tables WHERE relname = 'tasker_checkpoint_events'});
my ($updates, $hot) = split(/\|/, query(q{
	SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'tasker_checkpoint_events'}));
cmp_ok($hot, '>=', 0.98 * $updates, "$hot of $updates heartbeats and saves are HOT");
is(query("SELECT pg_total_relation_size('tasker_checkpoint_events')"), $before, 'and the table does not grow, without VACUUM');

$node->stop;
done_testing();

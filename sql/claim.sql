-- claim delivers dispatched steps, oldest first, each with where to resume
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
\set s4 00000000-0000-0000-0000-000000000004
\set s5 00000000-0000-0000-0000-000000000005
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3'), (:'s4'), (:'s5');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE VIEW events AS
SELECT right(step_uuid::text, 1) AS step, directive, worker, lease, lease_until > clock_timestamp() AS live, deliveries, sequence
FROM tasker_checkpoint_events ORDER BY step_uuid;
CREATE PROCEDURE lapse() LANGUAGE sql SECURITY DEFINER AS
'UPDATE tasker_checkpoint_events SET lease_until = ''2000-01-01'', available_at = ''2000-01-01'' WHERE worker IS NOT NULL';
-- the clock is as fast as it is: which events are older is set here
CREATE PROCEDURE older(step uuid, age interval) LANGUAGE sql SECURITY DEFINER AS
'UPDATE tasker_checkpoint_events SET available_at = ''2000-01-02''::timestamptz - age WHERE step_uuid = step';
GRANT SELECT ON events TO regress_tckpt_worker;
-- a yield, and a claim of its continuation, which is handed back
CREATE FUNCTION trip(cursor jsonb, items bigint, results jsonb) RETURNS tasker_checkpoint_delivery LANGUAGE plpgsql AS $$
DECLARE
	delivery tasker_checkpoint_delivery;
BEGIN
	PERFORM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', cursor, items, results);
	SELECT * INTO delivery FROM tasker_checkpoint_claim('one');
	PERFORM tasker_checkpoint_release(delivery.event_id);
	RETURN delivery;
END
$$;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

-- nothing to do
SELECT * FROM tasker_checkpoint_claim('one');
SELECT * FROM tasker_checkpoint_claim('one', max_steps => 1000);
SELECT * FROM tasker_checkpoint_claim('one', step_uuid => :'s1');

-- a step without a checkpoint
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT event_id AS claimed, step_uuid, has_checkpoint, cursor, items_processed, accumulated_results, sequence, deliveries
FROM tasker_checkpoint_claim('one') \gset c_
SELECT :'c_step_uuid' AS step_uuid, :'c_has_checkpoint' AS has_checkpoint, :{?c_cursor} AS cursor, :'c_items_processed' AS items_processed,
	:{?c_accumulated_results} AS accumulated_results, :'c_sequence' AS sequence, :'c_deliveries' AS deliveries;
SELECT :'c_claimed' <> :'dispatched' AS new;
SELECT * FROM events;
-- it is gone from the others' view
SELECT * FROM tasker_checkpoint_claim('two');
SELECT * FROM tasker_checkpoint_claim('two', step_uuid => :'s1');
SELECT tasker_checkpoint_complete(:'c_claimed');

-- where to resume, as the handler gave it
CREATE TEMPORARY TABLE kinds (n int, cursor jsonb, results jsonb);
INSERT INTO kinds VALUES (1, '0', NULL), (2, 'null', 'null'), (3, '"tok-7"', '[]'), (4, '{"at": 5, "half": -0.1}', '{"running_total": 5050}'),
	(5, '9007199254740993', '0'), (6, '[1.50, -0, 1e3]', '"text"'), (7, 'false', 'false');
SELECT n, delivery.has_checkpoint, delivery.cursor, delivery.items_processed, delivery.accumulated_results, delivery.sequence, delivery.deliveries
FROM kinds k, trip(k.cursor, n, results) delivery ORDER BY n;
-- the handler's own view of it
SELECT c.cursor IS NOT DISTINCT FROM l.cursor AS cursor, c.items_processed = l.items_processed AS items,
	c.accumulated_results IS NOT DISTINCT FROM l.accumulated_results AS results, c.sequence = l.sequence AS sequence
FROM tasker_checkpoint_claim('one', '1 hour') c, tasker_checkpoint_load(c.step_uuid) l;

-- the one that waits longest first, whatever its key
SELECT count(tasker_checkpoint_dispatch(step)) FROM unnest(ARRAY[:'s2', :'s3', :'s4', :'s5']::uuid[]) step;
CALL older(:'s4', '4 hours');
CALL older(:'s2', '3 hours');
CALL older(:'s5', '2 hours');
CALL older(:'s3', '1 hour');
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('one', '1 hour');
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('one', '1 hour', 2);
-- a certain one; then there is one less than wanted
SELECT tasker_checkpoint_dispatch(:'s1') IS NULL AS claimed;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('one', '1 hour', 1000);
SELECT * FROM events;
-- those whose lease is over, at their place among the others
CALL lapse();
CALL older(:'s3', '5 days');
CALL older(:'s1', '6 days');
SELECT right(step_uuid::text, 1) AS step, deliveries FROM tasker_checkpoint_claim('two', '1 hour', 2);
SELECT right(step_uuid::text, 1) AS step, deliveries FROM tasker_checkpoint_claim('two', '1 hour', 3, :'s5');
SELECT * FROM events;
SELECT right(step_uuid::text, 1) AS step, deliveries FROM tasker_checkpoint_claim('three', '0.525 hours', 3) ORDER BY step;
SELECT * FROM events;

-- several at once have an event each
CALL lapse();
SELECT count(*), count(DISTINCT event_id) FROM tasker_checkpoint_claim('two', max_steps => 5);

-- what is rolled back was not claimed: the events of before are good
RESET ROLE;
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('steps');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s2') AS dispatched \gset
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one');
ROLLBACK;
SELECT * FROM events;
SELECT tasker_checkpoint_dispatch(:'s2') = :'dispatched' AS same;
BEGIN;
SAVEPOINT one;
SELECT count(*) FROM tasker_checkpoint_claim('one');
ROLLBACK TO one;
SELECT deliveries FROM tasker_checkpoint_claim('two', '1 hour');
COMMIT;
SELECT * FROM events;

-- claim reads what its own transaction has written before
BEGIN;
SELECT sequence FROM tasker_checkpoint_yield(:'s3', '"fresh"', 3);
SELECT cursor, sequence FROM tasker_checkpoint_claim('one', '1 hour');
COMMIT;

-- never one that is paused, cancelled, claimed or not yet available
SELECT count(tasker_checkpoint_dispatch(step)) FROM unnest(ARRAY[:'s1', :'s4', :'s5']::uuid[]) step;
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_cancel(:'s4'), tasker_checkpoint_release(tasker_checkpoint_dispatch(:'s5'), '1 day');
SELECT * FROM events;
SELECT * FROM tasker_checkpoint_claim('one', max_steps => 10);
SELECT c.* FROM steps, tasker_checkpoint_claim('one', step_uuid => workflow_step_uuid) c;
CALL older(:'s5', '0');
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('one', max_steps => 10);

RESET ROLE;
DROP VIEW events;
DROP PROCEDURE lapse, older;
DROP FUNCTION trip;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, kinds;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

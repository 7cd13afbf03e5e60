-- dispatch offers a step to the workers: once, and not while somebody has it or it is stopped
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
\set s4 00000000-0000-0000-0000-000000000004
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
RESET ROLE;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3'), (:'s4');
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
CREATE VIEW events AS
SELECT right(step_uuid::text, 1) AS step, event_id IS NOT NULL AS event, directive, worker,
	available_at <= clock_timestamp() AS available, deliveries, parked, sequence
FROM tasker_checkpoint_events ORDER BY step_uuid;
CREATE PROCEDURE lapse() LANGUAGE sql SECURITY DEFINER AS
'UPDATE tasker_checkpoint_events SET lease_until = ''2000-01-01'', available_at = ''2000-01-01'' WHERE worker IS NOT NULL';
GRANT SELECT ON events TO regress_tckpt_worker;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

-- the first time, and again while nobody has claimed it
SELECT tasker_checkpoint_dispatch(:'s1') AS first \gset
SELECT :'first'::uuid IS NOT NULL AS given, substr(:'first', 15, 1) AS version, substr(:'first', 20, 1) IN ('8', '9', 'a', 'b') AS variant;
SELECT tasker_checkpoint_dispatch(step_uuid => :'s1') = :'first' AS same;
SELECT * FROM events;
-- another step, another event
SELECT tasker_checkpoint_dispatch(:'s2') <> :'first' AS other;
-- nothing is written to the step
SELECT count(*) FROM steps WHERE checkpoint IS NULL AND updated_at IS NULL;

-- claimed, also when the lease is over: nothing changes
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT tasker_checkpoint_dispatch(:'s1');
SELECT tasker_checkpoint_heartbeat(:'claimed');
CALL lapse();
SELECT tasker_checkpoint_dispatch(:'s1');
SELECT tasker_checkpoint_heartbeat(:'claimed');
-- handed back: the event that is there
SELECT tasker_checkpoint_release(:'claimed');
SELECT tasker_checkpoint_dispatch(:'s1') AS released \gset
SELECT :'released' NOT IN (:'first', :'claimed') AS new, tasker_checkpoint_dispatch(:'s1') = :'released' AS same;
-- so also if it is not available before tomorrow: dispatch does not hurry it
SELECT tasker_checkpoint_release(:'released', '1 day');
SELECT tasker_checkpoint_dispatch(:'s1') <> :'released' AS new;
SELECT * FROM events WHERE step = '1';
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));

-- a completed one is a first one again
SELECT * FROM events;
SELECT tasker_checkpoint_dispatch(:'s1') NOT IN (:'first', :'claimed', :'released') AS new;
SELECT * FROM events;

-- the continuation of a yield is an event already
SELECT tasker_checkpoint_dispatch(:'s3') IS NOT NULL AS given;
SELECT event_id AS continuation FROM tasker_checkpoint_yield(:'s3', '0', 0) \gset
SELECT tasker_checkpoint_dispatch(:'s3') = :'continuation' AS same;
SELECT tasker_checkpoint_complete(:'continuation');
-- a step with a checkpoint is dispatched from there on
SELECT tasker_checkpoint_dispatch(:'s3') IS NOT NULL AS given;
SELECT * FROM events WHERE step = '3';
SELECT has_checkpoint, cursor, sequence FROM tasker_checkpoint_claim('one', step_uuid => :'s3');

-- paused, before and after; cancelled
SELECT tasker_checkpoint_pause(:'s2');
SELECT tasker_checkpoint_dispatch(:'s2');
SELECT tasker_checkpoint_pause(:'s4');
SELECT * FROM events WHERE step = '4';
SELECT tasker_checkpoint_dispatch(:'s4');
SELECT * FROM events WHERE step = '4';
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => :'s4');
SELECT tasker_checkpoint_resume(:'s4');
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => :'s4');
SELECT tasker_checkpoint_cancel(:'s1');
SELECT tasker_checkpoint_dispatch(:'s1');
SELECT * FROM events;

-- what is rolled back was not dispatched
RESET ROLE;
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('steps');
SET ROLE regress_tckpt_worker;
BEGIN;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS given;
SAVEPOINT two;
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS given;
ROLLBACK TO two;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT tasker_checkpoint_dispatch(:'s4') IS NOT NULL AS given;
ROLLBACK;
SELECT * FROM events;

-- refused
SELECT tasker_checkpoint_dispatch(NULL); -- fail
SELECT tasker_checkpoint_dispatch(:'missing'); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
ROLLBACK;
RESET ROLE;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
SELECT * FROM events;

RESET ROLE;
DROP VIEW events;
DROP PROCEDURE lapse;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

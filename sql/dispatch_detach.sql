-- detach removes the events and counts them; a dispatched step keeps its key; the events are part of a dump
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3');
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner, regress_tckpt_worker;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_worker;
ALTER TABLE steps OWNER TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;

-- nothing there: nothing is said
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('steps');
-- an event, a claim, a directive
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 1);
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => :'s2');
SELECT tasker_checkpoint_pause(:'s3');
-- not by one who may not: the events stay
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_detach(); -- fail
SET ROLE regress_tckpt_owner;
BEGIN;
SELECT tasker_checkpoint_detach();
ROLLBACK;
SELECT tasker_checkpoint_dispatch(:'s3');
SELECT tasker_checkpoint_detach();
SELECT checkpoint -> 'cursor' AS cursor FROM steps WHERE workflow_step_uuid = :'s2';
-- attached again, nothing is dispatched
SELECT tasker_checkpoint_attach('steps');
SELECT * FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('steps');

-- the key of a dispatched step stays
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT tasker_checkpoint_cancel(:'s2');
UPDATE steps SET workflow_step_uuid = :'missing' WHERE workflow_step_uuid = :'s1'; -- fail
\echo :LAST_ERROR_SQLSTATE
UPDATE steps SET workflow_step_uuid = :'missing' WHERE workflow_step_uuid = :'s2'; -- fail
UPDATE steps SET workflow_step_uuid = workflow_step_uuid;
UPDATE steps SET workflow_step_uuid = :'missing' WHERE workflow_step_uuid = :'s3';
UPDATE steps SET workflow_step_uuid = :'s3' WHERE workflow_step_uuid = :'missing';
SELECT tasker_checkpoint_complete(:'dispatched');
UPDATE steps SET workflow_step_uuid = :'missing' WHERE workflow_step_uuid = :'s1';
-- a step can go, and its event goes with it
SELECT tasker_checkpoint_dispatch(:'s3') IS NOT NULL AS dispatched;
DELETE FROM steps;
SELECT * FROM tasker_checkpoint_claim('one');
RESET ROLE;
SELECT right(step_uuid::text, 1) AS step, directive FROM tasker_checkpoint_events;

-- a dump has them: the table is marked, without a condition
SELECT 'tasker_checkpoint_events'::regclass = ANY (extconfig) AS dumped, array_remove(extcondition, '') AS conditions FROM pg_extension WHERE extname = 'tasker_checkpoint';
-- and DROP EXTENSION takes them along
DROP EXTENSION tasker_checkpoint;
SELECT to_regclass('tasker_checkpoint_events');
CREATE EXTENSION tasker_checkpoint;
SELECT count(*) FROM tasker_checkpoint_events;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_owner, regress_tckpt_worker;
DROP ROLE regress_tckpt_owner, regress_tckpt_worker;

-- claim removes the events of gone and processed steps as it meets them, at most 100 a call
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE VIEW events AS SELECT step_uuid, worker, directive, parked FROM tasker_checkpoint_events;
CREATE PROCEDURE older(step uuid, age interval) LANGUAGE sql SECURITY DEFINER AS
'UPDATE tasker_checkpoint_events SET available_at = ''2000-01-02''::timestamptz - age WHERE step_uuid = step';
GRANT SELECT ON events TO regress_tckpt_worker;
RESET client_min_messages;

-- one is gone, past the trigger that would have taken its event along, one is processed, one is left
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3');
SET ROLE regress_tckpt_worker;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
CALL older(:'s1', '3 hours');
CALL older(:'s2', '2 hours');
CALL older(:'s3', '1 hour');
RESET ROLE;
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
RESET session_replication_role;
UPDATE steps SET processed = true WHERE workflow_step_uuid = :'s2';
SET ROLE regress_tckpt_worker;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('one');
SELECT right(step_uuid::text, 1) AS step, worker FROM events;
-- what claim does not meet, it does not remove
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('one');
RESET ROLE;
SET session_replication_role = replica;
DELETE FROM steps;
RESET session_replication_role;
SET ROLE regress_tckpt_worker;
SELECT * FROM tasker_checkpoint_claim('one');
SELECT right(step_uuid::text, 1) AS step, worker FROM events;

-- asked for by name: a processed one goes, too, one that is gone is an error
RESET ROLE;
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
SET ROLE regress_tckpt_worker;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
RESET ROLE;
UPDATE steps SET processed = true;
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
RESET session_replication_role;
SET ROLE regress_tckpt_worker;
SELECT * FROM tasker_checkpoint_claim('one', step_uuid => :'s1'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', step_uuid => :'s2');
SELECT right(step_uuid::text, 1) AS step FROM events;

-- one that is paused, cancelled or parked is not met
RESET ROLE;
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('steps');
TRUNCATE steps;
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3');
SET ROLE regress_tckpt_worker;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_cancel(:'s2');
RESET ROLE;
UPDATE tasker_checkpoint_events SET parked = true WHERE step_uuid = :'s3';
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
SELECT * FROM tasker_checkpoint_claim('one');
SELECT right(step_uuid::text, 1) AS step, directive, parked FROM events ORDER BY 1;

-- 250 that are gone before the only one to be had
RESET ROLE;
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('steps');
TRUNCATE steps;
INSERT INTO steps SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 251) n;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM (SELECT * FROM steps ORDER BY 1) s;
UPDATE tasker_checkpoint_events SET available_at = timestamptz '2000-01-01' + right(step_uuid::text, 3)::int * interval '1 s';
UPDATE steps SET processed = true WHERE right(workflow_step_uuid::text, 3)::int BETWEEN 101 AND 250;
SET session_replication_role = replica;
DELETE FROM steps WHERE right(workflow_step_uuid::text, 3)::int <= 100;
RESET session_replication_role;
SET ROLE regress_tckpt_worker;
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('one');
SELECT count(*), min(right(step_uuid::text, 3)) FROM events;
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('one');
SELECT count(*), min(right(step_uuid::text, 3)) FROM events;
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('one');
SELECT count(*), min(right(step_uuid::text, 3)) FROM events;
-- rolled back, they are there again
RESET ROLE;
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events;
UPDATE steps SET processed = false WHERE right(workflow_step_uuid::text, 3)::int < 250;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps WHERE NOT processed;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
BEGIN;
SELECT * FROM tasker_checkpoint_claim('one');
SELECT count(*) FROM events;
ROLLBACK;
SELECT count(*) FROM events;

RESET ROLE;
DROP VIEW events;
DROP PROCEDURE older;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

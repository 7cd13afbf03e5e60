-- A deleted step takes along what is dispatched, claimed, paused or cancelled of it; another that gets its key begins anew
\set SHOW_CONTEXT never
\set VERBOSITY terse
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE workflows (id int PRIMARY KEY);
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, workflow int REFERENCES workflows ON DELETE CASCADE, note text, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
CREATE VIEW events AS SELECT right(step_uuid::text, 1) AS step, event_id IS NOT NULL AS event, directive, worker, queue, deliveries FROM tasker_checkpoint_events;
-- whoever deletes has no rights on what is the extension's
CREATE ROLE regress_tckpt_deleter;
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, INSERT, DELETE ON steps, workflows TO regress_tckpt_deleter;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_forget() FROM PUBLIC, regress_tckpt_worker;
GRANT SELECT ON events TO regress_tckpt_deleter, regress_tckpt_worker;
RESET client_min_messages;
SET ROLE regress_tckpt_deleter;

-- cancelled, in a queue of its own
INSERT INTO steps VALUES (:'s1'), (:'s2');
RESET ROLE;
SELECT tasker_checkpoint_dispatch(:'s1', 'own', 7) IS NOT NULL AS dispatched, tasker_checkpoint_cancel(:'s1');
SET ROLE regress_tckpt_deleter;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
SELECT * FROM events;
INSERT INTO steps VALUES (:'s1');
SET ROLE regress_tckpt_worker;
SELECT * FROM tasker_checkpoint_dispatched(:'s1');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS offered;
SELECT * FROM events;
SELECT event_id FROM tasker_checkpoint_claim('one') \gset
SELECT sequence, directive FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'event_id');

-- claimed: who has it finds no step, then one that is another's
SET ROLE regress_tckpt_deleter;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '2', 2, NULL, :'event_id'); -- fail
SELECT tasker_checkpoint_heartbeat(:'event_id'), tasker_checkpoint_release(:'event_id'), tasker_checkpoint_complete(:'event_id');
SET ROLE regress_tckpt_deleter;
INSERT INTO steps VALUES (:'s1');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '2', 2, NULL, :'event_id'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'event_id'); -- fail
SELECT tasker_checkpoint_heartbeat(:'event_id'), tasker_checkpoint_complete(:'event_id');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1);
SELECT * FROM events;

-- paused without having been dispatched; parked
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
RESET ROLE;
UPDATE tasker_checkpoint_events SET parked = true WHERE step_uuid = :'s2';
SET ROLE regress_tckpt_deleter;
DELETE FROM steps;
SELECT * FROM events;

-- what is rolled back is there again
INSERT INTO steps VALUES (:'s1'), (:'s2');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_cancel(:'s2');
SET ROLE regress_tckpt_deleter;
BEGIN;
SAVEPOINT before;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
SELECT step, directive FROM events;
ROLLBACK TO before;
SELECT step, directive FROM events ORDER BY 1;
DELETE FROM steps WHERE workflow_step_uuid = :'s2';
SELECT step, directive FROM events;
ROLLBACK;
SELECT step, directive FROM events ORDER BY 1;

-- one that a trigger keeps from being deleted
RESET ROLE;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER zzz_keep BEFORE DELETE ON steps FOR EACH ROW EXECUTE FUNCTION keep();
SET ROLE regress_tckpt_deleter;
DELETE FROM steps;
SELECT step, directive FROM events ORDER BY 1;
RESET ROLE;
DROP TRIGGER zzz_keep ON steps;

-- deleted, inserted and dispatched in one transaction: that dispatch stays
SET ROLE regress_tckpt_deleter;
BEGIN;
DELETE FROM steps;
INSERT INTO steps VALUES (:'s1'), (:'s2');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched, tasker_checkpoint_pause(:'s2');
COMMIT;
SELECT * FROM events ORDER BY 1;

-- deleted and inserted by one statement, a row is made anew and is the same step: nothing is lost
SET ROLE regress_tckpt_deleter;
WITH gone AS (DELETE FROM steps RETURNING *) INSERT INTO steps SELECT * FROM gone;
SELECT * FROM events ORDER BY 1;
-- nor what the statement itself has dispatched
RESET ROLE;
WITH gone AS (DELETE FROM steps WHERE workflow_step_uuid = :'s2' RETURNING *),
made AS (INSERT INTO steps SELECT * FROM gone RETURNING *)
SELECT tasker_checkpoint_resume(workflow_step_uuid), tasker_checkpoint_dispatch(workflow_step_uuid, 'own') IS NOT NULL AS dispatched FROM made;
SELECT * FROM events ORDER BY 1;
-- it goes with what the statement has done to its event
WITH gone AS (DELETE FROM steps WHERE workflow_step_uuid = :'s2' RETURNING *)
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events WHERE step_uuid IN (SELECT workflow_step_uuid FROM gone);
WITH gone AS (DELETE FROM tasker_checkpoint_events RETURNING *) DELETE FROM steps WHERE workflow_step_uuid IN (SELECT step_uuid FROM gone);
SELECT * FROM events;
SELECT count(*) FROM steps;

-- MERGE, and who deletes what it belongs to
INSERT INTO workflows VALUES (1);
INSERT INTO steps VALUES (:'s1', 1), (:'s2', 1);
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
MERGE INTO steps USING (VALUES (:'s1'::uuid)) AS m (id) ON workflow_step_uuid = m.id WHEN MATCHED THEN DELETE;
SELECT step FROM events;
SET ROLE regress_tckpt_deleter;
DELETE FROM workflows;
SELECT count(*) FROM events;
RESET ROLE;

-- many
INSERT INTO steps SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 1000) n;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps WHERE right(workflow_step_uuid::text, 1) <> '0';
DELETE FROM steps WHERE right(workflow_step_uuid::text, 1) < '5';
SELECT count(*), min(step), max(step) FROM events;

-- TRUNCATE deletes no row, and a disabled trigger sees none: there purge_events does it
TRUNCATE steps;
SELECT count(*) FROM events;
SELECT tasker_checkpoint_purge_events();
INSERT INTO steps VALUES (:'s1');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SET session_replication_role = replica;
DELETE FROM steps;
RESET session_replication_role;
SELECT count(*) FROM events;
SELECT tasker_checkpoint_purge_events();

-- isolation levels
INSERT INTO steps VALUES (:'s1'), (:'s2');
SELECT tasker_checkpoint_cancel(workflow_step_uuid) FROM steps;
BEGIN ISOLATION LEVEL REPEATABLE READ;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
SELECT step FROM events;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
DELETE FROM steps WHERE workflow_step_uuid = :'s2';
SELECT step FROM events;
COMMIT;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint CASCADE;
DROP TABLE steps, workflows;
DROP FUNCTION keep;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_deleter, regress_tckpt_worker;

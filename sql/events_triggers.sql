-- AFTER ROW triggers on the table of events see every change; with others nothing is written
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
RESET client_min_messages;

-- all that becomes of a step
CREATE TABLE audit (n serial, op text, who text, old tasker_checkpoint_events, new tasker_checkpoint_events);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
	INSERT INTO audit (op, who, old, new) VALUES (tg_op, session_user, old, new);
	RETURN NULL;
END
$$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION audit();
CREATE VIEW audited AS
SELECT n, op, right(coalesce((new).step_uuid, (old).step_uuid)::text, 1) AS step, (old).worker AS old_worker, (new).worker AS worker,
	(old).event_id IS DISTINCT FROM (new).event_id AS new_event, (new).directive, (new).sequence
FROM audit;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_heartbeat(:'e');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'e');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'e');
SELECT event_id AS e FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_resume(:'s1');
SELECT tasker_checkpoint_release(:'e');
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 1);
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));
-- a row of a directive only, and a second one of the same command
SELECT tasker_checkpoint_cancel(workflow_step_uuid) FROM steps ORDER BY workflow_step_uuid;
SELECT tasker_checkpoint_resume(:'s2');
RESET ROLE;
SELECT * FROM audited ORDER BY n;
-- each change begins with what the one before has left
SELECT count(*) AS gaps FROM (SELECT old, lag(new) OVER (PARTITION BY coalesce((new).step_uuid, (old).step_uuid) ORDER BY n) AS before FROM audit) a
WHERE old IS DISTINCT FROM before;
-- what is rolled back is not seen, nor is what was not changed
TRUNCATE audit;
BEGIN;
SAVEPOINT a;
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
ROLLBACK TO a;
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_resume(:'s2');
COMMIT;
SELECT count(*) FROM audit;
-- claims that remove what is gone, and maintenance
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
RESET session_replication_role;
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
UPDATE steps SET processed = true;
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_purge_events();
SELECT op, step FROM audited ORDER BY n;
-- a deleted step's
TRUNCATE audit;
INSERT INTO steps VALUES (:'s1');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
SELECT op, step FROM audited ORDER BY n;

-- of some columns, with a condition
DROP TRIGGER audit ON tasker_checkpoint_events;
TRUNCATE audit;
UPDATE steps SET processed = false;
CREATE TRIGGER audit AFTER UPDATE OF lease_until ON tasker_checkpoint_events FOR EACH ROW
WHEN (old.event_id IS DISTINCT FROM new.event_id) EXECUTE FUNCTION audit();
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_heartbeat(:'e');
SELECT tasker_checkpoint_release(:'e');
SELECT op, old_worker, worker FROM audited ORDER BY n;

-- an error of the trigger's is the call's
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''refused''; END';
CREATE TRIGGER refuse AFTER UPDATE ON tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
DROP TRIGGER refuse ON tasker_checkpoint_events;
-- one may change the row, as in any table
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN UPDATE tasker_checkpoint_events SET available_at = ''infinity'' WHERE step_uuid = new.step_uuid; RETURN NULL; END';
CREATE TRIGGER meddle AFTER INSERT ON tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION meddle();
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s2'));
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT available_at FROM tasker_checkpoint_events;
DROP TRIGGER meddle ON tasker_checkpoint_events;
DROP TRIGGER audit ON tasker_checkpoint_events;

-- a foreign key to the table
CREATE TABLE note (step_uuid uuid REFERENCES tasker_checkpoint_events ON DELETE CASCADE, note text);
CREATE TRIGGER audit AFTER DELETE ON note FOR EACH ROW EXECUTE FUNCTION refuse();
INSERT INTO note VALUES (:'s2', 'look at this');
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events; -- fail
DROP TRIGGER audit ON note;
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events;
SELECT count(*) FROM note;
ALTER TABLE note DROP CONSTRAINT note_step_uuid_fkey;
ALTER TABLE note ADD CONSTRAINT noted FOREIGN KEY (step_uuid) REFERENCES tasker_checkpoint_events DEFERRABLE;
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
ALTER TABLE note DROP CONSTRAINT noted;

-- and one of its own
ALTER TABLE tasker_checkpoint_events ADD FOREIGN KEY (step_uuid) REFERENCES steps ON DELETE CASCADE;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 1, NULL, :'e');
RESET ROLE;
DELETE FROM steps;
SELECT count(*) FROM tasker_checkpoint_events;
ALTER TABLE tasker_checkpoint_events DROP CONSTRAINT tasker_checkpoint_events_step_uuid_fkey;
INSERT INTO steps VALUES (:'s2');

-- triggers that could not fire
CREATE TRIGGER audit BEFORE UPDATE ON tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
-- nothing is in the way of what writes nothing
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_complete(:'e');
SELECT sequence FROM tasker_checkpoint_save(:'s2', '1', 1);
DROP TRIGGER audit ON tasker_checkpoint_events;
CREATE TRIGGER audit AFTER DELETE ON tasker_checkpoint_events FOR EACH STATEMENT EXECUTE FUNCTION refuse();
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
DROP TRIGGER audit ON tasker_checkpoint_events;
CREATE TRIGGER audit BEFORE INSERT ON tasker_checkpoint_events FOR EACH STATEMENT EXECUTE FUNCTION refuse();
SELECT tasker_checkpoint_pause(:'s2'); -- fail
DROP TRIGGER audit ON tasker_checkpoint_events;
CREATE TRIGGER audit AFTER UPDATE ON tasker_checkpoint_events REFERENCING NEW TABLE AS changed FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
DROP TRIGGER audit ON tasker_checkpoint_events;
CREATE CONSTRAINT TRIGGER "an audit" AFTER INSERT ON tasker_checkpoint_events DEFERRABLE FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
-- unless it is disabled, or for replicas only
ALTER TABLE tasker_checkpoint_events ENABLE REPLICA TRIGGER "an audit";
SELECT tasker_checkpoint_pause(:'s2'), tasker_checkpoint_resume(:'s2');
ALTER TABLE tasker_checkpoint_events DISABLE TRIGGER "an audit";
SELECT tasker_checkpoint_pause(:'s2'), tasker_checkpoint_resume(:'s2');
DROP TRIGGER "an audit" ON tasker_checkpoint_events;
-- a key that is checked at the end of a transaction is such a trigger
ALTER TABLE tasker_checkpoint_events ADD CONSTRAINT later UNIQUE (event_id) DEFERRABLE;
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
ALTER TABLE tasker_checkpoint_events DROP CONSTRAINT later;
-- TRUNCATE is nothing that the functions do
CREATE TRIGGER audit BEFORE TRUNCATE ON tasker_checkpoint_events FOR EACH STATEMENT EXECUTE FUNCTION refuse();
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;

SET client_min_messages = error;
DROP VIEW audited;
DROP TABLE audit, note;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP FUNCTION audit, refuse, meddle;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

-- purge_events removes the events of gone and processed steps, those too that no claim meets
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, owner name DEFAULT 'regress_tckpt_operator', processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
CREATE FUNCTION step(n int) RETURNS uuid IMMUTABLE LANGUAGE sql AS
$$SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid$$;
CREATE VIEW events AS
SELECT ltrim(right(step_uuid::text, 4), '0') AS step, event_id IS NOT NULL AS event, directive, parked, worker
FROM tasker_checkpoint_events ORDER BY step_uuid;
CREATE ROLE regress_tckpt_operator;
GRANT SELECT (workflow_step_uuid, checkpoint, processed), UPDATE (checkpoint) ON steps TO regress_tckpt_operator;
GRANT SELECT ON events TO regress_tckpt_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_operator;

-- 1 is offered, 2 paused, 3 cancelled, 4 parked, 5 only paused, 6 delayed, 7 claimed, 8 was claimed once
CREATE PROCEDURE prepare() LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM steps;
	DELETE FROM tasker_checkpoint_events;
	INSERT INTO steps SELECT step(n) FROM generate_series(1, 8) n;
	PERFORM tasker_checkpoint_dispatch(step(n)) FROM generate_series(1, 8) n WHERE n <> 5;
	PERFORM tasker_checkpoint_pause(step(2)), tasker_checkpoint_cancel(step(3)), tasker_checkpoint_pause(step(5));
	UPDATE tasker_checkpoint_events SET parked = true WHERE step_uuid = step(4);
	PERFORM tasker_checkpoint_release(event_id, '1 day') FROM tasker_checkpoint_events WHERE step_uuid = step(6);
	PERFORM tasker_checkpoint_claim('one', '1 hour', 1, step(7));
	PERFORM tasker_checkpoint_claim('two', '1 hour', 1, step(8));
	UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01' WHERE step_uuid = step(8);
END
$$;
RESET client_min_messages;

-- none of them is removed while its step is under way
CALL prepare();
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge_events(), tasker_checkpoint_purge_events(dry_run => true);
SELECT * FROM events;
RESET ROLE;

-- of processed steps, but for the claim that is alive
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge_events(dry_run => true), tasker_checkpoint_purge_events(1, true);
SELECT count(*) FROM events;
SELECT tasker_checkpoint_purge_events(3), tasker_checkpoint_purge_events(3), tasker_checkpoint_purge_events(3), tasker_checkpoint_purge_events(3);
SELECT * FROM events;
RESET ROLE;
UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01';
SELECT tasker_checkpoint_purge_events();
SELECT count(*) FROM events;

-- of steps that are gone, past the trigger that would have taken their events along
CALL prepare();
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid <> step(1);
RESET session_replication_role;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge_events(dry_run => true);
SELECT tasker_checkpoint_purge_events();
SELECT * FROM events;
RESET ROLE;

-- under row security a step that is not seen may be there
CALL prepare();
UPDATE steps SET owner = 'another' WHERE workflow_step_uuid IN (step(2), step(3));
UPDATE steps SET processed = true WHERE workflow_step_uuid IN (step(2), step(4), step(6));
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid = step(5);
RESET session_replication_role;
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON steps USING (owner = current_user);
GRANT SELECT (owner) ON steps TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge_events(dry_run => true);
SELECT tasker_checkpoint_purge_events();
SELECT * FROM events;
RESET ROLE;
-- one that is seen, but not to be changed, is passed over
DROP POLICY own ON steps;
CREATE POLICY look ON steps FOR SELECT USING (true);
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge_events();
RESET ROLE;
-- the table's owner sees all
SELECT tasker_checkpoint_purge_events();
SELECT step FROM events;
ALTER TABLE steps DISABLE ROW LEVEL SECURITY;

-- without a column "processed" those of steps that are gone
CALL prepare();
ALTER TABLE steps DROP COLUMN processed;
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid = step(1);
RESET session_replication_role;
SELECT tasker_checkpoint_purge_events();
SELECT count(*) FROM events;

-- a step that comes back is dispatched anew
INSERT INTO steps VALUES (step(1));
SELECT tasker_checkpoint_dispatch(step(1)) IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_purge_events();
SELECT * FROM events WHERE step = '1';

-- rolled back, they are there again
SET session_replication_role = replica;
DELETE FROM steps;
RESET session_replication_role;
BEGIN;
SELECT tasker_checkpoint_purge_events();
SELECT count(*) FROM events;
ROLLBACK;
SELECT count(*) FROM events;

-- many: those that are live are gone past
INSERT INTO steps SELECT step(n) FROM generate_series(100, 3099) n;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
SET session_replication_role = replica;
DELETE FROM steps WHERE right(workflow_step_uuid::text, 1) <> '0';
RESET session_replication_role;
SELECT tasker_checkpoint_purge_events(dry_run => true);
SELECT tasker_checkpoint_purge_events(), tasker_checkpoint_purge_events(), tasker_checkpoint_purge_events(), tasker_checkpoint_purge_events();
SELECT count(*), count(*) FILTER (WHERE step LIKE '%0') AS live FROM events;

DROP VIEW events;
DROP PROCEDURE prepare;
DROP TABLE steps;
DROP FUNCTION step;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

-- Health tells of a directive that keeps a step from being dispatched, also one that is left on a step that is done or gone
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, tenant text DEFAULT 'regress_tckpt_tenant', processed boolean NOT NULL DEFAULT false, processed_at timestamp, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_tenant;
GRANT SELECT ON steps TO regress_tckpt_tenant;
CREATE FUNCTION step(integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$SELECT format('00000000-0000-0000-0000-%s', lpad($1::text, 12, '0'))::uuid$$;
CREATE VIEW health AS
SELECT right(step_uuid::text, 1) AS step, finding, severity, figure < 60 AS now, threshold, unit FROM tasker_checkpoint_health ORDER BY 1, 2;
RESET client_min_messages;
INSERT INTO steps SELECT step(i) FROM generate_series(1, 6) i;

-- 1: cancelled while a worker has it, completed, done, reset
SELECT tasker_checkpoint_dispatch(step(1)) IS NOT NULL AS dispatched;
SELECT event_id FROM tasker_checkpoint_claim('one', '1 hour', 1, step(1)) \gset
SELECT tasker_checkpoint_cancel(step(1));
SELECT * FROM health;
SELECT directive FROM tasker_checkpoint_save(step(1), '1', 1, NULL, :'event_id');
SELECT tasker_checkpoint_complete(:'event_id');
UPDATE steps SET processed = true WHERE workflow_step_uuid = step(1);
SELECT * FROM health;
SELECT detail FROM tasker_checkpoint_health;
SELECT tasker_checkpoint_reset_for_retry(step(1));
SELECT tasker_checkpoint_dispatch(step(1)) IS NOT NULL AS dispatched;
SELECT * FROM health;
SELECT detail FROM tasker_checkpoint_health;
\t
SELECT statement FROM tasker_checkpoint_health \gexec
\t
SELECT * FROM health;
SELECT tasker_checkpoint_dispatch(step(1)) IS NOT NULL AS dispatched;

-- 2: paused and done; one that is only paused is not told before its time
SELECT tasker_checkpoint_pause(step(2)), tasker_checkpoint_pause(step(3));
UPDATE steps SET processed = true WHERE workflow_step_uuid = step(2);
SELECT * FROM health;
SELECT detail FROM tasker_checkpoint_health;
\t
SELECT statement FROM tasker_checkpoint_health \gexec
\t
SELECT * FROM health;

-- 4 and 5: gone with an event and without, past the trigger that would have taken it along; inserted again, they are cancelled as before
SELECT tasker_checkpoint_dispatch(step(4)) IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_cancel(step(4)), tasker_checkpoint_cancel(step(5));
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid IN (step(4), step(5));
RESET session_replication_role;
SELECT * FROM health;
SELECT DISTINCT detail, statement FROM tasker_checkpoint_health;
-- those that may be there, and not be seen, are not told
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON steps FOR SELECT USING (tenant = current_user);
GRANT SELECT ON health TO regress_tckpt_tenant;
SET ROLE regress_tckpt_tenant;
SELECT count(*) FROM tasker_checkpoint_health;
RESET ROLE;
\t
SELECT DISTINCT statement FROM tasker_checkpoint_health \gexec
\t
SELECT * FROM health;
INSERT INTO steps VALUES (step(4));
SELECT tasker_checkpoint_dispatch(step(4)) IS NOT NULL AS dispatched;

-- a dispatched step that is done or gone is no matter: claims remove it
UPDATE steps SET processed = true WHERE workflow_step_uuid = step(4);
SELECT tasker_checkpoint_dispatch(step(6)) IS NOT NULL AS dispatched;
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid = step(6);
RESET session_replication_role;
SELECT * FROM health;

DROP VIEW health;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION step(integer);
DROP ROLE regress_tckpt_tenant;

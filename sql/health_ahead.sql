-- Health tells of a step that cannot be claimed for longer than any lease or delay, as after the clock was set back
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, in_process boolean, processed boolean NOT NULL DEFAULT false, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
CREATE FUNCTION step(integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$SELECT format('00000000-0000-0000-0000-%s', lpad($1::text, 12, '0'))::uuid$$;
CREATE FUNCTION ahead(integer, by interval) RETURNS void LANGUAGE sql AS
'UPDATE tasker_checkpoint_events SET available_at = available_at + by, lease_until = lease_until + by WHERE step_uuid = step($1)';
CREATE VIEW health AS
SELECT right(step_uuid::text, 1) AS step, finding, severity, round(figure, -2) AS about, threshold, unit FROM tasker_checkpoint_health ORDER BY 1, 2;
RESET client_min_messages;
INSERT INTO steps SELECT step(i) FROM generate_series(1, 9) i;

-- 1 waits, 2 is delayed by as much as can be, 3 and 4 are claimed, 5 expired, 6 under a lease that was lawful, 7 paused
SELECT count(tasker_checkpoint_dispatch(step(i))) FROM generate_series(1, 7) i;
SELECT tasker_checkpoint_release(event_id, '1 day') FROM tasker_checkpoint_events WHERE step_uuid = step(2);
SELECT count(c.deliveries) FROM generate_series(3, 5) i, tasker_checkpoint_claim('one', '1 hour', 1, step(i)) c;
SET tasker_checkpoint.max_lease = '7 d';
SELECT deliveries FROM tasker_checkpoint_claim('two', '7 days', 1, step(6));
RESET tasker_checkpoint.max_lease;
SELECT * FROM health;
-- the clock was a year ahead
SELECT ahead(i, '1 year') FROM generate_series(1, 6) i WHERE i IN (1, 3);
SELECT ahead(4, '1 minute'), ahead(2, '1 minute');
UPDATE tasker_checkpoint_events SET available_at = available_at + interval '1 year', lease_until = lease_until - interval '61 minutes' WHERE step_uuid = step(5);
SELECT ahead(7, '1 year');
SELECT tasker_checkpoint_pause(step(7));
SELECT step, finding, severity, threshold, unit FROM health;
SELECT right(step_uuid::text, 1) AS step, detail FROM tasker_checkpoint_health ORDER BY 1;
-- a dispatch of one that nobody has claimed brings it back, as it moves any that is delayed
SELECT tasker_checkpoint_dispatch(step(1)) IS NOT NULL AS dispatched;
SELECT count(*) FROM tasker_checkpoint_claim('three', max_steps => 9);
-- the statement frees it
\t
SELECT statement FROM tasker_checkpoint_health ORDER BY step_uuid \gexec
\t
SELECT * FROM health;
SELECT right(c.step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('three', max_steps => 9) c ORDER BY 1;

-- a pause hides it until the step is resumed
SELECT tasker_checkpoint_resume(step(7));
SELECT step, finding, severity, threshold FROM health;
\t
SELECT statement FROM tasker_checkpoint_health ORDER BY step_uuid \gexec
\t
SELECT right(c.step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('three', max_steps => 9) c ORDER BY 1;

-- rows edited by hand: for ever
UPDATE tasker_checkpoint_events SET available_at = 'infinity', lease_until = 'infinity' WHERE step_uuid = step(1);
SELECT step, finding, severity, about FROM health;

-- a checkpoint of the future does not make a silent worker look alive
SELECT count(tasker_checkpoint_complete(event_id)) FROM tasker_checkpoint_events WHERE step_uuid <> step(7);
SET session_replication_role = replica;
UPDATE steps SET in_process = true, checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'history', '[]'::jsonb, 'timestamp', clock_timestamp() + interval '1 year')
WHERE workflow_step_uuid = step(9);
RESET session_replication_role;
SELECT tasker_checkpoint_dispatch(step(9)) IS NOT NULL AS dispatched;
SELECT deliveries FROM tasker_checkpoint_claim('one', '1 hour', 1, step(9));
SELECT ahead(9, '-1 hour');
SELECT step, finding, severity FROM health;

DROP VIEW health;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION step(integer), ahead(integer, interval);

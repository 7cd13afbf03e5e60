-- pause and cancel tell the worker with its next receipt, and keep the step from being claimed until resume
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
SET ROLE regress_tckpt_operator;

-- where there is no event, a row that holds the directive only
SELECT tasker_checkpoint_resume(:'s1');
SELECT tasker_checkpoint_pause(:'s1');
SELECT * FROM events;
SELECT tasker_checkpoint_pause(:'s1');
SELECT * FROM tasker_checkpoint_claim('one');
SELECT * FROM tasker_checkpoint_claim('one', step_uuid => :'s1');
-- which resume removes, and creates nothing
SELECT tasker_checkpoint_resume(:'s1');
SELECT * FROM events;
SELECT tasker_checkpoint_resume(:'s1');
-- the same by cancel; cancel is stronger than pause
SELECT tasker_checkpoint_pause(:'s1');
SELECT tasker_checkpoint_cancel(:'s1');
SELECT tasker_checkpoint_cancel(:'s1');
SELECT tasker_checkpoint_pause(:'s1');
SELECT directive FROM events;
SELECT tasker_checkpoint_resume(:'s1');
SELECT * FROM events;

-- the first dispatch makes it an event
SELECT tasker_checkpoint_pause(:'s1');
SELECT tasker_checkpoint_dispatch(:'s1');
SELECT * FROM events;
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_resume(:'s1');
SELECT * FROM events;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_complete(:'claimed');
-- or the first yield
SELECT tasker_checkpoint_cancel(:'s1');
SET ROLE regress_tckpt_worker;
SELECT sequence, event_id IS NULL AS none, directive FROM tasker_checkpoint_save(:'s1', '1', 1);
SELECT * FROM events;
SELECT sequence, event_id IS NULL AS none, directive FROM tasker_checkpoint_yield(:'s1', '2', 2);
SELECT * FROM events;
SELECT count(*) FROM tasker_checkpoint_claim('one');
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_resume(:'s1');
SELECT cursor FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_clear(:'s1');

-- a worker told to pause can still save: no claim is superseded
SET ROLE regress_tckpt_worker;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_pause(:'s1');
SET ROLE regress_tckpt_worker;
SELECT sequence, event_id = :'claimed' AS given, directive FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT sequence, directive FROM tasker_checkpoint_save(:'s1', '2', 2, NULL, :'claimed');
SELECT tasker_checkpoint_heartbeat(:'claimed');
-- lifted before it has stopped
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_resume(:'s1');
SET ROLE regress_tckpt_worker;
SELECT directive FROM tasker_checkpoint_save(:'s1', '3', 3, NULL, :'claimed');
SELECT tasker_checkpoint_heartbeat(:'claimed');
-- its continuation is kept, not claimable
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_pause(:'s1');
SET ROLE regress_tckpt_worker;
SELECT sequence, event_id IS NOT NULL AS continues, directive FROM tasker_checkpoint_yield(:'s1', '4', 4, NULL, :'claimed');
SELECT * FROM events;
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_dispatch(:'s1');
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_cancel(:'s1');
SELECT directive FROM events;
SELECT tasker_checkpoint_resume(:'s1');
SET ROLE regress_tckpt_worker;
SELECT event_id AS claimed, cursor FROM tasker_checkpoint_claim('one') \gset
SELECT :'cursor' AS cursor;

-- a paused claim that runs out is taken by nobody; handed back it is kept
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_pause(:'s1');
CALL lapse();
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM tasker_checkpoint_claim('two');
SELECT sequence, directive FROM tasker_checkpoint_save(:'s1', '5', 5, NULL, :'claimed');
SELECT tasker_checkpoint_release(:'claimed');
SELECT * FROM events;
SELECT count(*) FROM tasker_checkpoint_claim('two');
-- others' receipts say so, too
SELECT sequence, directive FROM tasker_checkpoint_yield(:'s1', '6', 6);
SELECT sequence, directive FROM tasker_checkpoint_save(:'s1', '7', 7);

-- complete ends the dispatch, not what the operator wants of the step
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_resume(:'s1');
SET ROLE regress_tckpt_worker;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_cancel(:'s1');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_complete(:'claimed');
SELECT * FROM events;
SELECT tasker_checkpoint_complete(:'claimed'), tasker_checkpoint_heartbeat(:'claimed'), tasker_checkpoint_release(:'claimed');
SELECT tasker_checkpoint_yield(:'s1', '8', 8, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_dispatch(:'s1');
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_resume(:'s1');
SELECT deliveries FROM tasker_checkpoint_claim('one');

-- clear, rewind and reset_for_retry keep it
SELECT tasker_checkpoint_pause(:'s1');
SELECT tasker_checkpoint_clear(:'s1');
SELECT * FROM events;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT * FROM events;
SELECT sequence, directive FROM tasker_checkpoint_save(:'s1', '1', 1);
SELECT sequence, event_id IS NOT NULL AS continues, directive FROM tasker_checkpoint_rewind(:'s1', 1);
SELECT * FROM events;
SELECT tasker_checkpoint_resume(:'s1');

-- on a processed step, in a transaction that is rolled back
UPDATE steps SET processed = true;
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_cancel(:'s1'), tasker_checkpoint_resume(:'s1');
UPDATE steps SET processed = false;
BEGIN;
SELECT tasker_checkpoint_pause(:'s1');
ROLLBACK;
SELECT directive FROM events;

-- while it is paused the row says since when, and afterwards since when it can be claimed; a delay goes on
RESET ROLE;
CREATE VIEW waits AS
SELECT right(step_uuid::text, 1) AS step, date_trunc('hour', available_at - clock_timestamp()) AS hours FROM tasker_checkpoint_events ORDER BY step_uuid;
DELETE FROM tasker_checkpoint_events;
UPDATE steps SET processed = false;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched, tasker_checkpoint_release(tasker_checkpoint_dispatch(:'s2'), '1 day') AS delayed;
UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() - interval '10 hours 1 minute' WHERE step_uuid = :'s1';
SELECT * FROM waits;
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_pause(:'s2');
SELECT * FROM waits;
UPDATE tasker_checkpoint_events SET available_at = available_at - interval '10 hours 1 minute';
SELECT tasker_checkpoint_resume(:'s1'), tasker_checkpoint_resume(:'s2');
SELECT * FROM waits;
DROP VIEW waits;
SET ROLE regress_tckpt_operator;

-- refused
SELECT tasker_checkpoint_pause(NULL); -- fail
SELECT tasker_checkpoint_cancel(NULL); -- fail
SELECT tasker_checkpoint_resume(NULL); -- fail
SELECT tasker_checkpoint_pause(:'missing'); -- fail
SELECT tasker_checkpoint_cancel(:'missing'); -- fail
SELECT tasker_checkpoint_resume(step_uuid => :'missing'); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_pause(:'s1'); -- fail
ROLLBACK;
BEGIN READ ONLY;
SELECT tasker_checkpoint_cancel(:'s1'); -- fail
ROLLBACK;
BEGIN READ ONLY;
SELECT tasker_checkpoint_resume(:'s1'); -- fail
ROLLBACK;
RESET ROLE;
SELECT tasker_checkpoint_detach();
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_pause(:'s1'); -- fail
SELECT tasker_checkpoint_cancel(:'s1'); -- fail
SELECT tasker_checkpoint_resume(:'s1'); -- fail

\i :drop_steps

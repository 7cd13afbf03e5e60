-- A step that is claimed too often without a checkpoint is parked, until an operator or a late holder unparks it
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
SET tasker_checkpoint.max_deliveries = 3;
SET ROLE regress_tckpt_worker;

-- the operator decides, the worker does not
SET tasker_checkpoint.max_deliveries = 0; -- fail

-- three times, and not a fourth
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('one') \gset
SELECT :'deliveries' AS deliveries;
CALL lapse();
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('two') \gset
SELECT :'deliveries' AS deliveries;
SELECT tasker_checkpoint_release(:'claimed');
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('three') \gset
SELECT :'deliveries' AS deliveries;
CALL lapse();
SELECT * FROM events;
SELECT count(*) FROM tasker_checkpoint_claim('four');
SELECT * FROM events;
-- parked: not claimed, not dispatched
SELECT count(*) FROM tasker_checkpoint_claim('four');
SELECT count(*) FROM tasker_checkpoint_claim('four', step_uuid => :'s1');
SELECT tasker_checkpoint_dispatch(:'s1');

-- the late holder still has it, and its save unparks
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT parked FROM events;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT * FROM events;
-- counted anew from there
CALL lapse();
SELECT deliveries FROM tasker_checkpoint_claim('one');
CALL lapse();
SELECT deliveries FROM tasker_checkpoint_claim('one');
CALL lapse();
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('one') \gset
SELECT :'deliveries' AS deliveries;
CALL lapse();
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT parked FROM events;
-- so does its yield
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'claimed');
SELECT * FROM events;

-- handed back it stays parked: it made no progress
RESET ROLE;
UPDATE tasker_checkpoint_events SET deliveries = 2;
SET ROLE regress_tckpt_worker;
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('one') \gset
CALL lapse();
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_release(:'claimed');
SELECT * FROM events;
SELECT count(*) FROM tasker_checkpoint_claim('one');
-- an unfenced yield makes a new event of it
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3);
SELECT * FROM events;
-- an unfenced save touches no event, so it does not unpark
RESET ROLE;
UPDATE tasker_checkpoint_events SET deliveries = 3;
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '4', 4);
SELECT parked FROM events;

-- resume takes it up again, with a count of its own
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_resume(:'s1');
SELECT * FROM events;
SELECT tasker_checkpoint_resume(:'s1');
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('one') \gset
SELECT :'deliveries' AS deliveries;
-- parked and paused: one resume lifts both
RESET ROLE;
UPDATE tasker_checkpoint_events SET deliveries = 3;
CALL lapse();
SET ROLE regress_tckpt_operator;
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT tasker_checkpoint_pause(:'s1');
SELECT parked, directive FROM events;
SELECT tasker_checkpoint_resume(:'s1');
SELECT parked, directive, deliveries FROM events;
-- its holder, while it is parked, completes it
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('one') \gset
RESET ROLE;
UPDATE tasker_checkpoint_events SET deliveries = 3;
CALL lapse();
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM tasker_checkpoint_claim('one');
SELECT parked FROM events;
SELECT tasker_checkpoint_complete(:'claimed');
SELECT * FROM events;

-- one parked does not stand in the way of another
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS first, tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS second;
RESET ROLE;
UPDATE tasker_checkpoint_events SET deliveries = 3, available_at = '2000-01-01' WHERE step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT right(step_uuid::text, 1) AS step, deliveries FROM tasker_checkpoint_claim('one');
SELECT * FROM events;

-- no limit
RESET ROLE;
SET tasker_checkpoint.max_deliveries = 0;
UPDATE tasker_checkpoint_events SET deliveries = 2147483647, parked = false;
CALL lapse();
SET ROLE regress_tckpt_worker;
SELECT right(step_uuid::text, 1) AS step, deliveries FROM tasker_checkpoint_claim('one', max_steps => 2) ORDER BY 1;
RESET ROLE;
SET tasker_checkpoint.max_deliveries = -1; -- fail
RESET tasker_checkpoint.max_deliveries;
SHOW tasker_checkpoint.max_deliveries;

\i :drop_steps

-- A claim that asks for one step takes it in no state in which it is nobody's to take
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
SET ROLE regress_tckpt_worker;

-- offered, and claimed
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT count(*) FROM tasker_checkpoint_claim('two', step_uuid => :'s1');

-- under a lease that was extended, when its place among what can be claimed was not moved
RESET ROLE;
UPDATE tasker_checkpoint_events SET available_at = '2000-01-01';
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM tasker_checkpoint_claim('two', step_uuid => :'s1');
SELECT count(*) FROM tasker_checkpoint_claim('two');
SELECT * FROM events;

-- delayed
SELECT tasker_checkpoint_release(:'claimed', '1 hour');
SELECT count(*) FROM tasker_checkpoint_claim('two', step_uuid => :'s1');

-- paused, and cancelled
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_pause(:'s1');
SELECT count(*) FROM tasker_checkpoint_claim('two', step_uuid => :'s1');
SELECT tasker_checkpoint_cancel(:'s1');
SELECT count(*) FROM tasker_checkpoint_claim('two', step_uuid => :'s1');
SELECT tasker_checkpoint_resume(:'s1');

-- parked, by a claim that asks for it, and so it stays
RESET ROLE;
SET tasker_checkpoint.max_deliveries = 1;
SELECT count(*) FROM tasker_checkpoint_claim('three', step_uuid => :'s1');
RESET tasker_checkpoint.max_deliveries;
SELECT count(*) FROM tasker_checkpoint_claim('three', step_uuid => :'s1');
SELECT * FROM events;

-- lifted, and free
SELECT tasker_checkpoint_resume(:'s1');
SELECT count(*) FROM tasker_checkpoint_claim('three', step_uuid => :'s1');
SELECT * FROM events;

\i :drop_steps

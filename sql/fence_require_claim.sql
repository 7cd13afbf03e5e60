-- With require_claim every checkpoint needs an event_id, but for those an operator writes
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
SET tasker_checkpoint.require_claim = on;
SET ROLE regress_tckpt_worker;

-- the operator decides, the worker does not
SET tasker_checkpoint.require_claim = off; -- fail
SHOW tasker_checkpoint.require_claim;

-- unfenced: refused, dispatched or not, claimed or not
SELECT tasker_checkpoint_yield(:'s1', '1', 1); -- fail
\echo :LAST_ERROR_SQLSTATE
SELECT tasker_checkpoint_save(:'s1', '1', 1); -- fail
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT tasker_checkpoint_yield(:'s1', '1', 1); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 1); -- fail
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_yield(:'s1', '1', 1); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 1); -- fail
-- what is wrong with the arguments or the step comes first, what is wrong with the checkpoint does not
SELECT tasker_checkpoint_yield(:'s1', NULL, 1); -- fail
SELECT tasker_checkpoint_yield(:'missing', '1', 1); -- fail
SELECT tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 70000)), 1); -- fail

-- fenced
SELECT sequence, directive FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT event_id AS continuation, sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'claimed') \gset
SELECT :'sequence' AS sequence;
-- a receipt's or a dispatch's id will do
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3, NULL, :'continuation');
SELECT tasker_checkpoint_yield_step_event(:'continuation',
	'{"step_uuid": "00000000-0000-0000-0000-000000000001", "cursor": 4, "items_processed": 4, "accumulated_results": null}');
SELECT tasker_checkpoint_yield_step_event(:'continuation',
	'{"step_uuid": "00000000-0000-0000-0000-000000000001", "cursor": 5, "items_processed": 5, "accumulated_results": null}');

-- a direct UPDATE that stores a new checkpoint
UPDATE steps SET checkpoint = '{"cursor": 5, "items_processed": 5}' WHERE workflow_step_uuid = :'s1'; -- fail
\echo :LAST_ERROR_SQLSTATE
UPDATE steps SET checkpoint = '{"cursor": 5, "items_processed": 5}' WHERE workflow_step_uuid = :'s2'; -- fail
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{cursor}', '5') WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = checkpoint - 'timestamp' WHERE workflow_step_uuid = :'s1'; -- fail
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
-- not an UPDATE that stores it unchanged, an edit, a clear
UPDATE steps SET checkpoint = checkpoint WHERE workflow_step_uuid = :'s1';
UPDATE steps SET checkpoint = checkpoint || '{"note": "by hand"}' WHERE workflow_step_uuid = :'s1';
UPDATE steps SET updated_at = now() WHERE workflow_step_uuid = :'s1';
SELECT tasker_checkpoint_get(:'s1') -> 'note' AS note, sequence FROM tasker_checkpoint_load(:'s1');
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s2';

-- an INSERT: restores and copies are INSERTs
RESET ROLE;
INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES (:'missing', '{"cursor": 1, "items_processed": 1}');
SELECT sequence FROM tasker_checkpoint_load(:'missing');
-- what an operator does
SET ROLE regress_tckpt_operator;
SELECT sequence FROM tasker_checkpoint_rewind(:'missing', 1);
SELECT tasker_checkpoint_reset_for_retry(:'missing');
SELECT tasker_checkpoint_clear(:'missing');
SELECT tasker_checkpoint_reset_for_retry(:'missing', true);

-- enforce does not soften a fence
RESET ROLE;
SET tasker_checkpoint.enforce = warning;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s2', '1', 1); -- fail
UPDATE steps SET checkpoint = '{"cursor": 5, "items_processed": 5}' WHERE workflow_step_uuid = :'s2'; -- fail
-- off again
RESET ROLE;
RESET tasker_checkpoint.require_claim;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 1);
UPDATE steps SET checkpoint = '{"cursor": 5, "items_processed": 5}' WHERE workflow_step_uuid = :'s2';
SELECT sequence FROM tasker_checkpoint_load(:'s2');

\i :drop_steps

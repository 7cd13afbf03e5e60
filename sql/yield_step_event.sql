-- yield_step_event is a yield as Tasker's workers call it: all in one object, false where the event is not the step's
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
CREATE FUNCTION data(step uuid, cursor jsonb, items bigint, results jsonb) RETURNS jsonb LANGUAGE sql
RETURN jsonb_build_object('step_uuid', step, 'cursor', cursor, 'items_processed', items, 'accumulated_results', results);
SET ROLE regress_tckpt_worker;

SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_yield_step_event(:'claimed', data(:'s1', '{"page": 2}', 50, '{"running_total": 1275}'));
SELECT cursor, items_processed, accumulated_results, sequence FROM tasker_checkpoint_load(:'s1');
SELECT * FROM events;
-- repeated: done already
SELECT tasker_checkpoint_yield_step_event(:'claimed', data(:'s1', '{"page": 2}', 50, '{"running_total": 1275}'));
SELECT sequence FROM tasker_checkpoint_load(:'s1');
-- keys that are not ours are dropped, and results may be missing
SELECT event_id AS second FROM tasker_checkpoint_claim('two') \gset
SELECT tasker_checkpoint_yield_step_event(event_id => :'second', checkpoint_data => data(:'s1', 'null', 60, NULL) - 'accumulated_results'
	|| '{"history": [1, 2, 3], "history_truncated": 7, "timestamp": "2000-01-01T00:00:00Z", "extra": true}');
SELECT key FROM jsonb_object_keys(tasker_checkpoint_get(:'s1')) key ORDER BY key COLLATE "C";
SELECT cursor, items_processed, accumulated_results, sequence, checkpointed_at > '2020-01-01' AS stamped FROM tasker_checkpoint_load(:'s1');
-- an uppercase UUID is the same one
SELECT event_id AS third FROM tasker_checkpoint_claim('three') \gset
RESET ROLE;
INSERT INTO steps VALUES ('aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch('aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa') AS upper \gset
SELECT tasker_checkpoint_yield_step_event(:'upper', '{"step_uuid": "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA", "cursor": 0, "items_processed": 0}');

-- false, and nothing written: superseded, unknown, finished
SELECT md5(string_agg(s::text, '|' ORDER BY s)) AS before FROM steps s \gset
SELECT tasker_checkpoint_yield_step_event(:'second', data(:'s1', '70', 70, NULL));
SELECT tasker_checkpoint_yield_step_event(:'missing', data(:'s1', '70', 70, NULL));
SELECT tasker_checkpoint_yield_step_event(:'missing', data(:'s1', '70', 1, NULL));
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', to_jsonb(repeat('x', 70000)), 70, NULL));
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s2', '70', 70, NULL));
SELECT tasker_checkpoint_complete(:'third');
SELECT tasker_checkpoint_yield_step_event(:'third', data(:'s1', '70', 70, NULL));
RESET ROLE;
UPDATE steps SET processed = true WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield_step_event(:'third', data(:'s1', '70', 70, NULL));
RESET ROLE;
UPDATE steps SET processed = NULL WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT md5(string_agg(s::text, '|' ORDER BY s)) = :'before' AS unchanged FROM steps s;
SELECT * FROM events;

-- another step's event
SELECT tasker_checkpoint_yield_step_event(:'upper', data(:'s1', '70', 70, NULL));
SELECT event_id AS continuation FROM tasker_checkpoint_yield('aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa', '1', 1) \gset
SELECT tasker_checkpoint_yield_step_event(:'continuation', data(:'s1', '70', 70, NULL)); -- fail
\echo :LAST_ERROR_SQLSTATE
SELECT tasker_checkpoint_yield_step_event(:'continuation', data(:'missing', '70', 70, NULL)); -- fail

-- the step's event, but not a checkpoint to be stored
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '1', 59, NULL)); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', to_jsonb(repeat('x', 70000)), 70, NULL)); -- fail
RESET ROLE;
UPDATE steps SET processed = true WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL)); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'missing', '70', 70, NULL)); -- fail
SELECT tasker_checkpoint_yield_step_event(:'missing', data(:'missing', '70', 70, NULL)); -- fail

-- no data at all, and not the data it takes
SELECT tasker_checkpoint_yield_step_event(NULL, data(:'s1', '70', 70, NULL)); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', NULL); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', '[]'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', 'null'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', '"x"'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', '{}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) - 'cursor'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) - 'items_processed'); -- fail
\set VERBOSITY terse
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"items_processed": -1}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"items_processed": 1.0}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"items_processed": "1"}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"items_processed": null}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"items_processed": 9223372036854775808}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"step_uuid": null}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"step_uuid": 1}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"step_uuid": "x"}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"step_uuid": "{0000000-0000-0000-0000-000000000001}"}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"step_uuid": "00000000-0000-0000-0000-00000000000g"}'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL) || '{"step_uuid": "00000000000000000000000000000001"}'); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_yield_step_event(:'dispatched', data(:'s1', '70', 70, NULL)); -- fail
ROLLBACK;

RESET ROLE;
DROP FUNCTION data;
\i :drop_steps

-- A checkpoint that is longer than 256 MB as text is refused, and parked by claim where it is stored: none above 1 GB can be sent
-- Not in parallel workers: it takes long, and nothing in it is read by one
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
SET tasker_checkpoint.cursor_limit = -1;
SET tasker_checkpoint.results_limit = -1;
SET tasker_checkpoint.results_warning = 0;

-- control characters: six bytes each as text, and others one; 50 are the keys, cursor, items and quotes
CREATE FUNCTION text_of(escaped int, plain int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT to_jsonb(repeat(E'\u0001', escaped) || repeat('x', plain))
$$;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, text_of(44739000, 1405));
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, text_of(44739000, 1406));
SELECT octet_length((checkpoint - '{history,timestamp}'::text[])::text) - length('{: , : , : }') AS bytes FROM steps WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, text_of(44739000, 1407)); -- fail
\echo :LAST_ERROR_SQLSTATE
-- whatever enforce says, and wherever: a cursor, a key, all keys together, numbers; an edit of what is there already
SET tasker_checkpoint.enforce = warning;
SELECT tasker_checkpoint_save(:'s1', text_of(44740000, 0), 1); -- fail
SELECT tasker_checkpoint_yield(:'s1', '1', 1, (SELECT jsonb_agg('1e300'::jsonb) FROM generate_series(1, 900000))); -- fail
UPDATE steps SET checkpoint = jsonb_build_object('cursor', text_of(20000000, 0), 'items_processed', 1, 'b', text_of(20000000, 0), 'a', text_of(20000000, 0)) WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = checkpoint || jsonb_build_object('a', text_of(1, 0)) WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, repeat('"', 134300000), 1) WHERE workflow_step_uuid = :'s1'; -- fail
RESET tasker_checkpoint.enforce;
-- what is as long in bytes, and not as text
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, text_of(0, 60000000));
SELECT tasker_checkpoint_clear(:'s1');

-- an INSERT only warns; claim parks the step and goes on to the next
DELETE FROM steps WHERE workflow_step_uuid = :'s1';
INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES (:'s1', jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', text_of(44740000, 0)));
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT step_uuid = :'s2' AS other FROM tasker_checkpoint_claim('w', max_steps => 2);
RESET ROLE;
SELECT parked, deliveries FROM tasker_checkpoint_events WHERE step_uuid = :'s1';
-- an edit can leave it, a new checkpoint takes its place
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}' WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2);
SELECT cursor, sequence FROM tasker_checkpoint_claim('w');

-- a history is not counted: what is too long in it is cut by the next checkpoint
INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES (:'missing', jsonb_build_object('cursor', 1, 'items_processed', 1, 'timestamp', '2026-01-01T00:00:00Z', 'history',
	jsonb_build_array(jsonb_build_object('cursor', text_of(44740000, 0)), jsonb_build_object('cursor', 1, 'timestamp', '2026-01-01T00:00:00Z'))));
SELECT tasker_checkpoint_dispatch(:'missing') IS NOT NULL AS dispatched;
SELECT cursor, sequence FROM tasker_checkpoint_claim('w', step_uuid => :'missing');
SET tasker_checkpoint.history_size = -1;
UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2}' WHERE workflow_step_uuid = :'missing';
SELECT jsonb_array_length(checkpoint -> 'history') AS entries FROM steps WHERE workflow_step_uuid = :'missing';

DROP FUNCTION text_of;
\i :drop_steps

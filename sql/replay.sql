-- A fenced yield or save repeated with the same arguments, since its reply was lost, is answered again and not done again
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
-- all about steps and events, but for the end of a lease
CREATE FUNCTION everything() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
	SELECT md5(concat((SELECT string_agg(s::text, '|' ORDER BY s) FROM steps s),
		(SELECT string_agg((to_jsonb(e) - 'lease_until' - 'available_at')::text, '|' ORDER BY step_uuid) FROM tasker_checkpoint_events e)))
$$;
SET ROLE regress_tckpt_worker;

-- a yield
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT event_id AS continuation, sequence, directive FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed') \gset
SELECT everything() AS before \gset
SELECT sequence, event_id = :'continuation' AS same, directive FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed');
SELECT sequence, event_id = :'continuation' AS same, directive FROM tasker_checkpoint_yield(:'s1', '{ "at" :10}', 10, '[ 1 ]', :'claimed');
SELECT tasker_checkpoint_yield_step_event(:'claimed',
	'{"step_uuid": "00000000-0000-0000-0000-000000000001", "cursor": {"at": 10}, "items_processed": 10, "accumulated_results": [1]}');
SELECT everything() = :'before' AS unchanged;

-- any difference, and it is none
SELECT tasker_checkpoint_yield(:'s1', '{"at": 11}', 10, '[1]', :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '{"at": 10.0}', 10, '[1]', :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '{"at": 10}', 11, '[1]', :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[2]', :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_save(:'s1', '{"at": 10}', 10, '[1]', :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s2', '{"at": 10}', 10, '[1]', :'claimed'); -- fail
SELECT everything() = :'before' AS unchanged;

-- with the directive of now
SELECT tasker_checkpoint_pause(:'s1');
SELECT sequence, event_id = :'continuation' AS same, directive FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed');
SELECT tasker_checkpoint_cancel(:'s1');
SELECT directive FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed');
SELECT tasker_checkpoint_resume(:'s1');

-- while the continuation is claimed, saves, lapses, and even if the step is processed meanwhile
SELECT event_id AS second, cursor FROM tasker_checkpoint_claim('two') \gset
SELECT everything() AS before \gset
SELECT sequence, event_id = :'continuation' AS same, directive FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed');
SELECT everything() = :'before' AS unchanged;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '{"at": 15}', 15, '[1]', :'second');
SELECT sequence, event_id = :'continuation' AS same FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed');
CALL lapse();
SELECT sequence, event_id = :'continuation' AS same FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed');
-- a replay of the other's yield extends nothing
SELECT live FROM events;
RESET ROLE;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed');
RESET ROLE;
UPDATE steps SET processed = false;
SET ROLE regress_tckpt_worker;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
-- until that yields
SELECT event_id AS third FROM tasker_checkpoint_yield(:'s1', '{"at": 20}', 20, '[1, 2]', :'second') \gset
SELECT tasker_checkpoint_yield(:'s1', '{"at": 10}', 10, '[1]', :'claimed'); -- fail
SELECT sequence, event_id = :'third' AS same FROM tasker_checkpoint_yield(:'s1', '{"at": 20}', 20, '[1, 2]', :'second');
-- or completes
SELECT tasker_checkpoint_complete(:'third');
SELECT tasker_checkpoint_yield(:'s1', '{"at": 20}', 20, '[1, 2]', :'second'); -- fail
-- or somebody yields without a claim
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT event_id AS continuation FROM tasker_checkpoint_yield(:'s1', 'null', 25, NULL, :'dispatched') \gset
SELECT sequence, event_id = :'continuation' AS same FROM tasker_checkpoint_yield(:'s1', 'null', 25, 'null', :'dispatched');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '26', 26);
SELECT tasker_checkpoint_yield(:'s1', 'null', 25, NULL, :'dispatched'); -- fail

-- without an event nothing is recognized: two checkpoints
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '26', 26);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '26', 26);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '26', 26);

-- a save
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT sequence, event_id = :'claimed' AS given, directive FROM tasker_checkpoint_save(:'s1', '30', 30, '[]', :'claimed');
CALL lapse();
SELECT everything() AS before \gset
SELECT live FROM events;
SELECT sequence, event_id = :'claimed' AS given, directive FROM tasker_checkpoint_save(:'s1', '30', 30, '[]', :'claimed');
SELECT everything() = :'before' AS unchanged;
-- but it extends the claim, as the first did
SELECT live FROM events;
-- only the last one is a replay; another save of the same claim is a new checkpoint
SELECT sequence FROM tasker_checkpoint_save(:'s1', '31', 30, '[]', :'claimed');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '30', 30, '[]', :'claimed');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '30', 30, '[]', :'claimed');
-- the receipts of the last yield and of the last save are kept apart
SELECT event_id AS continuation, sequence FROM tasker_checkpoint_yield(:'s1', '40', 40, NULL, :'claimed') \gset
SELECT :'sequence' AS sequence;
SELECT sequence, event_id = :'claimed' AS given FROM tasker_checkpoint_save(:'s1', '30', 30, '[]', :'claimed'); -- fail
SELECT sequence, event_id = :'continuation' AS same FROM tasker_checkpoint_yield(:'s1', '40', 40, NULL, :'claimed');
SELECT event_id AS second FROM tasker_checkpoint_claim('two') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '50', 50, NULL, :'second');
SELECT sequence, event_id = :'continuation' AS same FROM tasker_checkpoint_yield(:'s1', '40', 40, NULL, :'claimed');
SELECT tasker_checkpoint_save(:'s1', '30', 30, '[]', :'claimed'); -- fail
SELECT sequence, event_id = :'second' AS same FROM tasker_checkpoint_save(:'s1', '50', 50, NULL, :'second'); -- fail

-- a save of one whose step was taken: answered, but it extends nobody else's claim
CALL lapse();
SELECT event_id AS third FROM tasker_checkpoint_claim('three') \gset
CALL lapse();
SELECT everything() AS before \gset
SELECT sequence, event_id = :'second' AS same FROM tasker_checkpoint_save(:'s1', '50', 50, NULL, :'second'); -- fail
SELECT worker, live FROM events;
SELECT everything() = :'before' AS unchanged;

-- in the transaction of the original, and after its rollback
CALL lapse();
SELECT event_id AS third FROM tasker_checkpoint_claim('three') \gset
BEGIN;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '60', 60, NULL, :'third');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '60', 60, NULL, :'third');
ROLLBACK;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '60', 60, NULL, :'third');
BEGIN;
SELECT sequence, event_id AS continuation FROM tasker_checkpoint_yield(:'s1', '70', 70, NULL, :'third') \gset
ROLLBACK;
SELECT sequence, event_id <> :'continuation' AS new FROM tasker_checkpoint_yield(:'s1', '70', 70, NULL, :'third');

-- history and truncated count tell of each checkpoint once
SELECT sequence, jsonb_array_length(tasker_checkpoint_get(:'s1') -> 'history') AS entries FROM tasker_checkpoint_load(:'s1');

-- an operator takes the step: what was done before is answered as it was, anything else is TC002
CALL lapse();
SELECT event_id AS third FROM tasker_checkpoint_claim('three') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '75', 75, NULL, :'third');
RESET ROLE;
SELECT sequence, directive FROM tasker_checkpoint_rewind(:'s1', 10);
SET ROLE regress_tckpt_worker;
SELECT everything() AS before \gset
SELECT sequence, event_id = :'third' AS same FROM tasker_checkpoint_save(:'s1', '75', 75, NULL, :'third'); -- fail
SELECT tasker_checkpoint_save(:'s1', '76', 76, NULL, :'third'); -- fail
SELECT everything() = :'before' AS unchanged;
SELECT event_id AS third FROM tasker_checkpoint_claim('three') \gset
SELECT sequence, event_id AS continuation FROM tasker_checkpoint_yield(:'s1', '77', 77, NULL, :'third') \gset
SELECT :'sequence' AS sequence;
RESET ROLE;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SET ROLE regress_tckpt_worker;
SELECT sequence, event_id = :'continuation' AS same FROM tasker_checkpoint_yield(:'s1', '77', 77, NULL, :'third');
SELECT tasker_checkpoint_yield(:'s1', '78', 78, NULL, :'third'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '78', 78, NULL, :'continuation'); -- fail
SELECT tasker_checkpoint_pause(:'s1');
RESET ROLE;
SELECT tasker_checkpoint_clear(:'s1');
SET ROLE regress_tckpt_worker;
SELECT everything() AS before \gset
SELECT sequence, event_id = :'continuation' AS same, directive FROM tasker_checkpoint_yield(:'s1', '77', 77, NULL, :'third');
SELECT everything() = :'before' AS unchanged;

RESET ROLE;
DROP FUNCTION everything;
\i :drop_steps

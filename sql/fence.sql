-- Only the step's current event_id lets a worker write: TC002, or false, for every other
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
\set unknown ffffffff-ffff-4fff-bfff-ffffffffffff
-- everything about steps and events, to see that a refusal changes nothing of it
CREATE FUNCTION everything() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$
	SELECT md5(concat((SELECT string_agg(s::text, '|' ORDER BY s) FROM steps s), (SELECT string_agg(e::text, '|' ORDER BY e) FROM tasker_checkpoint_events e)))
$$;
-- all that a worker can do with an event; in PL/pgSQL, so that what is refused ends nothing
CREATE FUNCTION attempts(step uuid, event uuid) RETURNS TABLE (what text, result text) LANGUAGE plpgsql AS $$
DECLARE
	call text;
	before text := everything();
BEGIN
	FOREACH call IN ARRAY ARRAY['yield($1, ''99'', 99, NULL, $2)', 'save($1, ''99'', 99, NULL, $2)',
		'yield_step_event($2, jsonb_build_object(''step_uuid'', $1, ''cursor'', 99, ''items_processed'', 99))',
		'heartbeat($2)', 'release($2)', 'release($2, ''1 hour'')', 'complete($2)']
	LOOP
		what := split_part(call, '(', 1);
		BEGIN
			EXECUTE 'SELECT tasker_checkpoint_' || call INTO result USING step, event;
		EXCEPTION WHEN OTHERS THEN
			result := SQLSTATE || ' ' || SQLERRM;
		END;
		RETURN NEXT;
	END LOOP;
	what := 'anything changed';
	result := everything() <> before;
	RETURN NEXT;
END
$$;
SET ROLE regress_tckpt_worker;

-- a step that was never dispatched has no event at all
SELECT sequence FROM tasker_checkpoint_save(:'s2', '1', 1);
SELECT tasker_checkpoint_yield(:'s1', '1', 1, NULL, :'unknown'); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 1, NULL, :'unknown'); -- fail
\echo :LAST_ERROR_SQLSTATE
SELECT tasker_checkpoint_heartbeat(:'unknown'), tasker_checkpoint_complete(:'unknown'), tasker_checkpoint_release(:'unknown');

-- the id that dispatch gave is good until somebody claims
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT sequence, event_id = :'dispatched' AS given, directive FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'dispatched');
-- it gives no lease: there is nothing to extend
SELECT tasker_checkpoint_heartbeat(:'dispatched');
SELECT sequence, event_id AS continuation, event_id <> :'dispatched' AS new FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'dispatched') \gset
SELECT :'sequence' AS sequence, :'new' AS new;
SELECT * FROM attempts(:'s1', :'dispatched');
-- so is that of a receipt
SELECT sequence, event_id AS second FROM tasker_checkpoint_yield(:'s1', '3', 3, NULL, :'continuation') \gset
SELECT * FROM attempts(:'s1', :'continuation');
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT * FROM attempts(:'s1', :'second');
SELECT sequence, event_id = :'claimed' AS given, directive FROM tasker_checkpoint_save(:'s1', '4', 4, NULL, :'claimed');

-- an id of another step, of nobody
SELECT tasker_checkpoint_dispatch(:'s2') AS other \gset
SELECT tasker_checkpoint_yield(:'s1', '5', 5, NULL, :'other'); -- fail
SELECT tasker_checkpoint_save(:'s1', '5', 5, NULL, :'other'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '5', 5, NULL, :'s1'); -- fail
SELECT * FROM attempts(:'s1', :'unknown');
SELECT tasker_checkpoint_complete(:'other');

-- without one: not while the step is claimed
SELECT tasker_checkpoint_yield(:'s1', '5', 5); -- fail
\echo :LAST_ERROR_SQLSTATE
SELECT tasker_checkpoint_save(:'s1', '5', 5); -- fail
-- a direct UPDATE is not fenced
UPDATE steps SET checkpoint = '{"cursor": 5, "items_processed": 5}' WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_save(:'s1', '6', 6, NULL, :'claimed');

-- the lease is over, nobody has taken the step: the holder goes on
CALL lapse();
SELECT tasker_checkpoint_heartbeat(:'claimed');
CALL lapse();
SELECT sequence FROM tasker_checkpoint_save(:'s1', '7', 7, NULL, :'claimed');
-- the save has extended it
SELECT count(*) FROM tasker_checkpoint_claim('two');
CALL lapse();
-- somebody without a claim saves; the event is as it was
SELECT sequence, event_id, directive FROM tasker_checkpoint_save(:'s1', '8', 8);
CALL lapse();
SELECT sequence, event_id AS continuation FROM tasker_checkpoint_yield(:'s1', '9', 9, NULL, :'claimed') \gset
SELECT :'sequence' AS sequence;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
CALL lapse();
BEGIN;
SELECT tasker_checkpoint_release(:'claimed');
ROLLBACK;
SELECT tasker_checkpoint_complete(:'claimed');

-- an unfenced yield takes the step from one whose lease is over
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
CALL lapse();
SELECT sequence, event_id AS continuation FROM tasker_checkpoint_yield(:'s1', '10', 10) \gset
SELECT :'sequence' AS sequence;
SELECT * FROM attempts(:'s1', :'claimed');
-- and replaces an event that nobody has claimed
SELECT sequence, event_id <> :'continuation' AS new FROM tasker_checkpoint_yield(:'s1', '11', 11);
SELECT * FROM attempts(:'s1', :'continuation');

-- the lease is over, and another has taken the step
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
CALL lapse();
SELECT event_id AS taken FROM tasker_checkpoint_claim('two') \gset
SELECT * FROM attempts(:'s1', :'claimed');
SELECT sequence, event_id = :'taken' AS given FROM tasker_checkpoint_save(:'s1', '12', 12, NULL, :'taken');
SELECT tasker_checkpoint_heartbeat(:'taken');

-- what was handed back or completed is nobody's
SELECT tasker_checkpoint_release(:'taken');
SELECT * FROM attempts(:'s1', :'taken');
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_complete(:'claimed');
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT * FROM attempts(:'s1', :'claimed');
-- a rolled-back claim or yield is none
BEGIN;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
ROLLBACK;
SELECT * FROM attempts(:'s1', :'claimed');
BEGIN;
SELECT sequence, event_id AS continuation FROM tasker_checkpoint_yield(:'s1', '13', 13, NULL, :'dispatched') \gset
ROLLBACK;
SELECT * FROM attempts(:'s1', :'continuation');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '13', 13, NULL, :'dispatched');

-- the fence comes before what is wrong with the checkpoint, and after what is wrong with the call
SELECT tasker_checkpoint_yield(:'s1', '1', 1, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 70000)), 1, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s1', NULL, 1, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '1', -1, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_yield(:'unknown', '1', 1, NULL, :'claimed'); -- fail
RESET ROLE;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 1); -- fail
-- the holder of a processed step can only leave it
RESET ROLE;
UPDATE steps SET processed = false;
SET ROLE regress_tckpt_worker;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
RESET ROLE;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '14', 14, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_save(:'s1', '14', 14, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_heartbeat(:'claimed'), tasker_checkpoint_complete(:'claimed');

RESET ROLE;
DROP FUNCTION attempts, everything;
\i :drop_steps

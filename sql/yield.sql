-- A yield stores a checkpoint and returns its receipt
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false,
	updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION shown(checkpoint jsonb) RETURNS text
LANGUAGE sql
RETURN regexp_replace(checkpoint::text, '"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"', '"(time)"', 'g');
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

-- a first checkpoint, and a second one
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM tasker_checkpoint_yield(:'s1', '1000', 1000, '{"sum": 500500}');
SELECT shown(checkpoint) FROM steps WHERE workflow_step_uuid = :'s1';
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM tasker_checkpoint_yield(:'s1', '2000', 2000, '{"sum": 2001000}');
SELECT shown(checkpoint) FROM steps WHERE workflow_step_uuid = :'s1';
SELECT pg_typeof(y) FROM tasker_checkpoint_yield(:'s1', '3000', 3000) y;

-- the other step has none
SELECT checkpoint FROM steps WHERE workflow_step_uuid = :'s2';

-- by name; results left out and SQL NULL are a JSON null
SELECT sequence FROM tasker_checkpoint_yield(step_uuid => :'s2', cursor => '"a"', items => 0, results => NULL, event_id => NULL);
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '"b"', 0);
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '"c"', 0, 'null');
SELECT shown(checkpoint) FROM steps WHERE workflow_step_uuid = :'s2';

-- cursor and results are any JSON
SELECT tasker_checkpoint_clear(:'s2');
CREATE TEMPORARY TABLE seen (value jsonb, sequence bigint, cursor jsonb, results jsonb, document jsonb);
DO $$
DECLARE
	step uuid := '00000000-0000-0000-0000-000000000002';
	value jsonb;
	sequence bigint;
BEGIN
	FOREACH value IN ARRAY ARRAY['null', 'true', 'false', '0', '-1.50', '""', '"token"', '[]', '{}', '[1, "a", null]',
		'{"shard": {"page": 3}}', '{"cursor": 1, "history": "no"}']::jsonb[] LOOP
		sequence := (tasker_checkpoint_yield(step, value, 1, value)).sequence;
		INSERT INTO seen VALUES (value, sequence, tasker_checkpoint_cursor(step),
								 tasker_checkpoint_accumulated_results(step), tasker_checkpoint_get(step));
	END LOOP;
END
$$;
SELECT value, sequence, cursor, results, document -> 'cursor' AS stored_cursor, document -> 'accumulated_results' AS stored_results
FROM seen ORDER BY sequence;

-- items from 0 to the greatest bigint
SELECT tasker_checkpoint_clear(:'s2');
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 0);
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 9223372036854775807);
SELECT checkpoint -> 'items_processed' AS items FROM steps WHERE workflow_step_uuid = :'s2';

-- the document is replaced as a whole: keys of one's own do not survive a yield
UPDATE steps SET checkpoint = checkpoint || '{"note": "mine"}' WHERE workflow_step_uuid = :'s2';
SELECT checkpoint ? 'note' AS noted, jsonb_array_length(checkpoint -> 'history') AS entries
FROM steps WHERE workflow_step_uuid = :'s2';
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '2', 9223372036854775807);
SELECT checkpoint ? 'note' AS noted FROM steps WHERE workflow_step_uuid = :'s2';

-- the same again is a new checkpoint
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '2', 9223372036854775807);

-- arguments
CREATE TEMPORARY TABLE kept AS SELECT * FROM steps;
SELECT tasker_checkpoint_yield(NULL, '1', 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', NULL, 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', '1', NULL); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', '1', -1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', '1', -9223372036854775808); -- fail
SELECT tasker_checkpoint_yield(:'s1', '1', 1, NULL, :'s1'); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(NULL, NULL, NULL, NULL, NULL); -- fail

-- no such step
SELECT tasker_checkpoint_yield(:'missing', '1', 1); -- fail
\echo :SQLSTATE

-- a step that is processed already
RESET ROLE;
UPDATE steps SET processed = true WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '4000', 4000); -- fail
\echo :SQLSTATE
-- which is found before limits and items are looked at
SELECT tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 70000)), 0); -- fail
-- and limits before items
RESET ROLE;
UPDATE steps SET processed = false WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 70000)), 0); -- fail
SELECT tasker_checkpoint_yield(:'s1', '1', 0); -- fail
-- and arguments before the table
SELECT tasker_checkpoint_yield(:'missing', '1', -1); -- fail
\set VERBOSITY default

-- nothing was changed by what was refused
SELECT count(*) FROM steps JOIN kept USING (workflow_step_uuid)
WHERE steps.checkpoint = kept.checkpoint AND steps.updated_at = kept.updated_at;

-- processed null is not processed
RESET ROLE;
ALTER TABLE steps ALTER COLUMN processed DROP NOT NULL;
UPDATE steps SET processed = NULL WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '4000', 4000);

-- read only
BEGIN READ ONLY;
SELECT tasker_checkpoint_yield(:'s1', '5000', 5000); -- fail
\echo :SQLSTATE
ROLLBACK;
-- rolled back, wholly and to a savepoint
BEGIN;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '5000', 5000);
SAVEPOINT a;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '6000', 6000);
ROLLBACK TO a;
SELECT sequence FROM tasker_checkpoint_load(:'s1');
ROLLBACK;
SELECT sequence, cursor FROM tasker_checkpoint_load(:'s1');

-- several in one statement, the same step twice among them
SELECT y.sequence FROM (VALUES (:'s1'::uuid, 7000), (:'s2', 1), (:'s1', 8000)) v (step, n),
	tasker_checkpoint_yield(step, to_jsonb(n), 9223372036854775807) y;
SELECT workflow_step_uuid, sequence, cursor FROM steps, tasker_checkpoint_load(workflow_step_uuid) ORDER BY 1;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, kept, seen;
DROP FUNCTION shown;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

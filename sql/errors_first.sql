-- What a first call gets that is not right yet, and what is right
\set VERBOSITY terse
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
RESET client_min_messages;

SELECT tasker_checkpoint_yield(:'s1'::uuid, 4711, 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_save(:'s1'::uuid, 'item'::text, 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', 'item', 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_claim('w', 60); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_heartbeat(gen_random_uuid(), 60); -- fail
SELECT tasker_checkpoint_release(gen_random_uuid(), 5); -- fail
\echo :SQLSTATE

SELECT sequence FROM tasker_checkpoint_save(:'s1', '4711', 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', to_jsonb(4711), 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"item"'::jsonb, 1);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', to_jsonb('item'::text), 1);
SELECT event_id FROM tasker_checkpoint_claim('w', interval '60 seconds') \gset
SELECT tasker_checkpoint_heartbeat(:'event_id', make_interval(secs => 60));
SELECT tasker_checkpoint_release(:'event_id', '5 s');

-- another schema than those on the search_path
SET search_path = pg_catalog;
SELECT tasker_checkpoint_load('00000000-0000-0000-0000-000000000001'); -- fail
\echo :SQLSTATE
SELECT sequence FROM public.tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');
RESET search_path;

-- a role without grants, of the function, then of the table
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
CREATE ROLE regress_tckpt_first;
SET ROLE regress_tckpt_first;
SELECT tasker_checkpoint_claim('w'); -- fail
\echo :SQLSTATE
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_claim TO regress_tckpt_first;
SET ROLE regress_tckpt_first;
SELECT tasker_checkpoint_claim('w'); -- fail
\echo :SQLSTATE
RESET ROLE;

-- in a transaction, as drivers that begin one by themselves do
BEGIN;
CALL tasker_checkpoint_wait(NULL, '0'); -- fail
\echo :SQLSTATE
ROLLBACK;
CALL tasker_checkpoint_wait(NULL, '0');

-- nothing is attached, and then what has another key
SET client_min_messages = error;
SELECT tasker_checkpoint_detach();
RESET client_min_messages;
SELECT tasker_checkpoint_yield(:'s1', '1', 1); -- fail
\echo :SQLSTATE
CREATE TABLE my_table (id bigint PRIMARY KEY);
INSERT INTO my_table VALUES (1);
SELECT tasker_checkpoint_attach('my_table', 'id'); -- fail
\echo :SQLSTATE
ALTER TABLE my_table ADD COLUMN step_id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid();
SELECT tasker_checkpoint_attach('my_table', 'step_id');
SELECT sequence FROM my_table, tasker_checkpoint_yield(step_id, to_jsonb(id), 1);

DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, my_table;
DROP ROLE regress_tckpt_first;

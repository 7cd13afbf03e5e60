-- Roles have what contract and grants give them: reader, worker, operator
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text, in_process boolean, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1', 'secret', false, false, NULL);
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_worker;
CREATE ROLE regress_tckpt_operator;
CREATE ROLE regress_tckpt_nobody;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_operator;
RESET client_min_messages;

-- who may execute what
SELECT proname, has_function_privilege('public', oid, 'EXECUTE') AS public, prosecdef AS definer, proconfig
FROM pg_proc WHERE proname LIKE 'tasker\_checkpoint\_%' ORDER BY proname COLLATE "C";

-- a reader
GRANT SELECT (workflow_step_uuid, checkpoint) ON steps TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT tasker_checkpoint_get(:'s1'), tasker_checkpoint_exists(:'s1'), tasker_checkpoint_cursor(:'s1'),
	tasker_checkpoint_items_processed(:'s1'), tasker_checkpoint_accumulated_results(:'s1'), tasker_checkpoint_table();
SELECT has_checkpoint FROM tasker_checkpoint_load(:'s1');
SELECT tasker_checkpoint_yield(:'s1', '1', 1); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 1); -- fail
SELECT tasker_checkpoint_clear(:'s1'); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'s1'); -- fail
SELECT tasker_checkpoint_attach('steps'); -- fail
SELECT tasker_checkpoint_detach(); -- fail
SELECT tasker_checkpoint_guard(); -- fail
UPDATE steps SET checkpoint = NULL; -- fail

-- one without grants on the table reads nothing
SET ROLE regress_tckpt_nobody;
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_exists(:'missing'); -- fail

-- a worker: what the contract lists, and no more
RESET ROLE;
GRANT SELECT (workflow_step_uuid, checkpoint, processed), UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_yield, tasker_checkpoint_save TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2);
UPDATE steps SET checkpoint = '{"cursor": 3, "items_processed": 3}';
SELECT sequence FROM tasker_checkpoint_load(:'s1');
SELECT tasker_checkpoint_clear(:'s1'); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'s1'); -- fail
-- granted the function, it lacks the columns; and the other way round
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_reset_for_retry TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_reset_for_retry(:'s1'); -- fail
RESET ROLE;
REVOKE UPDATE (updated_at) ON steps FROM regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '4', 4); -- fail
RESET ROLE;
GRANT UPDATE (updated_at) ON steps TO regress_tckpt_worker;
REVOKE SELECT (workflow_step_uuid) ON steps FROM regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '4', 4); -- fail
-- the guard reads "processed" with no grant on it
RESET ROLE;
GRANT SELECT (workflow_step_uuid) ON steps TO regress_tckpt_worker;
REVOKE SELECT (processed) ON steps FROM regress_tckpt_worker;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '4', 4); -- fail
RESET ROLE;
UPDATE steps SET processed = false;

-- an operator
GRANT EXECUTE ON FUNCTION tasker_checkpoint_clear, tasker_checkpoint_reset_for_retry, tasker_checkpoint_attach, tasker_checkpoint_detach
TO regress_tckpt_operator;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_reset_for_retry(:'s1', true);
SELECT tasker_checkpoint_clear(:'s1');
SELECT tasker_checkpoint_yield(:'s1', '4', 4); -- fail
-- attach and detach: the table's owner
SELECT tasker_checkpoint_detach(); -- fail
RESET ROLE;
SELECT tasker_checkpoint_detach();
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_attach('steps'); -- fail
CREATE TABLE regress_tckpt.jobs (id uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('regress_tckpt.jobs', 'id'); -- fail
-- who makes the guard trigger needs EXECUTE on the guard, too
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_guard TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_attach('regress_tckpt.jobs', 'id');
SELECT tasker_checkpoint_detach();

-- nobody makes a guard trigger of his own, and so a table the steps table
SET ROLE regress_tckpt_worker;
CREATE TEMPORARY TABLE mine (k uuid, checkpoint jsonb);
CREATE TRIGGER mine BEFORE INSERT OR UPDATE OF k, checkpoint ON mine FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard(); -- fail
RESET ROLE;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, mine;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_reader, regress_tckpt_worker, regress_tckpt_operator, regress_tckpt_nobody;
DROP ROLE regress_tckpt_reader, regress_tckpt_worker, regress_tckpt_operator, regress_tckpt_nobody;

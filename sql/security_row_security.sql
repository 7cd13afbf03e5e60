-- Row security applies: a step that the caller can't see does not exist
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, tenant text, in_process boolean, updated_at timestamptz);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1', 'regress_tckpt_a'), (:'s2', 'regress_tckpt_b'), (:'s3', 'all');
CREATE ROLE regress_tckpt_a;
CREATE ROLE regress_tckpt_b;
CREATE ROLE regress_tckpt_owner;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_a, regress_tckpt_b;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_a, regress_tckpt_b, regress_tckpt_owner;
ALTER TABLE steps OWNER TO regress_tckpt_owner;
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
-- all tenants see what is for all, and write their own
CREATE POLICY see ON steps FOR SELECT USING (tenant IN (current_user, 'all'));
CREATE POLICY write ON steps FOR UPDATE USING (tenant = current_user);
RESET client_min_messages;

SET ROLE regress_tckpt_a;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2);
SELECT tasker_checkpoint_exists(:'s1'), tasker_checkpoint_exists(:'s3');

-- another tenant's
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_yield(:'s2', '1', 1); -- fail
SELECT tasker_checkpoint_save(:'s2', '1', 1); -- fail
SELECT tasker_checkpoint_get(:'s2'); -- fail
SELECT tasker_checkpoint_load(:'s2'); -- fail
SELECT tasker_checkpoint_exists(:'s2'); -- fail
SELECT tasker_checkpoint_cursor(:'s2'); -- fail
SELECT tasker_checkpoint_items_processed(:'s2'); -- fail
SELECT tasker_checkpoint_accumulated_results(:'s2'); -- fail
SELECT tasker_checkpoint_clear(:'s2'); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'s2'); -- fail
-- one that can be read, but not written
SELECT tasker_checkpoint_yield(:'s3', '1', 1); -- fail
SELECT tasker_checkpoint_clear(:'s3'); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'s3'); -- fail
\set VERBOSITY default
SELECT tasker_checkpoint_yield(:'s2', '1', 1); -- fail

-- the same session as another role: a plan that is kept is not the other's
SET ROLE regress_tckpt_b;
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 1);
SELECT tasker_checkpoint_exists(:'s2');
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '3', 3); -- fail
SET ROLE regress_tckpt_a;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3);

-- the owner is not subject to it, until forced
SET ROLE regress_tckpt_owner;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '4', 4);
ALTER TABLE steps FORCE ROW LEVEL SECURITY;
SELECT tasker_checkpoint_yield(:'s1', '5', 5); -- fail
ALTER TABLE steps NO FORCE ROW LEVEL SECURITY;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '5', 5);

-- a policy that refuses the new row
CREATE POLICY checked ON steps AS RESTRICTIVE FOR UPDATE USING (true) WITH CHECK (checkpoint ->> 'cursor' <> '6');
SET ROLE regress_tckpt_a;
SELECT tasker_checkpoint_yield(:'s1', '6', 6); -- fail
\echo :SQLSTATE
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '7', 7);

-- row_security = off is an error, not a way around it
SET row_security = off;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '8', 8); -- fail
\set VERBOSITY default
RESET row_security;

-- a view's or a function's owner counts where it should
RESET ROLE;
CREATE FUNCTION as_b(step uuid) RETURNS boolean LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT public.tasker_checkpoint_exists(step)';
ALTER FUNCTION as_b OWNER TO regress_tckpt_b;
SET ROLE regress_tckpt_a;
SELECT as_b(:'s2');
SELECT as_b(:'s1'); -- fail

RESET ROLE;
SELECT workflow_step_uuid, cursor, sequence FROM steps, tasker_checkpoint_load(workflow_step_uuid) ORDER BY 1;
SET client_min_messages = error;
DROP FUNCTION as_b;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_a, regress_tckpt_b, regress_tckpt_owner;
DROP ROLE regress_tckpt_a, regress_tckpt_b, regress_tckpt_owner;

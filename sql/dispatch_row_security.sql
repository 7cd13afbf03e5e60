-- A step that row security hides is neither delivered to a worker, nor taken for one that is gone
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, tenant text, in_process boolean, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1', 'regress_tckpt_a'), (:'s2', 'regress_tckpt_b'), (:'s3', 'all');
CREATE ROLE regress_tckpt_a;
CREATE ROLE regress_tckpt_b;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_bypass BYPASSRLS;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_a, regress_tckpt_b, regress_tckpt_bypass;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_a, regress_tckpt_b, regress_tckpt_owner, regress_tckpt_bypass;
ALTER TABLE steps OWNER TO regress_tckpt_owner;
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
-- all tenants see what is for all, and write their own
CREATE POLICY see ON steps FOR SELECT USING (tenant IN (current_user, 'all'));
CREATE POLICY write ON steps FOR UPDATE USING (tenant = current_user);
CREATE VIEW events AS SELECT step_uuid, right(step_uuid::text, 3) AS step, directive, worker FROM tasker_checkpoint_events;
CREATE PROCEDURE older(step uuid, age interval) LANGUAGE sql SECURITY DEFINER AS
'UPDATE tasker_checkpoint_events SET available_at = ''2000-01-02''::timestamptz - age WHERE step_uuid = step';
GRANT SELECT ON events TO PUBLIC;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
CALL older(:'s2', '3 hours');
CALL older(:'s1', '2 hours');
CALL older(:'s3', '1 hour');
RESET client_min_messages;

-- of the three a sees two; one it may not write, which it learns when it does
SET ROLE regress_tckpt_a;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('a', max_steps => 10);
SELECT step, worker FROM events ORDER BY 1;
SELECT * FROM tasker_checkpoint_claim('a', max_steps => 10);
-- another tenant's is P0002
SELECT * FROM tasker_checkpoint_claim('a', step_uuid => :'s2'); -- fail
SELECT tasker_checkpoint_dispatch(:'s2'); -- fail
SELECT tasker_checkpoint_dispatch(:'s3'); -- fail
SELECT tasker_checkpoint_pause(:'s2'); -- fail
SELECT tasker_checkpoint_cancel(:'s2'); -- fail
SELECT tasker_checkpoint_resume(:'s2'); -- fail
SELECT tasker_checkpoint_rewind(:'s2', 1); -- fail
SELECT tasker_checkpoint_yield(:'s2', '1', 1, NULL, :'missing'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'missing', jsonb_build_object('step_uuid', :'s2', 'cursor', 1, 'items_processed', 1)); -- fail
-- the other finds its own untouched
SET ROLE regress_tckpt_b;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('b', max_steps => 10);
SELECT step, worker FROM events ORDER BY 1;

-- gone and processed: the processed one that it sees is removed, the one that may be gone is not
RESET ROLE;
UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01', available_at = '2000-01-01';
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid = :'s2';
RESET session_replication_role;
UPDATE steps SET processed = true WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_a;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('a', max_steps => 10);
SELECT step, worker FROM events ORDER BY 1;
-- one to whom row security does not apply removes it: BYPASSRLS, the table's owner
SET ROLE regress_tckpt_bypass;
BEGIN;
SELECT * FROM tasker_checkpoint_claim('bypass');
SELECT step FROM events ORDER BY 1;
ROLLBACK;
SET ROLE regress_tckpt_owner;
BEGIN;
SELECT * FROM tasker_checkpoint_claim('owner');
SELECT step FROM events ORDER BY 1;
ROLLBACK;
-- not the owner once it is forced
ALTER TABLE steps FORCE ROW LEVEL SECURITY;
SELECT * FROM tasker_checkpoint_claim('owner');
SELECT step FROM events ORDER BY 1;
ALTER TABLE steps NO FORCE ROW LEVEL SECURITY;
-- row_security = off is an error where it would hide anything, and no way around it
SET ROLE regress_tckpt_a;
SET row_security = off;
\set VERBOSITY sqlstate
SELECT * FROM tasker_checkpoint_claim('a'); -- fail
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
\set VERBOSITY default
RESET row_security;
SELECT step FROM events ORDER BY 1;

-- a worker's own steps behind many of others
RESET ROLE;
DELETE FROM steps;
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events;
INSERT INTO steps SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid, CASE WHEN n % 100 = 0 THEN 'regress_tckpt_a' ELSE 'regress_tckpt_b' END
FROM generate_series(1, 300) n;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
UPDATE tasker_checkpoint_events SET available_at = timestamptz '2000-01-01' + right(step_uuid::text, 3)::int * interval '1 s';
SET ROLE regress_tckpt_a;
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('a');
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('a', max_steps => 10);
SELECT * FROM tasker_checkpoint_claim('a', max_steps => 10);
SET ROLE regress_tckpt_b;
SELECT count(*), min(right(step_uuid::text, 3)), max(right(step_uuid::text, 3)) FROM tasker_checkpoint_claim('b', max_steps => 1000);
SELECT worker, count(*) FROM events GROUP BY worker ORDER BY worker COLLATE "C";

-- the same session as another role: a plan that is kept is not the other's
RESET ROLE;
UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01', available_at = timestamptz '2000-01-01' + right(step_uuid::text, 3)::int * interval '1 s';
SET ROLE regress_tckpt_a;
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('a');
SET ROLE regress_tckpt_b;
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('b');
SET ROLE regress_tckpt_owner;
SELECT right(step_uuid::text, 3) AS step FROM tasker_checkpoint_claim('owner');

RESET ROLE;
SET client_min_messages = error;
DROP VIEW events;
DROP PROCEDURE older;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_a, regress_tckpt_b, regress_tckpt_owner, regress_tckpt_bypass;
DROP ROLE regress_tckpt_a, regress_tckpt_b, regress_tckpt_owner, regress_tckpt_bypass;

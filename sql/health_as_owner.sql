-- A superuser's progress and health read the steps table and Tasker's others as their owner, in a security-restricted operation
-- Not in parallel workers: what is planted writes when it is read
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_other;
GRANT regress_tckpt_other TO regress_tckpt_owner;
CREATE SCHEMA tasker AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_guard() TO regress_tckpt_owner;
CREATE TABLE ran (place text, who name, may_leave boolean);
GRANT INSERT ON ran TO PUBLIC;
SET ROLE regress_tckpt_owner;
-- planted wherever planning or execution calls it
CREATE FUNCTION tasker.look(place text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	may_leave boolean;
BEGIN
	BEGIN
		EXECUTE 'SET ROLE regress_tckpt_other';
		RAISE SQLSTATE 'TT000';
	EXCEPTION WHEN SQLSTATE 'TT000' THEN
		may_leave := true;
	WHEN OTHERS THEN
		may_leave := false;
	END;
	INSERT INTO public.ran VALUES (place, current_user, may_leave);
	RETURN true;
END $$;
CREATE FUNCTION tasker.spy(place text, n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM tasker.look(place);
	RETURN n;
END $$;
CREATE TABLE tasker.named_steps (named_step_uuid uuid PRIMARY KEY, name text);
CREATE TABLE tasker.named_tasks (named_task_uuid uuid PRIMARY KEY, name text);
CREATE TABLE tasker.tasks (task_uuid uuid PRIMARY KEY, named_task_uuid uuid);
CREATE TABLE tasker.workflow_steps (
	workflow_step_uuid uuid PRIMARY KEY, task_uuid uuid, named_step_uuid uuid, in_process boolean, processed boolean NOT NULL DEFAULT false, inputs jsonb, checkpoint jsonb);
CREATE INDEX expression ON tasker.workflow_steps ((tasker.spy('steps expression', 1) + length(inputs::text)));
CREATE INDEX predicate ON tasker.workflow_steps (task_uuid) WHERE tasker.spy('steps predicate', 1) = 2 AND NOT processed;
CREATE STATISTICS tasker.statistics ON (tasker.spy('steps statistics', 1) + length(inputs::text)), processed FROM tasker.workflow_steps;
CREATE INDEX predicate_of_named ON tasker.named_steps (name) WHERE tasker.spy('named_steps predicate', 1) = 2;
CREATE INDEX predicate_of_tasks ON tasker.tasks (named_task_uuid) WHERE tasker.spy('tasks predicate', 1) = 2;
CREATE INDEX predicate_of_named_tasks ON tasker.named_tasks (name) WHERE tasker.spy('named_tasks predicate', 1) = 2;
CREATE POLICY all_of_them ON tasker.workflow_steps USING (tasker.look('steps policy'));
ALTER TABLE tasker.workflow_steps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY no_names ON tasker.named_steps USING (false);
ALTER TABLE tasker.named_steps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
INSERT INTO tasker.named_tasks VALUES ('00000000-0000-0000-0000-00000000000d', 'nightly');
INSERT INTO tasker.tasks VALUES ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000d');
RESET ROLE;
INSERT INTO tasker.named_steps VALUES ('00000000-0000-0000-0000-00000000000b', 'import');
SELECT tasker_checkpoint_attach('tasker.workflow_steps');
INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, named_step_uuid, inputs, checkpoint) VALUES ('00000000-0000-0000-0000-000000000001',
	'00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b', '{}', '{"cursor": 1, "items_processed": 1}');
INSERT INTO tasker.workflow_steps (workflow_step_uuid) VALUES ('00000000-0000-0000-0000-000000000002');
SELECT count(tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1)) FROM generate_series(1, 5);
SELECT tasker_checkpoint_cancel('00000000-0000-0000-0000-000000000002');
-- in a session that has planned nothing yet
\c
SET client_min_messages = warning;
TRUNCATE ran;
SELECT right(step_uuid::text, 1) AS step, step_name, task_name, items_processed, state FROM tasker_checkpoint_progress ORDER BY 1;
SELECT state FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000001');
SELECT right(step_uuid::text, 1) AS step, finding FROM tasker_checkpoint_health ORDER BY 1;
SELECT count(*) > 0 AS ran, bool_and(who = 'regress_tckpt_owner') AS as_owner, bool_or(may_leave) AS may_leave FROM ran;
SELECT count(DISTINCT place) > 3 AS in_many_places FROM ran;
SELECT current_user = session_user AS back, current_setting('search_path') <> 'pg_catalog, pg_temp' AS path;

-- an owner without rights is told which; names are left out with them
REVOKE SELECT ON tasker.named_tasks FROM regress_tckpt_owner;
SELECT right(step_uuid::text, 1) AS step, step_name, task_name FROM tasker_checkpoint_progress ORDER BY 1;
REVOKE SELECT ON tasker.workflow_steps FROM regress_tckpt_owner;
SELECT * FROM tasker_checkpoint_progress; -- fail
SELECT * FROM tasker_checkpoint_health; -- fail
SELECT current_user = session_user AS back;

DROP SCHEMA tasker CASCADE;
DROP TABLE ran;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_owner, regress_tckpt_other;

-- The view of progress: everybody may ask, and sees what the steps table lets him see
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_tenant;
CREATE ROLE regress_tckpt_stranger;
CREATE SCHEMA tasker AUTHORIZATION regress_tckpt_owner;
SET ROLE regress_tckpt_owner;
CREATE TABLE tasker.named_steps (named_step_uuid uuid PRIMARY KEY, name text);
CREATE TABLE tasker.named_tasks (named_task_uuid uuid PRIMARY KEY, name text);
CREATE TABLE tasker.tasks (task_uuid uuid PRIMARY KEY, named_task_uuid uuid);
CREATE TABLE tasker.workflow_steps (
	workflow_step_uuid uuid PRIMARY KEY, task_uuid uuid, named_step_uuid uuid, tenant text,
	processed boolean, inputs jsonb, checkpoint jsonb);
RESET ROLE;
INSERT INTO tasker.named_steps VALUES ('00000000-0000-0000-0000-00000000000b', 'import');
INSERT INTO tasker.named_tasks VALUES ('00000000-0000-0000-0000-00000000000d', 'nightly');
INSERT INTO tasker.tasks VALUES ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000d');
SELECT tasker_checkpoint_attach();
INSERT INTO tasker.workflow_steps
SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid, '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b',
	CASE WHEN i % 2 = 0 THEN 'regress_tckpt_tenant' ELSE 'another' END, CASE i WHEN 4 THEN true WHEN 3 THEN false END,
	'{"cursor": {"start_cursor": 0, "end_cursor": 100}}', '{"cursor": 1, "items_processed": 10}'
FROM generate_series(1, 4) i;
SELECT count(tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000002'));
CREATE VIEW shown AS
SELECT right(step_uuid::text, 1) AS step, step_name, task_uuid IS NOT NULL AS has_task, task_name, items_processed AS items, total, state
FROM tasker_checkpoint_progress;
ALTER VIEW shown SET (security_invoker = true);
GRANT SELECT ON shown TO PUBLIC;

-- no right on the schema, on the table, on all the columns that are needed
SET ROLE regress_tckpt_reader;
\set VERBOSITY sqlstate
SELECT * FROM tasker_checkpoint_progress; -- fail
\set VERBOSITY default
RESET ROLE;
GRANT USAGE ON SCHEMA tasker TO PUBLIC;
SET ROLE regress_tckpt_reader;
SELECT * FROM tasker_checkpoint_progress; -- fail
SELECT * FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000001'); -- fail
RESET ROLE;
GRANT SELECT (workflow_step_uuid, checkpoint) ON tasker.workflow_steps TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT * FROM tasker_checkpoint_progress; -- fail
-- a message, and no SQL of ours around it
\set SHOW_CONTEXT always
SELECT * FROM tasker_checkpoint_health; -- fail
SELECT * FROM tasker_checkpoint_progress; -- fail
\set SHOW_CONTEXT never
RESET ROLE;

-- what else may be read is shown
GRANT SELECT (processed) ON tasker.workflow_steps TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT * FROM shown ORDER BY step;
RESET ROLE;
GRANT SELECT (inputs, task_uuid, named_step_uuid) ON tasker.workflow_steps TO regress_tckpt_reader;
GRANT SELECT (name) ON tasker.named_steps TO regress_tckpt_reader;
GRANT SELECT ON tasker.named_tasks TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT * FROM shown ORDER BY step;
RESET ROLE;
GRANT SELECT ON tasker.named_steps, tasker.tasks TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT * FROM shown ORDER BY step;
SELECT * FROM tasker_checkpoint_events; -- fail
RESET ROLE;

-- whoever owns a view on it sees what he may see himself, not the extension's owner
CREATE SCHEMA strangers AUTHORIZATION regress_tckpt_stranger;
GRANT ALL ON SCHEMA strangers TO regress_tckpt_reader;
SET ROLE regress_tckpt_stranger;
SELECT * FROM shown; -- fail
CREATE VIEW strangers.shown AS SELECT count(*) FROM tasker_checkpoint_progress;
GRANT SELECT ON strangers.shown TO PUBLIC;
SELECT * FROM strangers.shown; -- fail
SET ROLE regress_tckpt_reader;
SELECT * FROM strangers.shown;
RESET ROLE;

-- row security
ALTER TABLE tasker.workflow_steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON tasker.workflow_steps FOR SELECT USING (tenant = current_user);
GRANT SELECT ON tasker.workflow_steps TO regress_tckpt_tenant;
SET ROLE regress_tckpt_reader;
SELECT * FROM shown;
SET ROLE regress_tckpt_tenant;
SELECT * FROM shown;
SELECT state FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000002');
SELECT state FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000001'); -- fail
RESET ROLE;
ALTER TABLE tasker.workflow_steps DISABLE ROW LEVEL SECURITY;

-- names are not taken from what belongs to others, nor from a view: both could run code as the reader
ALTER TABLE tasker.named_steps OWNER TO regress_tckpt_stranger;
ALTER TABLE tasker.named_tasks RENAME TO others;
CREATE VIEW tasker.named_tasks AS SELECT * FROM tasker.others;
ALTER VIEW tasker.named_tasks OWNER TO regress_tckpt_owner;
SELECT * FROM shown ORDER BY step;

DROP VIEW strangers.shown, shown;
DROP SCHEMA strangers, tasker CASCADE;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_owner, regress_tckpt_reader, regress_tckpt_tenant, regress_tckpt_stranger;

-- CREATE EXTENSION attaches Tasker's table if it is the only one; DROP EXTENSION leaves column and data
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
CREATE FUNCTION has_checkpoint_column(steps regclass) RETURNS boolean
LANGUAGE sql
RETURN EXISTS (SELECT FROM pg_attribute WHERE attrelid = steps AND attname = 'checkpoint');

-- no table
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;

-- Tasker's current name, without the column
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false);
INSERT INTO tasker.workflow_steps VALUES (:'s1');
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
SELECT format_type(atttypid, atttypmod), attnotnull, atthasdef
FROM pg_attribute WHERE attrelid = 'tasker.workflow_steps'::regclass AND attname = 'checkpoint';
SELECT col_description('tasker.workflow_steps'::regclass, 3);
SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = 'tasker.workflow_steps'::regclass ORDER BY tgname COLLATE "C";
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM tasker_checkpoint_yield(:'s1', '10', 10, '{"sum": 55}');

-- DROP EXTENSION needs no CASCADE, and leaves column and data
DROP EXTENSION tasker_checkpoint;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'tasker.workflow_steps'::regclass;
SELECT checkpoint - 'timestamp' - 'history' AS checkpoint FROM tasker.workflow_steps;

-- again on the same table, which has column, comment and data now
COMMENT ON COLUMN tasker.workflow_steps.checkpoint IS 'mine';
CREATE EXTENSION tasker_checkpoint;
SELECT col_description('tasker.workflow_steps'::regclass, 3);
SELECT sequence FROM tasker_checkpoint_load(:'s1');
DROP EXTENSION tasker_checkpoint;

-- the two indexes of Tasker's migration, and an updated_at with an index
ALTER TABLE tasker.workflow_steps ADD COLUMN updated_at timestamp(6);
CREATE INDEX idx_workflow_steps_checkpoint_cursor ON tasker.workflow_steps ((checkpoint ->> 'cursor'))
WHERE checkpoint IS NOT NULL;
CREATE INDEX idx_workflow_steps_checkpoint_exists ON tasker.workflow_steps (workflow_step_uuid)
WHERE checkpoint IS NOT NULL;
CREATE INDEX idx_workflow_steps_updated_at ON tasker.workflow_steps (updated_at);
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;

-- both names
CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
SELECT has_checkpoint_column('tasker_workflow_steps');
DROP EXTENSION tasker_checkpoint;

-- the older name
DROP SCHEMA tasker CASCADE;
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;

-- the older name is looked for in the extension's schema, not along the search_path
CREATE SCHEMA regress_install;
CREATE EXTENSION tasker_checkpoint SCHEMA regress_install;
SELECT regress_install.tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;
CREATE TABLE regress_install.tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint SCHEMA regress_install;
SELECT regress_install.tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_install CASCADE;

-- a table that does not fit is no reason to fail
CREATE TABLE tasker_workflow_steps (workflow_step_uuid bigint PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
SELECT has_checkpoint_column('tasker_workflow_steps');
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;

CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint text);
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;

CREATE TABLE tasker_workflow_steps (id uuid PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;

-- only permanent tables are looked for
CREATE VIEW tasker_workflow_steps AS SELECT gen_random_uuid() AS workflow_step_uuid;
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
DROP VIEW tasker_workflow_steps;
CREATE UNLOGGED TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;
CREATE TEMPORARY TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;

-- client_min_messages is as before, and hides the notice from those who want errors only
CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
SHOW client_min_messages;
SELECT tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;
RESET client_min_messages;
CREATE EXTENSION tasker_checkpoint;
SHOW client_min_messages;
DROP EXTENSION tasker_checkpoint;

-- the table of another role
CREATE ROLE regress_tckpt_owner;
ALTER TABLE tasker_workflow_steps OWNER TO regress_tckpt_owner;
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
ALTER TABLE tasker_workflow_steps OWNER TO CURRENT_USER;
DROP ROLE regress_tckpt_owner;

-- in a transaction that is rolled back
BEGIN;
CREATE EXTENSION tasker_checkpoint;
ROLLBACK;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'tasker_workflow_steps'::regclass;
DROP TABLE tasker_workflow_steps;
DROP FUNCTION has_checkpoint_column;

-- members of the extension: all named alike, all commented
CREATE EXTENSION tasker_checkpoint;
CREATE TEMPORARY VIEW members AS
SELECT pg_describe_object(classid, objid, objsubid) AS object, identity,
	obj_description(objid, (SELECT relname FROM pg_class WHERE pg_class.oid = classid)) IS NOT NULL AS commented
FROM pg_depend, pg_identify_object(classid, objid, objsubid)
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint');
SELECT count(*) > 10 AS has_members FROM members;
SELECT object FROM members WHERE identity NOT LIKE 'public.tasker\_checkpoint\_%';
-- but for the types that arrays, tables and views have
SELECT object FROM members WHERE NOT commented AND object NOT LIKE 'type %[]'
AND NOT EXISTS (SELECT FROM pg_class WHERE 'type ' || relname = object AND relkind <> 'c');
DROP VIEW members;
DROP EXTENSION tasker_checkpoint;

-- the script reads the same in every server encoding
SELECT script FROM pg_config, pg_ls_dir(setting || '/extension') script
WHERE name = 'SHAREDIR' AND script LIKE 'tasker\_checkpoint--%.sql'
AND encode(pg_read_binary_file(setting || '/extension/' || script), 'escape') ~ '\\[2-3][0-7]{2}';

-- only a superuser can install it
CREATE ROLE regress_tckpt_user;
GRANT CREATE ON SCHEMA public TO regress_tckpt_user;
SET ROLE regress_tckpt_user;
\set VERBOSITY sqlstate
CREATE EXTENSION tasker_checkpoint; -- fail
RESET ROLE;
DROP OWNED BY regress_tckpt_user;
DROP ROLE regress_tckpt_user;

-- The view of progress: Tasker's older tables, tables of one's own, partitions, a hostile search_path
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA "Check Points";
CREATE EXTENSION tasker_checkpoint SCHEMA "Check Points";

-- Tasker's older names
CREATE SCHEMA older;
CREATE TABLE older.tasker_named_steps (named_step_uuid uuid PRIMARY KEY, name varchar(128));
CREATE TABLE older.tasker_named_tasks (named_task_uuid uuid PRIMARY KEY, name varchar(64));
CREATE TABLE older.tasker_tasks (task_uuid uuid PRIMARY KEY, named_task_uuid uuid);
CREATE TABLE older.named_steps (named_step_uuid uuid PRIMARY KEY, name text);
CREATE TABLE older.tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, task_uuid uuid, named_step_uuid uuid, processed boolean);
INSERT INTO older.tasker_named_steps VALUES ('00000000-0000-0000-0000-00000000000b', 'import');
INSERT INTO older.tasker_named_tasks VALUES ('00000000-0000-0000-0000-00000000000d', 'nightly');
INSERT INTO older.tasker_tasks VALUES ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000d');
INSERT INTO older.named_steps VALUES ('00000000-0000-0000-0000-00000000000b', 'of others');
SELECT "Check Points".tasker_checkpoint_attach('older.tasker_workflow_steps');
INSERT INTO older.tasker_workflow_steps VALUES ('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-00000000000a',
	'00000000-0000-0000-0000-00000000000b', false, '{"cursor": 1, "items_processed": 1}');
SELECT step_name, task_name, items_processed FROM "Check Points".tasker_checkpoint_progress;
SELECT "Check Points".tasker_checkpoint_detach();
DROP SCHEMA older CASCADE;

-- names that want quotes; processed, inputs and the rest of other types
CREATE TABLE "My ""Jobs""%s" (
	"The ""Key""$1" uuid PRIMARY KEY, processed integer DEFAULT 1, inputs text DEFAULT '{', task_uuid text DEFAULT 'x',
	named_step_uuid integer DEFAULT 1, checkpoint jsonb);
SELECT "Check Points".tasker_checkpoint_attach('"My ""Jobs""%s"', 'The "Key"$1');
ALTER TABLE "My ""Jobs""%s" RENAME checkpoint TO "%1$s 'so far'";
INSERT INTO "My ""Jobs""%s" ("The ""Key""$1", "%1$s 'so far'") VALUES
	('00000000-0000-0000-0000-000000000001', '{"cursor": 1, "items_processed": 1, "accumulated_results": {"total_items": 4}}'),
	('00000000-0000-0000-0000-000000000002', NULL);
SELECT step_uuid, step_name, task_uuid, items_processed, percent, state FROM "Check Points".tasker_checkpoint_progress;
SELECT percent FROM "Check Points".tasker_checkpoint_progress('00000000-0000-0000-0000-000000000001');

-- functions and operators of others are not called
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.raise(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE OPERATOR hostile.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = hostile.raise);
CREATE FUNCTION hostile.trunc(numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION hostile.tasker_checkpoint_survey(uuid, boolean) RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE TEMPORARY TABLE pg_trigger (tgrelid oid);
SET search_path = hostile, pg_temp, pg_catalog;
SELECT percent FROM "Check Points".tasker_checkpoint_progress;
RESET search_path;
DROP TABLE pg_temp.pg_trigger;
DROP SCHEMA hostile CASCADE;

-- the extension can move
CREATE SCHEMA moved;
ALTER EXTENSION tasker_checkpoint SET SCHEMA moved;
SELECT percent FROM moved.tasker_checkpoint_progress;
DROP TABLE "My ""Jobs""%s";

-- partitions, one of which has no row that counts
CREATE TABLE parts (id uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false, checkpoint jsonb) PARTITION BY HASH (id);
CREATE TABLE part_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT moved.tasker_checkpoint_attach('parts', 'id');
INSERT INTO parts SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid, i % 2 = 0, '{"cursor": 1, "items_processed": 1}'
FROM generate_series(1, 20) i;
SELECT count(*), count(*) FILTER (WHERE p = one) AS same
FROM moved.tasker_checkpoint_progress p, moved.tasker_checkpoint_progress(step_uuid) one;

DROP TABLE parts;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA "Check Points", moved;

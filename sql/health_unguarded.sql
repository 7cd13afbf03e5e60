-- Health tells everybody that the table in use is not the one that is guarded
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_stranger;
CREATE SCHEMA tasker;
CREATE VIEW unguarded AS SELECT severity, step_uuid, figure, detail, statement FROM tasker_checkpoint_health WHERE finding = 'unguarded';
GRANT SELECT ON unguarded TO PUBLIC;
CREATE FUNCTION attach(steps regclass, key_column name DEFAULT 'workflow_step_uuid') RETURNS regclass LANGUAGE sql AS
'SELECT public.tasker_checkpoint_attach($1, $2)';

-- nothing to attach, nothing to tell
SELECT * FROM unguarded;
-- migrated after CREATE EXTENSION, or dropped and migrated again
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SET ROLE regress_tckpt_stranger;
\x
SELECT * FROM unguarded;
\x
RESET ROLE;
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
DROP TABLE tasker.workflow_steps;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT statement FROM unguarded;
DROP TABLE tasker.workflow_steps;
CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT statement FROM unguarded;
DROP TABLE tasker_workflow_steps;

-- the guard does not fire
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT attach('tasker.workflow_steps');
INSERT INTO tasker.workflow_steps VALUES ('00000000-0000-0000-0000-000000000001', false, '{"cursor": 1, "items_processed": 1}');
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000001') IS NOT NULL AS dispatched;
ALTER TABLE tasker.workflow_steps DISABLE TRIGGER ALL;
-- who cannot read the steps is told that, and not that he cannot
SET ROLE regress_tckpt_stranger;
\x
SELECT * FROM unguarded;
\x
RESET ROLE;
ALTER TABLE tasker.workflow_steps ENABLE REPLICA TRIGGER zz_tasker_checkpoint_guard;
SELECT detail FROM unguarded;
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
ALTER TABLE tasker.workflow_steps ENABLE ALWAYS TRIGGER zz_tasker_checkpoint_guard;
SELECT * FROM unguarded;
SET ROLE regress_tckpt_stranger;
SELECT * FROM unguarded; -- fail
RESET ROLE;

-- a copy takes its place; what is dispatched stays so
CREATE TABLE tasker.new (LIKE tasker.workflow_steps INCLUDING ALL);
INSERT INTO tasker.new SELECT * FROM tasker.workflow_steps;
SELECT * FROM unguarded;
BEGIN;
ALTER TABLE tasker.workflow_steps RENAME TO workflow_steps_old;
ALTER TABLE tasker.new RENAME TO workflow_steps;
COMMIT;
\x
SELECT * FROM unguarded;
\x
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
SELECT step_uuid, state FROM tasker_checkpoint_progress;
-- the old one may stay
DROP TABLE tasker.workflow_steps_old;
-- the whole schema is moved out of the way
ALTER SCHEMA tasker RENAME TO "tasker 2026";
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT statement FROM unguarded;
DROP SCHEMA tasker CASCADE;
ALTER SCHEMA "tasker 2026" RENAME TO tasker;
SELECT * FROM unguarded;

-- it becomes a partition of a table that has no guard
ALTER TABLE tasker.workflow_steps RENAME TO steps_0;
CREATE TABLE tasker.workflow_steps (LIKE tasker.steps_0 INCLUDING INDEXES) PARTITION BY HASH (workflow_step_uuid);
ALTER TABLE tasker.workflow_steps ATTACH PARTITION tasker.steps_0 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
\x
SELECT * FROM unguarded;
\x
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
-- and a partition's own guard counts like the table's
ALTER TABLE tasker.steps_0 DISABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT detail, statement FROM unguarded;
DROP SCHEMA tasker CASCADE;

-- tables of one's own: renamed, with a key of another name; one whose name begins alike is no copy
CREATE TABLE jobs (id uuid PRIMARY KEY, n integer);
SELECT attach('jobs', 'id');
CREATE TABLE jobs_backup (LIKE jobs INCLUDING ALL);
CREATE TABLE job (id uuid PRIMARY KEY, checkpoint text);
SELECT * FROM unguarded;
DROP TABLE jobs_backup, job;
CREATE TABLE "Jobs" (LIKE jobs INCLUDING ALL);
ALTER TABLE jobs RENAME TO "_Jobs_old";
\x
SELECT * FROM unguarded;
\x
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
-- what inherits from it
CREATE TABLE "Jobs'" () INHERITS ("Jobs");
SELECT detail, statement FROM unguarded;
DROP TABLE "Jobs'";
-- restored by somebody who may not create the guard: the comment tells
DROP TABLE "_Jobs_old";
DROP TRIGGER zz_tasker_checkpoint_guard ON "Jobs";
SELECT detail, statement FROM unguarded;
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
-- nothing tells which table it was
INSERT INTO "Jobs" VALUES ('00000000-0000-0000-0000-000000000001');
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000001') IS NOT NULL AS dispatched;
DROP TABLE "Jobs";
\x
SELECT * FROM unguarded;
\x

DROP FUNCTION attach(regclass, name);
DROP VIEW unguarded;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_stranger;

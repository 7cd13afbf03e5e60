-- Health and doctor propose no table of an owner who is a stranger, whatever its name, comment or place
\set SHOW_CONTEXT never
SET client_min_messages = error;
SELECT current_database() AS db, current_user AS super \gset
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_stranger;
CREATE ROLE regress_tckpt_database;
CREATE ROLE regress_tckpt_reader;
CREATE SCHEMA regress_home;
CREATE SCHEMA tasker;
CREATE EXTENSION tasker_checkpoint SCHEMA regress_home;
GRANT USAGE ON SCHEMA regress_home, tasker TO PUBLIC;
GRANT CREATE ON SCHEMA regress_home, tasker TO regress_tckpt_owner, regress_tckpt_stranger, regress_tckpt_database;
RESET client_min_messages;
CREATE VIEW unguarded AS SELECT detail, statement FROM regress_home.tasker_checkpoint_health WHERE finding = 'unguarded';
GRANT SELECT ON unguarded TO PUBLIC;
CREATE VIEW diagnosis AS SELECT status, found, statement FROM regress_home.tasker_checkpoint_doctor() WHERE "check" = 'table' ORDER BY found COLLATE "C";

-- nothing is attached, and a stranger has all that Tasker and attach would make
SET ROLE regress_tckpt_stranger;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
CREATE TABLE regress_home.tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
CREATE TABLE regress_home.jobs (id uuid PRIMARY KEY, checkpoint jsonb);
COMMENT ON COLUMN regress_home.jobs.checkpoint IS 'progress of a batch worker: cursor';
SET ROLE regress_tckpt_reader;
SELECT * FROM unguarded;
RESET ROLE;
SELECT * FROM unguarded;
SELECT * FROM diagnosis;
-- those of a superuser and of the database's owner are proposed, by name or by comment
ALTER TABLE tasker.workflow_steps OWNER TO :"super";
SELECT statement FROM unguarded;
SELECT * FROM diagnosis;
ALTER DATABASE :"db" OWNER TO regress_tckpt_database;
ALTER TABLE regress_home.jobs OWNER TO regress_tckpt_database;
SELECT statement FROM unguarded;
ALTER TABLE tasker.workflow_steps OWNER TO regress_tckpt_stranger;
SELECT statement FROM unguarded;
COMMENT ON COLUMN regress_home.jobs.checkpoint IS 'progress of a batch worker';
SELECT statement FROM unguarded;
ALTER DATABASE :"db" OWNER TO :"super";
DROP TABLE regress_home.jobs, regress_home.tasker_workflow_steps, tasker.workflow_steps;

-- another table is attached: copies, by what may have been its name
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_home.jobs (id uuid PRIMARY KEY, checkpoint jsonb);
GRANT SELECT ON regress_home.jobs TO regress_tckpt_reader;
RESET ROLE;
SELECT regress_home.tasker_checkpoint_attach('regress_home.jobs', 'id');
SET ROLE regress_tckpt_stranger;
CREATE TABLE regress_home.job (id uuid PRIMARY KEY, checkpoint jsonb);
CREATE TABLE regress_home.obs (id uuid PRIMARY KEY, checkpoint jsonb) PARTITION BY HASH (id);
-- and Tasker's by both its names
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
CREATE TABLE regress_home.tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
SET ROLE regress_tckpt_reader;
SELECT * FROM unguarded;
RESET ROLE;
SELECT * FROM diagnosis;
-- a copy counts that has the attached table's owner, and no other; a table of Tasker's name, too
ALTER TABLE regress_home.job OWNER TO :"super";
SELECT * FROM unguarded;
ALTER TABLE regress_home.job OWNER TO regress_tckpt_owner;
SELECT statement FROM unguarded;
ALTER TABLE regress_home.job OWNER TO regress_tckpt_stranger;
ALTER TABLE tasker.workflow_steps OWNER TO regress_tckpt_owner;
SELECT statement FROM unguarded;
SELECT status, found FROM diagnosis;
DROP TABLE regress_home.job, regress_home.obs, regress_home.tasker_workflow_steps, tasker.workflow_steps;

-- what it has become a part of, and what that has been made a part of since
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_home.parent (id uuid PRIMARY KEY, checkpoint jsonb);
ALTER TABLE regress_home.jobs INHERIT regress_home.parent;
SELECT statement FROM unguarded;
RESET ROLE;
ALTER TABLE regress_home.parent OWNER TO regress_tckpt_stranger;
SET ROLE regress_tckpt_stranger;
CREATE TABLE regress_home.grandparent (id uuid PRIMARY KEY, checkpoint jsonb);
ALTER TABLE regress_home.parent INHERIT regress_home.grandparent;
RESET ROLE;
SELECT * FROM unguarded;
SELECT * FROM diagnosis;
ALTER TABLE regress_home.parent OWNER TO regress_tckpt_owner;
SELECT statement FROM unguarded;

SET client_min_messages = error;
DROP VIEW unguarded, diagnosis;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_home, tasker CASCADE;
DROP ROLE regress_tckpt_owner, regress_tckpt_stranger, regress_tckpt_database, regress_tckpt_reader;

-- The doctor says that the table in use is not the one attached, which trigger registers nothing, and what has our names
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA regress_home;
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb COMPRESSION lz4) WITH (fillfactor = 70);
CREATE EXTENSION tasker_checkpoint SCHEMA regress_home;
RESET client_min_messages;
CREATE VIEW findings AS
SELECT "check", status, found, statement FROM regress_home.tasker_checkpoint_doctor()
WHERE "check" IN ('table', 'guard', 'names', 'grants') AND status <> 'ok' ORDER BY "check" COLLATE "C", found COLLATE "C";
SELECT * FROM findings;
INSERT INTO tasker.workflow_steps SELECT ('00000000-0000-0000-0000-00000000000' || i)::uuid FROM generate_series(1, 3) i;
SELECT count(regress_home.tasker_checkpoint_dispatch(workflow_step_uuid)) FROM tasker.workflow_steps;
SELECT count(*) FROM regress_home.tasker_checkpoint_claim('one');

-- copied, and swapped by renames, as online schema changes do; what is dispatched stays so
CREATE TABLE tasker.workflow_steps_new (LIKE tasker.workflow_steps INCLUDING ALL);
INSERT INTO tasker.workflow_steps_new SELECT * FROM tasker.workflow_steps;
ALTER TABLE tasker.workflow_steps RENAME TO workflow_steps_old;
ALTER TABLE tasker.workflow_steps_new RENAME TO workflow_steps;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT regress_home.tasker_checkpoint_table();
SELECT step_uuid, worker FROM regress_home.tasker_checkpoint_dispatched();

-- a partition of a new parent
ALTER TABLE tasker.workflow_steps RENAME TO workflow_steps_1;
CREATE TABLE tasker.workflow_steps (LIKE tasker.workflow_steps_1, PRIMARY KEY (workflow_step_uuid)) PARTITION BY RANGE (workflow_step_uuid);
ALTER TABLE tasker.workflow_steps ATTACH PARTITION tasker.workflow_steps_1 DEFAULT;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT regress_home.tasker_checkpoint_table();
SELECT count(*) FROM regress_home.tasker_checkpoint_dispatched();

-- and of a partition, under another name
ALTER TABLE tasker.workflow_steps RENAME TO former;
CREATE TABLE tasker.part (LIKE tasker.former INCLUDING INDEXES) PARTITION BY HASH (workflow_step_uuid);
CREATE TABLE tasker.whole (LIKE tasker.former INCLUDING INDEXES) PARTITION BY RANGE (workflow_step_uuid);
ALTER TABLE tasker.whole ATTACH PARTITION tasker.part FOR VALUES FROM (MINVALUE) TO (MAXVALUE);
ALTER TABLE tasker.former DETACH PARTITION tasker.workflow_steps_1;
DROP TRIGGER zz_tasker_checkpoint_guard ON tasker.former;
SELECT regress_home.tasker_checkpoint_attach('tasker.workflow_steps_1');
DROP TABLE tasker.former;
ALTER TABLE tasker.part ATTACH PARTITION tasker.workflow_steps_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT regress_home.tasker_checkpoint_table();
SELECT count(*) FROM regress_home.tasker_checkpoint_dispatched();

-- the schema is dropped, and migrated again
SET client_min_messages = error;
DROP SCHEMA tasker CASCADE;
CREATE SCHEMA tasker CREATE TABLE workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
RESET client_min_messages;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- a table of the application's own beside Tasker's may be meant
SELECT regress_home.tasker_checkpoint_detach();
CREATE TABLE jobs (id uuid PRIMARY KEY, checkpoint jsonb);
SELECT regress_home.tasker_checkpoint_attach('jobs', 'id');
SELECT status, found FROM findings;
DROP SCHEMA tasker CASCADE;

-- that one swapped by renames: the doctor says what health says, and of the one that is left behind what it is
CREATE TABLE jobs_new (LIKE jobs INCLUDING ALL);
ALTER TABLE jobs RENAME TO jobs_old;
ALTER TABLE jobs_new RENAME TO jobs;
SELECT * FROM findings;
SELECT count(*) FROM findings f JOIN regress_home.tasker_checkpoint_health h ON f.status = 'error' AND (h.detail, h.statement) = (f.found, f.statement);
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
DROP TABLE jobs_old;

-- strays
CREATE TABLE other (id uuid, n bigint);
CREATE TRIGGER stray BEFORE INSERT OR UPDATE OF id, n ON other FOR EACH ROW EXECUTE FUNCTION regress_home.tasker_checkpoint_guard();
CREATE TEMP TABLE own (id uuid, checkpoint jsonb);
CREATE TRIGGER stray BEFORE INSERT OR UPDATE OF id, checkpoint ON own FOR EACH ROW EXECUTE FUNCTION regress_home.tasker_checkpoint_guard();
SELECT status, regexp_replace(found, 'pg_temp_\d+', 'pg_temp') AS found FROM findings;
SELECT statement FROM findings WHERE found LIKE '%other%' \gexec
DROP TABLE own;
SELECT * FROM findings;
-- one that is as attach makes it, but on another owner's table, and not marked
CREATE ROLE regress_tckpt_owner;
CREATE TABLE others (id uuid PRIMARY KEY, checkpoint jsonb);
CREATE TRIGGER stray BEFORE INSERT OR UPDATE OF id, checkpoint ON others FOR EACH ROW EXECUTE FUNCTION regress_home.tasker_checkpoint_guard();
ALTER TABLE others OWNER TO regress_tckpt_owner;
SELECT * FROM findings;
SELECT regress_home.tasker_checkpoint_table();
SELECT "check" FROM regress_home.tasker_checkpoint_doctor() WHERE "check" IN ('limits', 'events');
DROP TABLE others;
DROP ROLE regress_tckpt_owner;

-- others' functions with our names; the doctor's own calls, and what it proposes, do not mean them
CREATE ROLE regress_tckpt_other;
GRANT CREATE, USAGE ON SCHEMA regress_home TO regress_tckpt_other;
SET ROLE regress_tckpt_other;
CREATE FUNCTION regress_home.tasker_checkpoint_attach(text) RETURNS text LANGUAGE sql AS $$ SELECT 'planted' $$;
CREATE FUNCTION regress_home.tasker_checkpoint_purge_events(integer) RETURNS bigint LANGUAGE sql AS $$ SELECT 1000000 $$;
CREATE FUNCTION regress_home.tasker_checkpoint_check_names(x integer DEFAULT 1) RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql AS $$ SELECT 'planted', 'planted', 'planted' $$;
CREATE FUNCTION regress_home.tasker_checkpoint_registrations(x integer DEFAULT 1) RETURNS SETOF integer LANGUAGE sql AS $$ SELECT 1 $$;
RESET ROLE;
SELECT found, statement FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- who may register a table, and default privileges
CREATE ROLE regress_tckpt_worker;
GRANT USAGE ON SCHEMA regress_home TO regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON jobs TO regress_tckpt_worker;
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_save, regress_home.tasker_checkpoint_guard TO regress_tckpt_worker;
ALTER DEFAULT PRIVILEGES IN SCHEMA regress_home GRANT EXECUTE ON FUNCTIONS TO regress_tckpt_other;
SELECT status, regexp_replace(found, 'role \S+ creates', 'role X creates') AS found, statement FROM findings;
SELECT statement FROM findings WHERE statement IS NOT NULL \gexec
ALTER DEFAULT PRIVILEGES IN SCHEMA regress_home REVOKE EXECUTE ON FUNCTIONS FROM regress_tckpt_other;
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_guard, regress_home.tasker_checkpoint_reset_for_retry TO regress_tckpt_other;
SELECT found FROM regress_home.tasker_checkpoint_doctor() WHERE "check" = 'grants';

-- what is broken is an error of its own, and no notice
ALTER TABLE regress_home.tasker_checkpoint_events RENAME TO elsewhere;
SELECT count(*) FROM regress_home.tasker_checkpoint_doctor(); -- fail
ALTER TABLE regress_home.elsewhere RENAME TO tasker_checkpoint_events;

SET client_min_messages = error;
DROP VIEW findings;
DROP EXTENSION tasker_checkpoint;
DROP TABLE jobs, other;
DROP SCHEMA regress_home CASCADE;
DROP ROLE regress_tckpt_other, regress_tckpt_worker;

-- tasker_checkpoint_attach() makes a table the steps table, once
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;
CREATE FUNCTION described(regclass) RETURNS TABLE (attached regclass, triggers bigint, columns text)
LANGUAGE sql AS $$
	SELECT tasker_checkpoint_table(),
		(SELECT count(*) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal),
		(SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
		 WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped)
$$;

-- nothing to attach, nothing to detach
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_attach(); -- fail
SELECT tasker_checkpoint_detach(); -- fail
SELECT tasker_checkpoint_attach(NULL, NULL); -- fail
SELECT tasker_checkpoint_attach(NULL, 'id', NULL); -- fail

-- a table of one's own, with data
CREATE TABLE jobs (id uuid PRIMARY KEY, note text);
INSERT INTO jobs VALUES (:'s1', 'one');
SELECT tasker_checkpoint_attach('jobs', key_column => 'id');
SELECT * FROM described('jobs');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'jobs'::regclass ORDER BY tgname COLLATE "C";
SELECT deptype, refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint') AS on_extension
FROM pg_depend WHERE classid = 'pg_trigger'::regclass AND refclassid = 'pg_extension'::regclass;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);

-- again: nothing changes
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT * FROM described('jobs');
SELECT checkpoint -> 'cursor' AS cursor, jsonb_array_length(checkpoint -> 'history') AS entries FROM jobs;

-- again with another key, or without naming it
ALTER TABLE jobs ADD COLUMN other uuid NOT NULL UNIQUE DEFAULT gen_random_uuid();
SELECT tasker_checkpoint_attach('jobs', 'other'); -- fail
SELECT tasker_checkpoint_attach('jobs'); -- fail

-- another table
CREATE TABLE "More Jobs" (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('"More Jobs"'); -- fail
SELECT * FROM described('"More Jobs"');

-- detach leaves column and data; then the other can be attached
SELECT tasker_checkpoint_detach();
SELECT * FROM described('jobs');
SELECT checkpoint -> 'cursor' AS cursor FROM jobs;
SELECT tasker_checkpoint_yield(:'s1', '2', 2); -- fail
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_attach('"More Jobs"');
SELECT * FROM described('"More Jobs"');
INSERT INTO "More Jobs" VALUES (:'s1');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2);

-- and back: the history that was there goes on
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3);

-- the column keeps the comment that it has
SELECT col_description('jobs'::regclass, 3);
COMMENT ON COLUMN jobs.checkpoint IS 'mine';
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT col_description('jobs'::regclass, 3);

-- a guard that does not run is warned of
ALTER TABLE jobs DISABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT tasker_checkpoint_attach('jobs', 'id');
ALTER TABLE jobs ENABLE REPLICA TRIGGER zz_tasker_checkpoint_guard;
SELECT tasker_checkpoint_attach('jobs', 'id');
ALTER TABLE jobs ENABLE ALWAYS TRIGGER zz_tasker_checkpoint_guard;
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT tasker_checkpoint_detach();

-- a trigger of the guard's name that is somebody else's
CREATE FUNCTION other_guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER zz_tasker_checkpoint_guard BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION other_guard();
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_attach('jobs', 'id'); -- fail
\set VERBOSITY default
DROP TRIGGER zz_tasker_checkpoint_guard ON jobs;

-- in a transaction that is rolled back
BEGIN;
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '4', 4);
ROLLBACK;
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_yield(:'s1', '4', 4); -- fail

-- a unique index that is no constraint, and one with INCLUDE, will do
CREATE TABLE own_index (k uuid NOT NULL, note text);
CREATE UNIQUE INDEX ON own_index (k);
SELECT tasker_checkpoint_attach('own_index', 'k');
SELECT tasker_checkpoint_detach();
CREATE TABLE including (k uuid NOT NULL, note text);
CREATE UNIQUE INDEX ON including (k) INCLUDE (note);
SELECT tasker_checkpoint_attach('including', 'k');
SELECT tasker_checkpoint_detach();

-- an unlogged table and a partition are ordinary ones
CREATE UNLOGGED TABLE unlogged (k uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('unlogged', 'k');
SELECT tasker_checkpoint_detach();
CREATE TABLE parted (k uuid PRIMARY KEY) PARTITION BY HASH (k);
CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT tasker_checkpoint_attach('part', 'k'); -- fail
ALTER TABLE parted ADD COLUMN checkpoint jsonb;
SELECT tasker_checkpoint_attach('part', 'k');
INSERT INTO parted (k) VALUES (:'s1');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT tasker_checkpoint_detach();

-- two guard triggers: every function names both
SELECT tasker_checkpoint_attach('jobs', 'id');
RESET ROLE;
CREATE TRIGGER my_guard BEFORE INSERT OR UPDATE OF k, checkpoint ON own_index
FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_table(); -- fail
\set VERBOSITY terse
SELECT tasker_checkpoint_yield(:'s1', '5', 5); -- fail
SELECT tasker_checkpoint_save(:'s1', '5', 5); -- fail
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_load(:'s1'); -- fail
SELECT tasker_checkpoint_exists(:'s1'); -- fail
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
SELECT tasker_checkpoint_items_processed(:'s1'); -- fail
SELECT tasker_checkpoint_accumulated_results(:'s1'); -- fail
SELECT tasker_checkpoint_clear(:'s1'); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'s1'); -- fail
SELECT tasker_checkpoint_attach('jobs', 'id'); -- fail
SELECT tasker_checkpoint_detach(); -- fail
\set VERBOSITY default
DROP TRIGGER my_guard ON own_index;
SELECT tasker_checkpoint_table();

-- a guard trigger under a name of its own is found like any other
SELECT tasker_checkpoint_detach();
RESET ROLE;
CREATE TRIGGER "My Guard" BEFORE INSERT OR UPDATE OF id, checkpoint ON jobs
FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '5', 5);
SELECT * FROM described('jobs');
SELECT tasker_checkpoint_detach();
SELECT * FROM described('jobs');

-- of two tables with Tasker's names neither is guessed
RESET ROLE;
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE TABLE public.tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach(); -- fail
DROP TABLE public.tasker_workflow_steps;
SELECT tasker_checkpoint_attach();
DROP SCHEMA tasker CASCADE;
SELECT tasker_checkpoint_table();

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

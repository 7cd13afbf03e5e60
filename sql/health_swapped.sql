-- Health takes no table for the one in use by its name alone: one that took the attached one's place has its columns, too
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA regress_app;
CREATE SCHEMA regress_other;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
GRANT CREATE, USAGE ON SCHEMA regress_app TO regress_tckpt_owner;
CREATE VIEW unguarded AS SELECT severity, detail, statement FROM tasker_checkpoint_health WHERE finding = 'unguarded';
GRANT SELECT ON unguarded TO PUBLIC;
-- which tables are proposed while one is attached, all of the same columns, the other created later, or before
CREATE FUNCTION proposed(attached text, other text, columns text DEFAULT 'id uuid PRIMARY KEY, checkpoint jsonb', others text DEFAULT NULL,
	earlier boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	IF earlier THEN
		EXECUTE format('CREATE TABLE regress_app.%I (%s)', other, coalesce(others, columns));
	END IF;
	EXECUTE format('CREATE TABLE regress_app.%I (%s)', attached, columns);
	PERFORM tasker_checkpoint_attach(format('regress_app.%I', attached), 'id');
	IF NOT earlier THEN
		EXECUTE format('CREATE TABLE regress_app.%I (%s)', other, coalesce(others, columns));
	END IF;
	SELECT string_agg(statement, ' ') INTO found FROM unguarded;
	EXECUTE format('DROP TABLE regress_app.%I, regress_app.%I', attached, other);
	RETURN CASE WHEN found LIKE format('%% regress_app.%I; DROP TRIGGER %% regress_app.%1$I; SELECT %%%I%%', attached, other) THEN 'moved' ELSE found END;
END $$;

-- parts of the name, and names that begin or end alike
SELECT a AS attached, o AS other, proposed(a, o), proposed(a, o, earlier => true) AS earlier
FROM (VALUES ('jobs', 'o'), ('jobs', 'job'), ('jobs', 'obs'), ('work_items', 'items'), ('work_items', 'work'), ('jobs_of_old', 'jobs'), ('jobsold', 'jobs'),
	('oldjobs', 'jobs'), ('jobs_archive', 'jobs'), ('jobs_eu', 'jobs'), ('eu_jobs', 'jobs'), ('jobs_older', 'jobs'), ('jobs2', 'jobs'), ('jobs_2b', 'jobs'),
	('jobs', 'jobs_old'), ('jobs', '_jobs_gho'), ('jobs', 'jobs_new'), ('jobs', 'Jobs'), ('Jobs_old', 'jobs'), ('o_old', 'old'), ('100%_old', '%'), ('jobs_old', '_'))
AS v (a, o);
-- what tools and people call what was replaced
SELECT a AS attached, proposed(a, 'my jobs'), proposed(a, 'my jobs', earlier => true) AS earlier
FROM unnest(ARRAY['my jobs_old', 'my jobs_OLD', '_my jobs_old', '__my jobs_old', '_my jobs_del', '_my jobs_20260101120000_del', 'my jobs_bak', 'my jobs.bak2', 'my jobs_backup',
	'my jobs backup 2026-01-01', 'old_my jobs', 'my jobs_orig', 'pgosc_op_table_my jobs', 'lhma_2026_01_01_12_00_00_000_my jobs',
	'my jobs_new', 'my jobs_copy', '_my jobs_gho', '_my jobs_ghc', 'my jobs_tmp', '_my jobs', 'my jobs_', 'my jobs_2', 'my jobs_20260101T120000Z', 'my jobs_v2', 'my jobs$1']) a;
-- columns: as many as not, or more
SELECT c AS columns, o AS others, proposed('jobs_old', 'jobs', c, o)
FROM (VALUES ('id uuid PRIMARY KEY, checkpoint jsonb', 'id uuid PRIMARY KEY, checkpoint jsonb, n integer'),
	('id uuid PRIMARY KEY, checkpoint jsonb', 'id uuid PRIMARY KEY, checkpoint jsonb, n integer, m integer'),
	('id uuid PRIMARY KEY, checkpoint jsonb, n integer', 'n bigint, checkpoint jsonb, id uuid PRIMARY KEY'),
	('id uuid PRIMARY KEY, checkpoint jsonb, n integer, m integer', 'id uuid PRIMARY KEY, checkpoint jsonb'),
	('id uuid PRIMARY KEY, checkpoint jsonb, n integer, m text, o text', 'id uuid PRIMARY KEY, checkpoint jsonb, n integer'),
	('id uuid PRIMARY KEY, n integer, m text', 'id uuid PRIMARY KEY, n integer, m text'),
	('id uuid PRIMARY KEY, checkpoint jsonb', 'id uuid PRIMARY KEY, checkpoint text'),
	('id uuid PRIMARY KEY, checkpoint jsonb', 'id text PRIMARY KEY, checkpoint jsonb'),
	('id uuid PRIMARY KEY, checkpoint jsonb', 'step uuid PRIMARY KEY, id bigint, checkpoint jsonb'),
	('id uuid PRIMARY KEY, checkpoint jsonb', '"ID" uuid PRIMARY KEY, checkpoint jsonb')) AS v (c, o);

-- a swap with a new column, dropped ones on the way; the row and its statement
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_app.jobs (id uuid PRIMARY KEY, gone integer, processed boolean, checkpoint jsonb);
ALTER TABLE regress_app.jobs DROP COLUMN gone;
RESET ROLE;
SELECT tasker_checkpoint_attach('regress_app.jobs', 'id');
INSERT INTO regress_app.jobs VALUES ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002');
SELECT count(tasker_checkpoint_dispatch(id)) FROM regress_app.jobs;
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_app._jobs_new (LIKE regress_app.jobs INCLUDING ALL, more text);
INSERT INTO regress_app._jobs_new SELECT * FROM regress_app.jobs;
SELECT * FROM unguarded;
ALTER TABLE regress_app.jobs RENAME TO _jobs_old;
ALTER TABLE regress_app._jobs_new RENAME TO jobs;
\x
SELECT * FROM unguarded;
\x
RESET ROLE;
-- another owner's, one that is temporary, a partition, a view, one in another schema, or a child are none
ALTER TABLE regress_app.jobs OWNER TO CURRENT_USER;
SELECT count(*) FROM unguarded;
ALTER TABLE regress_app.jobs OWNER TO regress_tckpt_owner;
ALTER TABLE regress_app.jobs SET SCHEMA regress_other;
SELECT count(*) FROM unguarded;
CREATE TEMPORARY TABLE jobs (LIKE regress_other.jobs);
ALTER TABLE pg_temp.jobs OWNER TO regress_tckpt_owner;
SELECT count(*) FROM unguarded;
CREATE VIEW regress_app.jobs AS SELECT * FROM regress_other.jobs;
ALTER VIEW regress_app.jobs OWNER TO regress_tckpt_owner;
SELECT count(*) FROM unguarded;
DROP VIEW regress_app.jobs;
CREATE TABLE regress_app.parent (LIKE regress_other.jobs) PARTITION BY LIST (processed);
CREATE TABLE regress_app.jobs PARTITION OF regress_app.parent DEFAULT;
ALTER TABLE regress_app.jobs OWNER TO regress_tckpt_owner;
SELECT count(*) FROM unguarded;
DROP TABLE regress_app.parent;
CREATE TABLE regress_app.jobs () INHERITS (regress_app._jobs_old);
ALTER TABLE regress_app.jobs OWNER TO regress_tckpt_owner;
SELECT statement FROM unguarded;
DROP TABLE regress_app.jobs, pg_temp.jobs;
-- one in parts takes its place as well
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_app.jobs (id uuid PRIMARY KEY, processed boolean, checkpoint jsonb) PARTITION BY HASH (id);
CREATE TABLE regress_app.jobs_0 PARTITION OF regress_app.jobs FOR VALUES WITH (MODULUS 1, REMAINDER 0);
RESET ROLE;
SELECT statement FROM unguarded;
DROP TABLE regress_app.jobs;
ALTER TABLE regress_other.jobs SET SCHEMA regress_app;
-- the trigger that forgets has another name, or is gone
ALTER TRIGGER zz_tasker_checkpoint_forget ON regress_app._jobs_old RENAME TO "for get";
SELECT statement FROM unguarded;
-- nothing is left on the old table
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname IN ('zz_tasker_checkpoint_guard', 'zz_tasker_checkpoint_forget', 'for get') GROUP BY 1;
SELECT step_uuid, state FROM tasker_checkpoint_progress ORDER BY 1;
-- but for the comment, which the doctor tells of
SELECT status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" = 'table' ORDER BY found COLLATE "C";
CREATE TRIGGER forgotten AFTER DELETE ON regress_app._jobs_old FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget();
\t
SELECT statement FROM tasker_checkpoint_doctor() WHERE "check" = 'table' AND status = 'warning' \gexec
\t
SELECT status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" = 'table' ORDER BY found COLLATE "C";
DROP TABLE regress_app._jobs_old;

-- Tasker's own name is a name, too: where the columns are others, another table is meant
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT * FROM unguarded;
SELECT status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" = 'table' ORDER BY found COLLATE "C";
SELECT tasker_checkpoint_detach();
DROP TABLE regress_app.jobs;
-- migrated anew, so that it has no checkpoint yet, whatever the old one is called by now
SELECT tasker_checkpoint_attach('tasker.workflow_steps');
ALTER TABLE tasker.workflow_steps RENAME TO before_the_upgrade;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean);
SELECT severity, statement FROM unguarded;
ALTER TABLE tasker.workflow_steps DROP processed, ADD attempts integer;
SELECT severity, statement FROM unguarded;
SELECT status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" = 'table' ORDER BY found COLLATE "C";

DROP FUNCTION proposed;
DROP VIEW unguarded;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA tasker, regress_app, regress_other CASCADE;
DROP ROLE regress_tckpt_owner;

-- An operator who is no superuser can call the doctor; what the role cannot look at is a row, and never an error
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_operator;
CREATE TABLE jobs (id uuid PRIMARY KEY, processed boolean, tenant text) WITH (fillfactor = 70);
SELECT tasker_checkpoint_attach('jobs', 'id');
INSERT INTO jobs VALUES (:'s1', false, 'regress_tckpt_reader');
RESET client_min_messages;

-- everybody can ask for the version, operators only for the doctor
SET ROLE regress_tckpt_reader;
SELECT tasker_checkpoint_version() = (SELECT extversion FROM pg_extension WHERE extname = 'tasker_checkpoint') AS in_step;
SELECT count(*) FROM tasker_checkpoint_doctor(); -- fail
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_doctor() TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" NOT IN ('notifier', 'bloat', 'version');
SELECT "check", status, statement FROM tasker_checkpoint_doctor() WHERE "check" IN ('notifier', 'version');
RESET ROLE;

-- with the rights of an operator there is more
GRANT SELECT ON jobs TO regress_tckpt_operator;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_purge_events(integer, boolean) TO regress_tckpt_operator;
SET tasker_checkpoint.results_limit = 100;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, to_jsonb(repeat('x', 80)));
SET ROLE regress_tckpt_operator;
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" IN ('limits', 'events');
RESET ROLE;
-- but for what row security hides
ALTER TABLE jobs ENABLE ROW LEVEL SECURITY;
SET ROLE regress_tckpt_operator;
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" IN ('limits', 'events');
SET row_security = off;
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" IN ('limits', 'events');
RESET row_security;
RESET ROLE;
CREATE FUNCTION broken() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''the policy is broken''; END';
CREATE POLICY broken ON jobs USING (broken());
SET ROLE regress_tckpt_operator;
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" IN ('limits', 'events'); -- fail
RESET ROLE;

-- nothing is written, in any transaction
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT count(DISTINCT "check") FROM tasker_checkpoint_doctor();
COMMIT;
BEGIN;
SELECT count(DISTINCT "check") FROM tasker_checkpoint_doctor();
SELECT pg_current_xact_id_if_assigned();
COMMIT;

DROP TABLE jobs;
DROP FUNCTION broken;
DROP OWNED BY regress_tckpt_operator;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_reader, regress_tckpt_operator;

-- Nobody needs a right on the archive, and nobody has one; its trail is for those who see the step
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE ROLE regress_tckpt_worker;
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_tenant;
-- not even by default privileges
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, regress_tckpt_worker;
CREATE EXTENSION tasker_checkpoint;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC, regress_tckpt_worker;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, tenant text, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', 'regress_tckpt_tenant'), ('00000000-0000-0000-0000-000000000002', 'another');
GRANT SELECT ON steps TO regress_tckpt_worker, regress_tckpt_reader, regress_tckpt_tenant;
GRANT UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_save TO regress_tckpt_worker;
RESET client_min_messages;

SELECT count(*) AS granted FROM pg_class c, aclexplode(relacl) a
WHERE relname LIKE 'tasker\_checkpoint\_archive%' AND relkind IN ('r', 'p') AND a.grantee <> relowner;
SELECT count(*) FILTER (WHERE has_table_privilege('regress_tckpt_worker', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')) AS allowed, count(*)
FROM pg_class WHERE relname LIKE 'tasker\_checkpoint\_archive%' AND relkind IN ('r', 'p');

-- a worker's writes are archived, by every way, whatever its search_path has; it cannot turn that on or off
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 2;
CREATE SCHEMA hostile CREATE TABLE tasker_checkpoint_archive (x int);
GRANT USAGE ON SCHEMA hostile TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SET search_path = hostile, pg_catalog;
SET tasker_checkpoint.archive_history = off; -- fail
SELECT max(sequence) FROM generate_series(1, 5) i, public.tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
UPDATE public.steps SET checkpoint = '{"cursor": 6, "items_processed": 6}' WHERE workflow_step_uuid::text ~ '1$';
UPDATE public.steps SET checkpoint = '{"cursor": 7, "items_processed": 7}' WHERE workflow_step_uuid::text ~ '1$';
UPDATE public.steps SET checkpoint = '{"cursor": 1, "items_processed": 1}' WHERE workflow_step_uuid::text ~ '2$';
UPDATE public.steps SET checkpoint = NULL WHERE workflow_step_uuid::text ~ '2$';
SELECT * FROM public.tasker_checkpoint_archive; -- fail
RESET search_path;
SELECT sequence, cursor, archived FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001');
RESET ROLE;

-- the session's user is who cleared, whatever role it had set
SELECT DISTINCT cleared_by = session_user AS who FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000002');

-- who does not see the step does not see its trail
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON steps FOR SELECT USING (tenant = current_user);
SET ROLE regress_tckpt_tenant;
SELECT count(*) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001');
SELECT count(*) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000002'); -- fail
SET ROLE regress_tckpt_reader;
SELECT count(*) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001'); -- fail
RESET ROLE;
REVOKE SELECT ON steps FROM regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT count(*) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001'); -- fail
RESET ROLE;
ALTER TABLE steps DISABLE ROW LEVEL SECURITY;

-- a trigger runs as who writes; one that would not fire refuses the write as a whole
CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE 'run as %', current_user;
	RETURN NULL;
END
$$;
CREATE TRIGGER spy AFTER INSERT ON tasker_checkpoint_archive FOR EACH ROW EXECUTE FUNCTION spy();
SET ROLE regress_tckpt_worker;
SELECT max(sequence) FROM generate_series(8, 12) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
RESET ROLE;
DROP TRIGGER spy ON tasker_checkpoint_archive;
CREATE TRIGGER spy BEFORE INSERT ON tasker_checkpoint_archive FOR EACH ROW EXECUTE FUNCTION spy();
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_clear('00000000-0000-0000-0000-000000000001'); -- fail
\set VERBOSITY default
SELECT min(sequence), max(sequence), count(*) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001');
DROP TRIGGER spy ON tasker_checkpoint_archive;

-- a write that cannot be archived is refused as a whole
ALTER TABLE tasker_checkpoint_archive ADD COLUMN more int;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '13', 13); -- fail
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid::text ~ '1$'; -- fail
\set VERBOSITY default
SELECT cursor, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');

RESET tasker_checkpoint.archive_history;
RESET tasker_checkpoint.history_limit;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION spy;
SET client_min_messages = error;
DROP SCHEMA hostile CASCADE;
DROP OWNED BY regress_tckpt_worker, regress_tckpt_reader, regress_tckpt_tenant;
DROP ROLE regress_tckpt_worker, regress_tckpt_reader, regress_tckpt_tenant;

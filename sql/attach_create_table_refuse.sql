-- tasker_checkpoint_create_table() refuses what is no name of a new table, and leaves nothing behind
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_nobody;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
CREATE SCHEMA regress_other;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_create_table(text) TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;

-- names
SELECT tasker_checkpoint_create_table(NULL); -- fail
SELECT tasker_checkpoint_create_table(''); -- fail
SELECT tasker_checkpoint_create_table('""'); -- fail
SELECT tasker_checkpoint_create_table('regress_tckpt.'); -- fail
SELECT tasker_checkpoint_create_table('my jobs'); -- fail
SELECT tasker_checkpoint_create_table('"jobs'); -- fail
SELECT tasker_checkpoint_create_table('jobs); DROP TABLE jobs'); -- fail
SELECT tasker_checkpoint_create_table('a.b.c.d'); -- fail
SELECT tasker_checkpoint_create_table('another_database.regress_tckpt.jobs'); -- fail

-- schemas: not there, another's, the catalog's, temporary, none
SELECT tasker_checkpoint_create_table('missing.jobs'); -- fail
SELECT tasker_checkpoint_create_table('regress_other.jobs'); -- fail
SELECT tasker_checkpoint_create_table('pg_catalog.jobs'); -- fail
RESET ROLE;
SELECT tasker_checkpoint_create_table('pg_temp.jobs'); -- fail
SELECT tasker_checkpoint_create_table('pg_catalog.jobs'); -- fail
SET search_path = pg_temp, public;
SELECT public.tasker_checkpoint_create_table('jobs'); -- fail
SET search_path = '';
SELECT public.tasker_checkpoint_create_table('jobs'); -- fail
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;

-- what is there already
CREATE TABLE jobs (id uuid PRIMARY KEY);
SELECT tasker_checkpoint_create_table('jobs'); -- fail
SELECT tasker_checkpoint_create_table('jobs_pkey'); -- fail
CREATE TYPE jobs_type AS ENUM ();
SELECT tasker_checkpoint_create_table('jobs_type'); -- fail
DROP TABLE jobs;

-- who may not create the guard's trigger makes no table either
SELECT tasker_checkpoint_create_table('jobs'); -- fail
SELECT to_regclass('jobs');
SET ROLE regress_tckpt_nobody;
SELECT tasker_checkpoint_create_table('jobs'); -- fail
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_guard() TO regress_tckpt_owner;
SET ROLE regress_tckpt_owner;

-- nothing is written where nothing can be
BEGIN READ ONLY;
SELECT tasker_checkpoint_create_table('jobs'); -- fail
ROLLBACK;

-- a table that is attached, or two
SELECT tasker_checkpoint_create_table('jobs');
SELECT tasker_checkpoint_create_table('jobs'); -- fail
SELECT tasker_checkpoint_create_table('more_jobs'); -- fail
SELECT to_regclass('more_jobs');
CREATE TABLE copy (id uuid PRIMARY KEY, checkpoint jsonb);
CREATE TRIGGER copy BEFORE INSERT OR UPDATE OF id, checkpoint ON copy FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT tasker_checkpoint_create_table('more_jobs'); -- fail
DROP TABLE jobs, copy;
SELECT count(*) FROM pg_class WHERE relnamespace = 'regress_tckpt'::regnamespace AND relkind <> 'c';

SET client_min_messages = error;
RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt, regress_other CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner, regress_tckpt_nobody;

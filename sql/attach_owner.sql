-- CREATE EXTENSION attaches unasked only what a superuser, the extension's owner or the
-- database's owner has made: another's table is named, and does not stand in the way
\set SHOW_CONTEXT never
SELECT datdba::regrole AS dba FROM pg_database WHERE datname = current_database() \gset
CREATE ROLE regress_tckpt_dba;
CREATE ROLE regress_tckpt_stranger;
CREATE ROLE "Regress tckpt member";
CREATE ROLE regress_tckpt_super SUPERUSER;
GRANT regress_tckpt_dba TO "Regress tckpt member";
ALTER DATABASE :"DBNAME" OWNER TO regress_tckpt_dba;
GRANT CREATE ON SCHEMA public TO regress_tckpt_stranger;
CREATE FUNCTION evil(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RAISE WARNING 'ran as superuser: %', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
	RETURN $1;
END
$$;

-- a stranger's, with code in it: nothing of it is run, and nothing is changed
GRANT CREATE ON DATABASE :"DBNAME" TO regress_tckpt_stranger;
SET client_min_messages = error;
SET ROLE regress_tckpt_stranger;
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, n text);
CREATE INDEX ON tasker.workflow_steps ((n || public.evil('x')));
CREATE INDEX ON tasker.workflow_steps (n) WHERE n <> public.evil('x');
RESET ROLE;
RESET client_min_messages;
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
SELECT count(*) FROM pg_attribute WHERE attrelid = 'tasker.workflow_steps'::regclass AND attname = 'checkpoint';
-- the statement of the hint calls the extension's function, whatever a stranger gives its name
BEGIN;
SET LOCAL ROLE regress_tckpt_stranger;
DO $$
DECLARE
	arguments text;
BEGIN
	FOREACH arguments IN ARRAY ARRAY['', 'text', 'text, text', 'regclass', 'regclass, text', 'regclass, name', 'regclass, text, boolean',
		'text, name, boolean', 'oid, name, boolean', 'anyelement, name, boolean']
	LOOP
		EXECUTE format('CREATE FUNCTION public.tasker_checkpoint_attach(%s) RETURNS text LANGUAGE sql AS %L', arguments, 'SELECT public.evil(''a stranger''''s'')');
	END LOOP;
END
$$;
RESET ROLE;
SELECT public.tasker_checkpoint_attach('tasker.workflow_steps'::pg_catalog.regclass, 'workflow_step_uuid'::pg_catalog.name, false);
ROLLBACK;
DROP EXTENSION tasker_checkpoint;

-- beside it the real one
CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;
ALTER TABLE tasker_workflow_steps OWNER TO regress_tckpt_dba;
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
-- that does not fit
ALTER TABLE tasker_workflow_steps DROP COLUMN workflow_step_uuid CASCADE;
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;

-- two of strangers'
SET ROLE regress_tckpt_stranger;
CREATE TABLE public.tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
RESET ROLE;
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;

-- the schema is a stranger's, the table is not; and who owns it is what counts, not a membership
ALTER TABLE tasker.workflow_steps OWNER TO regress_tckpt_dba;
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
ALTER TABLE tasker.workflow_steps OWNER TO regress_tckpt_super;
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
ALTER TABLE tasker.workflow_steps OWNER TO "Regress tckpt member";
CREATE EXTENSION tasker_checkpoint;
-- called by hand, the table is the caller's choice
SELECT tasker_checkpoint_attach();
SELECT tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA tasker CASCADE;

-- one that others inherit from is skipped, whoever has it
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE TABLE child () INHERITS (tasker.workflow_steps);
CREATE EXTENSION tasker_checkpoint;
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker.workflow_steps CASCADE;

-- what the caller has set is as it was, whatever came of it
SET search_path = public, tasker;
CREATE EXTENSION tasker_checkpoint;
SHOW search_path;
SHOW client_min_messages;
DROP EXTENSION tasker_checkpoint;

SET client_min_messages = error;
DROP SCHEMA tasker CASCADE;
DROP FUNCTION evil;
ALTER DATABASE :"DBNAME" OWNER TO :dba;
DROP OWNED BY regress_tckpt_dba, regress_tckpt_stranger, "Regress tckpt member";
DROP ROLE regress_tckpt_dba, regress_tckpt_stranger, "Regress tckpt member", regress_tckpt_super;

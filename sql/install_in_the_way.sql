-- What has a name of the extension's in its schema stops CREATE EXTENSION, which says whose it is
\set SHOW_CONTEXT never

CREATE ROLE regress_tckpt_planter;
CREATE ROLE regress_tckpt_other;
CREATE SCHEMA regress_tckpt_home;
GRANT CREATE, USAGE ON SCHEMA regress_tckpt_home TO regress_tckpt_planter, regress_tckpt_other;

-- tries, and says the error
CREATE FUNCTION try_install() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	CREATE EXTENSION tasker_checkpoint SCHEMA regress_tckpt_home;
	RAISE NOTICE 'created';
	DROP EXTENSION tasker_checkpoint;
EXCEPTION WHEN duplicate_object THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '% %', SQLSTATE, SQLERRM USING DETAIL = detail, HINT = hint;
END $$;

SET client_min_messages = notice;

-- a function that no statement of the script would meet, but callers would
SET ROLE regress_tckpt_planter;
CREATE FUNCTION regress_tckpt_home.tasker_checkpoint_dispatched() RETURNS integer LANGUAGE sql AS 'SELECT 1';
RESET ROLE;
SELECT try_install();
SET ROLE regress_tckpt_planter;
DROP FUNCTION regress_tckpt_home.tasker_checkpoint_dispatched();

-- one of the same arguments, a table, a view, types, an index, a procedure; of two roles
SET ROLE regress_tckpt_planter;
CREATE FUNCTION regress_tckpt_home.tasker_checkpoint_get(uuid) RETURNS jsonb LANGUAGE sql AS 'SELECT NULL::jsonb';
CREATE TABLE regress_tckpt_home.tasker_checkpoint_events (x int);
CREATE DOMAIN regress_tckpt_home.tasker_checkpoint_receipt AS text;
CREATE TYPE regress_tckpt_home.tasker_checkpoint_finding AS ENUM ('x');
SET ROLE regress_tckpt_other;
CREATE VIEW regress_tckpt_home.tasker_checkpoint_progress AS SELECT 1 AS x;
CREATE TYPE regress_tckpt_home.tasker_checkpoint_state AS (x int);
CREATE TABLE regress_tckpt_home.harmless (x int);
CREATE INDEX tasker_checkpoint_events_claimable ON regress_tckpt_home.harmless (x);
CREATE SEQUENCE regress_tckpt_home.tasker_checkpoint_archive;
CREATE PROCEDURE regress_tckpt_home.tasker_checkpoint_attach() LANGUAGE sql AS 'SELECT 1';
RESET ROLE;
SELECT try_install();

-- nothing is left of what failed, and another schema does
SELECT count(*) FROM pg_extension WHERE extname = 'tasker_checkpoint';
CREATE SCHEMA regress_tckpt_another;
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint SCHEMA regress_tckpt_another;
SELECT regress_tckpt_another.tasker_checkpoint_table() IS NULL AS works;
DROP EXTENSION tasker_checkpoint;
SET client_min_messages = notice;

-- many are not all named
SET ROLE regress_tckpt_planter;
DO $$
BEGIN
	FOR i IN 1 .. 30 LOOP
		EXECUTE format('CREATE FUNCTION regress_tckpt_home.tasker_checkpoint_cursor(%s) RETURNS int LANGUAGE sql AS ''SELECT 1''',
			array_to_string(array_fill('int'::text, ARRAY[i]), ','));
	END LOOP;
END $$;
RESET ROLE;
DO $$
DECLARE
	detail text;
BEGIN
	CREATE EXTENSION tasker_checkpoint SCHEMA regress_tckpt_home;
EXCEPTION WHEN duplicate_object THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RAISE NOTICE '% named, ...%', cardinality(string_to_array(detail, ', ')) - 1, right(detail, 14);
END $$;

-- what only begins like it is nobody's business, nor what is in another schema
SET client_min_messages = error;
DROP OWNED BY regress_tckpt_planter, regress_tckpt_other;
GRANT CREATE, USAGE ON SCHEMA regress_tckpt_home TO regress_tckpt_planter;
SET client_min_messages = notice;
SET ROLE regress_tckpt_planter;
CREATE TABLE regress_tckpt_home.tasker_checkpoints (x int);
CREATE TABLE regress_tckpt_home.taskerxcheckpoint_events (x int);
RESET ROLE;
CREATE TABLE tasker_checkpoint_events (x int);
CREATE TEMPORARY TABLE tasker_checkpoint_archive (x int);
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint SCHEMA regress_tckpt_home;
SELECT relname FROM pg_class WHERE relnamespace = 'regress_tckpt_home'::regnamespace
AND relname IN ('tasker_checkpoint_events', 'tasker_checkpoint_archive') ORDER BY 1;
DROP EXTENSION tasker_checkpoint;

DROP TABLE tasker_checkpoint_events, pg_temp.tasker_checkpoint_archive;
DROP FUNCTION try_install;
DROP SCHEMA regress_tckpt_home, regress_tckpt_another CASCADE;
DROP ROLE regress_tckpt_planter, regress_tckpt_other;

-- What others have planted on the search_path has no part in a table that tasker_checkpoint_create_table() makes
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE ROLE regress_tckpt_planter;
CREATE SCHEMA tckpt_home;
CREATE SCHEMA regress_own;
CREATE SCHEMA evil AUTHORIZATION regress_tckpt_planter;
CREATE EXTENSION tasker_checkpoint SCHEMA tckpt_home;
SET ROLE regress_tckpt_planter;
-- each would show, by an error or by who owns what
CREATE DOMAIN evil.uuid AS text CHECK (false);
CREATE DOMAIN evil.jsonb AS text CHECK (false);
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.bool AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil."boolean" AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.timestamptz AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.regclass AS pg_catalog.text CHECK (false);
CREATE FUNCTION evil.now() RETURNS pg_catalog.timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil: now'; END $$;
CREATE FUNCTION evil.gen_random_uuid() RETURNS pg_catalog.uuid LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil: uuid'; END $$;
CREATE FUNCTION evil.eq(pg_catalog.uuid, pg_catalog.uuid) RETURNS pg_catalog.bool LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil: uuid = uuid'; END $$;
CREATE OPERATOR evil.= (LEFTARG = pg_catalog.uuid, RIGHTARG = pg_catalog.uuid, FUNCTION = evil.eq);
CREATE FUNCTION evil.tasker_checkpoint_attach(pg_catalog.regclass, name, pg_catalog.bool) RETURNS pg_catalog.regclass LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil: attach'; END $$;
CREATE FUNCTION evil.tasker_checkpoint_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil: guard'; END $$;
CREATE TABLE evil.jobs (id pg_catalog.uuid PRIMARY KEY, checkpoint pg_catalog.jsonb);
RESET ROLE;
CREATE TEMPORARY TABLE jobs (id pg_catalog.uuid PRIMARY KEY, checkpoint pg_catalog.jsonb);
CREATE VIEW made AS
SELECT c.oid::regclass::text AS "table", pg_get_userbyid(relowner) = current_user AS own, string_agg(format('%s %s%s', attname, atttypid::regtype, ' ' || pg_get_expr(adbin, adrelid)), ', ' ORDER BY attnum) AS columns
FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relname = 'jobs' AND relnamespace NOT IN (pg_my_temp_schema(), 'evil'::regnamespace)
GROUP BY c.oid, relowner;
RESET client_min_messages;

-- a table of the name is behind the schema it goes to, and a temporary one before it
SET search_path = regress_own, evil, pg_catalog;
SELECT tckpt_home.tasker_checkpoint_create_table('jobs');
RESET search_path;
SELECT * FROM made;
INSERT INTO regress_own.jobs (id) VALUES ('00000000-0000-0000-0000-000000000001');
SET search_path = evil, pg_catalog;
SELECT sequence FROM tckpt_home.tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1);
RESET search_path;
SELECT tckpt_home.tasker_checkpoint_table();
DROP TABLE regress_own.jobs;
-- a schema is named, and all else is planted
SET search_path = pg_temp, evil, pg_catalog;
SELECT tckpt_home.tasker_checkpoint_create_table('regress_own.jobs');
RESET search_path;
SELECT * FROM made;
DROP TABLE regress_own.jobs;
-- who plants the table where it is to go is told of, and his is not attached
SET search_path = evil, pg_catalog;
SELECT tckpt_home.tasker_checkpoint_create_table('jobs'); -- fail
RESET search_path;
SELECT tckpt_home.tasker_checkpoint_table();

-- the schema's name is another's by the time the table is created
CREATE FUNCTION swap() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	ALTER SCHEMA regress_own RENAME TO regress_moved;
	ALTER SCHEMA evil RENAME TO regress_own;
	DROP TABLE regress_own.jobs;
END $$;
CREATE EVENT TRIGGER regress_tckpt_swap ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION swap();
SELECT tckpt_home.tasker_checkpoint_create_table('regress_own.jobs'); -- fail
DROP EVENT TRIGGER regress_tckpt_swap;
SELECT count(*) FROM evil.jobs;

SET client_min_messages = error;
DROP VIEW made;
DROP FUNCTION swap;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA tckpt_home, regress_own, evil CASCADE;
DROP ROLE regress_tckpt_planter;

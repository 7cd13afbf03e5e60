-- Functions of others with names of ours do not get in the way of progress and health
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA own;
CREATE EXTENSION tasker_checkpoint SCHEMA own;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
SELECT own.tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
SELECT sequence FROM own.tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1);
UPDATE own.tasker_checkpoint_events SET available_at = '2000-01-01';
CREATE ROLE regress_tckpt_planter;
GRANT CREATE, USAGE ON SCHEMA own TO regress_tckpt_planter;
GRANT USAGE ON SCHEMA own TO PUBLIC;
RESET client_min_messages;

-- for each function of ours: one that needs no argument, one that takes a text, one with an argument more
SET ROLE regress_tckpt_planter;
SET client_min_messages = error;
\set ECHO none
SELECT DISTINCT format('CREATE FUNCTION own.%I(%s) RETURNS integer LANGUAGE plpgsql AS %L', proname, args, 'BEGIN RAISE ''called''; END')
FROM pg_proc, unnest(ARRAY['', 'text', 'uuid, integer DEFAULT 0', 'jsonb, integer DEFAULT 0']) args
WHERE pronamespace = 'own'::regnamespace AND (proname IN ('tasker_checkpoint_dispatched', 'tasker_checkpoint_survey', 'tasker_checkpoint_load',
	'tasker_checkpoint_exists', 'tasker_checkpoint_progress') OR proname = 'tasker_checkpoint_table' AND args <> '')
\gexec
\set ECHO all
RESET ROLE;
SELECT count(*) FROM pg_proc WHERE proowner = 'regress_tckpt_planter'::regrole;

SELECT step_uuid, items_processed, state FROM own.tasker_checkpoint_progress;
SELECT step_uuid, finding FROM own.tasker_checkpoint_health;
SELECT finding FROM own.tasker_checkpoint_health();

-- a statement's literal has a type: one that takes a text is not called
SET ROLE regress_tckpt_planter;
CREATE FUNCTION own.tasker_checkpoint_resume(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION own.tasker_checkpoint_pause(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
RESET ROLE;
SELECT statement FROM own.tasker_checkpoint_health \gexec

-- it has every argument: one that would do as well with what is left out is no reason to be refused
SET ROLE regress_tckpt_planter;
CREATE FUNCTION own.tasker_checkpoint_reset_for_retry(uuid, integer DEFAULT 0) RETURNS uuid LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION own.tasker_checkpoint_purge_events(dry_run boolean DEFAULT true) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION own.tasker_checkpoint_purge_events() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION own.tasker_checkpoint_attach(regclass, name) RETURNS regclass LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
CREATE FUNCTION own.tasker_checkpoint_attach(regclass) RETURNS regclass LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
RESET ROLE;
UPDATE own.tasker_checkpoint_events SET available_at = 'infinity';
SELECT finding FROM own.tasker_checkpoint_health;
SELECT statement FROM own.tasker_checkpoint_health \gexec
DELETE FROM own.tasker_checkpoint_events;
SELECT own.tasker_checkpoint_pause('00000000-0000-0000-0000-000000000001'::uuid);
SET session_replication_role = replica;
DELETE FROM steps;
RESET session_replication_role;
SELECT finding FROM own.tasker_checkpoint_health;
SELECT statement FROM own.tasker_checkpoint_health \gexec
DROP TRIGGER zz_tasker_checkpoint_guard ON steps;
SELECT finding FROM own.tasker_checkpoint_health;
SELECT statement FROM own.tasker_checkpoint_health \gexec
CREATE TABLE step (id uuid PRIMARY KEY, checkpoint jsonb);
ALTER TABLE steps RENAME TO steps_old;
ALTER TABLE steps_old RENAME workflow_step_uuid TO id;
ALTER TABLE step RENAME TO steps;
SELECT statement FROM own.tasker_checkpoint_health \gexec
SELECT own.tasker_checkpoint_table();

DROP OWNED BY regress_tckpt_planter;
DROP ROLE regress_tckpt_planter;
DROP TABLE steps, steps_old;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA own;

-- Maintenance of tables with odd names, partitions and row security, whatever is on the search_path
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_operator;
RESET client_min_messages;

-- names that need quotes; what these were, the trigger knows
CREATE SCHEMA "Odd ""schema""";
CREATE TABLE "Odd ""schema""".jobs (id uuid PRIMARY KEY, processed boolean);
SELECT tasker_checkpoint_attach('"Odd ""schema""".jobs', 'id');
ALTER TABLE "Odd ""schema""".jobs RENAME id TO "The key";
ALTER TABLE "Odd ""schema""".jobs RENAME checkpoint TO "select";
ALTER TABLE "Odd ""schema""".jobs RENAME TO "My jobs; --";
INSERT INTO "Odd ""schema"""."My jobs; --" VALUES (:'s1'), (:'s2');
SELECT count(tasker_checkpoint_yield(s, to_jsonb(n), n)) FROM unnest(ARRAY[:'s1', :'s2']::uuid[]) s, generate_series(1, 3) n;
UPDATE "Odd ""schema"""."My jobs; --" SET processed = true WHERE "The key" = :'s1';
GRANT USAGE ON SCHEMA "Odd ""schema""" TO regress_tckpt_operator;
GRANT SELECT, UPDATE ("select") ON "Odd ""schema"""."My jobs; --" TO regress_tckpt_operator;

-- a schema before pg_catalog, with what would lead elsewhere
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.eq(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'hostile'; END$$;
CREATE OPERATOR hostile.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = hostile.eq);
CREATE TABLE hostile.tasker_checkpoint_events (step_uuid uuid);
CREATE DOMAIN hostile.jsonb AS text CHECK (false);
CREATE DOMAIN hostile.boolean AS text CHECK (false);
GRANT USAGE ON SCHEMA hostile TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SET search_path = hostile, pg_catalog, public;
SELECT public.tasker_checkpoint_trim(1), public.tasker_checkpoint_purge('0'), public.tasker_checkpoint_purge_events();
RESET search_path;
RESET ROLE;
SELECT right("The key"::text, 1) AS step, jsonb_path_query_array("select", '$.history[*].cursor') AS history FROM "Odd ""schema"""."My jobs; --" ORDER BY 1;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_dispatched();
SET client_min_messages = error;
SELECT tasker_checkpoint_detach() IS NOT NULL AS detached;
DROP SCHEMA "Odd ""schema""", hostile CASCADE;
RESET client_min_messages;

-- a trigger of the user's goes by the caller's search_path
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE TABLE noted (step uuid);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO noted VALUES (new.workflow_step_uuid); RETURN NULL; END$$;
SELECT count(tasker_checkpoint_save(s, to_jsonb(n), n)) FROM unnest(ARRAY[:'s1', :'s2']::uuid[]) s, generate_series(1, 3) n;
CREATE TRIGGER note AFTER UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION note();
SELECT tasker_checkpoint_trim(1);
SELECT count(*) FROM noted;
-- and may call our functions, also after the table has changed
CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('COMMENT ON TABLE steps IS %L', new.workflow_step_uuid);
	INSERT INTO noted VALUES (new.workflow_step_uuid);
	IF pg_trigger_depth() = 1 THEN
		PERFORM tasker_checkpoint_trim(0), tasker_checkpoint_exists(new.workflow_step_uuid);
	END IF;
	RETURN NULL;
END$$;
SELECT tasker_checkpoint_trim(0);
SELECT count(*) FROM noted;
DROP TABLE steps, noted;
DROP FUNCTION note;

-- partitions, one with another column order
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb) PARTITION BY RANGE (workflow_step_uuid);
CREATE TABLE steps_1 (checkpoint jsonb, gone int, processed boolean, workflow_step_uuid uuid NOT NULL);
ALTER TABLE steps_1 DROP gone;
ALTER TABLE steps ATTACH PARTITION steps_1 FOR VALUES FROM (MINVALUE) TO (:'s2');
CREATE TABLE steps_2 PARTITION OF steps DEFAULT;
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3');
SELECT count(tasker_checkpoint_yield(s, to_jsonb(n), n)) FROM unnest(ARRAY[:'s1', :'s2', :'s3']::uuid[]) s, generate_series(1, 3) n;
SELECT tasker_checkpoint_trim(1), tasker_checkpoint_trim(1);
SELECT right(workflow_step_uuid::text, 1) AS step, tableoid::regclass, jsonb_path_query_array(checkpoint, '$.history[*].cursor') AS history FROM steps ORDER BY 1;
UPDATE steps SET processed = true WHERE workflow_step_uuid <> :'s3';
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge('0'), tasker_checkpoint_purge('0'), tasker_checkpoint_purge_events(), tasker_checkpoint_purge_events();
RESET ROLE;
SELECT right(workflow_step_uuid::text, 1) AS step FROM steps WHERE checkpoint IS NOT NULL;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_dispatched();
DROP TABLE steps;

-- row security: only what the caller sees and may update
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, owner name, frozen boolean);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1', true, 'regress_tckpt_operator', false), (:'s2', true, 'another', false), (:'s3', true, 'regress_tckpt_operator', true);
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}';
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY look ON steps FOR SELECT USING (owner = current_user);
CREATE POLICY work ON steps FOR UPDATE USING (NOT frozen);
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_trim(0, dry_run => true), tasker_checkpoint_trim(0);
SELECT tasker_checkpoint_purge('0', dry_run => true), tasker_checkpoint_purge('0'), tasker_checkpoint_purge('0');
RESET ROLE;
SELECT right(workflow_step_uuid::text, 1) AS step FROM steps WHERE checkpoint IS NOT NULL ORDER BY 1;

DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

-- A table whose owner's code renames columns, or the table, between two statements of one call
-- is neither read as what it was nor written to instead of it
-- Not in parallel workers: what is planted writes when it is read
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_worker;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner, regress_tckpt_worker;
SET ROLE regress_tckpt_owner;
GRANT USAGE ON SCHEMA regress_tckpt TO regress_tckpt_worker;
CREATE TABLE regress_tckpt.jobs (id uuid PRIMARY KEY, checkpoint jsonb, processed boolean, in_process boolean, inputs jsonb, task_uuid uuid,
	n bigint DEFAULT 4711);
CREATE TABLE regress_tckpt.others (LIKE regress_tckpt.jobs INCLUDING ALL);
SELECT tasker_checkpoint_attach('regress_tckpt.jobs', 'id', false);
INSERT INTO regress_tckpt.jobs (id, checkpoint)
SELECT format('00000000-0000-0000-0000-00000000000%s', i)::uuid, '{"cursor": 1, "items_processed": 1}' FROM generate_series(1, 3) i;
INSERT INTO regress_tckpt.jobs (id) VALUES ('00000000-0000-0000-0000-000000000004');
INSERT INTO regress_tckpt.others (id, checkpoint) SELECT id, '{"mine": true}' FROM regress_tckpt.jobs;
GRANT SELECT, UPDATE ON regress_tckpt.jobs, regress_tckpt.others TO regress_tckpt_worker;

-- does what the setting says, once: a setting that it made would not stay
CREATE TABLE regress_tckpt.once (n integer);
INSERT INTO regress_tckpt.once VALUES (1);
CREATE FUNCTION regress_tckpt.change() RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	ddl text := current_setting('regress_tckpt.ddl', true);
BEGIN
	IF ddl <> '' THEN
		DELETE FROM regress_tckpt.once;
		IF found THEN
			EXECUTE ddl;
		END IF;
	END IF;
	RETURN true;
END
$$;
CREATE FUNCTION regress_tckpt.planned(id uuid) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE POLICY change ON regress_tckpt.jobs USING (regress_tckpt.change()) WITH CHECK (true);
ALTER TABLE regress_tckpt.jobs ENABLE ROW LEVEL SECURITY;
-- all are dispatched
SELECT count(tasker_checkpoint_dispatch(id)) FROM regress_tckpt.jobs;
-- one is done, so that its event is of no use
UPDATE regress_tckpt.jobs SET processed = true WHERE id = '00000000-0000-0000-0000-000000000004';
RESET ROLE;

-- tries each call in a subtransaction, once its plans are kept, and tells what came of it
CREATE FUNCTION try(ddl text) RETURNS TABLE (call text, result text) LANGUAGE plpgsql AS $$
BEGIN
	FOREACH call IN ARRAY ARRAY['claim(''w'', ''1 minute'', 5)', 'progress', 'health', 'dispatch($1)', 'pause($1)',
		'save($1, ''2'', 2)', 'yield($1, ''2'', 2)', 'clear($1)', 'reset_for_retry($1, true)', 'rewind($1, 1)', 'load($1)', 'trim(0)', 'purge_events()']
	LOOP
		BEGIN
			EXECUTE 'SELECT count(*) FROM public.tasker_checkpoint_' || call USING uuid '00000000-0000-0000-0000-000000000003';
			RAISE SQLSTATE 'TT000';
		EXCEPTION WHEN OTHERS THEN
		END;
		BEGIN
			PERFORM set_config('regress_tckpt.ddl', ddl, true);
			EXECUTE 'SELECT count(*) FROM public.tasker_checkpoint_' || call USING uuid '00000000-0000-0000-0000-000000000001';
			RAISE SQLSTATE 'TT000' USING MESSAGE = 'done';
		EXCEPTION WHEN OTHERS THEN
			result := concat(nullif(SQLSTATE, 'TT000') || ' ', SQLERRM);
			PERFORM set_config('regress_tckpt.ddl', '', true);
		END;
		RETURN NEXT;
	END LOOP;
END
$$;
CREATE TABLE changes (n integer, ddl text);
INSERT INTO changes VALUES
	(1, 'ALTER TABLE regress_tckpt.jobs RENAME checkpoint TO old; ALTER TABLE regress_tckpt.jobs RENAME n TO checkpoint'),
	(2, 'ALTER TABLE regress_tckpt.jobs RENAME processed TO old; ALTER TABLE regress_tckpt.jobs RENAME n TO processed'),
	(3, 'ALTER TABLE regress_tckpt.jobs RENAME id TO old; ALTER TABLE regress_tckpt.jobs RENAME n TO id'),
	(4, 'ALTER TABLE regress_tckpt.jobs RENAME inputs TO old; ALTER TABLE regress_tckpt.jobs RENAME n TO inputs'),
	(5, 'ALTER TABLE regress_tckpt.jobs RENAME task_uuid TO old; ALTER TABLE regress_tckpt.jobs RENAME n TO task_uuid'),
	(6, 'ALTER TABLE regress_tckpt.jobs RENAME in_process TO old; ALTER TABLE regress_tckpt.jobs RENAME n TO in_process'),
	(7, 'ALTER TABLE regress_tckpt.jobs RENAME TO old; ALTER TABLE regress_tckpt.others RENAME TO jobs'),
	(8, 'ALTER TABLE regress_tckpt.jobs RENAME TO old; CREATE VIEW regress_tckpt.jobs AS SELECT id, n AS checkpoint, 1 AS processed FROM regress_tckpt.old'),
	(9, 'ALTER TABLE regress_tckpt.jobs RENAME checkpoint TO old');
GRANT SELECT ON changes TO PUBLIC;

-- a worker under the policy
SET ROLE regress_tckpt_worker;
SELECT n, call, result FROM changes, try(ddl) WHERE n IN (1, 2, 3) ORDER BY n;
SELECT n, call, result FROM changes, try(ddl) WHERE n IN (4, 5, 6) AND result <> 'done' ORDER BY n;
SELECT n, call, result FROM changes, try(ddl) WHERE n IN (7, 8, 9) ORDER BY n;
-- the error in full
BEGIN;
SELECT set_config('regress_tckpt.ddl', ddl, true) <> '' AS set FROM changes WHERE n = 1;
SELECT * FROM tasker_checkpoint_claim('w', '1 minute', 5); -- fail
ROLLBACK;
BEGIN;
SELECT set_config('regress_tckpt.ddl', ddl, true) <> '' AS set FROM changes WHERE n = 7;
SELECT tasker_checkpoint_clear(:'s1'); -- fail
ROLLBACK;
-- repeated
SELECT tasker_checkpoint_clear(:'s1');
RESET ROLE;
SELECT count(*) FROM regress_tckpt.others WHERE checkpoint = '{"mine": true}';

-- a superuser, by a function that planning calls
SET ROLE regress_tckpt_owner;
DROP POLICY change ON regress_tckpt.jobs;
ALTER TABLE regress_tckpt.jobs DISABLE ROW LEVEL SECURITY;
CREATE INDEX ON regress_tckpt.jobs (id) WHERE regress_tckpt.planned('00000000-0000-0000-0000-000000000001');
CREATE OR REPLACE FUNCTION regress_tckpt.planned(id uuid) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN regress_tckpt.change(); END';
RESET ROLE;
SELECT n, call, result FROM changes, try(ddl) WHERE n IN (1, 2, 5, 7) AND call IN ('progress', 'health', 'load($1)', 'claim(''w'', ''1 minute'', 5)') ORDER BY n;

DROP EXTENSION tasker_checkpoint;
DROP FUNCTION try;
DROP TABLE changes;
SET client_min_messages = error;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner, regress_tckpt_worker;
DROP ROLE regress_tckpt_owner, regress_tckpt_worker;

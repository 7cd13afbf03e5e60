-- code of the table's owner that closes all cursors does not get at that of purge and trim
CREATE EXTENSION tasker_checkpoint;
SET client_min_messages = error;
CREATE ROLE regress_tckpt_owner;
RESET client_min_messages;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_tckpt.steps (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), processed boolean, checkpoint jsonb);
RESET ROLE;
SELECT tasker_checkpoint_attach('regress_tckpt.steps', 'id');
-- more than are fetched at a time
INSERT INTO regress_tckpt.steps (processed, checkpoint) SELECT true, '{"cursor": 1, "items_processed": 1}' FROM generate_series(1, 250);
UPDATE regress_tckpt.steps SET checkpoint = '{"cursor": 2, "items_processed": 2}';
SET ROLE regress_tckpt_owner;
CREATE FUNCTION regress_tckpt.close_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'CLOSE ALL';
	RETURN NULL;
END
$$;
CREATE TRIGGER close_all AFTER UPDATE ON regress_tckpt.steps FOR EACH ROW EXECUTE FUNCTION regress_tckpt.close_all();
RESET ROLE;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_purge('0', 250); -- fail
SELECT tasker_checkpoint_trim(1, '0', 250); -- fail
SELECT count(*) FROM regress_tckpt.steps WHERE checkpoint IS NULL;
-- by its name, if it can be had
SET ROLE regress_tckpt_owner;
CREATE OR REPLACE FUNCTION regress_tckpt.close_all() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	cursor_name text;
BEGIN
	FOR cursor_name IN SELECT name FROM pg_cursors WHERE name <> '' LOOP
		EXECUTE format('CLOSE %I', cursor_name);
	END LOOP;
	RETURN NULL;
END
$$;
RESET ROLE;
SELECT count(*) > 0 AS purged FROM (SELECT tasker_checkpoint_purge('0', 250)) p; -- fail
DROP TRIGGER close_all ON regress_tckpt.steps;
SELECT tasker_checkpoint_trim(1, '0', 250);
SELECT tasker_checkpoint_purge('0', 250);
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP ROLE regress_tckpt_owner;

-- Where many versions of a row are kept a checkpoint finds the newest first, and updates it there
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
-- no two versions of a row share a page
CREATE TABLE steps (id uuid PRIMARY KEY, processed boolean, owner name DEFAULT 'regress_tckpt_worker', pad text DEFAULT repeat('x', 5000));
ALTER TABLE steps ALTER pad SET STORAGE PLAIN;
SELECT tasker_checkpoint_attach('steps', 'id');
INSERT INTO steps VALUES (:'s1'), (:'s2');
-- as small as the rights of a worker can be
CREATE ROLE regress_tckpt_worker;
GRANT SELECT (id, checkpoint, processed), UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON steps USING (owner = current_user);
-- buffers that a save reads: with few of them it has not met each version twice, once where it looked for the row
CREATE FUNCTION reads(n int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT json) SELECT * FROM tasker_checkpoint_save(''00000000-0000-0000-0000-000000000001'', to_jsonb($1), $1)'
		INTO plan USING n;
	RETURN plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks';
END
$$;
-- a trigger that makes a checkpoint itself
CREATE FUNCTION nested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tasker_checkpoint_save('00000000-0000-0000-0000-000000000002', NEW.checkpoint -> 'cursor', 1);
	RETURN NULL;
END
$$;
CREATE TRIGGER nested AFTER UPDATE ON steps FOR EACH ROW
	WHEN (NEW.checkpoint ->> 'cursor' = 'nested' AND NEW.id = '00000000-0000-0000-0000-000000000001') EXECUTE FUNCTION nested();
CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'an UPDATE'; RETURN NULL; END $$;
CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE PROCEDURE saves(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
	END LOOP;
END
$$;
RESET client_min_messages;

SET ROLE regress_tckpt_worker;
BEGIN;
CALL saves(1, 400);
SELECT reads(401) < 600 AS once;
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load(:'s1');
-- the checkpoint of a trigger meanwhile goes the usual way
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"nested"', 402);
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s2');
-- so does one where the name of the cursor is taken
DECLARE tasker_checkpoint_found CURSOR FOR SELECT id FROM steps WHERE id = :'s2';
FETCH tasker_checkpoint_found;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '403', 403);
CLOSE tasker_checkpoint_found;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s2');
-- a yield, a refusal, and what is not there
SELECT sequence, event_id IS NOT NULL AS event FROM tasker_checkpoint_yield(:'s1', '404', 404);
SAVEPOINT before;
SELECT tasker_checkpoint_save(:'s1', '1', 1); -- fail
ROLLBACK TO before;
SELECT tasker_checkpoint_save('ffffffff-ffff-ffff-ffff-ffffffffffff', '1', 1); -- fail
ROLLBACK TO before;
-- a row that the policy hides is not there, one that it does not let be updated is refused as ever
RESET ROLE;
CREATE POLICY kept ON steps AS RESTRICTIVE FOR UPDATE USING (checkpoint ->> 'cursor' <> '404');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '405', 405); -- fail
ROLLBACK TO before;
RESET ROLE;
UPDATE steps SET owner = 'nobody' WHERE id = :'s1';
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '405', 405); -- fail
ROLLBACK TO before;
-- nor may one be stored that the caller could not read
RESET ROLE;
CREATE POLICY few ON steps AS RESTRICTIVE FOR SELECT USING (coalesce((checkpoint ->> 'items_processed')::bigint, 0) < 500);
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '500', 500); -- fail
ROLLBACK TO before;
-- where a trigger keeps the row as it was it is tried once more: it might have been made anew
RESET ROLE;
CREATE TRIGGER "1" BEFORE UPDATE ON steps FOR EACH STATEMENT EXECUTE FUNCTION told();
CREATE TRIGGER "2" BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION kept();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '405', 405); -- fail
ROLLBACK TO before;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '405', 405);
COMMIT;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
RESET ROLE;
-- as the owner, of a table with a child, where a place says too little
BEGIN;
CREATE TABLE child () INHERITS (steps);
CALL saves(406, 800);
SELECT reads(801) > 700 AS twice;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
ROLLBACK;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP FUNCTION nested, reads, told, kept;
DROP PROCEDURE saves;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

-- A partitioned steps table is guarded in every partition
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 80000000-0000-0000-0000-000000000002
\set s3 c0000000-0000-0000-0000-000000000003
\set s4 a0000000-0000-0000-0000-000000000004
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;

CREATE TABLE steps (note text, id uuid PRIMARY KEY, processed boolean DEFAULT false, updated_at timestamptz)
PARTITION BY RANGE (id);
CREATE TABLE steps_low PARTITION OF steps
FOR VALUES FROM (MINVALUE) TO ('80000000-0000-0000-0000-000000000000');

-- a partition with the columns in another order, and dropped ones
CREATE TABLE steps_mid (gone1 int, processed boolean DEFAULT false, updated_at timestamptz, gone2 int,
	id uuid NOT NULL, note text);
ALTER TABLE steps_mid DROP COLUMN gone1, DROP COLUMN gone2;
ALTER TABLE steps ATTACH PARTITION steps_mid
FOR VALUES FROM ('80000000-0000-0000-0000-000000000000') TO ('a0000000-0000-0000-0000-000000000000');

-- a partition with partitions
CREATE TABLE steps_sub PARTITION OF steps
FOR VALUES FROM ('c0000000-0000-0000-0000-000000000000') TO (MAXVALUE)
PARTITION BY RANGE (id);
CREATE TABLE steps_sub_low PARTITION OF steps_sub DEFAULT;

SELECT tasker_checkpoint_attach('steps', 'id');
SELECT tgrelid::regclass, tgparentid <> 0 AS cloned,
	(SELECT array_agg(attname ORDER BY n) FROM unnest(tgattr) WITH ORDINALITY a(attno, n)
	 JOIN pg_attribute ON attrelid = tgrelid AND attnum = attno) AS columns
FROM pg_trigger WHERE tgname = 'zz_tasker_checkpoint_guard' ORDER BY tgrelid::regclass::text COLLATE "C";

-- attached later, the columns in another order again
CREATE TABLE steps_late (checkpoint jsonb, id uuid NOT NULL, updated_at timestamptz, processed boolean, note text);
INSERT INTO steps_late (id, checkpoint)
VALUES (:'s4', '{"cursor": "before", "items_processed": 7, "timestamp": "2020-01-01T00:00:00Z", "history": []}');
ALTER TABLE steps ATTACH PARTITION steps_late
FOR VALUES FROM ('a0000000-0000-0000-0000-000000000000') TO ('c0000000-0000-0000-0000-000000000000');
SELECT tasker_checkpoint_table();

-- save, twice a step: a dispatched step could not change its key
INSERT INTO steps (id) VALUES (:'s1'), (:'s2'), (:'s3');
SELECT id, y.sequence
FROM (SELECT id FROM steps ORDER BY id) s, tasker_checkpoint_save(id, to_jsonb(left(id::text, 1)), 10) y;
SELECT id, y.sequence
FROM (SELECT id FROM steps ORDER BY id) s, tasker_checkpoint_save(id, to_jsonb(left(id::text, 1)), 20) y;
SELECT tableoid::regclass, checkpoint -> 'cursor' AS cursor, checkpoint -> 'items_processed' AS items,
	jsonb_array_length(checkpoint -> 'history') AS entries, updated_at IS NOT NULL AS updated
FROM steps ORDER BY id;

-- direct, to the partitioned table and to a partition
UPDATE steps SET checkpoint = '{"cursor": 3, "items_processed": 30}';
UPDATE steps_mid SET checkpoint = '{"cursor": 4, "items_processed": 40, "history": "forged"}';
UPDATE steps_late SET checkpoint = '{"cursor": 4}'; -- fail
SELECT tableoid::regclass, s.cursor, s.items_processed, s.sequence
FROM steps, tasker_checkpoint_load(id) s ORDER BY id;

-- processed is refused in each
UPDATE steps SET processed = true;
DO $$
DECLARE
	step uuid;
BEGIN
	FOR step IN SELECT id FROM steps ORDER BY id LOOP
		BEGIN
			PERFORM tasker_checkpoint_save(step, '5', 50);
			RAISE EXCEPTION 'not refused';
		EXCEPTION WHEN object_not_in_prerequisite_state THEN
			RAISE NOTICE '%', SQLERRM;
		END;
	END LOOP;
END
$$;
UPDATE steps SET processed = false;

-- a row that moves to another partition takes its checkpoint along, as it is
CREATE TABLE before AS SELECT id, checkpoint FROM steps;
UPDATE steps SET id = 'a0000000-0000-0000-0000-00000000000a' WHERE id = :'s1';
SELECT s.tableoid::regclass, s.checkpoint = before.checkpoint AS same
FROM steps s JOIN before ON before.id = :'s1' WHERE s.id = 'a0000000-0000-0000-0000-00000000000a';
-- one that moves with a new checkpoint as well
UPDATE steps SET id = :'s1', checkpoint = '{"cursor": 6, "items_processed": 60}'
WHERE id = 'a0000000-0000-0000-0000-00000000000a';
SELECT tableoid::regclass, l.cursor, l.items_processed, l.sequence
FROM steps, tasker_checkpoint_load(id) l WHERE id = :'s1';
-- and with limits that would refuse it now
RESET ROLE;
SET tasker_checkpoint.cursor_limit = 0;
SET tasker_checkpoint.history_limit = 0;
SET ROLE regress_tckpt_owner;
UPDATE steps SET id = :'s2' WHERE id = :'s1'; -- fail
DELETE FROM steps WHERE id = :'s2';
UPDATE steps SET id = :'s2' WHERE id = :'s1';
SELECT tableoid::regclass, l.cursor, l.items_processed, l.sequence
FROM steps, tasker_checkpoint_load(id) l WHERE id = :'s2';
RESET ROLE;
RESET tasker_checkpoint.cursor_limit;
SET ROLE regress_tckpt_owner;

-- without any history left, too
SELECT sequence FROM tasker_checkpoint_save(:'s2', '7', 70);
CREATE TABLE before2 AS SELECT id, checkpoint FROM steps;
UPDATE steps SET id = :'s1' WHERE id = :'s2';
SELECT s.tableoid::regclass, s.checkpoint = before2.checkpoint AS same, s.checkpoint -> 'history' AS history
FROM steps s JOIN before2 ON before2.id = :'s2' WHERE s.id = :'s1';
RESET ROLE;
RESET tasker_checkpoint.history_limit;
SET ROLE regress_tckpt_owner;

-- a partition that is detached loses the guard; the rest stays attached
ALTER TABLE steps DETACH PARTITION steps_late;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'steps_late'::regclass AND NOT tgisinternal;
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_save(:'s4', '8', 80); -- fail
SELECT sequence FROM tasker_checkpoint_save(:'s3', '8', 80);

-- detach and attach the whole
SELECT tasker_checkpoint_detach();
SELECT count(*) FROM pg_trigger WHERE tgname = 'zz_tasker_checkpoint_guard';
SELECT tasker_checkpoint_attach('steps', 'id');
SELECT sequence FROM tasker_checkpoint_save(:'s3', '9', 90);

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
SELECT count(*) FROM pg_trigger WHERE tgname = 'zz_tasker_checkpoint_guard';
SELECT tableoid::regclass, checkpoint -> 'cursor' AS cursor FROM steps ORDER BY id;
SET client_min_messages = error;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

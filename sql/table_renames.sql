-- A session that has used the steps table notices what becomes of it
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;

CREATE TABLE steps (id uuid PRIMARY KEY, processed boolean DEFAULT false, updated_at timestamptz, other jsonb);
INSERT INTO steps VALUES (:'s1');
SELECT tasker_checkpoint_attach('steps', 'id');

-- every statement that is kept has a plan
CREATE FUNCTION use(items bigint) RETURNS TABLE (saved bigint, yielded bigint, loaded jsonb, cleared boolean)
LANGUAGE plpgsql AS $$
DECLARE
	step uuid := '00000000-0000-0000-0000-000000000001';
BEGIN
	saved := (tasker_checkpoint_save(step, to_jsonb(items), items)).sequence;
	yielded := (tasker_checkpoint_yield(step, to_jsonb(items), items)).sequence;
	loaded := (tasker_checkpoint_load(step)).cursor;
	PERFORM tasker_checkpoint_reset_for_retry(step);
	cleared := tasker_checkpoint_clear(step);
	PERFORM tasker_checkpoint_save(step, to_jsonb(items), items);
	RETURN NEXT;
END
$$;
SELECT * FROM use(1);

-- the table, its schema, the key, the checkpoint
ALTER TABLE steps RENAME TO "Steps!";
SELECT * FROM use(2);
ALTER SCHEMA regress_tckpt RENAME TO "Regress tckpt";
SET search_path = "Regress tckpt", public;
SELECT * FROM use(3);
ALTER TABLE "Steps!" RENAME COLUMN id TO "Key";
SELECT * FROM use(4);
ALTER TABLE "Steps!" RENAME COLUMN checkpoint TO "Progress";
SELECT * FROM use(5);
SELECT "Progress" -> 'cursor' AS cursor FROM "Steps!";
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_attach('"Steps!"', 'Key');
SELECT tasker_checkpoint_attach('"Steps!"', 'id'); -- fail
SELECT col_description('"Steps!"'::regclass, 5);
-- a column that has taken the old name is not touched
ALTER TABLE "Steps!" ADD COLUMN checkpoint jsonb, ADD COLUMN id uuid;
SELECT * FROM use(6);
SELECT "Progress" -> 'cursor' AS cursor, checkpoint, id FROM "Steps!";
-- the errors name the table as it is now
SELECT tasker_checkpoint_get('ffffffff-ffff-ffff-ffff-ffffffffffff'); -- fail
-- two names swapped
ALTER TABLE "Steps!" RENAME COLUMN checkpoint TO tmp;
ALTER TABLE "Steps!" RENAME COLUMN "Progress" TO checkpoint;
ALTER TABLE "Steps!" RENAME COLUMN tmp TO "Progress";
SELECT * FROM use(7);
SELECT "Progress", checkpoint -> 'cursor' AS cursor FROM "Steps!";

-- another table takes the old name
ALTER TABLE "Steps!" RENAME TO old_steps;
CREATE TABLE "Steps!" (LIKE old_steps INCLUDING ALL);
INSERT INTO "Steps!" ("Key") VALUES (:'s1');
SELECT * FROM use(8);
SELECT checkpoint FROM "Steps!";
SELECT checkpoint -> 'cursor' AS cursor FROM old_steps;
DROP TABLE "Steps!";

-- to another schema and back
CREATE SCHEMA regress_tckpt2;
ALTER TABLE old_steps SET SCHEMA regress_tckpt2;
SELECT * FROM use(9);
ALTER TABLE regress_tckpt2.old_steps SET SCHEMA "Regress tckpt";
ALTER SCHEMA "Regress tckpt" RENAME TO regress_tckpt;
SET search_path = regress_tckpt, public;
ALTER TABLE old_steps RENAME TO steps;
ALTER TABLE steps RENAME COLUMN "Key" TO key;
SELECT * FROM use(10);

-- columns come and go: processed and updated_at matter, others don't
ALTER TABLE steps DROP COLUMN other, DROP COLUMN "Progress";
SELECT * FROM use(11);
ALTER TABLE steps DROP COLUMN updated_at;
SELECT * FROM use(12);
ALTER TABLE steps ADD COLUMN updated_at timestamp, ADD COLUMN in_process boolean DEFAULT true;
SELECT * FROM use(13);
SELECT updated_at IS NOT NULL AS updated, in_process FROM steps;
ALTER TABLE steps ALTER COLUMN updated_at TYPE text, ALTER COLUMN in_process TYPE text;
UPDATE steps SET updated_at = 'mine', in_process = 'mine';
SELECT * FROM use(14);
SELECT updated_at, in_process FROM steps;
ALTER TABLE steps DROP COLUMN processed;
SELECT * FROM use(15);
ALTER TABLE steps ADD COLUMN processed boolean DEFAULT true;
SELECT tasker_checkpoint_yield(:'s1', '16', 16); -- fail
UPDATE steps SET processed = false;
SELECT * FROM use(16);

-- rewritten
ALTER TABLE steps ALTER COLUMN in_process TYPE varchar(10), ALTER COLUMN checkpoint SET STORAGE EXTERNAL;
RESET ROLE;
VACUUM FULL steps;
SET ROLE regress_tckpt_owner;
SELECT * FROM use(17);

-- the checkpoint of another type
\set VERBOSITY sqlstate
ALTER TABLE steps ALTER COLUMN checkpoint TYPE text; -- fail
\set VERBOSITY default

-- the trigger is replaced by one that names another key
ALTER TABLE steps ADD COLUMN key2 uuid DEFAULT '00000000-0000-0000-0000-000000000001' NOT NULL UNIQUE;
SELECT tasker_checkpoint_detach();
UPDATE steps SET key = '00000000-0000-0000-0000-000000000002';
SELECT tasker_checkpoint_yield(:'s1', '18', 18); -- fail
SELECT tasker_checkpoint_attach('steps', 'key2');
SELECT * FROM use(18);

-- within one transaction, undone
BEGIN;
ALTER TABLE steps RENAME TO steps3;
ALTER TABLE steps3 RENAME COLUMN checkpoint TO checkpoint3;
SELECT * FROM use(19);
ROLLBACK;
SELECT * FROM use(19);
BEGIN;
SAVEPOINT a;
DROP TABLE steps;
SELECT tasker_checkpoint_yield(:'s1', '20', 20); -- fail
ROLLBACK TO a;
SELECT * FROM use(20);
COMMIT;

-- the key is dropped, and with it the trigger
\set VERBOSITY sqlstate
ALTER TABLE steps DROP COLUMN key2; -- fail
\set VERBOSITY default
SET client_min_messages = warning;
ALTER TABLE steps DROP COLUMN key2 CASCADE;
RESET client_min_messages;
SELECT tasker_checkpoint_yield(:'s1', '21', 21); -- fail
SELECT tasker_checkpoint_table();
UPDATE steps SET key = :'s1';
SELECT tasker_checkpoint_attach('steps', 'key');
SELECT * FROM use(21);

-- the checkpoint is dropped
SET client_min_messages = warning;
ALTER TABLE steps DROP COLUMN checkpoint CASCADE;
RESET client_min_messages;
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_attach('steps', 'key');
SELECT * FROM use(22);

-- the table is dropped and made again
DROP TABLE steps;
SELECT tasker_checkpoint_yield(:'s1', '23', 23); -- fail
CREATE TABLE steps (id uuid PRIMARY KEY);
SELECT tasker_checkpoint_yield(:'s1', '23', 23); -- fail
SELECT tasker_checkpoint_attach('steps', 'id');
SELECT tasker_checkpoint_yield(:'s1', '23', 23); -- fail
INSERT INTO steps VALUES (:'s1');
SELECT * FROM use(23);

-- the extension is dropped and made again
RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
\set VERBOSITY sqlstate
SELECT regress_tckpt.use(24); -- fail
\set VERBOSITY default
UPDATE steps SET checkpoint = '{"anything": "goes"}';
CREATE EXTENSION tasker_checkpoint SCHEMA regress_tckpt;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA regress_tckpt TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_yield(:'s1', '24', 24); -- fail
SELECT tasker_checkpoint_attach('steps', 'id');
SELECT * FROM use(24);

RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt, regress_tckpt2 CASCADE;
REVOKE ALL ON DATABASE :"DBNAME" FROM regress_tckpt_owner;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

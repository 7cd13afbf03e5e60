-- The trigger that forgets deleted steps is made with the guard and goes with it, and does nothing elsewhere
\set SHOW_CONTEXT never
\set VERBOSITY terse
\set s1 00000000-0000-0000-0000-000000000001
\set s2 80000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE jobs (id uuid PRIMARY KEY, note text);
CREATE VIEW triggers AS
SELECT tgrelid::regclass AS "table", tgname AS name, tgenabled AS enabled, tgparentid <> 0 AS cloned,
	(SELECT count(*) FROM pg_depend d WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'x') AS marks
FROM pg_trigger t WHERE tgfoid = 'tasker_checkpoint_forget()'::regprocedure ORDER BY tgrelid::regclass::text COLLATE "C", tgname COLLATE "C";
CREATE VIEW events AS SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_events ORDER BY 1;
CREATE VIEW told AS SELECT status, found, statement FROM tasker_checkpoint_check_guard() WHERE status <> 'ok';
RESET client_min_messages;

-- attach makes it, once; detach drops it
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname LIKE '%forget';
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT * FROM triggers;
SELECT * FROM told;
SELECT tasker_checkpoint_detach();
SELECT * FROM triggers;

-- attached before there was one: told, and attach again makes it
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP TRIGGER zz_tasker_checkpoint_forget ON jobs;
SELECT * FROM told;
\t
SELECT statement FROM told \gexec
\t
SELECT * FROM triggers;
-- disabled
ALTER TABLE jobs DISABLE TRIGGER zz_tasker_checkpoint_forget;
SELECT * FROM told;
SELECT tasker_checkpoint_attach('jobs', 'id');
ALTER TABLE jobs ENABLE REPLICA TRIGGER zz_tasker_checkpoint_forget;
SELECT * FROM told;
SELECT tasker_checkpoint_attach('jobs', 'id');
\t
SELECT statement FROM told \gexec
\t
ALTER TABLE jobs ENABLE ALWAYS TRIGGER zz_tasker_checkpoint_forget;
SELECT * FROM told;
-- not marked: told, and attach again marks it
ALTER TRIGGER zz_tasker_checkpoint_forget ON jobs NO DEPENDS ON EXTENSION tasker_checkpoint;
SELECT * FROM told;
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT * FROM triggers;

-- renamed, as are key, table and schema
ALTER TRIGGER zz_tasker_checkpoint_forget ON jobs RENAME TO "My ""trigger""";
ALTER TABLE jobs RENAME id TO key;
ALTER TABLE jobs ADD COLUMN id uuid;
ALTER TABLE jobs RENAME TO tasks;
SELECT tasker_checkpoint_attach('tasks', 'key');
SELECT * FROM triggers;
INSERT INTO tasks (key) VALUES (:'s1'), (:'s2');
SELECT count(tasker_checkpoint_dispatch(key)) FROM tasks;
DELETE FROM tasks WHERE key = :'s1';
SELECT * FROM events;

-- another table's, made by hand, leaves the steps of this one alone
CREATE TABLE stray (key uuid, id uuid, checkpoint jsonb);
CREATE TRIGGER mine AFTER DELETE ON stray FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget();
INSERT INTO stray VALUES (:'s2', :'s2');
DELETE FROM stray;
SELECT * FROM events;
SELECT * FROM told;
-- also with a guard that registers nothing
CREATE TRIGGER stray BEFORE INSERT OR UPDATE OF key, checkpoint ON stray FOR EACH ROW WHEN (NEW.id IS NULL) EXECUTE FUNCTION tasker_checkpoint_guard();
INSERT INTO stray VALUES (:'s2', :'s2');
DELETE FROM stray;
SELECT * FROM events;
DROP TABLE stray;

-- by hand on this one: one with a condition is not what attach makes, and a deferred one looks at the end
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach('tasks', 'key');
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
DROP TRIGGER zz_tasker_checkpoint_forget ON tasks;
CREATE TRIGGER mine AFTER DELETE ON tasks FOR EACH ROW WHEN (OLD.note IS NULL) EXECUTE FUNCTION tasker_checkpoint_forget();
CREATE CONSTRAINT TRIGGER late AFTER DELETE ON tasks DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget();
SELECT status, found FROM told;
DROP TRIGGER mine ON tasks;
BEGIN;
DELETE FROM tasks;
INSERT INTO tasks (key) VALUES (:'s2');
COMMIT;
SELECT * FROM events;
BEGIN;
DELETE FROM tasks;
SELECT * FROM events;
COMMIT;
SELECT * FROM events;
SELECT tasker_checkpoint_detach();
SELECT * FROM triggers;

-- called otherwise
CREATE TABLE misused (key uuid);
CREATE VIEW misused_view AS SELECT * FROM misused;
INSERT INTO misused VALUES (:'s1');
SELECT tasker_checkpoint_forget(); -- fail
CREATE TRIGGER misused BEFORE DELETE ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget();
DELETE FROM misused; -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused AFTER DELETE ON misused FOR EACH STATEMENT EXECUTE FUNCTION tasker_checkpoint_forget();
DELETE FROM misused; -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused AFTER INSERT OR UPDATE ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget();
INSERT INTO misused VALUES (:'s2'); -- fail
UPDATE misused SET key = :'s2'; -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused AFTER TRUNCATE ON misused FOR EACH STATEMENT EXECUTE FUNCTION tasker_checkpoint_forget();
TRUNCATE misused; -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused AFTER DELETE ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget('key');
DELETE FROM misused; -- fail
CREATE TRIGGER misused INSTEAD OF DELETE ON misused_view FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget();
DELETE FROM misused_view; -- fail
DROP TABLE misused CASCADE;

-- a partitioned table, the columns of its partitions in another order
CREATE TABLE steps (note text, id uuid PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE steps_low (id uuid NOT NULL, gone int, note text);
ALTER TABLE steps_low DROP COLUMN gone;
ALTER TABLE steps ATTACH PARTITION steps_low FOR VALUES FROM (MINVALUE) TO ('80000000-0000-0000-0000-000000000000');
SELECT tasker_checkpoint_attach('steps', 'id');
CREATE TABLE steps_high PARTITION OF steps DEFAULT;
SELECT * FROM triggers;
INSERT INTO steps (id) VALUES (:'s1'), (:'s2');
SELECT count(tasker_checkpoint_dispatch(id)) FROM steps;
DELETE FROM steps WHERE id = :'s1';
SELECT * FROM events;
DELETE FROM steps_high;
SELECT * FROM events;
-- a partition that is detached loses it, and keeps its rows and their events
INSERT INTO steps (id) VALUES (:'s1'), (:'s2');
SELECT count(tasker_checkpoint_dispatch(id)) FROM steps;
ALTER TABLE steps DETACH PARTITION steps_low;
SELECT * FROM triggers;
DELETE FROM steps_low;
SELECT * FROM events;
SELECT tasker_checkpoint_purge_events();
SELECT * FROM events;
-- disabled in a partition alone
ALTER TABLE steps_high DISABLE TRIGGER zz_tasker_checkpoint_forget;
SELECT * FROM told;
SELECT tasker_checkpoint_detach();
SELECT * FROM triggers;
DROP TABLE steps, steps_low;

-- a row that moves out of the attached table, and back, is the same step all the time
CREATE TABLE halves (id uuid NOT NULL, half int, checkpoint jsonb) PARTITION BY LIST (half);
CREATE TABLE half_1 (id uuid PRIMARY KEY, half int, checkpoint jsonb);
ALTER TABLE halves ATTACH PARTITION half_1 FOR VALUES IN (1);
CREATE TABLE half_2 PARTITION OF halves FOR VALUES IN (2);
SELECT tasker_checkpoint_attach('half_1', 'id');
INSERT INTO halves VALUES (:'s1', 1), (:'s2', 1);
SELECT count(tasker_checkpoint_dispatch(id)) FROM half_1;
UPDATE halves SET half = 2;
SELECT tableoid::regclass, count(*) FROM halves GROUP BY 1;
SELECT * FROM events;
DELETE FROM halves WHERE id = :'s2';
UPDATE halves SET half = 1;
DELETE FROM halves;
SELECT * FROM events;
SELECT tasker_checkpoint_detach();
DROP TABLE halves;

SET client_min_messages = error;
DROP VIEW triggers, events, told;
SELECT tasker_checkpoint_attach('tasks', 'key');
RESET client_min_messages;
DROP EXTENSION tasker_checkpoint;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'tasks'::regclass;
DROP TABLE tasks;

-- Other triggers, rules, a disabled guard: a yield stores a whole checkpoint or says why not
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text, processed boolean DEFAULT false);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE TABLE other (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION shown(checkpoint jsonb) RETURNS text
LANGUAGE sql
RETURN regexp_replace(checkpoint::text, '"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"', '"(time)"', 'g');
GRANT EXECUTE ON FUNCTION shown TO regress_tckpt_worker;
RESET client_min_messages;

-- a BEFORE trigger that sets another column, and one that adds a key before the guard sees it
CREATE FUNCTION add_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.label := concat(NEW.label, '+');
	NEW.checkpoint := NEW.checkpoint || '{"host": "worker-1"}';
	RETURN NEW;
END
$$;
CREATE TRIGGER a_key BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION add_key();
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2);
SELECT label, shown(checkpoint) FROM steps WHERE workflow_step_uuid = :'s1';
SELECT tasker_checkpoint_clear(:'s1');
SELECT checkpoint FROM steps WHERE workflow_step_uuid = :'s1';
RESET ROLE;
DROP TRIGGER a_key ON steps;

-- one that breaks the document before the guard sees it
CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NEW.checkpoint := NEW.checkpoint - 'cursor';
	RETURN NEW;
END
$$;
CREATE TRIGGER a_break BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION break();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '3', 3); -- fail
RESET ROLE;
DROP TRIGGER a_break ON steps;

-- one that takes the checkpoint away
CREATE FUNCTION remove() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.checkpoint := NULL; RETURN NEW; END';
CREATE TRIGGER a_remove BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION remove();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '4', 4); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_save(:'s1', '4', 4); -- fail
RESET ROLE;
DROP TRIGGER a_remove ON steps;

-- one that suppresses the update, before and after the guard
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER zzz_suppress BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION suppress();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '5', 5); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_save(:'s1', '5', 5); -- fail
RESET ROLE;
DROP TRIGGER zzz_suppress ON steps;
CREATE TRIGGER a_suppress BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION suppress();
SET ROLE regress_tckpt_worker;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_yield(:'s1', '6', 6); -- fail
SELECT tasker_checkpoint_save(:'s1', '6', 6); -- fail
\set VERBOSITY default
RESET ROLE;
DROP TRIGGER a_suppress ON steps;

-- one that raises: its error comes through, and the next call is as if nothing had been
CREATE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not today' USING ERRCODE = 'ZX001'; END$$;
CREATE TRIGGER a_raise BEFORE UPDATE ON steps FOR EACH ROW WHEN (NEW.checkpoint ->> 'cursor' = 'bad') EXECUTE FUNCTION raise();
CREATE TRIGGER zzz_raise BEFORE UPDATE ON steps FOR EACH ROW WHEN (NEW.checkpoint ->> 'cursor' = 'worse') EXECUTE FUNCTION raise();
CREATE TRIGGER a_after AFTER UPDATE ON steps FOR EACH ROW WHEN (NEW.checkpoint ->> 'cursor' = 'worst') EXECUTE FUNCTION raise();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '"bad"', 7); -- fail
UPDATE steps SET checkpoint = '{"cursor": 7, "items_processed": 6}' WHERE workflow_step_uuid = :'s1';
SELECT tasker_checkpoint_yield(:'s1', '"worse"', 7); -- fail
UPDATE steps SET checkpoint = '{"cursor": 7, "items_processed": 5}' WHERE workflow_step_uuid = :'s1';
SELECT tasker_checkpoint_yield(:'s1', '"worst"', 7); -- fail
-- (these had fewer items, which is refused to functions only)
UPDATE steps SET checkpoint = '{"cursor": 7, "items_processed": 4}' WHERE workflow_step_uuid = :'s1';
DO $$
BEGIN
	PERFORM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '"bad"', 7);
EXCEPTION WHEN SQLSTATE 'ZX001' THEN
	UPDATE steps SET checkpoint = '{"cursor": 7, "items_processed": 3}' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001';
END
$$;
SELECT sequence, items_processed FROM tasker_checkpoint_load(:'s1');
RESET ROLE;
DROP TRIGGER a_raise ON steps;
DROP TRIGGER zzz_raise ON steps;
DROP TRIGGER a_after ON steps;

-- triggers that call our functions while one of them runs: for another step, and for the same
CREATE FUNCTION recurse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.workflow_step_uuid = '00000000-0000-0000-0000-000000000001' THEN
		RAISE NOTICE '% %', TG_WHEN, tasker_checkpoint_save('00000000-0000-0000-0000-000000000002', NEW.checkpoint -> 'cursor', 0);
		UPDATE steps SET checkpoint = '{"cursor": "direct", "items_processed": 0}'
		WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000002';
	END IF;
	RETURN NEW;
END
$$;
CREATE TRIGGER a_before BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION recurse();
CREATE TRIGGER zzz_before BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION recurse();
CREATE TRIGGER z_after AFTER UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION recurse();
SET ROLE regress_tckpt_worker;
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM tasker_checkpoint_yield(:'s1', '8', 8);
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load(:'s1');
SELECT jsonb_path_query_array(checkpoint, '$.history[*].cursor') AS cursors FROM steps WHERE workflow_step_uuid = :'s2';
RESET ROLE;
DROP TRIGGER a_before ON steps;
DROP TRIGGER zzz_before ON steps;
DROP TRIGGER z_after ON steps;
CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF (NEW.checkpoint ->> 'items_processed')::int < 12 THEN
		RAISE NOTICE '%', tasker_checkpoint_save(NEW.workflow_step_uuid, NEW.checkpoint -> 'cursor', (NEW.checkpoint ->> 'items_processed')::int + 1);
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER again AFTER UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION again();
SET ROLE regress_tckpt_worker;
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM tasker_checkpoint_yield(:'s1', '9', 9);
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load(:'s1');
RESET ROLE;
DROP TRIGGER again ON steps;
-- one that clears it again: the receipt is that of the checkpoint, which is gone
CREATE FUNCTION clear() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM tasker_checkpoint_clear(NEW.workflow_step_uuid); RETURN NULL; END';
CREATE TRIGGER clear AFTER UPDATE ON steps FOR EACH ROW WHEN (NEW.checkpoint ->> 'cursor' = 'gone') EXECUTE FUNCTION clear();
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '"gone"', 20);
SELECT tasker_checkpoint_exists(:'s1');
RESET ROLE;
DROP TRIGGER clear ON steps;

-- the guard disabled, for replicas, or the session a replica
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
RESET ROLE;
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '2', 2); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_save(:'s1', '2', 2); -- fail
RESET ROLE;
ALTER TABLE steps ENABLE REPLICA TRIGGER zz_tasker_checkpoint_guard;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '2', 2); -- fail
RESET ROLE;
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SET session_replication_role = replica;
SELECT tasker_checkpoint_yield(:'s1', '2', 2); -- fail
UPDATE steps SET checkpoint = '"not guarded"' WHERE workflow_step_uuid = :'s2';
RESET session_replication_role;
SELECT checkpoint FROM steps WHERE workflow_step_uuid = :'s2';
ALTER TABLE steps ENABLE ALWAYS TRIGGER zz_tasker_checkpoint_guard;
SET session_replication_role = replica;
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '2', 2);
RESET session_replication_role;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
ALTER TABLE steps DISABLE TRIGGER ALL;
ALTER TABLE steps ENABLE TRIGGER ALL;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2);

-- rules
CREATE RULE nothing AS ON UPDATE TO steps DO INSTEAD NOTHING;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '3', 3); -- fail
\echo :SQLSTATE
RESET ROLE;
DROP RULE nothing ON steps;
CREATE RULE elsewhere AS ON UPDATE TO steps DO INSTEAD INSERT INTO other VALUES (NEW.workflow_step_uuid, NEW.checkpoint);
GRANT INSERT ON other TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '3', 3); -- fail
RESET ROLE;
DROP RULE elsewhere ON steps;
SELECT count(*) FROM other;
CREATE RULE also AS ON UPDATE TO steps DO ALSO INSERT INTO other VALUES (NEW.workflow_step_uuid, NEW.checkpoint);
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3);
RESET ROLE;
DROP RULE also ON steps;
SELECT count(*) FROM other;

-- one that updates as many rows elsewhere, or answers with a row: nothing was written
INSERT INTO other VALUES (:'s2', '"other"');
CREATE RULE elsewhere AS ON UPDATE TO steps DO INSTEAD UPDATE other SET checkpoint = '"changed"' WHERE workflow_step_uuid = OLD.workflow_step_uuid;
GRANT UPDATE, SELECT ON other TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '4', 4); -- fail
SELECT tasker_checkpoint_clear(:'s1'); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'s1'); -- fail
SELECT tasker_checkpoint_trim(0); -- fail
RESET ROLE;
DROP RULE elsewhere ON steps;
CREATE RULE elsewhere AS ON UPDATE TO steps DO INSTEAD SELECT OLD.workflow_step_uuid;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_clear(:'s1'); -- fail
RESET ROLE;
DROP RULE elsewhere ON steps;
-- one for some rows
CREATE RULE elsewhere AS ON UPDATE TO steps WHERE OLD.workflow_step_uuid = '00000000-0000-0000-0000-000000000002' DO INSTEAD UPDATE other SET checkpoint = NULL;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '4', 4);
SELECT tasker_checkpoint_yield(:'s2', '4', 4); -- fail
RESET ROLE;
DROP RULE elsewhere ON steps;
SELECT count(*) FROM other WHERE checkpoint = '"changed"' OR checkpoint IS NULL;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');

-- a BEFORE trigger that gives the step another key while a yield dispatches it
CREATE FUNCTION rename() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.workflow_step_uuid := ''00000000-0000-0000-0000-000000000003''; RETURN NEW; END';
DELETE FROM tasker_checkpoint_events;
CREATE TRIGGER a_rename BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION rename();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s2', '5', 5); -- fail
RESET ROLE;
DROP TRIGGER a_rename ON steps;
SELECT workflow_step_uuid FROM steps ORDER BY workflow_step_uuid;

-- the guard is not made to be called otherwise
SELECT tasker_checkpoint_guard(); -- fail
\echo :SQLSTATE
CREATE TABLE misused (k uuid, checkpoint jsonb, t text);
CREATE TRIGGER misused AFTER INSERT OR UPDATE OF k, checkpoint ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
INSERT INTO misused VALUES (:'s1', NULL); -- fail
\echo :SQLSTATE
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused BEFORE INSERT OR UPDATE OF k, checkpoint ON misused FOR EACH STATEMENT EXECUTE FUNCTION tasker_checkpoint_guard();
INSERT INTO misused VALUES (:'s1', NULL); -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused BEFORE DELETE OR UPDATE OF k, checkpoint ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SET session_replication_role = replica;
INSERT INTO misused VALUES (:'s1', NULL);
RESET session_replication_role;
DELETE FROM misused; -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused BEFORE INSERT OR UPDATE OF k, checkpoint ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard('x');
INSERT INTO misused VALUES (:'s1', NULL); -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused BEFORE INSERT OR UPDATE OF checkpoint, k ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
INSERT INTO misused VALUES (:'s1', NULL); -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused BEFORE INSERT OR UPDATE OF k, t ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
INSERT INTO misused VALUES (:'s1', NULL); -- fail
DROP TRIGGER misused ON misused;
CREATE TRIGGER misused BEFORE INSERT ON misused FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
INSERT INTO misused VALUES (:'s1', NULL); -- fail
SELECT tasker_checkpoint_table();
\echo :SQLSTATE
DROP TRIGGER misused ON misused;
CREATE VIEW misused_view AS SELECT * FROM misused;
CREATE TRIGGER misused INSTEAD OF INSERT ON misused_view FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
INSERT INTO misused_view VALUES (:'s1', NULL); -- fail

SET client_min_messages = error;
DROP VIEW misused_view;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, other, misused;
DROP FUNCTION add_key, break, remove, suppress, raise, recurse, again, clear, shown, rename;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

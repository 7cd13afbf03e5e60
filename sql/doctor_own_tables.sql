-- Doctor, health, progress and queues complain of nothing that an application's own table need not have
\set SHOW_CONTEXT never
SET client_min_messages = error;
SET default_toast_compression = pglz;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_app;
CREATE ROLE regress_tckpt_operator;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_app;
-- the application creates its table and works on it; an operator looks
SELECT format('GRANT EXECUTE ON ROUTINE %s TO %s', p.oid::regprocedure, role)
FROM (VALUES ('regress_tckpt_app', 'create_table attach detach guard dispatch claim save yield heartbeat complete release'), ('regress_tckpt_operator', 'doctor stats purge_events')) g (role, names),
	string_to_table(names, ' ') f JOIN pg_proc p ON proname = 'tasker_checkpoint_' || f
\gexec
GRANT pg_monitor TO regress_tckpt_operator;
GRANT USAGE ON SCHEMA regress_tckpt TO regress_tckpt_operator;
CREATE VIEW findings AS
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor()
WHERE status <> 'ok' AND "check" NOT IN ('notifier', 'bloat', 'settings', 'snapshots');
CREATE VIEW steps AS
SELECT step_name, items_processed AS items, percent, state, deliveries FROM tasker_checkpoint_progress;
GRANT SELECT ON steps TO regress_tckpt_app;
GRANT SELECT ON findings TO regress_tckpt_operator;
-- a step that stands still at a long cursor, with results near a limit, and then is completed or not
CREATE FUNCTION work(step pg_catalog.uuid, complete boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	event uuid;
BEGIN
	PERFORM public.tasker_checkpoint_dispatch(step);
	SELECT event_id INTO event FROM public.tasker_checkpoint_claim('one', '1 minute', 1, step);
	FOR i IN 1 .. 6 LOOP
		PERFORM public.tasker_checkpoint_save(step, to_jsonb(repeat('x', 2100)), 10, jsonb_build_object('total_items', 10, 'run', i, 'large', repeat('x', 900000)), event);
	END LOOP;
	IF complete THEN
		PERFORM public.tasker_checkpoint_complete(event);
	END IF;
	RETURN (SELECT string_agg(finding, ', ' ORDER BY finding COLLATE "C") FROM public.tasker_checkpoint_health);
END $$;
GRANT EXECUTE ON FUNCTION work TO regress_tckpt_app;
SET tasker_checkpoint.results_warning = 0;
RESET client_min_messages;
SET ROLE regress_tckpt_app;
SET search_path = regress_tckpt, public;

-- one that was made for it
SELECT tasker_checkpoint_create_table('jobs');
GRANT SELECT ON jobs TO regress_tckpt_operator;
INSERT INTO jobs (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'import');
SELECT work(id, true) FROM jobs;
SELECT * FROM steps;
UPDATE jobs SET processed = true;
SELECT * FROM tasker_checkpoint_health;
RESET ROLE;
SET search_path = public;
SELECT * FROM findings;
SET ROLE regress_tckpt_operator;
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor()
WHERE status <> 'ok' AND "check" NOT IN ('notifier', 'bloat', 'settings', 'snapshots');
RESET ROLE;
SET ROLE regress_tckpt_app;
SET search_path = regress_tckpt, public;
SELECT tasker_checkpoint_detach();

-- a key and nothing else: who was completed is done
CREATE TABLE bare (id uuid PRIMARY KEY) WITH (fillfactor = 70);
SELECT tasker_checkpoint_attach('bare', 'id');
GRANT SELECT ON bare TO regress_tckpt_operator;
INSERT INTO bare VALUES ('00000000-0000-0000-0000-000000000002');
SELECT work(id, false) FROM bare;
DELETE FROM bare;
INSERT INTO bare VALUES ('00000000-0000-0000-0000-000000000002');
SELECT work(id, true) FROM bare;
SELECT * FROM steps;
SELECT * FROM tasker_checkpoint_queues;
-- but not one that is in process, where a column says so
BEGIN;
ALTER TABLE bare ADD COLUMN in_process boolean DEFAULT true;
SELECT finding FROM tasker_checkpoint_health ORDER BY finding COLLATE "C";
ROLLBACK;
-- nor one that is dispatched again
SELECT tasker_checkpoint_dispatch(id) IS NOT NULL AS dispatched FROM bare;
SELECT finding FROM tasker_checkpoint_health ORDER BY finding COLLATE "C";
DELETE FROM bare;
RESET ROLE;
SET search_path = public;
SELECT * FROM findings;
SET ROLE regress_tckpt_operator;
SELECT count(*) FROM findings;
RESET ROLE;
SET ROLE regress_tckpt_app;
SET search_path = regress_tckpt, public;
SELECT tasker_checkpoint_detach();

-- numbers as keys, and a uuid that is computed from them; a name of another type
CREATE TABLE numbered (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(20), processed boolean NOT NULL DEFAULT false,
	step_uuid uuid NOT NULL GENERATED ALWAYS AS (lpad(to_hex(id), 32, '0')::uuid) STORED UNIQUE
) WITH (fillfactor = 70);
SELECT tasker_checkpoint_attach('numbered', 'step_uuid');
GRANT SELECT ON numbered TO regress_tckpt_operator;
INSERT INTO numbered (name) VALUES ('first'), ('second') RETURNING id, step_uuid, tasker_checkpoint_dispatch(step_uuid) IS NOT NULL AS dispatched;
SELECT c.step_uuid, n.id, y.sequence FROM tasker_checkpoint_claim('one', max_steps => 2) c JOIN numbered n USING (step_uuid), tasker_checkpoint_yield(c.step_uuid, to_jsonb(n.id), n.id, NULL, c.event_id) y ORDER BY 1;
SELECT * FROM steps ORDER BY step_name;
-- a first checkpoint that comes with the row, and later ones by its number
INSERT INTO numbered (name, checkpoint) VALUES ('third', '{"cursor": 1, "items_processed": 1}');
UPDATE numbered SET name = 'third again', checkpoint = '{"cursor": 2, "items_processed": 2}' WHERE id = 3;
SELECT sequence, cursor FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000003');
DELETE FROM numbered WHERE id = 1;
SELECT step_uuid FROM tasker_checkpoint_dispatched();
RESET ROLE;
SET search_path = public;
SELECT * FROM findings;
SET ROLE regress_tckpt_operator;
SELECT count(*) FROM findings;
RESET ROLE;

SET client_min_messages = error;
DROP VIEW findings, steps;
DROP FUNCTION work;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_app, regress_tckpt_operator;
DROP ROLE regress_tckpt_app, regress_tckpt_operator;

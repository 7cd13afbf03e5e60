-- Workers dispatch without a right on the table of events; its owner runs no code of theirs
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text, in_process boolean, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3');
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_worker;
CREATE ROLE regress_tckpt_operator;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_worker;
RESET client_min_messages;

-- who may execute what, and as whom
SELECT proname, has_function_privilege('public', oid, 'EXECUTE') AS public, prosecdef AS definer, proconfig
FROM pg_proc WHERE proname ~ '^tasker_checkpoint_(claim|complete|dispatch|heartbeat|pause|cancel|release|resume|rewind|yield_step_event)$'
ORDER BY proname COLLATE "C";
SELECT relname, relowner::regrole = current_user::regrole AS own, relacl FROM pg_class WHERE oid = 'tasker_checkpoint_events'::regclass;

-- what the contract lists, and no more
GRANT SELECT (workflow_step_uuid, checkpoint) ON steps TO regress_tckpt_reader;
GRANT SELECT (workflow_step_uuid, checkpoint, processed), UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_dispatch, tasker_checkpoint_claim, tasker_checkpoint_heartbeat, tasker_checkpoint_complete,
	tasker_checkpoint_release, tasker_checkpoint_yield, tasker_checkpoint_save, tasker_checkpoint_yield_step_event TO regress_tckpt_worker;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_operator;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_dispatch, tasker_checkpoint_pause, tasker_checkpoint_resume, tasker_checkpoint_cancel, tasker_checkpoint_rewind,
	tasker_checkpoint_clear, tasker_checkpoint_reset_for_retry TO regress_tckpt_operator;

-- a worker: all of a step's life
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'claimed');
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_yield_step_event(:'claimed', jsonb_build_object('step_uuid', :'s1', 'cursor', 3, 'items_processed', 3));
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT tasker_checkpoint_release(:'claimed');
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));
-- the table itself is closed to it, and so it is to others
SELECT * FROM tasker_checkpoint_events; -- fail
SELECT event_id FROM tasker_checkpoint_events; -- fail
INSERT INTO tasker_checkpoint_events DEFAULT VALUES; -- fail
UPDATE tasker_checkpoint_events SET parked = false; -- fail
DELETE FROM tasker_checkpoint_events; -- fail
TRUNCATE tasker_checkpoint_events; -- fail
BEGIN;
LOCK TABLE tasker_checkpoint_events IN ACCESS SHARE MODE; -- fail
ROLLBACK;
CREATE TABLE regress_tckpt.mine (s uuid REFERENCES tasker_checkpoint_events); -- fail
CREATE TRIGGER mine BEFORE UPDATE ON tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); -- fail
-- and what an operator does
SELECT tasker_checkpoint_pause(:'s1'); -- fail
SELECT tasker_checkpoint_cancel(:'s1'); -- fail
SELECT tasker_checkpoint_resume(:'s1'); -- fail
SELECT tasker_checkpoint_rewind(:'s1', 1); -- fail
SELECT tasker_checkpoint_clear(:'s1'); -- fail

-- an operator
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_pause(:'s1'), tasker_checkpoint_cancel(:'s1'), tasker_checkpoint_resume(:'s1');
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 1);
SELECT tasker_checkpoint_clear(:'s1');
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT event_id FROM tasker_checkpoint_events; -- fail
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
SELECT tasker_checkpoint_heartbeat(:'claimed'); -- fail
SELECT tasker_checkpoint_complete(:'claimed'); -- fail
SELECT tasker_checkpoint_release(:'claimed'); -- fail
SELECT tasker_checkpoint_yield_step_event(:'claimed', '{}'); -- fail

-- a reader
SET ROLE regress_tckpt_reader;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
SELECT tasker_checkpoint_pause(:'s1'); -- fail
SELECT event_id FROM tasker_checkpoint_events; -- fail

-- granted a function, one lacks the columns; and the other way round
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_dispatch, tasker_checkpoint_claim, tasker_checkpoint_pause, tasker_checkpoint_rewind TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
-- to pause one need only see the step
SELECT tasker_checkpoint_pause(:'s2');
SELECT tasker_checkpoint_rewind(:'s1', 1); -- fail
RESET ROLE;
REVOKE SELECT ON steps FROM regress_tckpt_reader;
REVOKE SELECT (workflow_step_uuid, checkpoint) ON steps FROM regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT tasker_checkpoint_pause(:'s2'); -- fail
SELECT tasker_checkpoint_pause(:'missing'); -- fail
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
RESET ROLE;
GRANT SELECT (workflow_step_uuid, checkpoint) ON steps TO regress_tckpt_reader;
SELECT tasker_checkpoint_resume(:'s2');
SELECT right(step_uuid::text, 1) AS step, worker FROM tasker_checkpoint_events;

-- a worker's own objects do not get in between: search_path, operators, a table of the same name, a type
SET ROLE regress_tckpt_worker;
CREATE FUNCTION regress_tckpt.fooled(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''% was fooled'', current_user; END';
CREATE FUNCTION regress_tckpt.fooled(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''% was fooled'', current_user; END';
CREATE FUNCTION regress_tckpt.fooled(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''% was fooled'', current_user; END';
CREATE OPERATOR regress_tckpt.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = regress_tckpt.fooled);
CREATE OPERATOR regress_tckpt.> (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = regress_tckpt.fooled);
CREATE OPERATOR regress_tckpt.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_tckpt.fooled);
CREATE OPERATOR regress_tckpt.<= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = regress_tckpt.fooled);
CREATE OPERATOR regress_tckpt.> (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = regress_tckpt.fooled);
CREATE TABLE regress_tckpt.tasker_checkpoint_events (step_uuid uuid);
CREATE TABLE regress_tckpt.steps (workflow_step_uuid uuid, processed boolean, checkpoint jsonb);
CREATE DOMAIN regress_tckpt.uuid AS text CHECK (false);
CREATE TEMPORARY TABLE tasker_checkpoint_events (step_uuid pg_catalog.uuid);
SET search_path = regress_tckpt, pg_temp, public, pg_catalog;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT public.tasker_checkpoint_heartbeat(:'claimed');
SELECT sequence FROM public.tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT sequence, event_id AS continuation FROM public.tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'claimed') \gset
SELECT sequence FROM public.tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'claimed');
SELECT public.tasker_checkpoint_release(:'continuation');
SELECT event_id AS claimed FROM public.tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT public.tasker_checkpoint_complete(:'claimed');
SELECT (SELECT count(*) FROM regress_tckpt.tasker_checkpoint_events) + (SELECT count(*) FROM pg_temp.tasker_checkpoint_events) AS elsewhere;
RESET search_path;
SELECT :'s1'::uuid OPERATOR(regress_tckpt.=) :'s2'::uuid; -- fail

-- code of the steps table's: as the worker, as it ever is, while events are written
RESET ROLE;
GRANT USAGE, CREATE ON SCHEMA regress_tckpt TO regress_tckpt_operator;
CREATE FUNCTION regress_tckpt.who() RETURNS boolean LANGUAGE plpgsql AS
'BEGIN ASSERT current_user = ''regress_tckpt_worker'', current_user; RETURN true; END';
CREATE FUNCTION regress_tckpt.who_writes() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''trigger as %'', current_user; RETURN NEW; END';
GRANT EXECUTE ON FUNCTION regress_tckpt.who TO PUBLIC;
CREATE POLICY who ON steps USING (regress_tckpt.who());
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE TRIGGER who BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION regress_tckpt.who_writes();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3, NULL, :'claimed');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '4', 4, NULL, :'claimed');
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));
-- the user is the caller again, also after an error
SELECT tasker_checkpoint_dispatch(:'missing'); -- fail
SELECT current_user;
DO $$
BEGIN
	PERFORM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '5', 5, NULL, gen_random_uuid());
EXCEPTION WHEN SQLSTATE 'TC002' THEN
	RAISE NOTICE 'caught as %', current_user;
END
$$;

RESET ROLE;
ALTER TABLE steps DISABLE ROW LEVEL SECURITY;
DROP TRIGGER who ON steps;

-- a rule or a policy on the table of events does nothing; a trigger runs as who writes, too
CREATE FUNCTION regress_tckpt.fired() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN RAISE NOTICE ''% as %'', tg_op, current_user; RETURN NULL; END';
CREATE TRIGGER fired AFTER INSERT OR UPDATE OR DELETE ON public.tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION regress_tckpt.fired();
CREATE RULE fired AS ON INSERT TO public.tasker_checkpoint_events DO INSTEAD NOTHING;
CREATE POLICY fired ON public.tasker_checkpoint_events USING (false);
ALTER TABLE public.tasker_checkpoint_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '6', 6, NULL, :'claimed');
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT tasker_checkpoint_complete(:'claimed');
SELECT current_user;
RESET ROLE;
DROP TRIGGER fired ON public.tasker_checkpoint_events;
DROP RULE fired ON public.tasker_checkpoint_events;
DROP POLICY fired ON public.tasker_checkpoint_events;
ALTER TABLE public.tasker_checkpoint_events DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

-- a table whose owner is another: functions act as that one
RESET ROLE;
ALTER TABLE public.tasker_checkpoint_events OWNER TO regress_tckpt_operator;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT count(*) FROM tasker_checkpoint_claim('one');
RESET ROLE;
ALTER TABLE public.tasker_checkpoint_events OWNER TO CURRENT_USER;

-- a SECURITY DEFINER function's owner is the caller, not who called that
CREATE FUNCTION regress_tckpt.claim_as_owner() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
'SELECT count(*) FROM public.tasker_checkpoint_claim(''owner'')';
ALTER FUNCTION regress_tckpt.claim_as_owner() OWNER TO regress_tckpt_worker;
GRANT USAGE ON SCHEMA regress_tckpt TO regress_tckpt_reader;
GRANT EXECUTE ON FUNCTION regress_tckpt.claim_as_owner() TO regress_tckpt_reader;
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SET ROLE regress_tckpt_reader;
SELECT regress_tckpt.claim_as_owner();
SELECT current_user;

-- default privileges, of who creates the extension, do not open the table
RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, regress_tckpt_reader;
CREATE EXTENSION tasker_checkpoint;
ALTER DEFAULT PRIVILEGES REVOKE ALL ON TABLES FROM PUBLIC, regress_tckpt_reader;
RESET client_min_messages;
SELECT has_table_privilege('public', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS public,
	has_table_privilege('regress_tckpt_reader', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER') AS reader
FROM pg_class WHERE oid = 'public.tasker_checkpoint_events'::regclass;
SET ROLE regress_tckpt_reader;
SELECT event_id FROM public.tasker_checkpoint_events; -- fail

RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_reader, regress_tckpt_worker, regress_tckpt_operator;
DROP ROLE regress_tckpt_reader, regress_tckpt_worker, regress_tckpt_operator;

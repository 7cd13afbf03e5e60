-- What a policy of the steps table does to events while a claim looks at them is not undone by it
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY, processed boolean);
SELECT tasker_checkpoint_attach('steps', 'id');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
-- once, as if by chance
CREATE SEQUENCE looks;
GRANT USAGE ON looks TO regress_tckpt_worker;
CREATE FUNCTION looked(step uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('looks') = 1 THEN
		PERFORM tasker_checkpoint_pause(step);
	END IF;
	RETURN true;
END
$$;
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY looked ON steps USING (looked(id));
SELECT tasker_checkpoint_dispatch(:'s1', priority => 1) IS NOT NULL AND tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
RESET client_min_messages;

-- the first is paused when it was found, and is passed over
SET ROLE regress_tckpt_worker;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_claim('one', max_steps => 2);
RESET ROLE;
SELECT right(step_uuid::text, 1) AS step, directive, worker FROM tasker_checkpoint_events ORDER BY 1;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP FUNCTION looked;
DROP OWNED BY regress_tckpt_worker;
DROP SEQUENCE looks;
DROP ROLE regress_tckpt_worker;

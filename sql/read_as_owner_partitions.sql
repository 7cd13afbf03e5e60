-- A superuser's table with a partition of somebody else's: whose code must not run as a superuser
-- Not in parallel workers: what is planted writes when it is read
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_evil;
CREATE SCHEMA regress_tckpt;
GRANT USAGE, CREATE ON SCHEMA regress_tckpt TO regress_tckpt_evil;
CREATE TABLE ran (super boolean);
GRANT INSERT ON ran TO PUBLIC;
CREATE FUNCTION regress_tckpt.spy() RETURNS integer LANGUAGE sql VOLATILE AS $$
	INSERT INTO public.ran SELECT rolsuper FROM pg_roles WHERE rolname = current_user RETURNING 1
$$;
CREATE FUNCTION regress_tckpt.planned() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN regress_tckpt.spy();
END
$$;
CREATE TABLE regress_tckpt.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, named_step_uuid uuid,
	processed boolean, in_process boolean, checkpoint jsonb) PARTITION BY HASH (workflow_step_uuid);
CREATE TABLE regress_tckpt.part PARTITION OF regress_tckpt.workflow_steps FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE regress_tckpt.named_steps (named_step_uuid uuid PRIMARY KEY, name text) PARTITION BY HASH (named_step_uuid);
CREATE TABLE regress_tckpt.names PARTITION OF regress_tckpt.named_steps FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT tasker_checkpoint_attach('regress_tckpt.workflow_steps');
INSERT INTO regress_tckpt.workflow_steps VALUES (:'s1', :'s1', false, true, '{"cursor": 1, "items_processed": 1}');
INSERT INTO regress_tckpt.named_steps VALUES (:'s1', 'a step');
ALTER TABLE regress_tckpt.names OWNER TO regress_tckpt_evil;
SET ROLE regress_tckpt_evil;
CREATE INDEX ON regress_tckpt.names (name) WHERE name > regress_tckpt.planned()::text;
RESET ROLE;
TRUNCATE ran;
RESET client_min_messages;

-- of a table beside it: no names
SELECT items_processed, step_name FROM tasker_checkpoint_progress();
SELECT count(*) AS problems FROM tasker_checkpoint_health() WHERE severity = 'critical';
SELECT * FROM ran;
ALTER TABLE regress_tckpt.names OWNER TO current_user;
SELECT items_processed, step_name FROM tasker_checkpoint_progress();
SELECT DISTINCT super FROM ran;
TRUNCATE ran;

-- of the steps table: refused, whatever it is that reads
ALTER TABLE regress_tckpt.part OWNER TO regress_tckpt_evil;
SET ROLE regress_tckpt_evil;
CREATE INDEX ON regress_tckpt.part (processed) WHERE in_process AND regress_tckpt.planned() = 1;
RESET ROLE;
TRUNCATE ran;
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_exists(:'s1'); -- fail
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SELECT tasker_checkpoint_trim(0, dry_run => true); -- fail
SELECT * FROM tasker_checkpoint_progress(); -- fail
SELECT count(*) FROM tasker_checkpoint_health(); -- fail
SELECT "check", status, found FROM tasker_checkpoint_doctor() WHERE found LIKE '%as its owner%';
SELECT * FROM ran;

-- with one owner, or none of whose code runs as more than he is, it is read
ALTER TABLE regress_tckpt.workflow_steps OWNER TO regress_tckpt_evil;
SELECT tasker_checkpoint_cursor(:'s1');
SELECT DISTINCT super FROM ran;

RESET client_min_messages;
DROP TABLE ran;
SET client_min_messages = error;
DROP SCHEMA regress_tckpt CASCADE;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_evil;

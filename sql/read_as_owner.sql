-- A superuser reads the steps table as its owner, in a security-restricted operation:
-- code that the owner has put there runs with the owner's rights
-- Not in parallel workers: what is planted writes when it is read
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_worker;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner, regress_tckpt_worker;
CREATE TABLE ran (place text, who name, super boolean, path text, set_role boolean, temp boolean);
GRANT INSERT, SELECT ON ran TO PUBLIC;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;

-- what each planted function does, declared as its place wants it
CREATE FUNCTION regress_tckpt.spy(place text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	set_role boolean;
	temp boolean;
BEGIN
	BEGIN
		EXECUTE 'SET ROLE regress_tckpt_worker';
		RAISE SQLSTATE 'TT000';
	EXCEPTION WHEN SQLSTATE 'TT000' THEN set_role := true;
		WHEN OTHERS THEN set_role := false;
	END;
	BEGIN
		EXECUTE 'CREATE TEMPORARY TABLE planted (n integer)';
		RAISE SQLSTATE 'TT000';
	EXCEPTION WHEN SQLSTATE 'TT000' THEN temp := true;
		WHEN OTHERS THEN temp := false;
	END;
	-- what is set does not stay
	PERFORM set_config('application_name', 'planted', false);
	INSERT INTO public.ran
	SELECT place, current_user, rolsuper, current_setting('search_path'), set_role, temp
	FROM pg_roles WHERE rolname = current_user;
	RETURN true;
END
$$;
CREATE FUNCTION regress_tckpt.planned(place text) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM regress_tckpt.spy(place);
	RETURN 1;
END
$$;
-- an expression, a predicate, statistics: planning computes what is constant in them
CREATE TABLE regress_tckpt.steps (id uuid PRIMARY KEY, processed boolean, checkpoint jsonb, n integer);
CREATE INDEX ON regress_tckpt.steps ((n + regress_tckpt.planned('index expression')));
CREATE INDEX ON regress_tckpt.steps (n) WHERE n > regress_tckpt.planned('index predicate');
CREATE STATISTICS regress_tckpt.steps_stat ON (n + regress_tckpt.planned('statistics')), n FROM regress_tckpt.steps;
-- a constraint, which constraint exclusion would look at, a generated column, a policy
ALTER TABLE regress_tckpt.steps ADD CHECK (n < 10 + regress_tckpt.planned('check'));
ALTER TABLE regress_tckpt.steps ADD COLUMN g integer GENERATED ALWAYS AS (n + regress_tckpt.planned('generated')) STORED;
CREATE POLICY all_rows ON regress_tckpt.steps USING (regress_tckpt.spy('policy'));
SELECT tasker_checkpoint_attach('regress_tckpt.steps', 'id');
INSERT INTO regress_tckpt.steps VALUES (:'s1', true, '{"cursor": 1, "items_processed": 1}', 1), (:'s2', false, NULL, 2);
RESET ROLE;

-- what was run, since the last time, by whom
CREATE FUNCTION what_ran() RETURNS TABLE (who name, super boolean, path text, set_role boolean, temp boolean)
LANGUAGE sql AS $$
	WITH gone AS (DELETE FROM ran RETURNING *)
	SELECT DISTINCT who, super, path, set_role, temp FROM gone ORDER BY 1, 2, 3, 4, 5
$$;
SELECT count(*) > 0 AS ran FROM what_ran();

-- every function that reads, in a session of its own, whose first it is
SET application_name = 'mine';
SELECT tasker_checkpoint_get(:'s1') -> 'cursor' AS cursor;
SELECT * FROM what_ran();
SELECT sequence FROM tasker_checkpoint_load(:'s1');
SELECT tasker_checkpoint_exists(:'s2'), tasker_checkpoint_cursor(:'s1'), tasker_checkpoint_items_processed(:'s1'), tasker_checkpoint_accumulated_results(:'s1');
SELECT sequence FROM tasker_checkpoint_history(:'s1');
SELECT tasker_checkpoint_get('00000000-0000-0000-0000-000000000009'); -- fail
SELECT tasker_checkpoint_purge(older_than => '0', dry_run => true), tasker_checkpoint_trim(0, dry_run => true);
SELECT tasker_checkpoint_pause(:'s2'), tasker_checkpoint_cancel(:'s2'), tasker_checkpoint_resume(:'s2');
SELECT count(*) FROM tasker_checkpoint_dispatched();
SELECT tasker_checkpoint_purge_events(dry_run => true);
SELECT * FROM what_ran();
\c -
SET client_min_messages = warning;
SELECT tasker_checkpoint_purge(older_than => '0', dry_run => true), tasker_checkpoint_trim(0, dry_run => true);
SELECT * FROM what_ran();
SHOW search_path;
SELECT current_user = session_user AS myself;

-- dispatch locks the row, purge_events that of a step that is done, and claim reads what it delivers
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
UPDATE regress_tckpt.steps SET processed = true WHERE id = :'s2';
SELECT count(*) > 0 AS ran FROM what_ran();
\c -
SET client_min_messages = warning;
SELECT tasker_checkpoint_purge_events(1000, false);
UPDATE regress_tckpt.steps SET processed = false WHERE id = :'s2';
SELECT count(*) > 0 AS ran, bool_or(super) AS by_the_update FROM what_ran();
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT * FROM what_ran();
\c -
SET client_min_messages = warning;
SELECT step_uuid FROM tasker_checkpoint_claim('w');
SELECT * FROM what_ran();
SELECT current_setting('application_name') <> 'planted' AS kept;

-- others read as themselves, and what is kept for one is not the other's
GRANT USAGE ON SCHEMA regress_tckpt TO regress_tckpt_worker;
GRANT SELECT, UPDATE ON regress_tckpt.steps TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_cursor(:'s1');
RESET ROLE;
SELECT who, super FROM what_ran();
SELECT tasker_checkpoint_cursor(:'s1');
SELECT who, super FROM what_ran();

-- FORCE counts for the owner and not for a superuser, in whatever order they come
DROP POLICY all_rows ON regress_tckpt.steps;
CREATE POLICY no_rows ON regress_tckpt.steps USING (regress_tckpt.spy('policy') AND false);
ALTER TABLE regress_tckpt.steps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT tasker_checkpoint_cursor(:'s1');
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
RESET ROLE;
SELECT tasker_checkpoint_cursor(:'s1');
\c -
SET client_min_messages = warning;
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
RESET ROLE;
SELECT tasker_checkpoint_cursor(:'s1');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
RESET ROLE;
SELECT tasker_checkpoint_trim(0, dry_run => true);
SET row_security = off;
SELECT tasker_checkpoint_cursor(:'s1');
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
RESET ROLE;
RESET row_security;
SELECT who, super FROM what_ran() WHERE super;
ALTER TABLE regress_tckpt.steps DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY;

-- an owner who is a superuser is restricted all the same
ALTER TABLE regress_tckpt.steps OWNER TO current_user;
SELECT tasker_checkpoint_cursor(:'s1');
SELECT super, path, set_role, temp FROM what_ran();
ALTER TABLE regress_tckpt.steps OWNER TO regress_tckpt_owner;

-- in a function that runs as a superuser
CREATE FUNCTION as_superuser(step uuid) RETURNS jsonb LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT public.tasker_checkpoint_cursor(step)';
SELECT count(*) >= 0 AS ran FROM what_ran();
SET ROLE regress_tckpt_worker;
SELECT as_superuser(:'s1');
RESET ROLE;
SELECT * FROM what_ran() WHERE super;

-- an owner without rights: what to grant
CREATE FUNCTION try() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	PERFORM tasker_checkpoint_cursor('00000000-0000-0000-0000-000000000001');
	RAISE NOTICE 'read';
EXCEPTION WHEN insufficient_privilege THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '%: %', SQLSTATE, SQLERRM USING DETAIL = detail, HINT = hint;
END
$$;
SET client_min_messages = notice;
ALTER SCHEMA regress_tckpt OWNER TO current_user;
SELECT try();
GRANT USAGE ON SCHEMA regress_tckpt TO regress_tckpt_owner;
SELECT try();
REVOKE SELECT ON regress_tckpt.steps FROM regress_tckpt_owner;
SELECT try();
SELECT tasker_checkpoint_trim(0, dry_run => true); -- fail
-- the columns that are read are enough
GRANT SELECT (id, checkpoint) ON regress_tckpt.steps TO regress_tckpt_owner;
SELECT try();
SELECT tasker_checkpoint_trim(0, dry_run => true); -- fail
GRANT SELECT (processed) ON regress_tckpt.steps TO regress_tckpt_owner;
SELECT tasker_checkpoint_trim(0, dry_run => true);
-- the right to read is the owner's, whoever asks
SELECT current_user = session_user AS myself, current_setting('search_path') AS search_path;
GRANT SELECT ON regress_tckpt.steps TO regress_tckpt_owner;

-- partitions: what finds the one for a key, and what excludes them
SET client_min_messages = error;
SELECT tasker_checkpoint_detach();
GRANT ALL ON SCHEMA regress_tckpt TO regress_tckpt_owner;
SET ROLE regress_tckpt_owner;
CREATE FUNCTION regress_tckpt.hash(id uuid, seed bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM regress_tckpt.spy('partition key');
	RETURN uuid_hash_extended(id, seed);
END
$$;
CREATE FUNCTION regress_tckpt.bound() RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	PERFORM regress_tckpt.spy('partition bound');
	RETURN 100;
END
$$;
RESET ROLE;
CREATE OPERATOR CLASS regress_tckpt.hashed FOR TYPE uuid USING hash AS
	OPERATOR 1 =, FUNCTION 2 regress_tckpt.hash(uuid, bigint);
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_tckpt.parts (id uuid PRIMARY KEY, n integer CHECK (n < regress_tckpt.bound())) PARTITION BY HASH (id regress_tckpt.hashed);
CREATE TABLE regress_tckpt.parts_0 PARTITION OF regress_tckpt.parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE regress_tckpt.parts_1 PARTITION OF regress_tckpt.parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
SELECT tasker_checkpoint_attach('regress_tckpt.parts', 'id');
INSERT INTO regress_tckpt.parts VALUES (:'s1', 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '7', 7);
RESET ROLE;
TRUNCATE ran;
SELECT tasker_checkpoint_cursor(:'s1'), tasker_checkpoint_trim(0, dry_run => true);
SELECT who, super FROM what_ran();

DROP EXTENSION tasker_checkpoint;
DROP FUNCTION what_ran, as_superuser, try;
DROP SCHEMA regress_tckpt CASCADE;
DROP TABLE ran;
DROP OWNED BY regress_tckpt_owner, regress_tckpt_worker;
DROP ROLE regress_tckpt_owner, regress_tckpt_worker;

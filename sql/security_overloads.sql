-- No overload of a function of ours gets in between when another one of ours, or a view, calls it
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE ROLE regress_tckpt_planter;
CREATE SCHEMA regress_tckpt_home;
GRANT USAGE, CREATE ON SCHEMA regress_tckpt_home TO regress_tckpt_planter;
CREATE EXTENSION tasker_checkpoint SCHEMA regress_tckpt_home;
CREATE TABLE steps (id uuid PRIMARY KEY, processed boolean, in_process boolean, inputs jsonb, updated_at timestamp, checkpoint jsonb);
CREATE INDEX steps_checkpoint ON steps (checkpoint);
INSERT INTO steps (id) SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid FROM generate_series(1, 3) i;
SELECT regress_tckpt_home.tasker_checkpoint_attach('steps', 'id');
SET tasker_checkpoint.archive_history = on;
SELECT regress_tckpt_home.tasker_checkpoint_yield(id, '1', 1, '{"total_items": 10}') IS NOT NULL AS yielded FROM steps;
SELECT regress_tckpt_home.tasker_checkpoint_pause('00000000-0000-0000-0000-000000000003');
SELECT regress_tckpt_home.tasker_checkpoint_clear('00000000-0000-0000-0000-000000000002');

CREATE TEMPORARY TABLE ours AS
SELECT proname, proargtypes, pg_get_function_identity_arguments(p.oid) AS arguments FROM pg_proc p
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND extname = 'tasker_checkpoint';
GRANT SELECT ON ours TO regress_tckpt_planter;

-- of all but one function, since who calls that by its name has chosen among what has it
CREATE FUNCTION plant_all_but(spared text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	overload record;
BEGIN
	SET LOCAL ROLE regress_tckpt_planter;
	FOR overload IN
		SELECT proname, o.arguments
		FROM ours, LATERAL (VALUES
			(''), ('text'), ('anyelement'), ('VARIADIC anyarray'), ('x int DEFAULT 1'), ('x text, y int DEFAULT 1'),
			(concat_ws(', ', nullif((SELECT string_agg(t::regtype::text, ', ') FROM unnest(proargtypes::oid[]) t), ''), 'x int DEFAULT 1')),
			(concat_ws(', ', nullif((SELECT string_agg(t::regtype::text, ', ') FROM unnest(proargtypes::oid[]) t), ''), 'VARIADIC x int[]')),
			((SELECT string_agg('text', ', ') FROM unnest(proargtypes::oid[]) t))) o (arguments)
		WHERE proname <> spared
	LOOP
		BEGIN
			EXECUTE format('CREATE FUNCTION regress_tckpt_home.%I(%s) RETURNS text LANGUAGE plpgsql AS %L', overload.proname, overload.arguments,
				'BEGIN RAISE WARNING ''an overload ran''; RETURN NULL; END');
		EXCEPTION WHEN duplicate_function THEN
			NULL;
		END;
	END LOOP;
	RESET ROLE;
END $$;
CREATE FUNCTION outcome(call text, spared text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	PERFORM plant_all_but(spared);
	EXECUTE format('SELECT string_agg(c::text, ''|'' ORDER BY c::text) FROM %s c', call) INTO found;
	RAISE EXCEPTION '%', found USING ERRCODE = 'ZZ000';
EXCEPTION WHEN OTHERS THEN
	RETURN CASE SQLSTATE WHEN 'ZZ000' THEN SQLERRM ELSE SQLSTATE || ' ' || SQLERRM END;
END $$;
CREATE FUNCTION alone(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE format('SELECT string_agg(c::text, ''|'' ORDER BY c::text) FROM %s c', call) INTO found;
	RAISE EXCEPTION '%', found USING ERRCODE = 'ZZ000';
EXCEPTION WHEN OTHERS THEN
	RETURN CASE SQLSTATE WHEN 'ZZ000' THEN SQLERRM ELSE SQLSTATE || ' ' || SQLERRM END;
END $$;

SET client_min_messages = error;
SELECT call, CASE WHEN with_overloads = alone(call) THEN 'as without' ELSE with_overloads END AS outcome
FROM (VALUES
	('regress_tckpt_home.tasker_checkpoint_progress', ''),
	('regress_tckpt_home.tasker_checkpoint_health', ''),
	('regress_tckpt_home.tasker_checkpoint_attach(NULL::regclass, ''id''::name, false)', 'attach'),
	('regress_tckpt_home.tasker_checkpoint_attach(''steps''::regclass, ''id''::name, true)', 'attach'),
	('regress_tckpt_home.tasker_checkpoint_detach()', 'detach'),
	('regress_tckpt_home.tasker_checkpoint_hot_indexes()', 'hot_indexes'),
	('regress_tckpt_home.tasker_checkpoint_history(''00000000-0000-0000-0000-000000000002''::uuid)', 'history'),
	('regress_tckpt_home.tasker_checkpoint_dispatched(NULL::uuid)', 'dispatched'),
	('regress_tckpt_home.tasker_checkpoint_purge_archive(''0''::interval, 1000, false)', 'purge_archive'),
	('regress_tckpt_home.tasker_checkpoint_purge_events(1000, false)', 'purge_events'),
	('regress_tckpt_home.tasker_checkpoint_trim(0, ''0''::interval, 1000, false)', 'trim'),
	('regress_tckpt_home.tasker_checkpoint_reset_for_retry(''00000000-0000-0000-0000-000000000001''::uuid, true)', 'reset_for_retry')
) c (call, spared), outcome(call, 'tasker_checkpoint_' || spared) AS with_overloads;

DROP EXTENSION tasker_checkpoint;
DROP TABLE ours, steps;
DROP FUNCTION plant_all_but, outcome, alone;
DROP SCHEMA regress_tckpt_home CASCADE;
DROP ROLE regress_tckpt_planter;

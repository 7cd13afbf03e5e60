-- What is in PL/pgSQL passes plpgsql_check, where that is installed
SELECT count(*) > 0 AS installed FROM pg_available_extensions WHERE name = 'plpgsql_check' \gset
\if :installed
-- has to be there before anything in PL/pgSQL runs
LOAD 'plpgsql_check';
\endif
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;

CREATE FUNCTION pg_temp.complaints() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'plpgsql_check') THEN
		RETURN NEXT skip('plpgsql_check is not installed');
		RETURN;
	END IF;
	CREATE EXTENSION plpgsql_check;
	RETURN QUERY EXECUTE $check$
		SELECT is((SELECT string_agg(line, E'\n') FROM plpgsql_check_function(p.oid, fatal_errors => false) line), NULL, format('%s is clean', proname))
		FROM pg_depend d
		JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND extname = 'tasker_checkpoint'
		JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
		JOIN pg_language l ON l.oid = prolang AND lanname = 'plpgsql'
		ORDER BY proname COLLATE "C"
	$check$;
END $$;

SELECT * FROM no_plan();
SELECT pass('where there are any');
SELECT pg_temp.complaints();
SELECT * FROM finish();
ROLLBACK;

-- What a role without rights can plant in a schema that is on somebody's
-- search_path, so that it fits a call better than what pg_catalog has.
--
-- CALL pg_temp.plant(schema, text, types, operands) plants, as the current user,
-- operators and functions of all names of pg_catalog's that the text has, for
-- arguments of these types in every combination, operators for these operands
-- besides; a type of its own, to which others are cast implicitly; relations and
-- types named like pg_catalog's. Each that runs says
-- "planted NAME ran as USER" in a WARNING. The caller's search_path is to be
-- pg_catalog, and client_min_messages error.

CREATE PROCEDURE pg_temp.plant(home name, script text, kinds text[], operands text[] DEFAULT '{}')
LANGUAGE plpgsql AS $plant$
DECLARE
	own CONSTANT text := format('%I.planted', home);
	words text[];
	p record;
	n bigint := 0;
BEGIN
	SELECT array_agg(DISTINCT m[1]) INTO words FROM regexp_matches(script, '[a-z_][a-z0-9_]+', 'g') m;
	EXECUTE format('CREATE TYPE %s AS (x text)', own);

	FOR p IN
		WITH kind AS (
			SELECT unnest(kinds || own) AS name
		), operand AS (
			SELECT name FROM kind UNION SELECT unnest(operands)
		), operator AS (
			SELECT oprname AS name, CASE WHEN bool_and(oprresult = 'bool'::regtype) THEN 'bool'
										 WHEN oprname IN ('->', '#>') THEN 'jsonb' ELSE 'text' END AS result
			FROM pg_operator
			WHERE oprnamespace = 'pg_catalog'::regnamespace
			AND (script ~ ('\s' || regexp_replace(oprname, '.', '[\&]', 'g') || '\s') OR oprname IN ('~~', '!~~', '>=', '<='))
			AND oprname !~ '\^'
			GROUP BY oprname
		), function AS (
			SELECT proname AS name, CASE WHEN bool_or(proretset) THEN 'SETOF ' ELSE '' END
				|| min(CASE t.typtype WHEN 'p' THEN 'text' ELSE format_type(prorettype, NULL) END) AS result
			FROM pg_proc JOIN pg_type t ON t.oid = prorettype
			WHERE pronamespace = 'pg_catalog'::regnamespace AND proname = ANY (words)
			GROUP BY proname
		), planted AS (
			SELECT 'to_planted' AS name, k.name AS arguments, own AS result,
				format('CREATE CAST (%1$s AS %2$s) WITH FUNCTION %3$I.to_planted(%1$s) AS IMPLICIT', k.name, own, home) AS besides
			FROM kind k WHERE k.name NOT LIKE 'any%' AND k.name <> own
			UNION ALL
			SELECT 'op' || o.name, l.name || ', ' || r.name, o.result,
				format('CREATE OPERATOR %I.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = %I.%I)', home, o.name, l.name, r.name, home, 'op' || o.name)
			FROM operator o, operand l, operand r
			UNION ALL
			SELECT f.name, a.arguments, f.result, NULL
			FROM function f
			CROSS JOIN LATERAL (
				SELECT ''
				UNION SELECT k.name FROM kind k
				UNION SELECT l.name || ', ' || r.name FROM kind l, kind r
				UNION SELECT concat(k.name || ', ', 'VARIADIC ', v) FROM (SELECT name FROM kind UNION SELECT NULL) k, unnest('{text[],anyarray}'::text[]) v
				-- those of pg_catalog with one argument exchanged
				UNION SELECT (SELECT string_agg(CASE WHEN a.place = i THEN k.name ELSE format_type(a.type, NULL) END, ', ' ORDER BY a.place)
							  FROM unnest(c.proargtypes::oid[]) WITH ORDINALITY AS a (type, place))
				FROM pg_proc c, generate_series(1, c.pronargs) i, kind k
				WHERE c.proname = f.name AND c.pronargs > 2 AND c.pronamespace = 'pg_catalog'::regnamespace
			) a (arguments)
		)
		SELECT format('CREATE FUNCTION %I.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', home, name, arguments, result,
				format('BEGIN RAISE WARNING ''planted %% ran as %%'', %L, current_user; RETURN%s; END',
					format('%s(%s)', name, arguments), CASE WHEN result LIKE 'SETOF%' THEN '' ELSE ' NULL' END)) AS make, besides
		FROM planted
		UNION ALL
		-- relations and types that a statement could take for those of pg_catalog
		SELECT format('CREATE VIEW %1$I.%2$I AS SELECT * FROM pg_catalog.%2$I WHERE %1$I.to_planted(''x''::text) IS NULL', home, relname), NULL
		FROM pg_class
		WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') AND relname = ANY (words)
		UNION ALL
		SELECT format('CREATE DOMAIN %1$I.%2$I AS text CHECK (%1$I.to_planted(VALUE) IS NULL)', home, typname), NULL
		FROM pg_type
		WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype = 'b' AND typelem = 0 AND typname = ANY (words)
	LOOP
		BEGIN
			EXECUTE p.make;
			IF p.besides IS NOT NULL THEN
				EXECUTE p.besides;
			END IF;
			n := n + 1;
		EXCEPTION WHEN OTHERS THEN
			NULL;	-- as many as can be
		END;
		-- each holds a lock
		IF n % 300 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END
$plant$;

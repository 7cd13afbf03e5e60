-- What is stored is byte for byte what core's own jsonb functions build for the same value
-- Not in parallel workers: it takes long, and nothing in it is read by one
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
-- the bytes of a value, uncompressed
CREATE CAST (jsonb AS bytea) WITHOUT FUNCTION;
SET tasker_checkpoint.cursor_limit = -1;
SET tasker_checkpoint.results_limit = -1;
SET tasker_checkpoint.results_warning = 0;
SET tasker_checkpoint.require_monotonic_items = off;
SET tasker_checkpoint.notify = off;
RESET client_min_messages;

CREATE FUNCTION some_text() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE (random() * 14)::int
		WHEN 0 THEN ''
		WHEN 1 THEN 'é'
		WHEN 2 THEN '日本語 — ' || chr(128512)
		WHEN 3 THEN E'quote " backslash \\ tab \t newline \n'
		WHEN 4 THEN repeat('long ', (random() * 400)::int)
		WHEN 5 THEN md5(random()::text) || md5(random()::text)
		WHEN 6 THEN E'\b\f\r\x01\x1f\x7f / \\u0041 "' || chr(55203) || chr(65535)
		WHEN 7 THEN repeat(chr(233), (random() * 300)::int)
		ELSE left('abcdefghijklmnopqrst', (random() * 20)::int) END;
END
$$;
CREATE FUNCTION some_number() RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE (random() * 22)::int
		WHEN 0 THEN 0
		WHEN 1 THEN -1
		WHEN 2 THEN 9223372036854775807
		WHEN 3 THEN 0.1
		WHEN 4 THEN 1.0
		WHEN 5 THEN -12345.6789000
		WHEN 6 THEN 1e300
		WHEN 7 THEN 1e-300
		WHEN 8 THEN 10000
		WHEN 9 THEN 99999999999999999999999999999999.99999
		WHEN 10 THEN -1e130
		-- up to what readers take: the greatest double, a thousand digits
		WHEN 11 THEN 1.7976931348623157e308
		WHEN 12 THEN -1.7976931348623157e308
		WHEN 13 THEN 1e-1000
		WHEN 14 THEN ('0.' || repeat('9', 1000))::numeric
		WHEN 15 THEN (repeat('8', 308) || '.' || repeat('7', 692))::numeric
		WHEN 16 THEN ('-' || (1 + random() * 8)::int || '.' || repeat((random() * 9)::int::text, (random() * 999)::int))::numeric
		WHEN 17 THEN 10::numeric ^ (random() * 300)::int
		ELSE round((random() * 1000000)::numeric, (random() * 6)::int) END;
END
$$;
CREATE FUNCTION some_scalar() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE (random() * 7)::int
		WHEN 0 THEN 'null' WHEN 1 THEN 'true' WHEN 2 THEN 'false'
		WHEN 3 THEN to_jsonb(some_number()) WHEN 4 THEN to_jsonb((random() * 100000)::int)
		ELSE to_jsonb(some_text()) END;
END
$$;
-- as deep as readers take it, with something beside and within
CREATE FUNCTION some_depth() RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	value jsonb := CASE WHEN random() < 0.5 THEN some_scalar() WHEN random() < 0.5 THEN '[]' ELSE '{}' END;
BEGIN
	FOR i IN 1 .. (ARRAY[5, 31, 32, 60, 62])[1 + (random() * 4)::int] LOOP
		value := CASE (random() * 3)::int
			WHEN 0 THEN jsonb_build_array(value)
			WHEN 1 THEN jsonb_build_array(some_scalar(), value, '', jsonb_build_array())
			WHEN 2 THEN jsonb_build_object('', '{}'::jsonb, 'k', value, 'zz', some_scalar())
			ELSE jsonb_build_object(some_text(), value) END;
	END LOOP;
	RETURN value;
END
$$;
-- arrays and objects of lengths around the strides in which offsets are kept
CREATE FUNCTION some_length() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN (ARRAY[0, 0, 1, 1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 66, 130])[1 + (random() * 15)::int];
END
$$;
CREATE FUNCTION some_value(depth int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	length int;
BEGIN
	IF depth = 0 OR random() < 0.3 THEN
		RETURN some_scalar();
	ELSIF depth = 2 AND random() < 0.05 THEN
		RETURN some_depth();
	END IF;
	length := some_length();
	IF random() < 0.5 THEN
		RETURN coalesce((SELECT jsonb_agg(CASE WHEN i % 7 = 0 OR length < 6 THEN some_value(depth - 1) ELSE some_scalar() END)
						 FROM generate_series(1, length) i), '[]');
	END IF;
	RETURN coalesce((SELECT jsonb_object_agg(CASE WHEN i % 5 = 0 THEN some_text() ELSE 'key' || repeat('y', i % 9) || i END,
										CASE WHEN i % 7 = 0 OR length < 6 THEN some_value(depth - 1) ELSE some_scalar() END)
					 FROM generate_series(1, length) i), '{}');
END
$$;
-- keys of the writer's own: shorter than ours, as long, between them, longer
CREATE FUNCTION some_keys() RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	IF random() < 0.4 THEN
		RETURN '{}';
	ELSIF random() < 0.1 THEN
		RETURN (SELECT jsonb_object_agg('own' || repeat('y', i % 20) || i, CASE WHEN i % 8 = 0 THEN some_value(1) ELSE some_scalar() END)
				FROM generate_series(1, (ARRAY[27, 28, 31, 32, 33, 60, 64, 70, 200])[1 + (random() * 8)::int]) i);
	END IF;
	RETURN coalesce((SELECT jsonb_object_agg(key, some_value(1)) FROM unnest(ARRAY['', 'a', 'host', 'cursoq', 'cursos', 'histor', 'histora', 'historz',
		'timestam', 'timestamo', 'timestamq', 'items_processec', 'items_processee', 'history_truncatex', 'accumulated_resultr',
		'accumulated_resultt', 'a key that is longer than all of ours', 'é']) key WHERE random() < 0.3), '{}');
END
$$;

-- checks a stored document against what core makes of its text, and of its parts as they are expected
CREATE TABLE bad (what text, n int);
CREATE FUNCTION compare(what text, n int, stored jsonb, cursor jsonb, items bigint, results jsonb, stamp jsonb, history jsonb, truncated bigint, others jsonb)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	expected jsonb;
BEGIN
	expected := others || jsonb_build_object('cursor', cursor, 'items_processed', items, 'accumulated_results', results, 'timestamp', stamp, 'history', history)
		|| CASE WHEN truncated > 0 THEN jsonb_build_object('history_truncated', truncated) ELSE '{}' END;
	IF stored::bytea <> expected::bytea THEN
		INSERT INTO bad VALUES (what || ', by its parts', n);
	END IF;
	IF stored::bytea <> (stored::text)::jsonb::bytea THEN
		INSERT INTO bad VALUES (what || ', by its text', n);
	END IF;
END
$$;

-- a test of the test: what is the same value in other bytes would be seen
SELECT '{"a": 1.0}'::jsonb = '{"a": 1.00}'::jsonb AS equal, '{"a": 1.0}'::jsonb::bytea = '{"a": 1.00}'::jsonb::bytea AS same;
-- and the values are of all kinds
SELECT setseed(0.5);
SELECT array_agg(DISTINCT jsonb_typeof(v)) AS types, max(pg_column_size(v)) > 10000 AS large,
	bool_or(jsonb_typeof(v) = 'array' AND v::text = '[]') AND bool_or(v::text = '{}') AS empty,
	bool_or(v::text ~ '[0-9]{255}') AS digits, bool_or(jsonb_path_exists(v, '$.**{61}')) AS deep
FROM (SELECT some_value(3) v FROM generate_series(1, 300)) x;

-- random operations on one step; what is to be stored is worked out beside it
CREATE PROCEDURE differ(seed float, rounds int) LANGUAGE plpgsql AS $$
DECLARE
	step uuid := '00000000-0000-0000-0000-000000000001';
	operations text[];
	operation text;
	entries int := 100;
	size int := 65536;
	cursor jsonb;
	items bigint;
	results jsonb;
	others jsonb := '{}';
	history jsonb := '[]';
	truncated bigint := 0;
	stamp jsonb;
	stored jsonb;
	state tasker_checkpoint_state;
	n int;
BEGIN
	PERFORM setseed(seed);
	PERFORM set_config('tasker_checkpoint.history_limit', entries::text, false);
	PERFORM set_config('tasker_checkpoint.history_size', size::text, false);
	UPDATE steps SET checkpoint = NULL;
	FOR i IN 1 .. rounds LOOP
		operation := (ARRAY['yield', 'yield', 'save', 'update', 'update', 'update', 'forge', 'keys', 'trim', 'same', 'clear', 'insert', 'limits'])
			[1 + (random() * 12)::int];
		CONTINUE WHEN operation = 'clear' AND random() < 0.8 OR stored IS NULL AND operation IN ('keys', 'trim', 'same', 'insert');
		operations := operations || operation;

		IF operation = 'limits' THEN
			entries := (ARRAY[-1, 0, 1, 2, 31, 32, 33, 64, 100])[1 + (random() * 8)::int];
			size := (ARRAY[-1, 0, 100, 1000, 10000, 65536, 65536])[1 + (random() * 6)::int];
			PERFORM set_config('tasker_checkpoint.history_limit', entries::text, false);
			PERFORM set_config('tasker_checkpoint.history_size', size::text, false);
			CONTINUE;
		ELSIF operation = 'clear' THEN
			PERFORM tasker_checkpoint_clear(step);
			stored := NULL;
			history := '[]';
			truncated := 0;
			CONTINUE;
		ELSIF operation IN ('yield', 'save', 'update', 'forge') THEN
			cursor := CASE WHEN random() < 0.6 THEN some_value(2) ELSE to_jsonb(i) END;
			items := (ARRAY[0, i, i * 10000, 9223372036854775807])[1 + (random() * 3)::int];
			results := CASE WHEN random() < 0.2 THEN 'null' ELSE some_value(2) END;
			others := CASE WHEN operation IN ('yield', 'save') THEN '{}' ELSE some_keys() END;
			IF operation = 'yield' THEN
				PERFORM tasker_checkpoint_yield(step, cursor, items, results);
			ELSIF operation = 'save' THEN
				PERFORM tasker_checkpoint_save(step, cursor, items, results);
			ELSIF operation = 'update' THEN
				UPDATE steps SET checkpoint = jsonb_build_object('cursor', cursor, 'items_processed', items, 'accumulated_results', results) || others;
			ELSE
				UPDATE steps SET checkpoint = jsonb_build_object('cursor', cursor, 'items_processed', items, 'accumulated_results', results,
					'timestamp', some_value(1), 'history', some_value(2), 'history_truncated', some_value(1)) || others;
			END IF;
			SELECT checkpoint, checkpoint -> 'timestamp' INTO stored, stamp FROM steps;
			history := history || jsonb_build_array(jsonb_build_object('cursor', cursor, 'items_processed', items, 'timestamp', stamp));
			WHILE jsonb_array_length(history) > 0
				AND (entries >= 0 AND jsonb_array_length(history) > entries OR size >= 0 AND pg_column_size(history) > size) LOOP
				history := history - 0;
				truncated := truncated + 1;
			END LOOP;
		ELSIF operation = 'keys' THEN
			others := some_keys();
			UPDATE steps SET checkpoint = jsonb_build_object('cursor', cursor, 'items_processed', items, 'accumulated_results', results,
				'timestamp', stamp, 'history', checkpoint -> 'history') || others;
		ELSIF operation = 'trim' THEN
			n := random() * jsonb_array_length(history);
			UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', to_jsonb(array_fill(0, ARRAY[n])));
			WHILE jsonb_array_length(history) > n LOOP
				history := history - 0;
				truncated := truncated + 1;
			END LOOP;
		ELSIF operation = 'same' THEN
			UPDATE steps SET checkpoint = checkpoint || '{}';
		ELSE
			-- elsewhere as it is
			CONTINUE WHEN history = '[]' AND truncated = 0;
			UPDATE steps SET checkpoint = NULL;
			DELETE FROM steps;
			INSERT INTO steps VALUES (step, stored);
		END IF;

		SELECT checkpoint INTO stored FROM steps;
		PERFORM compare(operation, i, stored, cursor, items, results, stamp, history, truncated, others);

		-- the readers
		state := tasker_checkpoint_load(step);
		IF tasker_checkpoint_get(step)::bytea <> stored::bytea
		OR tasker_checkpoint_cursor(step)::bytea <> cursor::bytea OR state.cursor::bytea <> cursor::bytea
		OR tasker_checkpoint_items_processed(step) <> items OR state.items_processed <> items
		OR tasker_checkpoint_accumulated_results(step)::bytea IS DISTINCT FROM nullif(results, 'null')::bytea
		OR state.accumulated_results::bytea IS DISTINCT FROM nullif(results, 'null')::bytea
		OR state.sequence <> truncated + jsonb_array_length(history)
		OR to_jsonb(to_char(state.checkpointed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) <> stamp THEN
			INSERT INTO bad VALUES (operation || ', as read', i);
		END IF;
		COMMIT;
	END LOOP;
	RAISE NOTICE 'operations of every kind: %', (SELECT count(DISTINCT o) = 10 FROM unnest(operations) o);
	PERFORM set_config('tasker_checkpoint.history_limit', '-1', false);
	PERFORM set_config('tasker_checkpoint.history_size', '-1', false);
END
$$;
CALL differ(0.125, 2500);
SELECT what, count(*), min(n) FROM bad GROUP BY 1 ORDER BY 1;
-- stored otherwise: never compressed, and compressed in line
ALTER TABLE steps ALTER COLUMN checkpoint SET STORAGE EXTERNAL;
CALL differ(0.25, 500);
ALTER TABLE steps ALTER COLUMN checkpoint SET STORAGE MAIN, ALTER COLUMN checkpoint SET COMPRESSION pglz;
CALL differ(0.375, 500);
SELECT what, count(*), min(n) FROM bad GROUP BY 1 ORDER BY 1;

-- histories of every length up to 140, and of a thousand, grown by one and cut by some
ALTER TABLE steps ALTER COLUMN checkpoint SET STORAGE EXTENDED;
CREATE PROCEDURE lengths(first int, last int, step int, cursor jsonb) LANGUAGE plpgsql AS $$
DECLARE
	history jsonb := '[]';
	stored jsonb;
	since int := 0;
BEGIN
	UPDATE steps SET checkpoint = NULL;
	FOR i IN 1 .. last LOOP
		PERFORM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', cursor, i);
		since := since + 1;
		CONTINUE WHEN i < first OR (i - first) % step <> 0;
		SELECT checkpoint INTO stored FROM steps;
		SELECT history || jsonb_agg(jsonb_build_object('cursor', cursor, 'items_processed', i - since + e.n, 'timestamp', e.entry -> 'timestamp') ORDER BY e.n)
		INTO history
		FROM jsonb_array_elements(jsonb_path_query_array(stored, format('$.history[%s to last]', jsonb_array_length(history))::jsonpath))
			WITH ORDINALITY e (entry, n);
		since := 0;
		PERFORM compare('length', i, stored, cursor, i, 'null', stored -> 'timestamp', history, 0, '{}');
	END LOOP;
	-- from the last length down to none
	FOR cut IN REVERSE jsonb_array_length(history) - 1 .. 0 BY greatest(step / 10, 1) LOOP
		UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', jsonb_path_query_array(checkpoint, format('$.history[0 to %s]', cut - 1)::jsonpath))
		RETURNING checkpoint INTO stored;
		PERFORM compare('cut', cut, stored, cursor, last, 'null', stored -> 'timestamp',
			coalesce((SELECT jsonb_agg(entry ORDER BY n) FROM jsonb_array_elements(history) WITH ORDINALITY e (entry, n) WHERE e.n > last - cut), '[]'),
			last - cut, '{}');
	END LOOP;
END
$$;
CALL lengths(1, 140, 1, '1');
CALL lengths(1, 70, 1, '"abc"');
CALL lengths(1, 70, 1, '{"page": [1, "x"]}');
CALL lengths(100, 1000, 100, '"ab"');
SELECT what, count(*), min(n) FROM bad GROUP BY 1 ORDER BY 1;
SELECT jsonb_array_length(checkpoint -> 'history') AS entries, checkpoint -> 'history_truncated' AS truncated FROM steps;

-- histories of all kinds, stored without the guard: the objects after the last entry that is none are kept
CREATE PROCEDURE odd(rounds int) LANGUAGE plpgsql AS $$
DECLARE
	odd jsonb;
	kept jsonb;
	stored jsonb;
BEGIN
	PERFORM setseed(0.625);
	FOR i IN 1 .. rounds LOOP
		SELECT jsonb_agg(CASE WHEN random() < 0.9 THEN jsonb_build_object('cursor', some_scalar(), some_text(), some_value(1)) ELSE some_value(1) END)
		INTO odd FROM generate_series(1, 1 + (random() * 40)::int);
		SELECT coalesce(jsonb_agg(e.entry ORDER BY e.n) FILTER (WHERE e.n > e.last), '[]') INTO kept
		FROM (SELECT entry, n, coalesce(max(n) FILTER (WHERE jsonb_typeof(entry) <> 'object') OVER (), 0) AS last
			  FROM jsonb_array_elements(odd) WITH ORDINALITY h (entry, n)) e;
		ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
		UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'history', odd);
		ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
		UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2}' RETURNING checkpoint INTO stored;
		PERFORM compare('odd', i, stored, '2', 2, 'null', stored -> 'timestamp',
			kept || jsonb_build_array(jsonb_build_object('cursor', 2, 'items_processed', 2, 'timestamp', stored -> 'timestamp')),
			jsonb_array_length(odd) - jsonb_array_length(kept), '{}');
		COMMIT;
	END LOOP;
END
$$;
CALL odd(300);
SELECT what, count(*), min(n) FROM bad GROUP BY 1 ORDER BY 1;

DROP CAST (jsonb AS bytea);
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, bad;
DROP PROCEDURE differ, lengths, odd;
DROP FUNCTION compare, some_keys, some_value, some_length, some_depth, some_scalar, some_number, some_text;

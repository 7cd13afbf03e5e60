-- cursor_limit and results_limit refuse what is larger by a byte, results_warning warns once
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
-- runs a statement under a limit; the limit is the operator's
CREATE FUNCTION under(setting text, value int, statement text, argument jsonb) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('tasker_checkpoint.' || setting, value::text, true);
	EXECUTE statement USING argument;
	RETURN 'stored';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END
$$;
CREATE TABLE samples (n serial, value jsonb, size int);
INSERT INTO samples (value, size) SELECT v, pg_column_size(jsonb_build_array(v) -> 0)
FROM unnest(ARRAY['null', 'true', '0', '-12345.678', '123456789012345678901234567890', '""', '"x"',
	to_jsonb(repeat('x', 100)), '[]', '{}', '[null]', '[1, "a", {"b": []}]', '{"a": 1, "bb": "two", "ccc": [3]}',
	to_jsonb(array_fill(7, ARRAY[100]))]) v;
RESET client_min_messages;

-- in full
SET tasker_checkpoint.cursor_limit = 20;
SET tasker_checkpoint.results_limit = 40;
SET tasker_checkpoint.results_warning = 30;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '"12345678"', 1, '"1234567890123456"');
SELECT tasker_checkpoint_yield(:'s1', '"123456789"', 2); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', '2', 2, '"12345678901234567890123456789"'); -- fail
\echo :SQLSTATE
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, '"1234567890123456789"');
UPDATE steps SET checkpoint = '{"cursor": "123456789", "items_processed": 3}'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 3, "items_processed": 3, "accumulated_results": "12345678901234567890123456789"}'; -- fail
SELECT cursor, accumulated_results, sequence FROM tasker_checkpoint_load(:'s1');

-- limit - 1, limit, limit + 1, no limit: a yield, a save, a direct UPDATE
RESET ROLE;
RESET tasker_checkpoint.cursor_limit;
RESET tasker_checkpoint.results_limit;
RESET tasker_checkpoint.results_warning;
SELECT tasker_checkpoint_clear(:'s1');
CREATE TABLE statements (name text, setting text, statement text);
INSERT INTO statements VALUES
('yield', 'cursor_limit', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', $1, 1)$$),
('save', 'cursor_limit', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', $1, 1)$$),
('update', 'cursor_limit', $$UPDATE steps SET checkpoint = jsonb_build_object('cursor', $1, 'items_processed', 1)$$),
('yield', 'results_limit', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1, $1)$$),
('save', 'results_limit', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', 1, $1)$$),
('update', 'results_limit', $$UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', $1)$$);
SELECT left(value::text, 40) AS value, size, setting,
	string_agg(DISTINCT under(setting, size - 1, statement, value), ',') AS "limit = size - 1",
	string_agg(DISTINCT under(setting, size, statement, value), ',') AS "limit = size",
	string_agg(DISTINCT under(setting, size + 1, statement, value), ',') AS "size + 1",
	string_agg(DISTINCT under(setting, 0, statement, value), ',') AS "0",
	string_agg(DISTINCT under(setting, -1, statement, value), ',') AS "-1"
FROM samples, statements GROUP BY n, value, size, setting ORDER BY setting, n;

-- SQL NULL for results takes what a JSON null takes; absent results take nothing
SELECT under('results_limit', 11, $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1, $1)$$, NULL) AS "11",
	under('results_limit', 12, $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1, $1)$$, NULL) AS "12",
	under('results_limit', 0, $$UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}'$$, NULL) AS "absent";

-- keys of the writer's own are counted, as one object, with the results
SELECT left(value::text, 40) AS value, s.size,
	under('results_limit', s.size - 1, statement, value) AS "limit = size - 1", under('results_limit', s.size, statement, value) AS "limit = size",
	under('results_limit', s.size + 1, statement, value) AS "size + 1"
FROM samples,
	LATERAL (SELECT pg_column_size(jsonb_build_object('note', value, 'x', 1)) + pg_column_size(to_jsonb('result'::text)),
		$$UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', 'result'::text, 'note', $1, 'x', 1)$$) s (size, statement)
ORDER BY n;

-- an edit is refused if those keys grow over the limit, not if they shrink or stay
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1, "accumulated_results": "result", "note": "0123456789"}';
SELECT pg_column_size('{"note": "0123456789"}'::jsonb) + pg_column_size('"result"'::jsonb) AS size \gset
SET tasker_checkpoint.results_limit = :size;
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = checkpoint || '{"note": "012345678X"}';
UPDATE steps SET checkpoint = checkpoint || '{"note": "0123456789X"}'; -- fail
UPDATE steps SET checkpoint = checkpoint || '{"n": 0}'; -- fail
RESET ROLE;
SET tasker_checkpoint.results_limit = 20;
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = checkpoint || '{"note": "012345678Y"}';
UPDATE steps SET checkpoint = checkpoint || '{"note": "012345678"}';
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', '[]');
UPDATE steps SET checkpoint = checkpoint || '{"note": "0123456789"}'; -- fail
UPDATE steps SET checkpoint = checkpoint - 'note';
SELECT checkpoint - '{timestamp,history}'::text[] AS checkpoint FROM steps;
RESET ROLE;
RESET tasker_checkpoint.results_limit;

-- a warning, once when the size is passed
SET tasker_checkpoint.results_warning = 112;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_clear(:'s1');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 99)));
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 100)));
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 101)));
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 102)));
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, to_jsonb(repeat('x', 1000)));
UPDATE steps SET checkpoint = checkpoint || '{"cursor": 2, "note": 1}';
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 100)));
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}';
UPDATE steps SET checkpoint = checkpoint || '{"note": 2}';
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 101)));
-- after a clear, again
SELECT tasker_checkpoint_clear(:'s1');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, to_jsonb(repeat('x', 101)));
-- not if the step is refused anyway
SELECT tasker_checkpoint_clear(:'s1');
RESET ROLE;
SET tasker_checkpoint.results_limit = 200;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, to_jsonb(repeat('x', 201))); -- fail
RESET ROLE;
RESET tasker_checkpoint.results_limit;
-- never
SET tasker_checkpoint.results_warning = 0;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, to_jsonb(repeat('x', 500000)));

-- enforce = warning: stored, with a warning each time
RESET ROLE;
RESET tasker_checkpoint.results_warning;
SELECT tasker_checkpoint_clear(:'s1');
SET tasker_checkpoint.enforce = warning;
SET tasker_checkpoint.cursor_limit = 16;
SET tasker_checkpoint.results_limit = 16;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '"too long"', 2, '"too long as well"');
UPDATE steps SET checkpoint = '{"cursor": "too long", "items_processed": 1, "accumulated_results": "too long as well"}';
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}';
SELECT checkpoint - '{timestamp,history}'::text[] AS checkpoint FROM steps;
-- shape is no limit
UPDATE steps SET checkpoint = '{"cursor": 1}'; -- fail
RESET ROLE;
SET tasker_checkpoint.enforce = error;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '"too long"', 3); -- fail
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '""', 3);

-- an error says nothing of what was sent
SELECT tasker_checkpoint_clear(:'s1');
DO $$
DECLARE
	sent jsonb := to_jsonb(repeat('secret', 100));
	detail text;
	hint text;
	context text;
BEGIN
	PERFORM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', sent, 1, sent);
EXCEPTION WHEN program_limit_exceeded THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	RAISE NOTICE '%', concat(SQLERRM, detail, hint, context) LIKE '%secret%';
END
$$;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, samples, statements;
DROP FUNCTION under;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

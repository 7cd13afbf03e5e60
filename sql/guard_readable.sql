-- What breaks those who read a checkpoint is refused: numbers that no double holds, a thousand digits and more, nesting deeper than 64
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION nested(levels int, opening text DEFAULT '[', inner_value text DEFAULT '', closing text DEFAULT ']') RETURNS jsonb LANGUAGE sql
RETURN (repeat(opening, levels) || inner_value || repeat(closing, levels))::jsonb;
CREATE FUNCTION attempt(statement text, value jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement USING value;
	RETURN 'stored';
EXCEPTION WHEN program_limit_exceeded OR check_violation THEN
	RETURN SQLSTATE || regexp_replace(SQLERRM, '.* must not', ' not');
END
$$;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

-- in full
SELECT tasker_checkpoint_save(:'s1', '{"page": [1, -1e309]}', 1); -- fail
\echo :LAST_ERROR_SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', '1', 1, '{"share": 1e-1001}'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '1', 1, nested(64)); -- fail
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1, "note": [[], 1e131071]}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, repeat('long ', 30) || 'é', 1e309) WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, repeat('é', 40), 1e309) WHERE workflow_step_uuid = :'s1'; -- fail
SELECT count(*) AS stored FROM steps WHERE checkpoint IS NOT NULL;

-- numbers, by magnitude and by digits written; 1.7976931348623157e308 is the greatest double
RESET ROLE;
CREATE TABLE samples (n serial, what text, value jsonb);
INSERT INTO samples (what, value) VALUES
('0', '0'), ('1.79e308', '1.79e308'), ('-1.79e308', '-1.79e308'),
('1e308', '1e308'), ('9.99e307', '9.99e307'), ('308 nines', repeat('9', 308)::jsonb),
('the greatest double', '1.7976931348623157e308'), ('and its negative', '-1.7976931348623157e308'),
('exactly', '179769313486231570814527423731704356798070567525844996598917476803157260780028538760589558632766878171540458953514382464234321326889464182768467546703537516986049910576551282076245490090389328944075868508455133942304583236903222948165808559332123348274797826204144723168738177180919299881250404026184124858368'),
('as written', '1.7976931348623158e308'), ('more than that', '1.79769313486231580000000000000000001e308'),
('1.7976931348623159e308', '1.7976931348623159e308'), ('1.798e308', '1.798e308'), ('2e308', '2e308'), ('1e309', '1e309'), ('-1e309', '-1e309'),
('309 nines', repeat('9', 309)::jsonb), ('1e311', '1e311'), ('1e312', '1e312'), ('1e1000', '1e1000'), ('1e131071', '1e131071'), ('-9e131071', '-9e131071'),
('1e-999', '1e-999'), ('1e-1000', '1e-1000'), ('1e-1001', '1e-1001'), ('-1e-1001', '-1e-1001'), ('1e-16383', '1e-16383'),
('0.999 nines', ('0.' || repeat('9', 999))::jsonb), ('0.1000 nines', ('0.' || repeat('9', 1000))::jsonb), ('0.1001 nines', ('0.' || repeat('9', 1001))::jsonb),
('0.1000 zeros', ('0.' || repeat('0', 1000))::jsonb), ('0.1001 zeros', ('0.' || repeat('0', 1001))::jsonb),
('1.999 zeros', ('1.' || repeat('0', 999))::jsonb), ('1.1000 zeros', ('1.' || repeat('0', 1000))::jsonb),
('12345.995 ones', ('12345.' || repeat('1', 995))::jsonb), ('12345.996 ones', ('12345.' || repeat('1', 996))::jsonb),
('308 nines.692 nines', (repeat('9', 308) || '.' || repeat('9', 692))::jsonb), ('308 nines.693 nines', (repeat('9', 308) || '.' || repeat('9', 693))::jsonb),
('304 nines.693 nines', (repeat('9', 304) || '.' || repeat('9', 693))::jsonb), ('a string', '"1e131071"');
GRANT SELECT ON samples TO regress_tckpt_worker;
SET tasker_checkpoint.cursor_limit = -1;
SET tasker_checkpoint.results_limit = -1;
SET tasker_checkpoint.results_warning = 0;
SET ROLE regress_tckpt_worker;
SELECT what, a.result FROM samples, attempt($$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', $1, 1)$$, value) a (result) ORDER BY n;
-- the same of random ones as of their text
SELECT setseed(0.5);
SELECT count(*) > 100 AS refused, count(*) FILTER (WHERE refused = fits) AS otherwise
FROM (SELECT attempt($$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', $1, 1)$$, to_jsonb(v)) <> 'stored' AS refused,
		abs(v) <= 1.7976931348623158e308 AND length(regexp_replace(v::text, '^-?0[.]|[-.]', '', 'g')) <= 1000 AS fits
	FROM (SELECT ((random() * 2 - 1)::numeric * 10::numeric ^ (ARRAY[-70, -65, -5, 0, 5, 60, 65, 250, 256, 300, 307, 308, 309, 312])[1 + (random() * 13)::int])::numeric
			+ CASE WHEN random() < 0.5 THEN 0 ELSE ('0e-' || (ARRAY[10, 60, 63, 64, 65, 690, 692, 695, 990, 999, 1000, 1001, 1010])[1 + (random() * 12)::int])::numeric END AS v
		FROM generate_series(1, 1500)) x) y;

-- each in every place
CREATE TEMPORARY TABLE places (place text, statement text);
INSERT INTO places VALUES
('cursor, yield', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', $1, 1)$$),
('results, yield', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1, $1)$$),
('cursor, first in an array', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', jsonb_build_array($1, 1, 'x'), 1)$$),
('cursor, last in an object', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', jsonb_build_object('a', true, 'bb', '', 'ccc', $1), 1)$$),
('results, 100th in an array', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', 1,
	(SELECT jsonb_agg(CASE i WHEN 100 THEN $1 WHEN 99 THEN '"x"' ELSE to_jsonb(i) END) FROM generate_series(1, 101) i))$$),
('results, 100th in an object', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', 1,
	(SELECT jsonb_object_agg(i, CASE i WHEN 200 THEN $1 WHEN 199 THEN '"x"' ELSE to_jsonb(i) END) FROM generate_series(101, 201) i))$$),
('cursor, update', $$UPDATE steps SET checkpoint = jsonb_build_object('cursor', $1, 'items_processed', 1) WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001'$$),
('another key, update', $$UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, '', 1, 'note', $1) WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001'$$),
('another key, edit', $$UPDATE steps SET checkpoint = checkpoint || jsonb_build_object('note', jsonb_build_array(1, jsonb_build_array(), $1)) WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000002'$$),
('event data', $$SELECT tasker_checkpoint_yield_step_event(tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000001'),
	jsonb_build_object('step_uuid', '00000000-0000-0000-0000-000000000001', 'items_processed', 1, 'cursor', $1))$$);
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}' WHERE workflow_step_uuid = :'s2';
SELECT place, count(*) AS samples, count(*) FILTER (WHERE a.result = 'stored') AS stored,
	count(*) FILTER (WHERE a.result <> s.result) AS otherwise
FROM (SELECT what, value, attempt($$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', $1, 1)$$, value) AS result FROM samples OFFSET 0) s,
	places, attempt(statement, value) a (result)
GROUP BY place ORDER BY place COLLATE "C";

-- nesting: the document is the first level, so a value can have 63 of its own
SELECT place, string_agg(CASE WHEN a.result = 'stored' THEN levels::text ELSE levels || ':' || left(a.result, 5) END, ' ' ORDER BY kind, levels)
FROM places, (VALUES (1, 62, nested(62)), (1, 63, nested(63)), (1, 64, nested(64)), (1, 65, nested(65)), (1, 3000, nested(3000)),
	(2, 63, nested(63, '{"a": ', '1', '}')), (2, 64, nested(64, '{"a": ', '1', '}')), (2, 3000, nested(3000, '{"a": ', '1', '}')),
	(3, 63, nested(31, '{"a": [1, ', '[]', ', 2], "b": 3}')), (3, 64, nested(32, '{"a": [1, ', '1', ', 2], "b": 3}'))) v (kind, levels, value),
	attempt(statement, value) a (result)
WHERE place !~ 'in an|edit' GROUP BY place ORDER BY place COLLATE "C";
-- in the history it stands deeper, and is not counted otherwise
SELECT tasker_checkpoint_clear(:'s1');
SELECT sequence FROM tasker_checkpoint_save(:'s1', nested(63), 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2);
SELECT jsonb_array_length(checkpoint -> 'history') AS entries FROM steps WHERE workflow_step_uuid = :'s1';

-- not what the guard ignores, or answers with an error of its own
UPDATE steps SET checkpoint = '{"cursor": 3, "items_processed": 3, "timestamp": 1e400, "history": [{"cursor": 1e400}], "history_truncated": 1e400}' WHERE workflow_step_uuid = :'s1';
UPDATE steps SET checkpoint = '{"cursor": 1e400, "items_processed": 1e400}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 1e400, "items_processed": 1}' WHERE workflow_step_uuid = :'s1'; -- fail
-- no key of an object is a number
SELECT sequence FROM tasker_checkpoint_save(:'s1', jsonb_build_object(repeat('9', 2000), 1), 4);

-- whatever enforce says; before the items, and before a warning of large results
RESET ROLE;
SET tasker_checkpoint.enforce = warning;
SET tasker_checkpoint.results_warning = 10;
SET tasker_checkpoint.require_monotonic_items = 'all';
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '1', 1, '[1e400]'); -- fail
UPDATE steps SET checkpoint = '{"cursor": 1e400, "items_processed": 1}' WHERE workflow_step_uuid = :'s1'; -- fail
RESET ROLE;
RESET tasker_checkpoint.enforce;
RESET tasker_checkpoint.results_warning;
RESET tasker_checkpoint.require_monotonic_items;
RESET tasker_checkpoint.cursor_limit;
RESET tasker_checkpoint.results_limit;
SET ROLE regress_tckpt_worker;

-- an INSERT only warns, once for a row
DELETE FROM steps;
INSERT INTO steps VALUES (:'s1', '{"cursor": 1e400, "items_processed": 1, "accumulated_results": [1e400, 1e400]}'),
(:'s2', '{"cursor": 1, "items_processed": 1, "history": [{"cursor": 1}, {"cursor": 1e400}]}');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000003', jsonb_build_object('cursor', 1, 'items_processed', 1, 'history_truncated', 1, 'note', nested(64)));
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000004', jsonb_build_object('cursor', 1, 'items_processed', 1, 'history', jsonb_build_array(jsonb_build_object('cursor', nested(63)))));
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000005', jsonb_build_object('cursor', 1, 'items_processed', 1, 'history', jsonb_build_array(jsonb_build_object('cursor', nested(64)))));
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000006', '{"cursor": 1, "items_processed": 1, "history_truncated": 1, "timestamp": 1e400}');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000007', '{"cursor": 1, "items_processed": 1, "history": [1e-2000]}');

-- what is stored makes no good write fail: an edit (which needs a stored time) can leave it, a new checkpoint begins without such entries
UPDATE steps SET checkpoint = checkpoint || '{"other": 1}' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000003'; -- fail
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard; -- fail
RESET ROLE;
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
UPDATE steps SET checkpoint = checkpoint || '{"timestamp": "2026-01-01T00:00:00Z"}';
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = checkpoint || '{"other": 1}';
UPDATE steps SET checkpoint = checkpoint || '{"other": 1e400}' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000003'; -- fail
UPDATE steps SET checkpoint = checkpoint || '{"note": [1e400]}' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000003'; -- fail
UPDATE steps SET checkpoint = checkpoint - 'note' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000003';
UPDATE steps SET checkpoint = checkpoint || '{"history": []}' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000007';
SELECT right(workflow_step_uuid::text, 1) AS step, l.sequence AS before, s.sequence
FROM (SELECT * FROM steps ORDER BY 1) x, tasker_checkpoint_load(workflow_step_uuid) l, tasker_checkpoint_save(workflow_step_uuid, '2', 2) s;
SELECT right(workflow_step_uuid::text, 1) AS step, jsonb_array_length(checkpoint -> 'history') AS entries, checkpoint -> 'history_truncated' AS truncated,
	checkpoint @? '$.** ? (@.type() == "number" && (@ > 1e300 || @ < 0.001))' AS unreadable
FROM steps ORDER BY 1;

-- an error says nothing of what was sent but the key
DO $$
DECLARE
	sent jsonb := '{"sesame": [4711e400, "sesame"]}';
	detail text;
	hint text;
	context text;
BEGIN
	PERFORM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', sent, 1);
EXCEPTION WHEN program_limit_exceeded THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
	RAISE NOTICE '%', concat(SQLERRM, detail, hint, context) ~ 'sesame|4711';
END
$$;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, samples, places;
DROP FUNCTION attempt, nested;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

-- No message, detail, hint or context shows a cursor, results or other keys
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean DEFAULT false);
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_worker;
GRANT ALL ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION attempt(statement text, sent jsonb) RETURNS TABLE (state text, leaks boolean) LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
	context text;
	other text;
BEGIN
	EXECUTE statement USING sent;
	RETURN QUERY SELECT 'stored', NULL::boolean;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT, other = COLUMN_NAME;
	RETURN QUERY SELECT SQLSTATE, concat(SQLERRM, detail, hint, context, other) LIKE '%sesame%';
END
$$;
RESET client_min_messages;
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002'), ('00000000-0000-0000-0000-000000000003');
UPDATE steps SET checkpoint = '{"cursor": "sesame", "items_processed": 5, "accumulated_results": "sesame", "note": "sesame"}';
UPDATE steps SET processed = true WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000003';
SET tasker_checkpoint.cursor_limit = 100;
SET tasker_checkpoint.results_limit = 200;
SET ROLE regress_tckpt_worker;

SELECT what, a.* FROM (VALUES
(1, 'cursor too large', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', $1, 6)$$, to_jsonb(repeat('sesame', 100))),
(2, 'results too large', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 6, $1)$$, to_jsonb(repeat('sesame', 100))),
(3, 'other keys too large', $$UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 6}'::jsonb || $1$$, jsonb_build_object('sesame', repeat('sesame', 100))),
(4, 'edit too large', $$UPDATE steps SET checkpoint = checkpoint || $1$$, jsonb_build_object('sesame', repeat('sesame', 100))),
(5, 'fewer items', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', $1, 4, $1)$$, '"sesame"'),
(6, 'negative items', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', $1, -1, $1)$$, '"sesame"'),
(7, 'no such step', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000009', $1, 6, $1)$$, '"sesame"'),
(8, 'processed', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000003', $1, 6, $1)$$, '"sesame"'),
(9, 'no object', $$UPDATE steps SET checkpoint = $1$$, '"sesame"'),
(10, 'no object', $$UPDATE steps SET checkpoint = $1$$, '["sesame"]'),
(11, 'no cursor', $$UPDATE steps SET checkpoint = $1$$, '{"items_processed": 6, "sesame": "sesame"}'),
(12, 'no items', $$UPDATE steps SET checkpoint = $1$$, '{"cursor": "sesame", "accumulated_results": "sesame"}'),
(13, 'items a string', $$UPDATE steps SET checkpoint = $1$$, '{"cursor": "sesame", "items_processed": "sesame"}'),
(14, 'items an object', $$UPDATE steps SET checkpoint = $1$$, '{"cursor": "sesame", "items_processed": {"sesame": 1}}'),
(15, 'history a string', $$UPDATE steps SET checkpoint = checkpoint || $1$$, '{"history": "sesame"}'),
(16, 'insert of a history that is a string', $$INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES (gen_random_uuid(), $1)$$,
	'{"cursor": "sesame", "items_processed": 1, "history": "sesame"}'),
(17, 'history_truncated a string', $$INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES (gen_random_uuid(), $1)$$,
	'{"cursor": "sesame", "items_processed": 1, "history_truncated": "sesame"}')) v (n, what, statement, sent), attempt(statement, sent) a ORDER BY n;

-- nor do warnings
RESET ROLE;
SET tasker_checkpoint.enforce = warning;
SET tasker_checkpoint.results_warning = 100;
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = jsonb_build_object('cursor', repeat('sesame', 20), 'items_processed', 1, 'accumulated_results', repeat('sesame', 40))
WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001';
SELECT sequence FROM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000002', '"sesame"', 1, to_jsonb(repeat('sesame', 20)));

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP FUNCTION attempt;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

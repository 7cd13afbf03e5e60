-- A step whose stored checkpoint breaks readers is parked, and the others are delivered
\set SHOW_CONTEXT never
\pset null '(null)'
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text, processed boolean);
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION step(n int) RETURNS uuid LANGUAGE sql RETURN format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid;
CREATE FUNCTION nested(levels int) RETURNS jsonb LANGUAGE sql RETURN (repeat('[', levels) || repeat(']', levels))::jsonb;
RESET client_min_messages;

-- as they were stored without the guard
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
INSERT INTO steps (workflow_step_uuid, label, checkpoint)
SELECT step(n), label, '{"cursor": 1, "items_processed": 1, "timestamp": "2026-01-01T00:00:00Z", "history": []}'::jsonb || document
FROM (VALUES (1, 'good', '{}'::jsonb), (2, 'cursor', '{"cursor": 1e131071}'), (3, 'results', '{"accumulated_results": {"a": [1, -1e131071]}}'),
	(4, 'digits', '{"cursor": {"a": 1e-16383}}'), (5, 'nesting', jsonb_build_object('accumulated_results', nested(64))),
	(6, 'deep', jsonb_build_object('accumulated_results', nested(5000))), (7, 'another key', '{"note": 1e309}'), (8, 'items', '{"items_processed": 1e400}'),
	(9, 'truncated', '{"history_truncated": 1e400}'), (10, 'timestamp', '{"timestamp": 1e400}'),
	(11, 'history', '{"history": [{"cursor": 1e400}, {"cursor": 1}]}'), (12, 'no array', '{"history": {"0": 1e400}}'),
	(13, 'nested', jsonb_build_object('accumulated_results', nested(63), 'cursor', nested(63), 'history', jsonb_build_array(jsonb_build_object('cursor', nested(63))))),
	(14, 'great', '{"cursor": [1.7976931348623157e308, 1e-1000, "1e131071"]}'), (15, 'nothing', NULL)) v (n, label, document);
INSERT INTO steps (workflow_step_uuid, label, checkpoint) VALUES (step(16), 'no object', '[1e400]'), (step(17), 'no object either', '1e-1001');
-- 9,000 numbers of 131,072 digits each take 2 kB in the row
INSERT INTO steps (workflow_step_uuid, label, checkpoint)
SELECT step(18), 'many', jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', jsonb_agg('1e131071'::jsonb)) FROM generate_series(1, 9000);
INSERT INTO steps VALUES (step(19), 'last', NULL);
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT pg_column_size(checkpoint) < 10000 AS small FROM steps WHERE label = 'many';

SET ROLE regress_tckpt_worker;
SELECT count(tasker_checkpoint_dispatch(step(n))) AS dispatched FROM generate_series(1, 19) n;
SET statement_timeout = '5s';
SELECT label, items_processed, deliveries FROM tasker_checkpoint_claim('one', max_steps => 100) JOIN steps ON workflow_step_uuid = step_uuid ORDER BY workflow_step_uuid;
SELECT label, d.parked, d.worker, d.deliveries FROM tasker_checkpoint_dispatched() d JOIN steps ON workflow_step_uuid = step_uuid
WHERE d.worker IS NULL ORDER BY workflow_step_uuid;
SELECT label, finding, severity, figure, detail LIKE '%checkpoint has a number%' AS told FROM tasker_checkpoint_health JOIN steps ON workflow_step_uuid = step_uuid WHERE finding = 'parked' ORDER BY workflow_step_uuid LIMIT 2;
SELECT count(*) FROM tasker_checkpoint_health WHERE finding = 'parked';
RESET statement_timeout;
-- asked for by name, too; resumed as it is, it is parked again
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => step(18));
SELECT tasker_checkpoint_resume(step(18));
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => step(18));
SELECT parked FROM tasker_checkpoint_dispatched(step(18));

-- a checkpoint that readers can take makes it deliverable: written anew, cut, gone back to, or cleared
SELECT sequence FROM tasker_checkpoint_yield(step(18), '2', 2);
SELECT tasker_checkpoint_resume(step(11));
UPDATE steps SET checkpoint = checkpoint || '{"history": []}' WHERE label = 'history';
RESET ROLE;
SELECT tasker_checkpoint_clear(step(2));
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
UPDATE steps SET checkpoint = '{"cursor": 1e400, "items_processed": 3, "timestamp": "2026-01-01T00:00:00Z",
	"history": [{"cursor": 1, "items_processed": 1}, {"cursor": 2, "items_processed": 2}, {"cursor": 1e400, "items_processed": 3}]}' WHERE label = 'digits';
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT sequence FROM tasker_checkpoint_rewind(step(4), 3); -- fail
SELECT sequence FROM tasker_checkpoint_rewind(step(4), 2);
SELECT checkpoint - 'timestamp' #- '{history,0,timestamp}' AS checkpoint FROM steps WHERE label = 'digits';
SET ROLE regress_tckpt_worker;
SELECT label, has_checkpoint, cursor, items_processed, sequence FROM tasker_checkpoint_claim('two', max_steps => 100) JOIN steps ON workflow_step_uuid = step_uuid ORDER BY workflow_step_uuid;
-- parking supersedes nobody
SELECT label, parked FROM tasker_checkpoint_dispatched() JOIN steps ON workflow_step_uuid = step_uuid WHERE parked ORDER BY workflow_step_uuid;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP FUNCTION step, nested;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

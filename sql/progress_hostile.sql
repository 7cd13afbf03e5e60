-- The view of progress: nothing that is stored makes it fail
SET client_min_messages = error;
SET timezone = 'UTC';
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n integer GENERATED ALWAYS AS IDENTITY, inputs jsonb, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps', 'id');
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
INSERT INTO steps (checkpoint) SELECT unnest(ARRAY[
	'null',
	'5',
	'"x"',
	'[]',
	'[{"items_processed": 5}]',
	'{}',
	'{"items_processed": -1, "timestamp": "x", "history": 5, "history_truncated": -5}',
	'{"items_processed": 1e400, "timestamp": 5, "history": {"items_processed": 5}, "history_truncated": 1e400}',
	'{"items_processed": 1.5, "timestamp": "2026-02-30T00:00:00Z", "history": [1, "x", null, [], true]}',
	'{"items_processed": "5", "timestamp": "9999-12-31T23:59:60Z", "history": [{}, {}, {}]}',
	'{"items_processed": 9223372036854775807, "timestamp": "0001-01-01T00:00:00Z", "history_truncated": 9223372036854775807, "history": [
		{"items_processed": 0, "timestamp": "0001-01-01T00:00:00Z"}, {"items_processed": 9223372036854775807, "timestamp": "9999-12-31T23:59:59Z"}]}',
	'{"items_processed": 2, "timestamp": "infinity", "history": [
		{"items_processed": 0, "timestamp": "2026-01-01T00:00:00Z"}, 5, {"items_processed": 1, "timestamp": "2026-01-01T00:00:01Z"},
		{"items_processed": -1, "timestamp": "2026-01-01T00:00:02Z"}, {"items_processed": 5, "timestamp": "x"},
		{"items_processed": 1e400, "timestamp": "2026-01-01T00:00:02Z"}, {"items_processed": 11, "timestamp": "2026-01-01T00:00:02Z"}]}',
	'{"items_processed": 0, "accumulated_results": {"total_items": 9223372036854775807}, "history": [
		{"items_processed": 0, "timestamp": "2026-01-01T00:00:00Z"}, {"items_processed": 1, "timestamp": "2026-01-01T00:00:01Z"}]}',
	'{"items_processed": 0, "accumulated_results": {"total_items": 1e400}, "history": []}']::jsonb[]);
INSERT INTO steps (inputs, checkpoint) SELECT i, '{"items_processed": 10}' FROM unnest(ARRAY[
	'5', '[]', '"cursor"', 'null', '{"cursor": []}', '{"cursor": {"start_cursor": {}, "end_cursor": []}}',
	'{"cursor": {"start_cursor": -1e400, "end_cursor": 1e400}}', '{"cursor": {"start_cursor": 0, "end_cursor": 1e-400}}']::jsonb[]) i;
-- long keys and values, stored out of line
INSERT INTO steps (checkpoint)
SELECT jsonb_build_object(repeat('x', 1000), repeat('y', 10000), 'items_processed', 5, 'accumulated_results',
	(SELECT jsonb_object_agg(md5(i::text), i) FROM generate_series(1, 1000) i) || '{"total_items": 10}');

-- numbers that take gigabytes when they are written out
INSERT INTO steps (inputs, checkpoint)
SELECT jsonb_build_object('cursor', jsonb_build_object('start_cursor', many, 'end_cursor', many)),
	jsonb_build_object('items_processed', 1e131071, 'accumulated_results', jsonb_build_object('total_items', many, 'many', many))
FROM (SELECT jsonb_agg('1e131071'::jsonb) AS many FROM generate_series(1, 9000)) x;

SET statement_timeout = '10s';
SELECT n, items_processed AS items, total, percent, rate, eta, checkpointed_at, sequence, state
FROM tasker_checkpoint_progress JOIN steps ON id = step_uuid ORDER BY n;
SELECT count(*) FROM steps, tasker_checkpoint_progress(id);
RESET statement_timeout;

DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

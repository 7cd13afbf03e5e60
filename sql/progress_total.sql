-- The view of progress: the total, from the handler or the inputs, and percent
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n integer GENERATED ALWAYS AS IDENTITY, inputs jsonb, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps', 'id');
CREATE VIEW shown AS
SELECT n, items_processed AS items, total, percent, eta
FROM tasker_checkpoint_progress JOIN steps ON id = step_uuid;

CREATE FUNCTION put(items bigint, inputs text, results text DEFAULT NULL) RETURNS integer LANGUAGE sql AS $$
	INSERT INTO steps (inputs, checkpoint)
	VALUES (inputs::jsonb, jsonb_build_object('cursor', 0, 'items_processed', items, 'timestamp', '2026-01-01T00:00:10Z',
		'accumulated_results', results::jsonb, 'history', jsonb_build_array(
			jsonb_build_object('cursor', 0, 'items_processed', 0, 'timestamp', '2026-01-01T00:00:00Z'),
			jsonb_build_object('cursor', 0, 'items_processed', items, 'timestamp', '2026-01-01T00:00:10Z'))))
	RETURNING n
$$;

-- from the inputs
SELECT count(put(items, '{"cursor": {"start_cursor": 0, "end_cursor": 1000}}'))
FROM unnest(ARRAY[0, 1, 49, 50, 500, 994, 999, 1000, 1001, 9223372036854775807]) items;
SELECT count(put(10, inputs)) FROM unnest(ARRAY[
	'{"cursor": {"start_cursor": 100, "end_cursor": 120}}',
	'{"cursor": {"start_cursor": -10, "end_cursor": 10.00}}',
	'{"cursor": {"start_cursor": 5, "end_cursor": 5}}',
	'{"cursor": {"start_cursor": -999999999999999999, "end_cursor": 999999999999999999}}']) inputs;
-- these give none
SELECT count(put(10, inputs)) FROM unnest(ARRAY[
	NULL,
	'{}',
	'{"cursor": 5}',
	'{"cursor": {"start_cursor": 0}}',
	'{"cursor": {"end_cursor": 1000}}',
	'{"cursor": {"start_cursor": "0", "end_cursor": "1000"}}',
	'{"cursor": {"start_cursor": null, "end_cursor": 1000}}',
	'{"cursor": {"start_cursor": 20, "end_cursor": 10}}',
	'{"cursor": {"start_cursor": 0, "end_cursor": 20.5}}',
	'{"cursor": {"start_cursor": 0, "end_cursor": 1000000000000000000}}']) inputs;
SELECT * FROM shown ORDER BY n;
TRUNCATE steps RESTART IDENTITY;

-- from the handler, which knows better what it counts
SELECT count(put(10, '{"cursor": {"start_cursor": 0, "end_cursor": 1000}}', results)) FROM unnest(ARRAY[
	'{"total_items": 20}',
	'{"total_items": 0}',
	'{"total_items": 9223372036854775807}',
	'{"rows": [], "total_items": 40, "sum": 1}']) results;
-- these give none
SELECT count(put(10, '{"cursor": {"start_cursor": 0, "end_cursor": 1000}}', results)) FROM unnest(ARRAY[
	'null', '20', '[20]', '{"total": 20}', '{"total_items": "20"}', '{"total_items": null}',
	'{"total_items": -20}', '{"total_items": 20.5}', '{"total_items": 9223372036854775808}', '{"total_items": {"total_items": 20}}']) results;
SELECT * FROM shown ORDER BY n;

-- without inputs the handler can still tell
ALTER TABLE steps DROP COLUMN inputs;
SELECT * FROM shown WHERE n IN (1, 6) ORDER BY n;
-- nor are inputs read that are no jsonb
ALTER TABLE steps ADD COLUMN inputs json DEFAULT '{"cursor": {"start_cursor": 0, "end_cursor": 1000}, "name": "\u0000"}';
SELECT * FROM shown WHERE n IN (1, 6) ORDER BY n;

DROP VIEW shown;
DROP FUNCTION put;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

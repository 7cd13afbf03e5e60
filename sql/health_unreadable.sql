-- Health says of a parked step whose checkpoint no reader can take that this is why, and of no other
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps', 'id');
CREATE INDEX steps_cursor ON steps (left(checkpoint ->> 'cursor', 100));
SET session_replication_role = replica;
INSERT INTO steps VALUES
	('00000000-0000-0000-0000-000000000001', '{"cursor": 1, "items_processed": 1, "accumulated_results": [1e131071]}'),
	('00000000-0000-0000-0000-000000000002', '{"cursor": 1, "items_processed": 1, "accumulated_results": [1]}'),
	('00000000-0000-0000-0000-000000000003', format('{"cursor": %s%s, "items_processed": 1}', repeat('[', 100), repeat(']', 100))::jsonb),
	('00000000-0000-0000-0000-000000000004', '{"cursor": 1e131071, "items_processed": 1}');
RESET session_replication_role;
INSERT INTO tasker_checkpoint_events (step_uuid, directive, parked, event_id, available_at, deliveries, sequence)
SELECT id, 'continue', id::text !~ '4$', gen_random_uuid(), now(), 20, 0 FROM steps;
SELECT right(step_uuid::text, 1) AS step, finding, detail FROM tasker_checkpoint_health ORDER BY 1, 2;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

-- The guard tells a new checkpoint, an edit, a clear and no change apart, and composes what is stored
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE ROLE regress_tckpt_writer;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_writer;
CREATE TEMPORARY TABLE before (checkpoint jsonb);
INSERT INTO before VALUES (NULL);
GRANT SELECT, UPDATE ON before TO regress_tckpt_writer;
RESET client_min_messages;
-- writes "sent", and shows what came of it
CREATE FUNCTION pg_temp.write(sent jsonb)
RETURNS TABLE (sequence bigint, cursors jsonb, truncated jsonb, items jsonb, results jsonb, others jsonb, stamped boolean)
LANGUAGE plpgsql AS $$
DECLARE
	old jsonb;
	new jsonb;
BEGIN
	SELECT checkpoint INTO old FROM steps;
	UPDATE before SET checkpoint = old;
	UPDATE steps SET checkpoint = sent RETURNING checkpoint INTO new;
	RETURN QUERY SELECT l.sequence, jsonb_path_query_array(new, '$.history[*].cursor'), new -> 'history_truncated',
		new -> 'items_processed', new -> 'accumulated_results',
		new - '{cursor,items_processed,accumulated_results,history,history_truncated,timestamp}'::text[],
		new ->> 'timestamp' IS DISTINCT FROM old ->> 'timestamp'
		AND new ->> 'timestamp' ~ '^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$'
		AND new -> 'timestamp' = new #> '{history,-1,timestamp}'
	FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000001') l;
END
$$;
SET ROLE regress_tckpt_writer;
\pset null '(null)'

-- the first one; time, history and history_truncated that are sent do not count
SELECT * FROM pg_temp.write('{"cursor": 1, "items_processed": 10, "timestamp": "2001-01-01T00:00:00Z",
	"history": [{"cursor": "forged"}, {"cursor": "forged"}], "history_truncated": 1000}');
-- a document without accumulated_results gets them, null
SELECT array_agg(key ORDER BY key COLLATE "C") FROM steps, jsonb_object_keys(checkpoint) key;
SELECT array_agg(key ORDER BY key COLLATE "C") FROM steps, jsonb_object_keys(checkpoint #> '{history,0}') key;

-- a new one: cursor, items or results differ, all else as stored
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"cursor": 2}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"items_processed": 20}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"accumulated_results": {"sum": 1}}' FROM steps));
-- 1 and 1.0, an object and its parts are different cursors
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"cursor": 2.0}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"cursor": [2.0]}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"cursor": [2.0, null]}' FROM steps));
-- a new one: the time is absent, or another
SELECT * FROM pg_temp.write((SELECT checkpoint - 'timestamp' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"timestamp": "2001-01-01T00:00:00Z"}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"timestamp": null}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"timestamp": "2999-01-01T00:00:00Z"}' FROM steps));
-- a new one: just the required keys, the same as stored
SELECT * FROM pg_temp.write('{"cursor": [2.0, null], "items_processed": 20}');
-- what is sent as history does not matter, whatever it is
UPDATE steps SET checkpoint = NULL;
SELECT * FROM pg_temp.write('{"cursor": 1, "items_processed": 20, "history": "none", "history_truncated": "none"}');
SELECT * FROM pg_temp.write('{"cursor": 2, "items_processed": 20, "history": [1, 2], "history_truncated": -1}');
SELECT * FROM pg_temp.write('{"cursor": 3, "items_processed": 20, "history": null}');

-- other keys are kept with the document that has them
SELECT * FROM pg_temp.write('{"cursor": 4, "items_processed": 20, "note": "mine", "a": 1, "a key longer than any of ours": {"b": []}}');
SELECT * FROM pg_temp.write('{"cursor": 5, "items_processed": 20}');

-- no change
SELECT * FROM pg_temp.write((SELECT checkpoint FROM steps));
SELECT steps.checkpoint = before.checkpoint AS unchanged FROM steps, before;
SELECT * FROM pg_temp.write((SELECT checkpoint || '{}' FROM steps));
SELECT steps.checkpoint = before.checkpoint AS unchanged FROM steps, before;
UPDATE steps SET checkpoint = checkpoint, label = 'a';
UPDATE steps SET label = 'b';
UPDATE steps SET workflow_step_uuid = workflow_step_uuid;
SELECT steps.checkpoint = before.checkpoint AS unchanged FROM steps, before;

-- an edit of other keys
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"note": "a"}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"note": "b", "x": 1}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint - 'note' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint - 'x' FROM steps));
SELECT steps.checkpoint ->> 'timestamp' = before.checkpoint ->> 'timestamp' AS same_time FROM steps, before;

-- an edit of results that are null anyway
SELECT * FROM pg_temp.write((SELECT checkpoint - 'accumulated_results' FROM steps));

-- an edit of history: as many of the newest entries are kept as there are in what is sent
SELECT * FROM pg_temp.write((SELECT jsonb_set(checkpoint, '{history}', '[{"cursor": "forged"}, 2, "x"]') FROM steps));
SELECT steps.checkpoint -> 'history' = jsonb_path_query_array(before.checkpoint, '$.history[last - 2 to last]') AS newest
FROM steps, before;
-- more than there are, in other order, changed
SELECT * FROM pg_temp.write((SELECT jsonb_set(checkpoint, '{history}', (checkpoint -> 'history') || (checkpoint -> 'history')) FROM steps));
SELECT * FROM pg_temp.write((SELECT jsonb_set(checkpoint, '{history,0,cursor}', '"forged"') FROM steps));
-- exactly one less: the oldest goes, whichever is left out
SELECT * FROM pg_temp.write((SELECT checkpoint #- '{history,2}' FROM steps));
-- none left out, absent
SELECT * FROM pg_temp.write((SELECT checkpoint - 'history' FROM steps));
-- history_truncated is not to be edited
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"history_truncated": 1000}' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint || '{"history_truncated": "x"}' FROM steps)); -- fail
SELECT * FROM pg_temp.write((SELECT checkpoint - 'history_truncated' FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint - 'history_truncated' - 'history' FROM steps));
-- all of it
SELECT * FROM pg_temp.write((SELECT jsonb_set(checkpoint, '{history}', '[]') FROM steps));
SELECT * FROM pg_temp.write((SELECT checkpoint - 'history_truncated' FROM steps));
SELECT * FROM pg_temp.write((SELECT jsonb_set(checkpoint, '{history}', '[{"cursor": "forged"}]') FROM steps));
-- and on from there
SELECT * FROM pg_temp.write('{"cursor": 6, "items_processed": 30}');

-- an edit of history that is none; the stored one stays
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', '"x"'); -- fail
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', 'null'); -- fail

-- a clear, by NULL and by JSON null; what comes then is a first one
SELECT * FROM pg_temp.write(NULL);
SELECT checkpoint FROM steps;
SELECT * FROM pg_temp.write(NULL);
SELECT * FROM pg_temp.write('{"cursor": 1, "items_processed": 5}');
SELECT * FROM pg_temp.write('null');
SELECT checkpoint FROM steps;
SELECT * FROM pg_temp.write('null');
SELECT checkpoint FROM steps;
SELECT * FROM pg_temp.write('{"cursor": 1, "items_processed": 5}');

-- key and checkpoint changed together
UPDATE steps SET workflow_step_uuid = '00000000-0000-0000-0000-000000000002', checkpoint = '{"cursor": 2, "items_processed": 6}';
SELECT workflow_step_uuid, jsonb_path_query_array(checkpoint, '$.history[*].cursor') AS cursors FROM steps;
UPDATE steps SET workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_load(:'s1');

-- many rows at once
RESET ROLE;
INSERT INTO steps SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid FROM generate_series(2, 1000) n;
SET ROLE regress_tckpt_writer;
UPDATE steps SET checkpoint = jsonb_build_object('cursor', workflow_step_uuid, 'items_processed', 6);
UPDATE steps SET checkpoint = jsonb_build_object('cursor', workflow_step_uuid, 'items_processed', 7);
SELECT jsonb_array_length(checkpoint -> 'history') AS entries, count(*), bool_and(checkpoint ->> 'cursor' = workflow_step_uuid::text) AS own
FROM steps GROUP BY 1 ORDER BY 1;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, before;
DROP OWNED BY regress_tckpt_writer;
DROP ROLE regress_tckpt_writer;

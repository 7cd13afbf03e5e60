-- The readers tell a checkpoint, none, and a step that is not there apart, and read whatever is stored
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_reader;
GRANT SELECT ON steps TO regress_tckpt_reader;
RESET client_min_messages;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '{"page": 0}', 5, '{"sum": 1.50}');
SELECT checkpoint ->> 'timestamp' AS stamp, checkpoint::text AS document FROM steps WHERE workflow_step_uuid = :'s1' \gset
SET ROLE regress_tckpt_reader;

-- a checkpoint
SELECT tasker_checkpoint_get(:'s1')::text = :'document' AS same;
SELECT has_checkpoint, cursor, items_processed, accumulated_results, checkpointed_at = :'stamp' AS same_time, sequence
FROM tasker_checkpoint_load(:'s1');
SELECT tasker_checkpoint_exists(:'s1'), tasker_checkpoint_cursor(:'s1'),
	tasker_checkpoint_items_processed(:'s1'), tasker_checkpoint_accumulated_results(:'s1');

-- none
\pset null '(null)'
SELECT tasker_checkpoint_get(:'s2');
SELECT * FROM tasker_checkpoint_load(:'s2');
SELECT tasker_checkpoint_load(:'s2') IS NULL AS null, pg_typeof(tasker_checkpoint_load(:'s2'));
SELECT tasker_checkpoint_exists(:'s2'), tasker_checkpoint_cursor(:'s2'),
	tasker_checkpoint_items_processed(:'s2'), tasker_checkpoint_accumulated_results(:'s2');

-- a null cursor is a JSON null, null results are SQL NULL; a cursor of 0 is a checkpoint
RESET ROLE;
SELECT sequence FROM tasker_checkpoint_yield(:'s2', 'null', 0);
SET ROLE regress_tckpt_reader;
SELECT has_checkpoint, cursor, items_processed, accumulated_results, sequence FROM tasker_checkpoint_load(:'s2');
SELECT tasker_checkpoint_exists(:'s2'), tasker_checkpoint_cursor(:'s2'),
	tasker_checkpoint_items_processed(:'s2'), tasker_checkpoint_accumulated_results(:'s2');
RESET ROLE;
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '0', 0, 'false');
SET ROLE regress_tckpt_reader;
SELECT has_checkpoint, cursor, items_processed, accumulated_results, sequence FROM tasker_checkpoint_load(:'s2');

-- no such step, no step at all
SELECT tasker_checkpoint_get(:'missing'); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_load(:'missing'); -- fail
SELECT tasker_checkpoint_exists(:'missing'); -- fail
SELECT tasker_checkpoint_cursor(:'missing'); -- fail
SELECT tasker_checkpoint_items_processed(:'missing'); -- fail
SELECT tasker_checkpoint_accumulated_results(:'missing'); -- fail
SELECT tasker_checkpoint_get(NULL); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_load(NULL); -- fail
SELECT tasker_checkpoint_exists(NULL); -- fail
SELECT tasker_checkpoint_cursor(NULL); -- fail
SELECT tasker_checkpoint_items_processed(NULL); -- fail
SELECT tasker_checkpoint_accumulated_results(NULL); -- fail

-- all of them work in a read-only transaction and change nothing
BEGIN READ ONLY;
SELECT tasker_checkpoint_get(:'s1') IS NOT NULL AS got, tasker_checkpoint_exists(:'s1'), tasker_checkpoint_cursor(:'s1'),
	tasker_checkpoint_items_processed(:'s1'), tasker_checkpoint_accumulated_results(:'s1');
COMMIT;

-- in a parallel worker, too
SELECT set_config(name, 'on', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT tasker_checkpoint_get(:'s1') IS NOT NULL AS got, tasker_checkpoint_exists(:'s1'), tasker_checkpoint_cursor(:'s1'),
	tasker_checkpoint_items_processed(:'s1'), tasker_checkpoint_accumulated_results(:'s1'), tasker_checkpoint_table();
SELECT has_checkpoint, cursor, sequence FROM tasker_checkpoint_load(:'s1');
SELECT generation, sequence, cursor FROM tasker_checkpoint_history(:'s1');
SELECT count(*) FROM tasker_checkpoint_dispatched();
SELECT tasker_checkpoint_get(:'missing'); -- fail
SELECT set_config(name, 'off', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');

-- a sequence goes on when history is cut
RESET ROLE;
SET tasker_checkpoint.history_limit = 2;
SELECT y.sequence FROM generate_series(1, 5) n, tasker_checkpoint_yield(:'s1', to_jsonb(n), 10 + n) y;
RESET tasker_checkpoint.history_limit;
SET ROLE regress_tckpt_reader;
SELECT sequence, jsonb_array_length(tasker_checkpoint_get(:'s1') -> 'history') AS entries,
	tasker_checkpoint_get(:'s1') -> 'history_truncated' AS truncated
FROM tasker_checkpoint_load(:'s1');

-- documents of Tasker's own, from before the extension
RESET ROLE;
DELETE FROM steps;
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES
(:'s1', '{"cursor": 50, "items_processed": 50, "timestamp": "2026-01-06T12:00:00.123456789+02:00", "accumulated_results": null,
 "history": [{"cursor": 25, "timestamp": "2026-01-06 12:00:00+00"}, {"cursor": 50, "timestamp": "2026-01-06 12:00:01+00"}]}');
SET ROLE regress_tckpt_reader;
SELECT has_checkpoint, cursor, items_processed, accumulated_results,
	checkpointed_at = '2026-01-06T10:00:00.123456Z' AS same_time, sequence
FROM tasker_checkpoint_load(:'s1');

-- what is no checkpoint, stored while the guard was disabled
RESET ROLE;
DELETE FROM steps;
INSERT INTO steps (workflow_step_uuid, label, checkpoint)
SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, label, checkpoint
FROM (VALUES
(1, 'JSON null', 'null'::jsonb),
(2, 'string', '"x"'),
(3, 'number', '1'),
(4, 'boolean', 'true'),
(5, 'empty array', '[]'),
(6, 'array', '[{"cursor": 1}]'),
(7, 'empty object', '{}'),
(8, 'other keys', '{"a": 1, "b": [], "this is a very long key indeed": {}}'),
(9, 'items negative', '{"cursor": 1, "items_processed": -1}'),
(10, 'items decimal', '{"cursor": 1, "items_processed": 1.0}'),
(11, 'items too large', '{"cursor": 1, "items_processed": 9223372036854775808}'),
(12, 'items huge', '{"cursor": 1, "items_processed": 1e400}'),
(13, 'items greatest', '{"cursor": 1, "items_processed": 9223372036854775807}'),
(14, 'items string', '{"cursor": 1, "items_processed": "5"}'),
(15, 'items null', '{"cursor": 1, "items_processed": null}'),
(16, 'items object', '{"cursor": 1, "items_processed": {}}'),
(17, 'history string', '{"cursor": 1, "items_processed": 1, "history": "x", "history_truncated": 3}'),
(18, 'history object', '{"cursor": 1, "items_processed": 1, "history": {"a": 1}}'),
(19, 'history null', '{"cursor": 1, "items_processed": 1, "history": null, "history_truncated": null}'),
(20, 'history of strings', '{"cursor": 1, "items_processed": 1, "history": ["a", "b"], "history_truncated": 3}'),
(21, 'history mixed', '{"cursor": 1, "items_processed": 1, "history": [{}, 1, {}]}'),
(22, 'truncated string', '{"cursor": 1, "items_processed": 1, "history": [{}], "history_truncated": "x"}'),
(23, 'truncated negative', '{"cursor": 1, "items_processed": 1, "history": [{}], "history_truncated": -5}'),
(24, 'truncated huge', '{"cursor": 1, "items_processed": 1, "history": [{}], "history_truncated": 1e400}'),
(25, 'truncated greatest', '{"cursor": 1, "items_processed": 1, "history": [{}], "history_truncated": 9223372036854775807}'),
(26, 'no cursor', '{"items_processed": 1}'),
(27, 'results alone', '{"accumulated_results": [1, {"a": null}]}')) v (n, label, checkpoint);
SET ROLE regress_tckpt_reader;
SELECT label, l.has_checkpoint AS has, l.cursor, l.items_processed AS items, l.accumulated_results AS results,
	l.checkpointed_at AS at, l.sequence
FROM steps, tasker_checkpoint_load(workflow_step_uuid) l ORDER BY workflow_step_uuid;
-- the accessors agree with load, and get with what is stored
SELECT label FROM steps, tasker_checkpoint_load(workflow_step_uuid) l
WHERE (l.has_checkpoint, l.cursor, l.items_processed, l.accumulated_results) IS DISTINCT FROM
	(tasker_checkpoint_exists(workflow_step_uuid), tasker_checkpoint_cursor(workflow_step_uuid),
	 tasker_checkpoint_items_processed(workflow_step_uuid), tasker_checkpoint_accumulated_results(workflow_step_uuid))
OR tasker_checkpoint_get(workflow_step_uuid) IS DISTINCT FROM nullif(checkpoint, 'null');

-- times
RESET ROLE;
DELETE FROM steps;
INSERT INTO steps (workflow_step_uuid, label, checkpoint)
SELECT ('00000000-0000-0000-0000-' || lpad(row_number() OVER ()::text, 12, '0'))::uuid, t,
	jsonb_build_object('cursor', 1, 'items_processed', 1, 'timestamp', t)
FROM (VALUES ('2026-01-06T12:00:00Z'), ('2026-01-06T12:00:00.1Z'), ('2026-01-06T12:00:00.123456Z'),
('2026-01-06T12:00:00.123456789Z'), ('2026-01-06t12:00:00z'), ('2026-01-06 12:00:00+00:00'),
('2026-01-06T12:00:00-08:30'), ('2026-01-06T12:00:00+14:00'), ('2024-02-29T23:59:59Z'), ('2016-12-31T23:59:60Z'),
('0001-01-01T00:00:00Z'), ('9999-12-31T23:59:59.999999Z'),
-- none
(''), ('x'), ('2026'), ('2026-01-06'), ('2026-01-06T12:00Z'), ('2026-01-06T12:00:00'), ('2026-01-06T12:00:00.Z'),
('2026-01-06T12:00:00+0000'), ('2026-01-06T12:00:00+24:00'), ('2026-01-06T12:00:00Zx'), ('2026-01-06T12:00:00Z '),
(' 2026-01-06T12:00:00Z'), ('2026-02-29T12:00:00Z'), ('2026-13-01T12:00:00Z'), ('2026-00-01T12:00:00Z'),
('2026-01-00T12:00:00Z'), ('2026-01-06T24:00:00Z'), ('2026-01-06T12:60:00Z'), ('2026-01-06T12:00:61Z'),
('0000-01-01T00:00:00Z'), ('now'), ('infinity'), ('2026-01-06T12:00:00Ｚ'), ('+026-01-06T12:00:00Z')) v (t);
SET ROLE regress_tckpt_reader;
SELECT quote_literal(label) AS stored, to_char(checkpointed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') AS utc
FROM steps, tasker_checkpoint_load(workflow_step_uuid) ORDER BY workflow_step_uuid;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_reader;
DROP ROLE regress_tckpt_reader;

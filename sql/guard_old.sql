-- Whatever is stored, a good write succeeds
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(), n serial, label text);
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
RESET client_min_messages;
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
INSERT INTO steps (label, checkpoint) VALUES
('nothing', NULL), ('JSON null', 'null'), ('string', '"x"'), ('empty string', '""'), ('number', '1e400'), ('boolean', 'false'),
('empty array', '[]'), ('array', '[[], {"cursor": 1}]'), ('empty object', '{}');
INSERT INTO steps (label, checkpoint) SELECT left(o::text, 60), '{"cursor": 1, "items_processed": 1}'::jsonb || o
FROM unnest(ARRAY['{"items_processed": null}', '{"items_processed": "x"}', '{"items_processed": -5}', '{"items_processed": 1e400}',
'{"items_processed": 0.5}', '{"items_processed": 9223372036854775808}', '{"items_processed": []}',
'{"history": null}', '{"history": "x"}', '{"history": 1}', '{"history": {"0": {}}}', '{"history": []}',
'{"history": ["a", "b"]}', '{"history": [1]}', '{"history": [null, null]}', '{"history": [[], [1]]}', '{"history": [true, {"cursor": 1}]}',
'{"history": [{"cursor": 1}, "x", {"cursor": 2}, {}]}', '{"history": [{"cursor": 1}, "x"]}', '{"history": [{}, {}]}',
'{"history": [{"other": [1]}]}', '{"history": ["a"], "history_truncated": 3}', '{"history": "x", "history_truncated": 3}',
'{"history": [{}], "history_truncated": null}', '{"history": [{}], "history_truncated": "x"}', '{"history": [{}], "history_truncated": 1e400}',
'{"history": [{}], "history_truncated": -1}', '{"history": [{}], "history_truncated": 1.5}', '{"history": [{}], "history_truncated": {}}',
'{"history": [{}], "history_truncated": 9223372036854775805}', '{"history": [{}], "history_truncated": 9223372036854775806}',
'{"history": [{}], "history_truncated": 9223372036854775807}', '{"history": [{}], "history_truncated": 9223372036854775808}',
'{"timestamp": null}', '{"timestamp": "x"}', '{"timestamp": ""}', '{"timestamp": 1767700800}', '{"timestamp": {}}', '{"timestamp": "infinity"}',
'{"timestamp": "294277-01-01T00:00:00Z"}', '{"timestamp": "9999-12-31T23:59:59.999999Z"}', '{"timestamp": "0000-00-00T00:00:00Z"}',
'{"accumulated_results": 1e400}']::jsonb[]) o;
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
CREATE TEMPORARY TABLE kept AS SELECT * FROM steps;
SET ROLE regress_tckpt_worker;

-- a yield: the sequence goes on as far as what was stored makes sense
SELECT label, l.sequence AS before, y.sequence
FROM (SELECT * FROM steps ORDER BY n) s, tasker_checkpoint_load(workflow_step_uuid) l,
	tasker_checkpoint_yield(workflow_step_uuid, '2', 1) y;
SELECT label, checkpoint -> 'history_truncated' AS truncated, jsonb_path_query_array(checkpoint, '$.history[*].cursor') AS cursors,
	jsonb_path_exists(checkpoint, '$.history[*] ? (@.type() != "object")') AS odd
FROM steps ORDER BY n;
-- what is stored now is in order
SELECT count(*) FROM steps WHERE checkpoint -> 'items_processed' = '1' AND checkpoint -> 'cursor' = '2'
AND checkpoint -> 'accumulated_results' = 'null'
AND (checkpoint ->> 'timestamp')::timestamptz BETWEEN now() - interval '1 minute' AND now() + interval '1 minute'
AND checkpoint #> '{history,-1}' = jsonb_build_object('cursor', 2, 'items_processed', 1, 'timestamp', checkpoint -> 'timestamp');

-- the same by a direct UPDATE, by a save, and with the strictest settings
RESET ROLE;
CREATE FUNCTION restore() RETURNS void LANGUAGE sql AS $$
	ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
	UPDATE steps SET checkpoint = kept.checkpoint FROM kept WHERE steps.n = kept.n;
	ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
$$;
CREATE TEMPORARY TABLE first AS SELECT n, checkpoint FROM steps;
GRANT SELECT ON first TO regress_tckpt_worker;
SELECT restore();
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 1}';
CREATE FUNCTION pg_temp.same(a jsonb, b jsonb) RETURNS boolean LANGUAGE sql
RETURN a - '{timestamp,history}'::text[] = b - '{timestamp,history}'::text[]
	AND jsonb_path_query_array(a, '$.history[*].cursor') = jsonb_path_query_array(b, '$.history[*].cursor');
SELECT count(*) FILTER (WHERE pg_temp.same(steps.checkpoint, first.checkpoint)) AS same, count(*) FROM steps JOIN first USING (n);
RESET ROLE;
SELECT restore();
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM steps, tasker_checkpoint_save(workflow_step_uuid, '2', 1);
SELECT count(*) FILTER (WHERE pg_temp.same(steps.checkpoint, first.checkpoint)) AS same, count(*) FROM steps JOIN first USING (n);
RESET ROLE;
SELECT restore();
SET tasker_checkpoint.history_limit = 0;
SET tasker_checkpoint.require_monotonic_items = 'all';
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 1}';
SELECT checkpoint -> 'history' AS history, count(*) FROM steps GROUP BY 1;
SELECT count(*) FROM steps, first WHERE steps.n = first.n
AND (steps.checkpoint -> 'history_truncated')::numeric
	<> least(coalesce((first.checkpoint -> 'history_truncated')::numeric, 0) + jsonb_array_length(first.checkpoint -> 'history'), 9007199254740992);
RESET ROLE;
RESET tasker_checkpoint.history_limit;
RESET tasker_checkpoint.require_monotonic_items;

-- a clear
SELECT restore();
SET ROLE regress_tckpt_worker;
SELECT c.had, count(*) FROM steps, tasker_checkpoint_clear(workflow_step_uuid) c (had) GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM steps WHERE checkpoint IS NOT NULL;
RESET ROLE;
SELECT restore();
UPDATE steps SET checkpoint = 'null';
SELECT count(*) FROM steps WHERE checkpoint IS NOT NULL;

-- without a time, whatever is sent is a new checkpoint
RESET ROLE;
SELECT restore();
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}' WHERE label = '{"history": []}';
SELECT jsonb_array_length(checkpoint -> 'history') AS entries, checkpoint ? 'timestamp' AS stamped FROM steps WHERE label = '{"history": []}';

-- an edit leaves what the guard keeps, whatever it is, or mends it
SELECT restore();
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
UPDATE steps SET checkpoint = checkpoint || '{"timestamp": "2026-01-01T00:00:00Z"}' WHERE label ~ 'history';
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}' WHERE label ~ 'history';
SELECT label, checkpoint -> 'history' AS history, checkpoint -> 'history_truncated' AS truncated FROM steps WHERE label ~ 'history' ORDER BY n;
RESET ROLE;

-- leaving it alone; only a JSON null becomes NULL
SELECT restore();
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = checkpoint;
RESET ROLE;
SELECT count(*) FILTER (WHERE steps.checkpoint IS NOT DISTINCT FROM kept.checkpoint) AS same, count(*) FROM steps JOIN kept USING (n);

DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, kept, first;
DROP FUNCTION restore;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

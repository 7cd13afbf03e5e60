-- However many entries a document says were cut, functions answer, and the next checkpoint is counted on
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb, processed boolean);
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, INSERT, DELETE, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION step(n int) RETURNS uuid LANGUAGE sql RETURN format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid;
RESET client_min_messages;
SET statement_timeout = '10s';
SET ROLE regress_tckpt_worker;

-- an INSERT brings at most 2^53, which every reader of JSON tells from its neighbours
INSERT INTO steps VALUES (:'s1', '{"cursor": 1, "items_processed": 1, "history": [], "history_truncated": 9223372036854775807}'); -- fail
\echo :LAST_ERROR_SQLSTATE
INSERT INTO steps VALUES (:'s1', '{"cursor": 1, "items_processed": 1, "history": [{"cursor": 1}], "history_truncated": 9007199254740993}'); -- fail
INSERT INTO steps VALUES (:'s1', '{"cursor": 1, "items_processed": 1, "history_truncated": 1e131071}'); -- fail
INSERT INTO steps VALUES (:'s1', '{"cursor": 1, "items_processed": 1, "history": [], "history_truncated": 9007199254740992}');
SELECT count(*) FROM tasker_checkpoint_history(:'s1');
SELECT sequence FROM tasker_checkpoint_load(:'s1');
-- an UPDATE ignores it, unless it is an edit
UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2, "history_truncated": 9223372036854775807}';
SELECT checkpoint -> 'history_truncated' AS truncated FROM steps;
UPDATE steps SET checkpoint = checkpoint || '{"history_truncated": 9223372036854775807}'; -- fail
UPDATE steps SET checkpoint = checkpoint || '{"history_truncated": 5}';
SELECT checkpoint -> 'history_truncated' AS truncated FROM steps;
-- what is stored can be stored again, however much is cut
RESET ROLE;
SET tasker_checkpoint.history_limit = 1;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '4', 4);
SELECT checkpoint AS stored FROM steps \gset
DELETE FROM steps;
INSERT INTO steps VALUES (:'s1', :'stored');
SELECT checkpoint = :'stored' AS same, checkpoint -> 'history_truncated' AS truncated FROM steps;
RESET ROLE;
RESET tasker_checkpoint.history_limit;

-- stored without the guard, at the ends of bigint and beyond; with archive and without
CREATE PROCEDURE store() LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM steps;
	ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
	INSERT INTO steps
	SELECT step(n::int), jsonb_build_object('cursor', 1, 'items_processed', items, 'timestamp', '2026-01-01T00:00:00Z', 'history_truncated', truncated, 'history', history)
	FROM (SELECT row_number() OVER (ORDER BY truncated, h, items) AS n, * FROM
		unnest(ARRAY[9007199254740991, 9007199254740992, 9007199254740993, 9223372036854775806, 9223372036854775807, 1e400]) truncated,
		(VALUES (1, '[]'::jsonb), (2, '[{"cursor": 0, "items_processed": 0, "timestamp": "2025-12-31T00:00:00Z"},
			{"cursor": 1, "items_processed": 9223372036854775807, "timestamp": "2026-01-01T00:00:00Z"}]')) h (h, history),
		unnest(ARRAY[1, 9223372036854775807]) items) x;
	ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
END
$$;
CREATE VIEW stored AS
SELECT l.sequence, count(*), array_agg(DISTINCT left(checkpoint ->> 'history_truncated', 20)) AS truncated, array_agg(DISTINCT jsonb_array_length(checkpoint -> 'history')) AS entries
FROM steps, tasker_checkpoint_load(workflow_step_uuid) l GROUP BY 1 ORDER BY 1;
CREATE FUNCTION rewound(step uuid, to_sequence bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN tasker_checkpoint_rewind(step, to_sequence);
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN regexp_replace(SQLERRM, '.* step "[-0-9]*" ', '');
END
$$;
GRANT SELECT ON stored TO regress_tckpt_worker;
CREATE PROCEDURE read_all() LANGUAGE plpgsql AS $$
DECLARE
	answers jsonb;
BEGIN
	SELECT jsonb_build_object('history', (SELECT count(*) BETWEEN 24 AND 200 FROM steps, tasker_checkpoint_history(workflow_step_uuid)),
		'least', (SELECT rewound(step(1), -9223372036854775808)), 'greatest', (SELECT rewound(step(1), 9223372036854775807)),
		'rewound', (SELECT count(*) >= 12 FROM steps, rewound(workflow_step_uuid, 9007199254740993) r WHERE r LIKE '(%' AND workflow_step_uuid > step(1)),
		'progress', (SELECT count(*) FROM tasker_checkpoint_progress()),
		'sequence', (SELECT max(sequence) FROM tasker_checkpoint_progress()),
		'health', (SELECT count(*) FROM tasker_checkpoint_health),
		'trim', (SELECT tasker_checkpoint_trim(1, dry_run => true))) INTO answers;
	RAISE NOTICE '%', answers;
END
$$;
CALL store();
SET ROLE regress_tckpt_worker;
SELECT * FROM stored;
CALL read_all();
SELECT * FROM stored;
RESET ROLE;
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 1;
SET tasker_checkpoint.require_monotonic_items = off;
CALL store();
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM steps, tasker_checkpoint_yield(workflow_step_uuid, '2', 9223372036854775807);
SELECT * FROM stored;
SELECT count(*) FROM steps, tasker_checkpoint_save(workflow_step_uuid, '3', 1);
SELECT * FROM stored;
CALL read_all();
UPDATE steps SET checkpoint = checkpoint || '{"history": [], "note": 1}';
SELECT * FROM stored;
SELECT count(*) FROM steps, tasker_checkpoint_save(workflow_step_uuid, '4', 4);
SELECT tasker_checkpoint_trim(0);
SELECT * FROM stored;
SELECT count(*) FROM steps, tasker_checkpoint_clear(workflow_step_uuid) c WHERE c;
SELECT count(*) FROM steps, tasker_checkpoint_save(workflow_step_uuid, '5', 5);
SELECT * FROM stored;
SELECT count(*) > 0 AS trail FROM steps, tasker_checkpoint_history(workflow_step_uuid);
-- as a claim delivers it
RESET ROLE;
CALL store();
SET ROLE regress_tckpt_worker;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps WHERE (checkpoint ->> 'history_truncated')::numeric < 1e300;
SELECT sequence, count(*) FROM tasker_checkpoint_claim('one', max_steps => 100) GROUP BY 1 ORDER BY 1;

RESET ROLE;
RESET statement_timeout;
DROP VIEW stored;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP PROCEDURE store, read_all;
DROP FUNCTION step, rewound;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

-- An earlier checkpoint that is written back, with the whole row, does not replace the present one
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, note text);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, INSERT, UPDATE ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE VIEW state AS SELECT note, checkpoint -> 'cursor' AS cursor, checkpoint -> 'items_processed' AS items,
	jsonb_path_query_array(checkpoint, '$.history[*].cursor') AS history, checkpoint -> 'history_truncated' AS truncated
FROM steps WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001';
GRANT SELECT ON state TO regress_tckpt_worker;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;
CREATE TEMP TABLE copy (n int PRIMARY KEY, checkpoint jsonb);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '100', 100);
INSERT INTO copy SELECT 100, checkpoint FROM steps WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_save(:'s1', '200', 200);
INSERT INTO copy SELECT 200, checkpoint FROM steps WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_save(:'s1', '300', 300, '{"sum": 3}');
INSERT INTO copy SELECT 300, checkpoint FROM steps WHERE workflow_step_uuid = :'s1';

-- the other columns are stored; one warning a transaction
UPDATE steps SET note = 'one', checkpoint = (SELECT checkpoint FROM copy WHERE n = 100) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;
BEGIN;
UPDATE steps SET note = 'two', checkpoint = (SELECT checkpoint FROM copy WHERE n = 200) WHERE workflow_step_uuid = :'s1';
UPDATE steps SET note = 'three', checkpoint = (SELECT checkpoint FROM copy WHERE n = 100) WHERE workflow_step_uuid = :'s1';
COMMIT;
SELECT * FROM state;
-- as other languages print and change it: spaces, another zone, results, unknown keys, no accumulated_results
UPDATE steps SET note = 'four', checkpoint = jsonb_set((SELECT checkpoint FROM copy WHERE n = 200), '{timestamp}',
	to_jsonb(replace((SELECT checkpoint ->> 'timestamp' FROM copy WHERE n = 200), 'Z', '+00:00')))
WHERE workflow_step_uuid = :'s1';
UPDATE steps SET note = 'five', checkpoint = (SELECT checkpoint || '{"accumulated_results": [1], "mine": true}' FROM copy WHERE n = 200) WHERE workflow_step_uuid = :'s1';
UPDATE steps SET note = 'six', checkpoint = (SELECT checkpoint - 'accumulated_results' FROM copy WHERE n = 200) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;
-- the present one, so printed, is an edit, and keeps the time as it was stored
UPDATE steps SET note = 'present', checkpoint = jsonb_set(checkpoint || '{"mine": 1}', '{timestamp}',
	to_jsonb(replace(checkpoint ->> 'timestamp', 'Z', '+00:00'))) WHERE workflow_step_uuid = :'s1';
SELECT *, (SELECT checkpoint FROM copy WHERE n = 300) || '{"mine": 1}' = (SELECT checkpoint FROM steps WHERE workflow_step_uuid = :'s1') AS edited FROM state;
UPDATE steps SET checkpoint = checkpoint - 'mine' WHERE workflow_step_uuid = :'s1';
-- a copy whose history was cut off, and one whose history is left out
SET ROLE NONE;
SET tasker_checkpoint.history_limit = 0;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '400', 400);
RESET tasker_checkpoint.history_limit;
INSERT INTO copy SELECT 400, checkpoint FROM steps WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '500', 500);
UPDATE steps SET note = 'seven', checkpoint = (SELECT checkpoint FROM copy WHERE n = 400) WHERE workflow_step_uuid = :'s1';
UPDATE steps SET note = 'eight', checkpoint = (SELECT checkpoint - 'history' FROM copy WHERE n = 400) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;
-- by MERGE and an upsert
MERGE INTO steps s USING copy c ON s.workflow_step_uuid = :'s1' AND c.n = 300
WHEN MATCHED AND c.n = 300 THEN UPDATE SET note = 'nine', checkpoint = c.checkpoint;
INSERT INTO steps SELECT :'s1', 'ten', checkpoint FROM copy WHERE n = 300
ON CONFLICT (workflow_step_uuid) DO UPDATE SET note = excluded.note, checkpoint = excluded.checkpoint;
SELECT * FROM state;

-- what is new is none: without a time, with another one, a history that does not say so
UPDATE steps SET note = 'new 1', checkpoint = (SELECT checkpoint - 'timestamp' FROM copy WHERE n = 200) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;
UPDATE steps SET note = 'new 2', checkpoint = (SELECT checkpoint || '{"timestamp": "2020-01-01T00:00:00Z"}' FROM copy WHERE n = 300) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;
UPDATE steps SET note = 'new 3', checkpoint = (SELECT checkpoint || '{"cursor": 350}' FROM copy WHERE n = 300) WHERE workflow_step_uuid = :'s1';
UPDATE steps SET note = 'new 4', checkpoint = (SELECT checkpoint || '{"items_processed": 350}' FROM copy WHERE n = 300) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;
-- an upsert that is new has the time of its INSERT half, which has composed it
INSERT INTO steps VALUES (:'s1', 'new 5', '{"cursor": 600, "items_processed": 600}')
ON CONFLICT (workflow_step_uuid) DO UPDATE SET note = excluded.note, checkpoint = excluded.checkpoint;
INSERT INTO steps VALUES (:'s1', 'new 6', '{"cursor": 700, "items_processed": 700}'), (:'s2', 'new', '{"cursor": 1, "items_processed": 1}')
ON CONFLICT (workflow_step_uuid) DO UPDATE SET note = excluded.note, checkpoint = excluded.checkpoint || '{"mine": 1}';
SELECT * FROM state;
-- a row's own copy from its INSERT, written back later
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000003', '', '{"cursor": 1, "items_processed": 1}')
RETURNING checkpoint AS mine \gset
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000003', '2', 2);
UPDATE steps SET checkpoint = :'mine' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000003';
SELECT cursor, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000003');

-- the same within one statement
DO $$
DECLARE
	mine jsonb;
BEGIN
	INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000004', '', '{"cursor": 1, "items_processed": 1}') RETURNING checkpoint INTO mine;
	UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2}' WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000004';
	UPDATE steps SET checkpoint = mine WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000004';
END $$;
SELECT cursor, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000004');

-- after a clear it is not recognized: a new generation
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
UPDATE steps SET checkpoint = (SELECT checkpoint FROM copy WHERE n = 100) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;

-- printed again by clients, in both places: whatever of the time they keep
CREATE TEMP TABLE printed (style text, format text);
INSERT INTO printed VALUES ('with an offset', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'), ('without a zone', 'YYYY-MM-DD"T"HH24:MI:SS.US'),
	('Ruby', 'YYYY-MM-DD HH24:MI:SS "UTC"'), ('Ruby, with an offset', 'YYYY-MM-DD HH24:MI:SS "+0000"'), ('PostgreSQL', 'YYYY-MM-DD HH24:MI:SS.US"+00"'),
	('Java', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z[UTC]"'), ('milliseconds', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), ('seconds', 'YYYY-MM-DD"T"HH24:MI:SS"Z"');
CREATE FUNCTION pg_temp.print(doc jsonb, format text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_set(jsonb_set(doc, '{timestamp}', to_jsonb(to_char((doc ->> 'timestamp')::timestamptz AT TIME ZONE 'UTC', format))), '{history}',
		(SELECT jsonb_agg(e - 'items_processed' || jsonb_build_object('timestamp', to_char((e ->> 'timestamp')::timestamptz AT TIME ZONE 'UTC', format)) ORDER BY n)
		 FROM jsonb_array_elements(doc -> 'history') WITH ORDINALITY h (e, n)))
$$;
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000005');
SELECT max(sequence) FROM generate_series(1, 4) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000005', to_jsonb(i * 100), i * 100);
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000005', '500', 500);
SET client_min_messages = error;
CREATE TEMP TABLE stored (style text, cursor jsonb);
DO $$
DECLARE
	p printed;
	copied jsonb := (SELECT checkpoint FROM steps WHERE workflow_step_uuid::text LIKE '%5');
BEGIN
	copied := jsonb_set(copied - 'accumulated_results' || jsonb_build_object('cursor', 400, 'items_processed', 400, 'timestamp', copied #> '{history,3,timestamp}'),
		'{history}', (copied -> 'history') - 4);
	FOR p IN SELECT * FROM printed LOOP
		UPDATE steps SET checkpoint = pg_temp.print(copied, p.format) WHERE workflow_step_uuid::text LIKE '%5';
		INSERT INTO stored SELECT p.style, checkpoint -> 'cursor' FROM steps WHERE workflow_step_uuid::text LIKE '%5';
	END LOOP;
END $$;
RESET client_min_messages;
SELECT * FROM stored ORDER BY style COLLATE "C";

-- a writer who composes like the guard, with a clock of its own, and has never heard of history_truncated
RESET ROLE;
SET tasker_checkpoint.history_limit = 3;
SELECT max(sequence) FROM generate_series(6, 12) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000005', to_jsonb(i * 100), i * 100);
DO $$
DECLARE
	t timestamptz := clock_timestamp();
BEGIN
	UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1300, 'items_processed', 1300, 'timestamp', t, 'accumulated_results', NULL,
		'history', checkpoint -> 'history' || jsonb_build_array(jsonb_build_object('cursor', 1300, 'timestamp', t)))
	WHERE workflow_step_uuid::text LIKE '%5';
END $$;
SELECT cursor, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000005');
-- whose clock is late, but not later than what the history knows
DO $$
DECLARE
	t timestamptz := (SELECT (checkpoint ->> 'timestamp')::timestamptz - interval '1 microsecond' FROM steps WHERE workflow_step_uuid::text LIKE '%5');
BEGIN
	UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1400, 'items_processed', 1400, 'timestamp', t, 'accumulated_results', NULL,
		'history', checkpoint -> 'history' || jsonb_build_array(jsonb_build_object('cursor', 1400, 'timestamp', t)))
	WHERE workflow_step_uuid::text LIKE '%5';
END $$;
SELECT cursor, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000005');
RESET tasker_checkpoint.history_limit;

-- without a time of its own it is new, also where its history is empty
RESET ROLE;
SET tasker_checkpoint.history_limit = 0;
SELECT sequence FROM tasker_checkpoint_save(:'s2', '10', 10);
SELECT checkpoint AS copied FROM steps WHERE workflow_step_uuid = :'s2' \gset
SELECT sequence FROM tasker_checkpoint_save(:'s2', '20', 20);
UPDATE steps SET checkpoint = :'copied'::jsonb WHERE workflow_step_uuid = :'s2';
SELECT cursor FROM tasker_checkpoint_load(:'s2');
UPDATE steps SET checkpoint = :'copied'::jsonb - 'timestamp' WHERE workflow_step_uuid = :'s2';
SELECT cursor FROM tasker_checkpoint_load(:'s2');
RESET tasker_checkpoint.history_limit;
SET ROLE regress_tckpt_worker;

-- looked at before the claim that is required, and before items
RESET ROLE;
SET tasker_checkpoint.require_claim = on;
SET tasker_checkpoint.require_monotonic_items = 'all';
INSERT INTO copy SELECT 1, checkpoint FROM steps WHERE workflow_step_uuid = :'s1';
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('w') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '900', 900, NULL, :'claimed');
UPDATE steps SET note = 'last', checkpoint = (SELECT checkpoint FROM copy WHERE n = 1) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;

DROP EXTENSION tasker_checkpoint;
DROP VIEW state;
DROP FUNCTION pg_temp.print;
DROP TABLE steps, copy, stored, printed;
DROP ROLE regress_tckpt_worker;

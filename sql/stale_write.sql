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

-- after a clear it is not recognized: a new generation
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
UPDATE steps SET checkpoint = (SELECT checkpoint FROM copy WHERE n = 100) WHERE workflow_step_uuid = :'s1';
SELECT * FROM state;

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
DROP TABLE steps, copy;
DROP ROLE regress_tckpt_worker;

-- Upserts, MERGE, views and CTEs are guarded like any UPDATE
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text);
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON steps TO regress_tckpt_writer;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_writer;
CREATE VIEW stored AS
SELECT workflow_step_uuid AS step, label, checkpoint -> 'cursor' AS cursor, checkpoint -> 'items_processed' AS items,
	jsonb_path_query_array(checkpoint, '$.history[*].cursor') AS cursors, checkpoint -> 'history_truncated' AS truncated
FROM steps ORDER BY 1;
GRANT SELECT ON stored TO regress_tckpt_writer;
RESET client_min_messages;
SET ROLE regress_tckpt_writer;

-- an upsert: first an INSERT, then an UPDATE of the locked row
PREPARE upsert (uuid, jsonb) AS
INSERT INTO steps VALUES ($1, 'upserted', $2)
ON CONFLICT (workflow_step_uuid) DO UPDATE SET checkpoint = EXCLUDED.checkpoint, label = steps.label || '+';
EXECUTE upsert (:'s1', '{"cursor": 1, "items_processed": 1}');
EXECUTE upsert (:'s1', '{"cursor": 2, "items_processed": 2, "history": []}');
EXECUTE upsert (:'s1', '{"cursor": 2, "items_processed": 2, "history": []}');
EXECUTE upsert (:'s1', '{"cursor": 3, "items_processed": 3, "history": [{"cursor": "forged"}, {"cursor": "forged"}], "history_truncated": 99}');
SELECT * FROM stored;
EXECUTE upsert (:'s1', '{"cursor": 4}'); -- fail
EXECUTE upsert (:'s1', 'null');
SELECT * FROM stored;
EXECUTE upsert (:'s1', '{"cursor": 5, "items_processed": 5}');
-- DO NOTHING
INSERT INTO steps VALUES (:'s1', 'x', '{"cursor": 6, "items_processed": 6}') ON CONFLICT DO NOTHING;
SELECT * FROM stored;
-- a history that is taken from EXCLUDED or from the row makes no difference
INSERT INTO steps VALUES (:'s1', 'x', '{"cursor": 7, "items_processed": 7}') ON CONFLICT (workflow_step_uuid) DO UPDATE
SET checkpoint = jsonb_set(EXCLUDED.checkpoint, '{history}', (steps.checkpoint -> 'history') || (EXCLUDED.checkpoint -> 'history'));
SELECT * FROM stored;
-- two rows at once, one of them new
INSERT INTO steps VALUES (:'s1', 'x', '{"cursor": 8, "items_processed": 8}'), (:'s2', 'new', '{"cursor": 8, "items_processed": 8}')
ON CONFLICT (workflow_step_uuid) DO UPDATE SET checkpoint = EXCLUDED.checkpoint;
SELECT * FROM stored;

-- over a limit: the INSERT would only warn, the UPDATE is refused
RESET ROLE;
SET tasker_checkpoint.cursor_limit = 20;
SET ROLE regress_tckpt_writer;
\set VERBOSITY sqlstate
EXECUTE upsert (:'s1', '{"cursor": "too long!", "items_processed": 9}'); -- fail
EXECUTE upsert (:'s1', '{"cursor": 9, "items_processed": 9}');
\set VERBOSITY default
RESET ROLE;
RESET tasker_checkpoint.cursor_limit;
SET ROLE regress_tckpt_writer;

-- MERGE
CREATE TABLE regress_tckpt.source (step uuid, checkpoint jsonb);
INSERT INTO regress_tckpt.source VALUES (:'s1', '{"cursor": 10, "items_processed": 10, "history": []}'),
(:'s2', NULL), ('00000000-0000-0000-0000-000000000003', '{"cursor": 10, "items_processed": 10, "history": []}');
MERGE INTO steps USING regress_tckpt.source ON step = workflow_step_uuid
WHEN MATCHED THEN UPDATE SET checkpoint = source.checkpoint
WHEN NOT MATCHED THEN INSERT VALUES (source.step, 'merged', source.checkpoint);
SELECT * FROM stored;
UPDATE regress_tckpt.source SET checkpoint = '{"cursor": 11}' WHERE step = :'s2';
MERGE INTO steps USING regress_tckpt.source ON step = workflow_step_uuid
WHEN MATCHED THEN UPDATE SET checkpoint = source.checkpoint; -- fail
DELETE FROM regress_tckpt.source WHERE step = :'s2';
MERGE INTO steps USING regress_tckpt.source ON step = workflow_step_uuid
WHEN MATCHED AND label = 'merged' THEN DELETE
WHEN MATCHED THEN UPDATE SET checkpoint = source.checkpoint - 'history' || '{"cursor": 11, "items_processed": 11}';
SELECT * FROM stored;

-- UPDATE ... FROM, and RETURNING what is stored
UPDATE steps SET checkpoint = source.checkpoint || '{"cursor": 12}' FROM regress_tckpt.source WHERE step = workflow_step_uuid
RETURNING steps.checkpoint -> 'cursor' AS cursor, jsonb_array_length(steps.checkpoint -> 'history') AS entries;

-- in a CTE
WITH moved AS (
	DELETE FROM steps WHERE workflow_step_uuid = :'s1' RETURNING *)
INSERT INTO steps SELECT '00000000-0000-0000-0000-000000000004', 'moved', checkpoint FROM moved;
SELECT * FROM stored;
WITH new AS (
	UPDATE steps SET checkpoint = '{"cursor": 13, "items_processed": 13}' WHERE label = 'moved' RETURNING *)
SELECT new.checkpoint -> 'cursor' AS new, steps.checkpoint -> 'cursor' AS before FROM new JOIN steps USING (workflow_step_uuid);

-- through a view
CREATE VIEW regress_tckpt.view AS SELECT workflow_step_uuid AS step, checkpoint AS progress FROM steps;
UPDATE regress_tckpt.view SET progress = '{"cursor": 14, "items_processed": 14}';
INSERT INTO regress_tckpt.view VALUES (:'s1', '{"cursor": 14, "items_processed": 14}');
UPDATE regress_tckpt.view SET progress = '[]' WHERE step = :'s1'; -- fail
SELECT * FROM stored;

RESET ROLE;
SET client_min_messages = error;
DEALLOCATE upsert;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP VIEW stored;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_writer;
DROP ROLE regress_tckpt_writer;

-- At DEBUG1 each new checkpoint says a line, with figures and neither cursor nor results
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, note text);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE FUNCTION write(items bigint) RETURNS bigint LANGUAGE plpgsql AS
'BEGIN RETURN sequence FROM tasker_checkpoint_save(''00000000-0000-0000-0000-000000000001'', ''"secret cursor"'', items, ''"secret results"''); END';
SET tasker_checkpoint.history_limit = 2;
-- at that level the server tells of its caches as well, when they grow
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}';
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}';
SELECT write(2);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '"secret cursor"', 3, '"secret results"');
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 2);
SELECT tasker_checkpoint_clear(:'s1');

-- functions, plain SQL, an INSERT; not an edit, a clear or a row without a checkpoint
SET client_min_messages = debug1;
SELECT write(10);
SELECT write(20);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '"secret cursor"', 30, '"secret results"');
UPDATE steps SET checkpoint = '{"cursor": "secret cursor", "items_processed": 40}';
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 3);
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}';
UPDATE steps SET note = 'other';
SELECT tasker_checkpoint_clear(:'s1');
INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES
	('00000000-0000-0000-0000-000000000002', '{"cursor": "secret cursor", "items_processed": 50}'),
	('00000000-0000-0000-0000-000000000003', NULL);
SELECT write(1);
-- nor what is refused
SELECT write(0); -- fail
RESET client_min_messages;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION write;
DROP TABLE steps;

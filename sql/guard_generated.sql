-- A key that the server computes is known before the row is stored, and so is whether a step is done
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE jobs (id bigint PRIMARY KEY, done_at timestamptz,
	step_uuid uuid NOT NULL GENERATED ALWAYS AS (lpad(to_hex(id), 32, '0')::uuid) STORED UNIQUE);
-- virtual where the server has that
SELECT format('ALTER TABLE jobs ADD COLUMN processed boolean GENERATED ALWAYS AS (done_at IS NOT NULL) %s',
	CASE WHEN current_setting('server_version_num')::integer < 180000 THEN 'STORED' ELSE 'VIRTUAL' END) AS add_column \gset
:add_column;
SELECT tasker_checkpoint_attach('jobs', 'step_uuid');
SET tasker_checkpoint.archive_history = on;
RESET client_min_messages;

-- messages name the step
INSERT INTO jobs (id, checkpoint) VALUES (1, '{}'); -- fail
INSERT INTO jobs (id) VALUES (1);

-- one that is dispatched keeps its key
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
UPDATE jobs SET id = 2; -- fail
UPDATE jobs SET id = 2, checkpoint = '{"cursor": 1, "items_processed": 1}'; -- fail
UPDATE jobs SET id = 1;
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'e');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2, NULL, :'e');

-- one that is done takes no checkpoint
UPDATE jobs SET done_at = now();
SELECT processed FROM jobs;
SELECT tasker_checkpoint_save(:'s1', '3', 3, NULL, :'e'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '3', 3, NULL, :'e'); -- fail
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
UPDATE jobs SET done_at = NULL;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3, NULL, :'e');
SELECT tasker_checkpoint_complete(:'e');

-- a key that another row gets shows nothing of the one before, whichever way it comes
SELECT tasker_checkpoint_clear(:'s1');
SELECT sequence, cursor FROM tasker_checkpoint_history(:'s1') ORDER BY 1;
UPDATE jobs SET id = 2;
SELECT sequence, cursor FROM tasker_checkpoint_history(:'s2') ORDER BY 1;
INSERT INTO jobs (id) VALUES (1);
SELECT sequence, cursor FROM tasker_checkpoint_history(:'s1') ORDER BY 1;
SELECT sequence FROM tasker_checkpoint_save(:'s2', '1', 1);
SELECT tasker_checkpoint_clear(:'s2');
DELETE FROM jobs WHERE id = 2;
UPDATE jobs SET id = 2;
SELECT sequence, cursor FROM tasker_checkpoint_history(:'s2') ORDER BY 1;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE jobs;

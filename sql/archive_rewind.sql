-- Rewind to a checkpoint that only the archive still has
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
RESET client_min_messages;

SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 3;
SELECT max(sequence) FROM generate_series(1, 10) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i * 10), i);
SELECT tasker_checkpoint_clear('00000000-0000-0000-0000-000000000001');
SELECT max(sequence) FROM generate_series(1, 12) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i * 100), i);

-- of this generation: the first, one in the middle of a row, one that is still in the history
SELECT * FROM tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 1, '"again"');
SELECT checkpoint - 'timestamp' - 'history' AS checkpoint FROM steps;
SELECT sequence FROM tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 5);
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');
SELECT sequence FROM tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 13);
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');

-- also when archiving has been turned off
SET tasker_checkpoint.archive_history = off;
SELECT sequence FROM tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 2);
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');

-- what was cut while archiving was off, with which the trail is lost; what is to come, what was purged
SELECT max(sequence) FROM generate_series(1, 10) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i * 100), i + 10);
SELECT tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 20); -- fail
SELECT tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 3); -- fail
SELECT tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 27); -- fail
SELECT tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 0); -- fail
DELETE FROM tasker_checkpoint_archive WHERE last_sequence < 7;
SELECT tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 2); -- fail
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');

RESET tasker_checkpoint.archive_history;
RESET tasker_checkpoint.history_limit;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

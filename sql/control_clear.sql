-- clear removes a checkpoint; reset_for_retry makes a step ready again and keeps it unless told
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, in_process boolean NOT NULL, processed boolean NOT NULL,
	processed_at timestamp, attempts int, backoff_request_seconds int, inputs jsonb, results jsonb, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1', false, false, NULL, 3, NULL, '{"n": 1}', NULL, '2000-01-01');
CREATE ROLE regress_tckpt_operator;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_operator;
RESET client_min_messages;
SET ROLE regress_tckpt_operator;
\pset null '(null)'

-- nothing to clear
SELECT tasker_checkpoint_clear(:'s1');
SELECT updated_at = '2000-01-01' AS untouched FROM steps;
-- something
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, '{"sum": 1}');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, '{"sum": 3}');
UPDATE steps SET updated_at = '2000-01-01';
SELECT tasker_checkpoint_clear(:'s1');
SELECT checkpoint, updated_at > '2000-01-01' AS touched FROM steps;
SELECT tasker_checkpoint_clear(:'s1');
-- the next checkpoint is a first one, and may have fewer items
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT jsonb_array_length(checkpoint -> 'history') AS entries, checkpoint ? 'history_truncated' AS truncated FROM steps;
-- a processed step can be cleared
UPDATE steps SET processed = true;
SELECT tasker_checkpoint_clear(:'s1');
UPDATE steps SET processed = false;

-- refused
SELECT tasker_checkpoint_clear(NULL); -- fail
SELECT tasker_checkpoint_clear(:'missing'); -- fail
SELECT tasker_checkpoint_reset_for_retry(NULL); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'s1', NULL); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'missing'); -- fail
SELECT tasker_checkpoint_reset_for_retry(:'missing', true); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_clear(:'s1'); -- fail
ROLLBACK;
BEGIN READ ONLY;
SELECT tasker_checkpoint_reset_for_retry(:'s1'); -- fail
ROLLBACK;

-- a step that has failed: ready again, the checkpoint stays
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2);
UPDATE steps SET in_process = true, processed = true, processed_at = '2001-01-01', results = '{"error": "x"}',
	backoff_request_seconds = 30, updated_at = '2000-01-01';
CREATE TEMPORARY TABLE kept AS SELECT checkpoint FROM steps;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT in_process, processed, processed_at, attempts, backoff_request_seconds, inputs, results,
	updated_at > '2000-01-01' AS touched, steps.checkpoint = kept.checkpoint AS kept
FROM steps, kept;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3);

-- told to drop it
UPDATE steps SET in_process = true, processed = true, results = '[]';
SELECT tasker_checkpoint_reset_for_retry(step_uuid => :'s1', reset_checkpoint => true);
SELECT in_process, processed, results, checkpoint FROM steps;
SELECT tasker_checkpoint_reset_for_retry(:'s1', true);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);

-- a checkpoint that is a JSON null, stored without the guard, is none
RESET ROLE;
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
UPDATE steps SET checkpoint = 'null';
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_clear(:'s1');

-- a table that lacks most columns, and one that lacks all of them
RESET ROLE;
SELECT tasker_checkpoint_detach();
DROP TABLE steps;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, in_process text DEFAULT 'text', processed boolean DEFAULT true,
	results text DEFAULT 'some');
SELECT tasker_checkpoint_attach('steps');
GRANT SELECT, UPDATE ON steps TO regress_tckpt_operator;
INSERT INTO steps VALUES (:'s1');
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_reset_for_retry(:'s1', true);
SELECT * FROM steps;
RESET ROLE;
ALTER TABLE steps DROP COLUMN in_process, DROP COLUMN processed, DROP COLUMN results;
SET ROLE regress_tckpt_operator;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT tasker_checkpoint_exists(:'s1');
SELECT tasker_checkpoint_reset_for_retry(:'s1', true);
SELECT tasker_checkpoint_exists(:'s1');
SELECT tasker_checkpoint_reset_for_retry(:'missing'); -- fail

-- columns that are generated, and a checkpoint that has the name of a column to be reset
RESET ROLE;
SELECT tasker_checkpoint_detach();
DROP TABLE steps;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, state text, in_process boolean DEFAULT true,
	processed boolean GENERATED ALWAYS AS (state = 'done') STORED, results text GENERATED ALWAYS AS (state || '!') STORED);
SELECT tasker_checkpoint_attach('steps');
GRANT SELECT, UPDATE ON steps TO regress_tckpt_operator;
INSERT INTO steps VALUES (:'s1', 'failed');
SET ROLE regress_tckpt_operator;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT in_process, processed, results, tasker_checkpoint_cursor(:'s1') FROM steps;
RESET ROLE;
ALTER TABLE steps DROP COLUMN results;
ALTER TABLE steps RENAME checkpoint TO results;
UPDATE steps SET in_process = true;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT in_process, tasker_checkpoint_cursor(:'s1') FROM steps;
SELECT tasker_checkpoint_reset_for_retry(:'s1', true);
SELECT in_process, tasker_checkpoint_exists(:'s1') FROM steps;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, kept;
DROP OWNED BY regress_tckpt_operator;
DROP ROLE regress_tckpt_operator;

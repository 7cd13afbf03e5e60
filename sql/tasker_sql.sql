-- Tasker's own statement keeps every entry, stays bounded and gets items_processed into history
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (
	workflow_step_uuid uuid DEFAULT gen_random_uuid() PRIMARY KEY,
	task_uuid uuid NOT NULL,
	named_step_uuid uuid NOT NULL,
	retryable boolean DEFAULT true NOT NULL,
	max_attempts integer DEFAULT 3,
	in_process boolean DEFAULT false NOT NULL,
	processed boolean DEFAULT false NOT NULL,
	processed_at timestamp,
	attempts integer,
	last_attempted_at timestamp,
	backoff_request_seconds integer,
	inputs jsonb,
	results jsonb,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	priority integer DEFAULT 0 NOT NULL,
	checkpoint jsonb,
	UNIQUE (task_uuid, named_step_uuid));
CREATE INDEX idx_workflow_steps_checkpoint_exists ON tasker.workflow_steps (workflow_step_uuid) WHERE checkpoint IS NOT NULL;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_tasker;
GRANT USAGE ON SCHEMA tasker TO regress_tckpt_tasker;
GRANT SELECT, INSERT, UPDATE, DELETE ON tasker.workflow_steps TO regress_tckpt_tasker;
RESET client_min_messages;
SET ROLE regress_tckpt_tasker;
INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, named_step_uuid, created_at, updated_at)
VALUES (:'s1', gen_random_uuid(), gen_random_uuid(), '2000-01-01', '2000-01-01');

PREPARE persist (jsonb, uuid) AS
UPDATE tasker.workflow_steps SET
	checkpoint = jsonb_set($1, '{history}',
		coalesce((SELECT checkpoint -> 'history' FROM tasker.workflow_steps WHERE workflow_step_uuid = $2), '[]'::jsonb)
		|| jsonb_build_array(jsonb_build_object('cursor', $1 -> 'cursor', 'timestamp', now()))),
	updated_at = now()
WHERE workflow_step_uuid = $2;

EXECUTE persist ('{"cursor": 25, "items_processed": 25, "timestamp": "2026-01-06T12:00:00.123456789Z", "accumulated_results": {"running_total": 325}, "history": []}', :'s1');
EXECUTE persist ('{"cursor": 50, "items_processed": 50, "timestamp": "2026-01-06T12:00:01.123456789Z", "accumulated_results": {"running_total": 1275}, "history": []}', :'s1');
EXECUTE persist ('{"cursor": 75, "items_processed": 75, "timestamp": "2026-01-06T12:00:02.123456789Z", "accumulated_results": {"running_total": 2850}, "history": []}', :'s1');
SELECT checkpoint - '{history,timestamp}'::text[] AS checkpoint, checkpoint ->> 'timestamp' > '2026-01-07' OR now() < '2026-01-07' AS stamped
FROM tasker.workflow_steps;
SELECT entry - 'timestamp' AS entry, entry ->> 'timestamp' ~ '^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$' AS timed
FROM tasker.workflow_steps, jsonb_array_elements(checkpoint -> 'history') WITH ORDINALITY h (entry, n) ORDER BY n;

-- what Tasker's own readers need, is there
SELECT checkpoint ->> 'cursor' AS cursor, (checkpoint ->> 'items_processed')::bigint AS items, checkpoint -> 'accumulated_results' AS results,
	(checkpoint ->> 'timestamp')::timestamptz IS NOT NULL AS timed, jsonb_typeof(checkpoint -> 'history') AS history
FROM tasker.workflow_steps WHERE workflow_step_uuid = :'s1' AND checkpoint IS NOT NULL;

-- a batch whose items are counted for each dispatch is not refused
EXECUTE persist ('{"cursor": 100, "items_processed": 25, "timestamp": "2026-01-06T12:00:03Z", "accumulated_results": null, "history": []}', :'s1');
SELECT jsonb_path_query_array(checkpoint, '$.history[*].items_processed') AS items FROM tasker.workflow_steps;

-- the same statement ten times over, with a history of five
RESET ROLE;
SET tasker_checkpoint.history_limit = 5;
SET ROLE regress_tckpt_tasker;
\set same '{"cursor": 125, "items_processed": 125, "timestamp": "2026-01-06T12:00:03Z", "accumulated_results": null, "history": []}'
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
SELECT jsonb_array_length(checkpoint -> 'history') AS entries, checkpoint -> 'history_truncated' AS truncated, sequence
FROM tasker.workflow_steps, tasker_checkpoint_load(workflow_step_uuid);
RESET ROLE;
RESET tasker_checkpoint.history_limit;
SET ROLE regress_tckpt_tasker;

-- in one transaction
BEGIN;
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
EXECUTE persist (:'same', :'s1');
COMMIT;
SELECT jsonb_array_length(checkpoint -> 'history') AS entries, checkpoint -> 'history_truncated' AS truncated,
	count(DISTINCT entry ->> 'timestamp') = count(*) AS times_differ
FROM tasker.workflow_steps, jsonb_array_elements(checkpoint -> 'history') entry GROUP BY 1, 2;

-- our functions go on from there, and Tasker from them
RESET ROLE;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '150', 150);
SET ROLE regress_tckpt_tasker;
EXECUTE persist ('{"cursor": 175, "items_processed": 175, "timestamp": "2026-01-06T12:00:03Z", "accumulated_results": null, "history": []}', :'s1');
SELECT sequence, cursor FROM tasker_checkpoint_load(:'s1');

-- a refused one leaves what is there; so does one for a step that is not
EXECUTE persist ('{"cursor": 200, "timestamp": "2026-01-06T12:00:03Z"}', :'s1'); -- fail
EXECUTE persist (jsonb_build_object('cursor', repeat('x', 70000), 'items_processed', 200), :'s1'); -- fail
EXECUTE persist (:'same', '00000000-0000-0000-0000-000000000002');
SELECT sequence, cursor FROM tasker_checkpoint_load(:'s1');

-- its clear and its reset
UPDATE tasker.workflow_steps SET checkpoint = NULL, updated_at = now() WHERE workflow_step_uuid = :'s1';
SELECT checkpoint FROM tasker.workflow_steps;
EXECUTE persist ('{"cursor": 25, "items_processed": 25, "timestamp": "2026-01-06T12:00:03Z", "accumulated_results": null, "history": []}', :'s1');
SELECT sequence FROM tasker_checkpoint_load(:'s1');
UPDATE tasker.workflow_steps SET in_process = false, processed = false, processed_at = NULL, results = NULL, backoff_request_seconds = NULL,
	updated_at = now() WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_load(:'s1');

RESET ROLE;
SET client_min_messages = error;
DEALLOCATE persist;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA tasker CASCADE;
DROP OWNED BY regress_tckpt_tasker;
DROP ROLE regress_tckpt_tasker;

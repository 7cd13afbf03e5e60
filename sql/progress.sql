-- The view of progress: which steps it shows, and what of them
\set SHOW_CONTEXT never
SET client_min_messages = error;
SET timezone = 'UTC';
CREATE EXTENSION tasker_checkpoint;
SELECT count(*) FROM tasker_checkpoint_progress; -- no table is attached
SELECT * FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000001'); -- fail
CREATE SCHEMA tasker;
CREATE TABLE tasker.named_steps (named_step_uuid uuid PRIMARY KEY, name varchar(128));
CREATE TABLE tasker.named_tasks (named_task_uuid uuid PRIMARY KEY, name varchar(64));
CREATE TABLE tasker.tasks (task_uuid uuid PRIMARY KEY, named_task_uuid uuid);
CREATE TABLE tasker.workflow_steps (
	workflow_step_uuid uuid PRIMARY KEY, task_uuid uuid, named_step_uuid uuid,
	processed boolean NOT NULL DEFAULT false, inputs jsonb);
INSERT INTO tasker.named_steps VALUES
	('00000000-0000-0000-0000-00000000000b', 'import'), ('00000000-0000-0000-0000-00000000000c', 'export');
INSERT INTO tasker.named_tasks VALUES ('00000000-0000-0000-0000-00000000000d', 'nightly');
INSERT INTO tasker.tasks VALUES
	('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000d'),
	('00000000-0000-0000-0000-0000000000aa', NULL);
SELECT tasker_checkpoint_attach();

-- 1 has a checkpoint, 2 is dispatched, 3 both, 4 is done, 5 neither
INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, named_step_uuid, processed, inputs, checkpoint) VALUES
('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000b', false,
 '{"cursor": {"batch_id": "001", "start_cursor": 0, "end_cursor": 10000, "batch_size": 500}}',
 '{"cursor": 2500, "items_processed": 2500, "timestamp": "2026-01-01T00:00:25.000000Z", "accumulated_results": null, "history": [
	{"cursor": 1000, "items_processed": 1000, "timestamp": "2026-01-01T00:00:10.000000Z"},
	{"cursor": 2500, "items_processed": 2500, "timestamp": "2026-01-01T00:00:25.000000Z"}], "history_truncated": 40}'),
('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-0000000000aa', '00000000-0000-0000-0000-00000000000c', false, NULL, NULL),
('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-0000000000bb', '00000000-0000-0000-0000-0000000000cc', false, '[]',
 '{"cursor": 1, "items_processed": 7, "timestamp": "2026-01-01T00:00:07.000000Z", "history": [], "history_truncated": 3}'),
('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-00000000000c', true, NULL,
 '{"cursor": 1, "items_processed": 1, "timestamp": "2026-01-01T00:00:01.000000Z", "history": [], "history_truncated": 1}'),
('00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-00000000000b', '00000000-0000-0000-0000-00000000000b', false, NULL, NULL);
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM tasker.workflow_steps WHERE workflow_step_uuid::text ~ '[23]$';
SELECT c.deliveries FROM tasker_checkpoint_claim('worker 1', '1 hour', 1, '00000000-0000-0000-0000-000000000003') c;

\x on
SELECT step_uuid, step_name, task_uuid, task_name, items_processed, total, percent, rate, eta, checkpointed_at, sequence,
	state, worker, lease_until > clock_timestamp() AS leased, deliveries
FROM tasker_checkpoint_progress ORDER BY step_uuid;
\x off

-- one step: the same row, or none
SELECT p.step_uuid, p = v AS same
FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000001') p
JOIN tasker_checkpoint_progress v USING (step_uuid);
SELECT step_uuid FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000002');
SELECT step_uuid FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000004');
SELECT step_uuid FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000005');
SELECT step_uuid FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000009'); -- fail

-- also where nothing can be written
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM tasker_checkpoint_progress;
COMMIT;

-- a dispatched step that is gone is not shown
SET session_replication_role = replica;
DELETE FROM tasker.workflow_steps WHERE workflow_step_uuid::text ~ '2$';
RESET session_replication_role;
SELECT step_uuid FROM tasker_checkpoint_progress ORDER BY step_uuid;

-- the view follows a renamed table
ALTER SCHEMA tasker RENAME TO "Tasker";
ALTER TABLE "Tasker".workflow_steps RENAME COLUMN workflow_step_uuid TO "the key";
ALTER TABLE "Tasker".workflow_steps RENAME COLUMN checkpoint TO "so far";
SELECT step_uuid, step_name, items_processed, state FROM tasker_checkpoint_progress ORDER BY step_uuid;

DROP SCHEMA "Tasker" CASCADE;
SELECT count(*) FROM tasker_checkpoint_progress;
DROP EXTENSION tasker_checkpoint;

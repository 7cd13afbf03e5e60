-- With examples/staleness.sql Tasker's staleness detector leaves those tasks alone of which a step checkpoints, or is paused
\getenv abs_srcdir PG_ABS_SRCDIR
\set script :abs_srcdir '/examples/staleness.sql'
SET client_min_messages = error;
CREATE SCHEMA tasker;
CREATE SCHEMA tckpt_home;
CREATE TABLE tasker.tasks (task_uuid uuid PRIMARY KEY, minutes numeric);
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, task_uuid uuid REFERENCES tasker.tasks,
	processed boolean NOT NULL DEFAULT false, updated_at timestamp, checkpoint jsonb);
CREATE EXTENSION tasker_checkpoint SCHEMA tckpt_home;
-- stands for Tasker's, and finds its tables by the search_path as that does
CREATE FUNCTION tasker.get_stale_tasks_for_dlq(p_default_waiting_deps integer DEFAULT 60, p_default_waiting_retry integer DEFAULT 30,
	p_default_steps_process integer DEFAULT 30, p_max_lifetime_hours integer DEFAULT 24, p_batch_size integer DEFAULT 100)
RETURNS TABLE (task_uuid uuid, namespace_name varchar, task_name varchar, current_state varchar,
	time_in_state_minutes numeric, threshold_minutes integer, task_age_minutes numeric) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT t.task_uuid, 'batches'::varchar, 'import'::varchar, 'steps_in_process'::varchar, t.minutes, $3, t.minutes
	FROM tasks t WHERE t.minutes > $3 ORDER BY t.minutes DESC, t.task_uuid LIMIT $5;
END $$;

-- 1 checkpoints, 2 has a checkpoint of long ago, 3 has none, 4 is paused, 5 is not stale, 6 has a step that moves beside one that does not
INSERT INTO tasker.tasks
SELECT format('00000000-0000-0000-0000-00000000000%s', n)::uuid, 100 - n FROM generate_series(1, 6) AS n;
UPDATE tasker.tasks SET minutes = 5 WHERE task_uuid::text LIKE '%5';
INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid) SELECT task_uuid, task_uuid FROM tasker.tasks;
INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid)
VALUES ('00000000-0000-0000-0000-000000000007', '00000000-0000-0000-0000-000000000006');
UPDATE tasker.workflow_steps SET checkpoint = '{"cursor": 1, "items_processed": 1}' WHERE workflow_step_uuid::text ~ '[17]$';
DELETE FROM tasker.workflow_steps WHERE workflow_step_uuid::text LIKE '%2';
INSERT INTO tasker.workflow_steps (workflow_step_uuid, task_uuid, checkpoint)
VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000002',
	'{"cursor": 1, "items_processed": 1, "timestamp": "2020-01-01T00:00:00.000000Z", "accumulated_results": null,
	"history": [{"cursor": 1, "items_processed": 1, "timestamp": "2020-01-01T00:00:00.000000Z"}]}');
SELECT tckpt_home.tasker_checkpoint_pause('00000000-0000-0000-0000-000000000004');
SET search_path = tasker;
SELECT right(task_uuid::text, 1) AS task, time_in_state_minutes AS minutes FROM get_stale_tasks_for_dlq();

RESET search_path;
-- what somebody else has made under a name of its does not stay his
CREATE ROLE regress_tckpt_evil;
CREATE FUNCTION tasker.has_moving_step(uuid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
ALTER FUNCTION tasker.has_moving_step OWNER TO regress_tckpt_evil;
\set ECHO none
\i :script
\i :script
\set ECHO all
DROP ROLE regress_tckpt_evil;
SET search_path = tasker;
SELECT right(task_uuid::text, 1) AS task, time_in_state_minutes AS minutes, threshold_minutes AS threshold FROM get_stale_tasks_for_dlq();
SELECT right(task_uuid::text, 1) AS task FROM get_stale_tasks_for_dlq(p_default_steps_process => 98);
-- what moves does not fill the batch
SELECT right(task_uuid::text, 1) AS task FROM get_stale_tasks_for_dlq(p_batch_size => 1);
-- a step that is done says nothing
UPDATE workflow_steps SET processed = true WHERE workflow_step_uuid::text LIKE '%1';
SELECT right(task_uuid::text, 1) AS task FROM get_stale_tasks_for_dlq(p_batch_size => 2);

-- after a migration that makes it anew
CREATE OR REPLACE FUNCTION tasker.get_stale_tasks_for_dlq(p_default_waiting_deps integer DEFAULT 60, p_default_waiting_retry integer DEFAULT 30,
	p_default_steps_process integer DEFAULT 30, p_max_lifetime_hours integer DEFAULT 24, p_batch_size integer DEFAULT 100)
RETURNS TABLE (task_uuid uuid, namespace_name varchar, task_name varchar, current_state varchar,
	time_in_state_minutes numeric, threshold_minutes integer, task_age_minutes numeric) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT t.task_uuid, 'batches'::varchar, 'anew'::varchar, 'steps_in_process'::varchar, t.minutes, $3, t.minutes
	FROM tasks t WHERE t.minutes > $3 ORDER BY t.minutes DESC, t.task_uuid LIMIT $5;
END $$;
RESET search_path;
\set ECHO none
\i :script
\set ECHO all
SET search_path = tasker;
SELECT right(task_uuid::text, 1) AS task, task_name FROM get_stale_tasks_for_dlq();

RESET search_path;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA tasker CASCADE;
DROP SCHEMA tckpt_home;

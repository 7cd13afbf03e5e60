-- What can be asked in a parallel worker has the limits of the session there, also where
-- nobody has loaded the library yet and the limits are the database's.
CREATE TABLE tasker_workflow_steps (
	workflow_step_uuid uuid PRIMARY KEY,
	processed boolean NOT NULL DEFAULT false,
	checkpoint jsonb
);
INSERT INTO tasker_workflow_steps VALUES ('00000000-0000-0000-0000-000000000001');
SET client_min_messages = warning;
CREATE EXTENSION tasker_checkpoint;
RESET client_min_messages;
SELECT sequence FROM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', to_jsonb(repeat('x', 900)), 10);
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000001') IS NOT NULL AS dispatched;
SELECT current_database() AS db \gset
ALTER DATABASE :"db" SET tasker_checkpoint.cursor_limit = '1kB';
-- the setting's name is another since PostgreSQL 16
\set in_a_worker 'SELECT count(set_config(name, $$regress$$, false)) FROM pg_settings WHERE name IN ($$debug_parallel_query$$, $$force_parallel_mode$$)'

-- each in a session of its own
\c -
:in_a_worker;
SELECT items_processed FROM tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');
\c -
:in_a_worker;
SELECT tasker_checkpoint_get('00000000-0000-0000-0000-000000000001') -> 'items_processed' AS items;
\c -
:in_a_worker;
SELECT tasker_checkpoint_items_processed(workflow_step_uuid), tasker_checkpoint_exists(workflow_step_uuid) FROM tasker_workflow_steps;
\c -
:in_a_worker;
SELECT sequence, items_processed FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001');
\c -
:in_a_worker;
SELECT directive, has_event FROM tasker_checkpoint_dispatched();
\c -
:in_a_worker;
SELECT items_processed FROM tasker_checkpoint_progress;
\c -
:in_a_worker;
SELECT items_processed FROM tasker_checkpoint_progress('00000000-0000-0000-0000-000000000001');
\c -
:in_a_worker;
SELECT finding, figure FROM tasker_checkpoint_health ORDER BY finding COLLATE "C";
\c -
:in_a_worker;
SELECT tasker_checkpoint_table();
\c -
:in_a_worker;
SELECT tasker_checkpoint_version() IS NOT NULL AS version;

-- the default, also where that is not what the server has
ALTER DATABASE :"db" SET tasker_checkpoint.cursor_limit = '64kB';
\c -
DROP EXTENSION tasker_checkpoint;
DROP TABLE tasker_workflow_steps;

-- Health goes by the settings' limits, also where the library is loaded by it, and parallel workers are forced
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb, processed boolean);
SELECT tasker_checkpoint_attach('steps', 'id');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', jsonb_build_object('cursor', repeat('x', 1000), 'items_processed', 1));
SELECT quote_ident(current_database()) AS here \gset
ALTER DATABASE :here SET tasker_checkpoint.cursor_limit = 1012;
-- its name differs between versions
\set ECHO none
SELECT format('ALTER DATABASE %I SET %s = regress', current_database(), name) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gexec
\set ECHO all
\c
SELECT finding, severity, figure, threshold FROM tasker_checkpoint_health;
\c
SELECT finding, severity, figure, threshold FROM tasker_checkpoint_health(long_cursor => 500);
\c
SELECT step_uuid, items_processed FROM tasker_checkpoint_progress;
\c
SET tasker_checkpoint.cursor_limit = -1;
SELECT finding, severity, figure, threshold FROM tasker_checkpoint_health;

SELECT quote_ident(current_database()) AS here \gset
ALTER DATABASE :here SET tasker_checkpoint.cursor_limit = '64kB';
\set ECHO none
SELECT format('ALTER DATABASE %I RESET %s', current_database(), name) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query') \gexec
\set ECHO all
\c
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;

-- The settings are an operator's: their bounds, and no way for a worker to lift them; but for what health shows
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE ROLE regress_tckpt_worker LOGIN;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
SELECT session_user AS superuser \gset
RESET client_min_messages;

SELECT name, context, vartype, unit, boot_val, min_val, max_val, enumvals
FROM pg_settings WHERE name LIKE 'tasker\_checkpoint.%' ORDER BY name COLLATE "C";
SELECT name, short_desc, extra_desc FROM pg_settings WHERE name LIKE 'tasker\_checkpoint.%' ORDER BY name COLLATE "C";
SELECT name, current_setting(name) FROM pg_settings WHERE name LIKE 'tasker\_checkpoint.%' ORDER BY name COLLATE "C";

-- bounds and units
\set VERBOSITY sqlstate
SET tasker_checkpoint.history_limit = -1;
SET tasker_checkpoint.history_limit = 268435455;
SET tasker_checkpoint.history_limit = -2; -- fail
SET tasker_checkpoint.history_limit = 268435456; -- fail
SET tasker_checkpoint.history_limit = '1kB'; -- fail
SET tasker_checkpoint.history_limit = 'all'; -- fail
RESET tasker_checkpoint.history_limit;
\set VERBOSITY default
DO $$
DECLARE
	setting text;
	value text;
BEGIN
	FOREACH setting IN ARRAY ARRAY['history_size', 'cursor_limit', 'results_limit', 'results_warning'] LOOP
		FOREACH value IN ARRAY ARRAY['-2', '-1', '0', '1', '1kB', '1MB', '268435455', '268435456', '1GB', '1s', ''] LOOP
			BEGIN
				PERFORM set_config('tasker_checkpoint.' || setting, value, true);
				RAISE NOTICE '% = % is %', setting, value, current_setting('tasker_checkpoint.' || setting);
			EXCEPTION WHEN invalid_parameter_value THEN
				RAISE NOTICE '% = % refused', setting, value;
			END;
		END LOOP;
	END LOOP;
END
$$;
SET tasker_checkpoint.enforce = 'off'; -- fail
SET tasker_checkpoint.require_monotonic_items = 'on'; -- fail
SET tasker_checkpoint.enforce = 'WARNING';
SHOW tasker_checkpoint.enforce;
RESET tasker_checkpoint.enforce;
SET tasker_checkpoint.notify_channel = ''; -- fail
SELECT set_config('tasker_checkpoint.notify_channel', repeat('x', 64), false); -- fail
SELECT set_config('tasker_checkpoint.notify_channel', repeat('x', 63), false);
RESET tasker_checkpoint.notify_channel;
-- no others
\set VERBOSITY sqlstate
SET tasker_checkpoint.history_limits = 5; -- fail
\set VERBOSITY default

-- a worker can't set them, whether to raise or to lower
SET tasker_checkpoint.cursor_limit = 100;
SET ROLE regress_tckpt_worker;
\set VERBOSITY sqlstate
SET tasker_checkpoint.history_limit = -1; -- fail
SET tasker_checkpoint.history_size = -1; -- fail
SET tasker_checkpoint.cursor_limit = -1; -- fail
SET tasker_checkpoint.results_limit = -1; -- fail
SET tasker_checkpoint.results_warning = 0; -- fail
SET tasker_checkpoint.enforce = warning; -- fail
SET tasker_checkpoint.require_monotonic_items = off; -- fail
SET tasker_checkpoint.notify = off; -- fail
SET tasker_checkpoint.notify_channel = 'x'; -- fail
SET tasker_checkpoint.cursor_limit = 1; -- fail
SET LOCAL tasker_checkpoint.cursor_limit = -1; -- fail
RESET tasker_checkpoint.cursor_limit; -- fail
SET tasker_checkpoint.cursor_limit TO DEFAULT; -- fail
SELECT set_config('tasker_checkpoint.cursor_limit', '-1', false); -- fail
ALTER ROLE regress_tckpt_worker SET tasker_checkpoint.cursor_limit = -1; -- fail
CREATE FUNCTION regress_tckpt.f() RETURNS void LANGUAGE sql SET tasker_checkpoint.cursor_limit = -1 AS ''; -- fail
CREATE FUNCTION regress_tckpt.f() RETURNS void LANGUAGE sql AS '';
ALTER FUNCTION regress_tckpt.f() SET tasker_checkpoint.cursor_limit = -1; -- fail
UPDATE pg_settings SET setting = -1 WHERE name = 'tasker_checkpoint.cursor_limit'; -- fail
SELECT tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 100)), 1); -- fail
\set VERBOSITY default
SHOW tasker_checkpoint.cursor_limit;

-- nor in a new session, before the library is loaded
\c - regress_tckpt_worker
SET tasker_checkpoint.cursor_limit = -1;
SELECT set_config('tasker_checkpoint.results_limit', '-1', false);
SET tasker_checkpoint.enforce = warning;
SET tasker_checkpoint.no_such_setting = 1;
SHOW tasker_checkpoint.cursor_limit;
\set VERBOSITY sqlstate
CREATE FUNCTION regress_tckpt.g() RETURNS void LANGUAGE sql SET tasker_checkpoint.cursor_limit = -1 AS ''; -- fail
ALTER ROLE regress_tckpt_worker SET tasker_checkpoint.cursor_limit = -1; -- fail
SELECT tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 66000)), 1); -- fail
SELECT tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 1100000))); -- fail
\set VERBOSITY default
SELECT name, setting FROM pg_settings WHERE name IN ('tasker_checkpoint.cursor_limit', 'tasker_checkpoint.results_limit', 'tasker_checkpoint.enforce')
ORDER BY name COLLATE "C";

-- nor by a direct UPDATE that loads it
\c - regress_tckpt_worker
SET tasker_checkpoint.cursor_limit = -1;
\set VERBOSITY sqlstate
UPDATE steps SET checkpoint = jsonb_build_object('cursor', repeat('x', 66000), 'items_processed', 1); -- fail
\set VERBOSITY default
SHOW tasker_checkpoint.cursor_limit;

-- nor by the options of a connection (PGOPTIONS)
\connect -reuse-previous=on "user=regress_tckpt_worker options='-c tasker_checkpoint.cursor_limit=-1'"
SHOW tasker_checkpoint.cursor_limit;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 66000)), 1); -- fail
\set VERBOSITY default
SHOW tasker_checkpoint.cursor_limit;

-- an operator sets them for a role, and can let it
\set reconnect user= :superuser ' options=\'\''
\connect -reuse-previous=on :"reconnect"
ALTER ROLE regress_tckpt_worker SET tasker_checkpoint.cursor_limit = '70kB';
GRANT SET ON PARAMETER tasker_checkpoint.results_limit TO regress_tckpt_worker;
\c - regress_tckpt_worker
SELECT sequence FROM tasker_checkpoint_yield(:'s1', to_jsonb(repeat('x', 66000)), 1);
SHOW tasker_checkpoint.cursor_limit;
SET tasker_checkpoint.results_limit = '2MB';
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 1100000)));
SET tasker_checkpoint.results_limit = -1;
RESET tasker_checkpoint.results_limit;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_yield(:'s1', '1', 1, to_jsonb(repeat('x', 1100000))); -- fail
\set VERBOSITY default

\c - :superuser
REVOKE SET ON PARAMETER tasker_checkpoint.results_limit FROM regress_tckpt_worker;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
SET client_min_messages = error;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

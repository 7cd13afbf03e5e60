--
-- Doctor: what its checks look with
--

CREATE FUNCTION tasker_checkpoint_sample(percent real)
RETURNS TABLE (cursor_size bigint, results_size bigint, history_size bigint)
LANGUAGE C STABLE PARALLEL RESTRICTED
ROWS 100
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_sample(real) IS
'sizes in bytes of cursor, results and history, of the largest checkpoints on so many percent of the steps table''s pages, of the steps that the caller can see; for tasker_checkpoint_doctor(); raises 22004, 55000';

CREATE FUNCTION tasker_checkpoint_version()
RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_version() IS
'version of the library that the session has loaded';

CREATE FUNCTION tasker_checkpoint_settings()
RETURNS TABLE (value jsonb, setter jsonb, preloaded boolean)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 1
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- loads the library, so that its settings are known
    SELECT tasker_checkpoint_version();

    SELECT pg_catalog.jsonb_object_agg(pg_catalog.replace(s.name, 'tasker_checkpoint.', ''), s.setting)
           || pg_catalog.jsonb_build_object('pending', pg_catalog.bool_or(s.name = 'shared_preload_libraries' AND s.pending_restart)),
           pg_catalog.jsonb_object_agg(pg_catalog.replace(s.name, 'tasker_checkpoint.', ''),
               CASE WHEN s.source IN ('session', 'client', 'interactive') THEN 'SET'
                    WHEN s.source = 'user' THEN pg_catalog.format('ALTER ROLE %I SET', session_user)
                    WHEN s.source = 'database user' THEN
                        pg_catalog.format('ALTER ROLE %I IN DATABASE %I SET', session_user, pg_catalog.current_database())
                    ELSE pg_catalog.format('ALTER DATABASE %I SET', pg_catalog.current_database()) END
               || pg_catalog.format(' %s = ', s.name)),
           pg_catalog.bool_or(s.name = 'tasker_checkpoint.max_notifiers' AND s.context = 'postmaster')
    FROM pg_settings s
    WHERE pg_catalog.starts_with(s.name, 'tasker_checkpoint.')
    OR s.name IN ('autovacuum', 'track_counts', 'default_toast_compression', 'max_worker_processes',
                  'session_replication_role', 'shared_preload_libraries');
END;
COMMENT ON FUNCTION tasker_checkpoint_settings() IS
'the settings that tasker_checkpoint_doctor() looks at, by their names, the extension''s without its prefix: what they are, and what begins the statement that sets one where it was set; and whether the library is preloaded';

-- A query is refused for a function that it names, called or not. So a check that
-- needs the counters only where there are any asks for them by this one, which the
-- argument makes wait for a row that says so.
CREATE FUNCTION tasker_checkpoint_counted(preloaded boolean)
RETURNS TABLE (
    yields bigint, saves bigint, hot_checkpoints bigint,
    notifications_sent bigint, notifications_batched bigint, stats_reset timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 1
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.yields, s.saves, s.hot_checkpoints, s.notifications_sent, s.notifications_batched, s.stats_reset
    FROM tasker_checkpoint_stats() s;
END;
COMMENT ON FUNCTION tasker_checkpoint_counted(boolean) IS
'the row of tasker_checkpoint_stats(), on which EXECUTE is needed only when this is called';

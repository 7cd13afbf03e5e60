--
-- Doctor: settings and the server
--

CREATE FUNCTION tasker_checkpoint_check_settings()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH c AS (
        SELECT s.setter, s.preloaded,
               (s.value ->> 'cursor_limit'::text)::int8 AS cursor_limit, (s.value ->> 'results_limit'::text)::int8 AS results_limit,
               (s.value ->> 'results_warning'::text)::int8 AS results_warning, (s.value ->> 'history_limit'::text)::int8 AS history_limit,
               (s.value ->> 'history_size'::text)::int8 AS history_size, (s.value ->> 'max_lease'::text)::int8 AS max_lease,
               (s.value ->> 'archive_history'::text) = 'off' AS no_archive,
               s.value ->> 'enforce'::text AS enforce, s.value ->> 'notify'::text AS notify
        FROM tasker_checkpoint_settings() s
    )
    SELECT 'ok', 'The settings agree with each other.', NULL
    UNION ALL
    SELECT f.status, f.found, (c.setter ->> f.name) || pg_catalog.quote_literal(f.value) || ';'
    FROM c
    CROSS JOIN LATERAL (VALUES
        -- a JSON null takes 12 bytes
        (c.cursor_limit BETWEEN 0 AND 11, 'error', 'cursor_limit'::text, '64kB'::text,
         'tasker_checkpoint.cursor_limit refuses every cursor.'),
        (c.results_limit BETWEEN 0 AND 11, 'error', 'results_limit', '1MB',
         'tasker_checkpoint.results_limit refuses every checkpoint of yield and save.'),
        (c.results_limit > 11 AND c.results_warning >= c.results_limit, 'notice', 'results_warning', (c.results_limit / 4)::text,
         'tasker_checkpoint.results_warning is not below results_limit, so nothing is warned of before it is refused.'),
        (c.history_size > 0 AND c.history_limit <> 0 AND c.cursor_limit > c.history_size,
         'notice', 'history_size', c.cursor_limit::text,
         'tasker_checkpoint.cursor_limit is above history_size, so one long cursor empties the history.'),
        (c.history_size > 0 AND c.history_limit <> 0 AND c.cursor_limit = -1,
         'notice', 'cursor_limit', greatest(c.history_size, 12)::text,
         'tasker_checkpoint.cursor_limit is none, and above history_size one cursor empties the history.'),
        (c.history_limit = 0 AND c.no_archive, 'notice', 'history_limit', '10',
         'tasker_checkpoint.history_limit is 0, so rewind has nothing to go back to.'),
        (c.history_limit <> 0 AND c.history_size = 0 AND c.no_archive, 'notice', 'history_size', '64kB',
         'tasker_checkpoint.history_size is 0, so rewind has nothing to go back to.'),
        (c.history_limit = -1 AND c.history_size = -1, 'warning', 'history_size', '64kB',
         'Neither tasker_checkpoint.history_limit nor history_size bounds a history, and every checkpoint writes all of it.'),
        (c.enforce = 'warning', 'notice', 'enforce', 'error',
         'tasker_checkpoint.enforce only warns of what is over a limit. That is for a roll-out.'),
        (c.max_lease < 60, 'warning', 'max_lease', '1min',
         'tasker_checkpoint.max_lease is shorter than the lease that claim takes by default, so that a claim without one is refused.'),
        (c.notify = 'off', 'notice', 'notify', 'on',
         pg_catalog.concat('tasker_checkpoint.notify is off: only workers that wait are told of steps, and the others find them when they poll next',
                           CASE WHEN c.preloaded THEN ', and the notifier has nothing to do.' ELSE '.' END))
    ) AS f (is_so, status, name, value, found)
    WHERE f.is_so
    UNION ALL
    SELECT 'notice',
           pg_catalog.format('For role %s tasker_checkpoint.enforce only warns of what is over a limit. That is for a roll-out.', d.setrole::regrole),
           pg_catalog.format('ALTER ROLE %s%s RESET tasker_checkpoint.enforce;', d.setrole::regrole,
                             CASE WHEN d.setdatabase = 0::oid THEN ''
                                  ELSE pg_catalog.format(' IN DATABASE %I', pg_catalog.current_database()) END)
    FROM pg_db_role_setting d CROSS JOIN LATERAL pg_catalog.unnest(d.setconfig) AS s (line)
    WHERE pg_catalog.lower(s.line) = 'tasker_checkpoint.enforce=warning' AND d.setrole <> 0::oid
    AND d.setrole <> pg_catalog.quote_ident(session_user::text)::regrole::oid
    AND d.setdatabase IN (0::oid, (SELECT b.oid FROM pg_database b WHERE b.datname = pg_catalog.current_database()));
END;
COMMENT ON FUNCTION tasker_checkpoint_check_settings() IS
'a check of tasker_checkpoint_doctor(): no setting of the extension makes another one useless, or is left from a roll-out';

CREATE FUNCTION tasker_checkpoint_check_notifier()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH settings AS (
        SELECT s.preloaded, (s.value ->> 'max_notifiers'::text)::int4 AS most,
               (s.value ->> 'max_worker_processes'::text)::int4 AS processes,
               s.value ->> 'shared_preload_libraries'::text AS libraries, (s.value ->> 'pending'::text)::boolean AS is_pending
        FROM tasker_checkpoint_settings() s
    ), notifiers AS (
        SELECT pg_catalog.count(*) FILTER (WHERE a.datname = pg_catalog.current_database()) AS here, pg_catalog.count(*) AS everywhere
        FROM pg_stat_activity a
        WHERE a.backend_type = 'tasker_checkpoint notifier'
    ), counted AS (
        SELECT n.notifications_sent AS sent, n.notifications_sent - n.notifications_batched AS alone,
               extract(epoch FROM pg_catalog.clock_timestamp() - n.stats_reset) AS seconds
        FROM settings s CROSS JOIN LATERAL tasker_checkpoint_counted(s.preloaded) n
        WHERE s.preloaded
    )
    SELECT 'ok', 'The library is preloaded; a notifier comes when there is much to notify.', NULL
    UNION ALL
    SELECT f.status, f.found, f.statement
    FROM settings c CROSS JOIN notifiers a CROSS JOIN counted s
    CROSS JOIN LATERAL (VALUES
        (c.most = 0, 'notice', 'tasker_checkpoint.max_notifiers is 0, so that every transaction notifies by itself. The change takes effect at a restart.',
         'ALTER SYSTEM SET tasker_checkpoint.max_notifiers = 2;'),
        (c.most > 0 AND c.processes <= c.most, 'warning',
         pg_catalog.format('max_worker_processes, %s, is not enough for %s notifiers and the server''s own. The change takes effect at a restart.', c.processes, c.most),
         pg_catalog.format('ALTER SYSTEM SET max_worker_processes = %s;', c.most + 8)),
        (c.most > 0 AND a.here = 0 AND a.everywhere >= c.most, 'warning',
         pg_catalog.format('All %s notifiers are at work in other databases, so that transactions here notify by themselves. The change takes effect at a restart.', c.most),
         pg_catalog.format('ALTER SYSTEM SET tasker_checkpoint.max_notifiers = %s;', least(c.most * 2, 64))),
        (c.most > 0 AND a.here = 0 AND s.alone >= 1000 AND s.alone > s.sent / 2 AND s.alone::numeric > 10::numeric * s.seconds, 'warning',
         pg_catalog.format('%s of %s wake-ups were sent by transactions themselves, since no notifier could be started: the server''s log says why. '
                           'If all background workers are in use, more help, at a restart.', s.alone, s.sent),
         pg_catalog.format('ALTER SYSTEM SET max_worker_processes = %s;', c.processes + 8)),
        (NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'), 'notice',
         pg_catalog.format('Role %I cannot see which background workers there are.', current_user),
         pg_catalog.format('GRANT pg_read_all_stats TO %I;', current_user))
    ) AS f (is_so, status, found, statement)
    WHERE f.is_so
    UNION ALL
    SELECT 'notice',
           pg_catalog.concat('The library is not preloaded: every transaction notifies by itself, and nothing is counted. ',
                             CASE WHEN s.is_pending THEN 'shared_preload_libraries was changed, and waits for a restart.'
                                  WHEN s.libraries IS NOT NULL THEN 'The change takes effect at a restart.'
                                  ELSE pg_catalog.format('Role %I cannot see what else is in shared_preload_libraries.', current_user) END),
           CASE WHEN s.libraries IS NOT NULL AND NOT s.is_pending THEN
               pg_catalog.format('ALTER SYSTEM SET shared_preload_libraries = %s;',
                                 (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(pg_catalog.btrim(u.library, ' "')), ', ' ORDER BY u.place)
                                  FROM pg_catalog.unnest(pg_catalog.array_append(pg_catalog.string_to_array(s.libraries, ','), 'tasker_checkpoint'))
                                       WITH ORDINALITY AS u (library, place)
                                  WHERE pg_catalog.btrim(u.library, ' "') <> '')) END
    FROM settings s
    WHERE NOT s.preloaded;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_notifier() IS
'a check of tasker_checkpoint_doctor(): the library is preloaded, and a notifier can run here';

CREATE FUNCTION tasker_checkpoint_check_notify_queue()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok', 'The queue of notifications is drained.', NULL
    UNION ALL
    SELECT CASE WHEN q.usage >= 0.5::float8 THEN 'error' ELSE 'warning' END,
           pg_catalog.concat(
               pg_catalog.format('The queue of notifications is %s %% full, since a session that listens is in a transaction or does not read. '
                                 'From 75 %% on wake-ups are left out. ', pg_catalog.trunc(100::numeric * q.usage::numeric, 1)),
               CASE WHEN s.pid IS NULL THEN 'Look for it in pg_stat_activity.'
                    ELSE pg_catalog.format('Of those that are idle in a transaction, the statement ends the oldest, of role %I.', s.usename) END),
           CASE WHEN s.pid IS NOT NULL THEN pg_catalog.format('SELECT pg_catalog.pg_terminate_backend(%s);', s.pid) END
    FROM pg_catalog.pg_notification_queue_usage() AS q (usage)
    LEFT JOIN LATERAL (
        SELECT a.pid, a.usename FROM pg_stat_activity a
        WHERE a.state LIKE 'idle in transaction%' AND a.pid <> pg_catalog.pg_backend_pid()
        ORDER BY a.xact_start LIMIT 1) s ON true
    WHERE q.usage >= 0.01::float8;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_notify_queue() IS
'a check of tasker_checkpoint_doctor(): there is room for wake-ups in the queue of NOTIFY';

CREATE FUNCTION tasker_checkpoint_check_connections()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Those who sleep have a wait event of their own from PostgreSQL 17 on. Before, others may
    -- have the same, but not in a client's session and without a snapshot. Who looks just
    -- now, and was called for that and nothing else, waits as well.
    WITH sessions AS (
        SELECT pg_catalog.count(*) AS used,
               pg_catalog.count(*) FILTER (
                   WHERE a.wait_event = 'TaskerCheckpointWait'
                   OR (a.wait_event_type = 'Extension' AND a.backend_xmin IS NULL
                       AND pg_catalog.current_setting('server_version_num')::int4 < 170000)
                   OR (a.state = 'active' AND a.query ~* '^[[:space:]]*call[[:space:]][^;]*tasker_checkpoint_wait')) AS waiting
        FROM pg_stat_activity a
        WHERE a.backend_type = 'client backend'
    ), server AS (
        SELECT pg_catalog.sum(s.setting::int8) FILTER (WHERE s.name <> 'max_connections')::int8 AS reserved,
               pg_catalog.max(s.setting::int8) FILTER (WHERE s.name = 'max_connections') AS most,
               pg_catalog.bool_or(s.pending_restart AND s.name = 'max_connections') AS is_pending
        FROM pg_settings s
        WHERE s.name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')
    )
    SELECT 'ok', 'Sessions that wait for work leave enough connections to others.', NULL
    UNION ALL
    SELECT CASE WHEN 10::int8 * (c.most - c.reserved - n.used) < c.most - c.reserved THEN 'warning' ELSE 'notice' END,
           pg_catalog.concat(
               pg_catalog.format('Of the %s connections that are not reserved sessions that wait for work (tasker_checkpoint_wait) take %s, and all together %s. '
                                 'Let fewer workers wait, or have more connections. ', c.most - c.reserved, n.waiting, n.used),
               CASE WHEN c.is_pending THEN 'max_connections was changed, and waits for a restart.'
                    ELSE 'The change takes effect at a restart, and standbys need it first.' END),
           CASE WHEN NOT c.is_pending THEN
               pg_catalog.format('ALTER SYSTEM SET max_connections = %s;', least(2::int8 * n.waiting + c.reserved, 262143::int8)) END
    FROM server c CROSS JOIN sessions n
    WHERE 2::int8 * n.waiting > c.most - c.reserved
    UNION ALL
    SELECT 'notice', pg_catalog.format('Role %I cannot see which sessions wait for work.', current_user),
           pg_catalog.format('GRANT pg_read_all_stats TO %I;', current_user)
    WHERE NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE');
END;
COMMENT ON FUNCTION tasker_checkpoint_check_connections() IS
'a check of tasker_checkpoint_doctor(): sessions that wait for work take no more than half of the connections';

CREATE FUNCTION tasker_checkpoint_check_replication()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok', 'This session runs triggers, and this server takes writes.', NULL
    UNION ALL
    SELECT 'error', 'session_replication_role is replica, so the guard does not run in this session.',
           (s.setter ->> 'session_replication_role'::text) || pg_catalog.quote_literal('origin'::text) || ';'
    FROM tasker_checkpoint_settings() s
    WHERE (s.value ->> 'session_replication_role'::text) = 'replica'
    UNION ALL
    SELECT 'notice', 'This is a standby: checkpoints are written on the primary, and mended there.', NULL
    WHERE pg_catalog.pg_is_in_recovery();
END;
COMMENT ON FUNCTION tasker_checkpoint_check_replication() IS
'a check of tasker_checkpoint_doctor(): triggers run in this session, and the server can be written to';

CREATE FUNCTION tasker_checkpoint_check_version()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH versions AS (
        SELECT tasker_checkpoint_version() AS library, e.extversion, a.default_version, s.preloaded
        FROM pg_extension e
        CROSS JOIN tasker_checkpoint_settings() s
        LEFT JOIN pg_available_extensions a ON a.name = e.extname
        WHERE e.extname = 'tasker_checkpoint'
    )
    SELECT 'ok', pg_catalog.format('Library, extension and control file are of version %s.', v.library), NULL
    FROM versions v
    UNION ALL
    SELECT CASE WHEN v.library = v.extversion THEN 'warning' ELSE 'error' END,
           pg_catalog.concat(
               pg_catalog.format('The library is of version %s, the extension of %s, the control file of %s. ',
                                 v.library, v.extversion, coalesce(v.default_version, 'none')),
               CASE WHEN v.library = v.default_version THEN 'The extension is to be updated.'
                    WHEN v.preloaded THEN 'Restart the server, for it to load the library again.'
                    ELSE 'Install all files of one version, and connect again.' END),
           CASE WHEN v.library = v.default_version THEN 'ALTER EXTENSION tasker_checkpoint UPDATE;' END
    FROM versions v
    WHERE v.library <> v.extversion OR v.extversion IS DISTINCT FROM v.default_version;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_version() IS
'a check of tasker_checkpoint_doctor(): library, extension and files are of one version';

--
-- Doctor: checkpoints and events
--

CREATE FUNCTION tasker_checkpoint_check_limits()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- of a thousand pages
    WITH part AS (
        SELECT least(100::float8, 100000::float8
                     / greatest(1::float8, (pg_catalog.sum(pg_catalog.pg_relation_size(c.oid))
                                            / pg_catalog.current_setting('block_size')::numeric)::float8))::real AS percent
        FROM tasker_checkpoint_registrations() r JOIN pg_class c ON c.oid = r.relid
        WHERE r.attached AND c.relkind = 'r'
    ), near AS (
        SELECT v.name, v.what, v.bound, pg_catalog.max(v.bytes) AS most, pg_catalog.count(*) AS checkpoints, s.setter
        FROM tasker_checkpoint_settings() s
        CROSS JOIN part p
        CROSS JOIN LATERAL tasker_checkpoint_sample(p.percent) z
        CROSS JOIN LATERAL (VALUES
            ('cursor_limit'::text, 'a cursor', (s.value ->> 'cursor_limit'::text)::int8, z.cursor_size),
            ('results_limit', 'results', (s.value ->> 'results_limit'::text)::int8, z.results_size),
            ('history_size', 'a history', (s.value ->> 'history_size'::text)::int8, z.history_size)
        ) AS v (name, what, bound, bytes)
        WHERE v.bound > 0 AND 10 * v.bytes >= 8 * v.bound
        GROUP BY v.name, v.what, v.bound, s.setter
    )
    SELECT 'ok', 'No sampled checkpoint is near a limit.', NULL
    UNION ALL
    (SELECT CASE n.name WHEN 'history_size' THEN 'notice' ELSE 'warning' END,
            CASE n.name WHEN 'history_size'
                THEN pg_catalog.format('Of the checkpoints sampled %s have %s near tasker_checkpoint.history_size, up to %s bytes of %s; what is over it is cut, whatever history_limit lets it keep.',
                                       n.checkpoints, n.what, n.most, n.bound)
                ELSE pg_catalog.format('Of the checkpoints sampled %s have %s near tasker_checkpoint.%s, up to %s bytes of %s; what is over it is refused. See tasker_checkpoint_health.',
                                       n.checkpoints, n.what, n.name, n.most, n.bound) END,
            (n.setter ->> n.name) || pg_catalog.quote_literal(tasker_checkpoint_enough(n.most, 80)) || ';'
     FROM near n
     ORDER BY n.name);
END;
COMMENT ON FUNCTION tasker_checkpoint_check_limits() IS
'a check of tasker_checkpoint_doctor(): no checkpoint, of those sampled, will soon be over a limit';

CREATE FUNCTION tasker_checkpoint_check_events()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL UNSAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok', 'Hardly any event is of no use.', NULL
    UNION ALL
    SELECT 'notice', pg_catalog.format('%s dispatched steps are gone or processed.', e.n),
           pg_catalog.format('SELECT %s(%s, false);', 'tasker_checkpoint_purge_events(integer, boolean)'::regprocedure::regproc,
                             least(e.n + 1000, 1000000))
    FROM tasker_checkpoint_purge_events(1000, true) AS e (n)
    WHERE e.n > 100;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_events() IS
'a check of tasker_checkpoint_doctor(): the dispatch table is not full of steps that are gone or processed';

CREATE FUNCTION tasker_checkpoint_check_snapshots()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok', 'Nobody keeps dead events from being removed.', NULL
    UNION ALL
    SELECT 'warning', s.detail, s.statement
    FROM tasker_checkpoint_old_snapshots() s
    WHERE s.since <= pg_catalog.clock_timestamp() - interval '15 minutes' OR s.since IS NULL
    UNION ALL
    SELECT 'notice', pg_catalog.format('Role %I cannot see which transactions others have open.', current_user),
           pg_catalog.format('GRANT pg_read_all_stats TO %I;', current_user)
    WHERE NOT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE');
END;
COMMENT ON FUNCTION tasker_checkpoint_check_snapshots() IS
'a check of tasker_checkpoint_doctor(): no old snapshot keeps dead rows of the dispatch table, through which every claim walks';

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

CREATE FUNCTION tasker_checkpoint_missing_indexes()
RETURNS TABLE (is_unique boolean, definition text)
LANGUAGE C STABLE PARALLEL SAFE
ROWS 1
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_missing_indexes() IS
'indexes of tasker_checkpoint_events without which nothing can be dispatched or claimed, and which are not there, or not valid; for tasker_checkpoint_doctor(); raises 55000';

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
    WHERE e.n > 100
    UNION ALL
    SELECT 'error',
           pg_catalog.format('Table %s has no valid %sindex on %s, and workers are refused.', c.oid::regclass,
                             CASE WHEN i.is_unique THEN 'unique ' ELSE '' END, i.definition),
           pg_catalog.format('CREATE %sINDEX CONCURRENTLY ON %s %s;', CASE WHEN i.is_unique THEN 'UNIQUE ' ELSE '' END,
                             c.oid::regclass, i.definition)
    FROM tasker_checkpoint_missing_indexes() i
    JOIN pg_class c ON c.oid = 'tasker_checkpoint_events'::regclass::oid
    UNION ALL
    SELECT DISTINCT 'error',
           CASE WHEN k.oid IS NULL THEN
                    pg_catalog.format('Trigger %I of table %s is not AFTER and FOR EACH ROW, or is deferrable or has transition tables, and workers are refused.',
                                      t.tgname, t.tgrelid::regclass)
                ELSE pg_catalog.format('Constraint %I of table %s is deferrable, and workers are refused.', k.conname, k.conrelid::regclass) END,
           CASE WHEN k.oid IS NULL THEN pg_catalog.format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass)
                WHEN k.contype = 'f' THEN pg_catalog.format('ALTER TABLE %s ALTER CONSTRAINT %I NOT DEFERRABLE;', k.conrelid::regclass, k.conname)
                ELSE pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname) END
    FROM pg_trigger t
    LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint AND t.tgisinternal
    WHERE t.tgrelid IN ('tasker_checkpoint_events'::regclass::oid, 'tasker_checkpoint_archive'::regclass::oid)
    -- ROW, BEFORE and INSTEAD OF; those of TRUNCATE alone harm nobody
    AND ((t.tgtype::int4 & 67) <> 1 OR t.tgdeferrable OR t.tgoldtable IS NOT NULL OR t.tgnewtable IS NOT NULL)
    AND (t.tgtype::int4 & 28) <> 0 AND t.tgenabled IN ('O', 'A')
    UNION ALL
    SELECT 'warning', pg_catalog.format('Table %s is unlogged: a crash empties it.', c.oid::regclass),
           pg_catalog.format('ALTER TABLE %s SET LOGGED;', c.oid::regclass)
    FROM pg_class c
    WHERE c.oid IN ('tasker_checkpoint_events'::regclass::oid, 'tasker_checkpoint_archive'::regclass::oid)
    AND c.relpersistence = 'u';
END;
COMMENT ON FUNCTION tasker_checkpoint_check_events() IS
'a check of tasker_checkpoint_doctor(): the dispatch table is not full of steps that are gone or processed, and the extension''s own tables can be written and are not lost in a crash';

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

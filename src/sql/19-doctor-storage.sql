--
-- Doctor: how checkpoints are stored
--

CREATE FUNCTION tasker_checkpoint_check_index()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok', 'No index ends HOT updates for every checkpoint.', NULL
    UNION ALL
    SELECT 'warning', pg_catalog.format('Index %s ends HOT updates for every checkpoint. %s', i.name, i.detail), i.statement
    FROM tasker_checkpoint_hot_indexes() i;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_index() IS
'a check of tasker_checkpoint_doctor(): no index has what every checkpoint changes';

CREATE FUNCTION tasker_checkpoint_check_fillfactor()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok', 'Pages keep room for HOT updates.', NULL
    UNION ALL
    (SELECT 'notice',
            pg_catalog.format('Pages of table %s are filled up to %s %%, so that an update seldom finds room for HOT. '
                              'Pages that are there already stay as they are.', c.oid::regclass, o.fillfactor),
            pg_catalog.format('ALTER TABLE %s SET (fillfactor = 70);', c.oid::regclass)
     FROM tasker_checkpoint_registrations() r
     JOIN pg_class c ON c.oid = r.relid AND c.relkind = 'r'
     JOIN pg_am m ON m.oid = c.relam AND m.amname = 'heap'
     CROSS JOIN LATERAL (
         -- one that is written otherwise, as 70.0 or 0x46, somebody has thought about
         SELECT coalesce(pg_catalog.max(coalesce(pg_catalog.substring(p.option_value, '^[1-9][0-9]*$')::int4, 0)), 100) AS fillfactor
         FROM pg_catalog.pg_options_to_table(c.reloptions) p WHERE p.option_name = 'fillfactor') o
     WHERE r.attached AND o.fillfactor > 90
     ORDER BY c.oid::regclass::text);
END;
COMMENT ON FUNCTION tasker_checkpoint_check_fillfactor() IS
'a check of tasker_checkpoint_doctor(): pages have room for another version of a row';

CREATE FUNCTION tasker_checkpoint_check_compression()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH lz4 AS (
        SELECT EXISTS (SELECT FROM pg_settings g
                       WHERE g.name = 'default_toast_compression' AND 'lz4' = ANY (g.enumvals)) AS is_there,
               (s.value ->> 'default_toast_compression'::text) = 'pglz' AS is_not_default
        FROM tasker_checkpoint_settings() s
    )
    SELECT 'ok', 'Checkpoints are compressed as well as this server can.', NULL
    UNION ALL
    (SELECT f.status, f.found, f.statement
     FROM tasker_checkpoint_registrations() r
     JOIN pg_class c ON c.oid = r.relid AND c.relkind IN ('r', 'p')
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = r.checkpoint_column
     CROSS JOIN lz4
     CROSS JOIN LATERAL (VALUES
         (a.attstorage = 'p', 'error',
          pg_catalog.format('Column %I of table %s has storage PLAIN, and a row cannot be larger than a page.', a.attname, c.oid::regclass),
          pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTENDED;', c.oid::regclass, a.attname)),
         (a.attstorage IN ('x', 'm') AND (a.attcompression = 'p' OR (a.attcompression = '' AND lz4.is_not_default)) AND lz4.is_there,
          'notice',
          pg_catalog.format('Column %I of table %s is compressed by pglz, which takes longer than lz4. What is stored stays as it is until it is written again.',
                            a.attname, c.oid::regclass),
          pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION lz4;', c.oid::regclass, a.attname))
     ) AS f (is_so, status, found, statement)
     WHERE r.attached AND f.is_so
     ORDER BY c.oid::regclass::text);
END;
COMMENT ON FUNCTION tasker_checkpoint_check_compression() IS
'a check of tasker_checkpoint_doctor(): the column is stored so that large checkpoints fit, and are compressed fast';

CREATE FUNCTION tasker_checkpoint_check_hot_share()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- an orchestrator's updates of indexed columns are none of ours; what is ours is
    -- counted while the library is preloaded
    WITH counted AS (
        SELECT n.checkpoints, pg_catalog.trunc(100::numeric * n.hot / n.checkpoints) AS percent
        FROM tasker_checkpoint_settings() s
        CROSS JOIN LATERAL tasker_checkpoint_counted(s.preloaded) c
        CROSS JOIN LATERAL (SELECT (c.yields + c.saves)::numeric AS checkpoints, c.hot_checkpoints::numeric AS hot) n
        WHERE s.preloaded
        AND n.checkpoints >= 1000::numeric AND n.hot < 0.8 * n.checkpoints
    ), reason AS (
        SELECT EXISTS (SELECT FROM tasker_checkpoint_hot_indexes()) AS is_index,
               EXISTS (SELECT FROM tasker_checkpoint_registrations() r
                       JOIN pg_class c ON c.oid = r.relid AND c.relkind = 'r'
                       WHERE r.attached
                       AND coalesce((SELECT coalesce(pg_catalog.substring(o.option_value, '^[1-9][0-9]*$')::int4, 0) FROM pg_catalog.pg_options_to_table(c.reloptions) o
                                     WHERE o.option_name = 'fillfactor'), 100) > 90) AS is_room
    )
    SELECT 'ok', 'Checkpoints are HOT updates, as far as was counted.', NULL
    UNION ALL
    SELECT 'warning',
           pg_catalog.format('Of %s checkpoints %s %% were HOT. %s', c.checkpoints, c.percent,
                             CASE WHEN r.is_index THEN 'See to the indexes first.'
                                  WHEN r.is_room THEN 'See to the fillfactor first.'
                                  ELSE 'Long transactions keep pages from being pruned. The statement begins the count anew.' END),
           CASE WHEN NOT r.is_index AND NOT r.is_room THEN
               pg_catalog.format('SELECT %s;', 'tasker_checkpoint_stats_reset()'::regprocedure) END
    FROM counted c CROSS JOIN reason r;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_hot_share() IS
'a check of tasker_checkpoint_doctor(): most checkpoints of yield and save were HOT updates';

CREATE FUNCTION tasker_checkpoint_check_bloat()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH steps AS (
        SELECT c.oid, c.oid::regclass::text AS name, c.reloptions, c.reltoastrelid
        FROM tasker_checkpoint_registrations() r JOIN pg_class c ON c.oid = r.relid
        WHERE r.attached AND c.relkind = 'r'
    ), looked_at AS (
        SELECT s.oid, s.name, '' AS prefix, 'Table ' AS what, s.reloptions
        FROM steps s
        UNION ALL
        SELECT c.oid, c.oid::regclass::text, '', 'Table ', c.reloptions
        FROM pg_class c
        WHERE c.oid = 'tasker_checkpoint_events'::regclass::oid
        UNION ALL
        SELECT t.oid, s.name, 'toast.', 'The TOAST table of ', t.reloptions
        FROM steps s JOIN pg_class t ON t.oid = s.reltoastrelid
    )
    SELECT 'ok', 'Autovacuum keeps up, as far as was counted.', NULL
    UNION ALL
    SELECT 'warning',
           pg_catalog.format('%s%s has %s dead rows and %s live ones, in %s. VACUUM makes their room good for new ones, unless an old transaction may still see them.',
                             l.what, l.name, pg_catalog.pg_stat_get_dead_tuples(l.oid), pg_catalog.pg_stat_get_live_tuples(l.oid),
                             pg_catalog.pg_size_pretty(pg_catalog.pg_relation_size(l.oid))),
           pg_catalog.format('VACUUM %s;', l.name)
    FROM looked_at l
    WHERE pg_catalog.pg_stat_get_dead_tuples(l.oid) >= greatest(10000, pg_catalog.pg_stat_get_live_tuples(l.oid))
    UNION ALL
    SELECT 'warning', pg_catalog.format('%s%s is not vacuumed automatically.', l.what, l.name),
           pg_catalog.format('ALTER TABLE %s RESET (%sautovacuum_enabled);', l.name, l.prefix)
    FROM looked_at l CROSS JOIN LATERAL pg_catalog.pg_options_to_table(l.reloptions) o
    WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean
    UNION ALL
    SELECT 'warning',
           pg_catalog.format('%s is off, and so is every automatic vacuum.%s', n.name,
                             CASE WHEN n.name = 'autovacuum' THEN ' The change takes effect at pg_reload_conf().' ELSE '' END),
           CASE WHEN n.name = 'autovacuum' THEN 'ALTER SYSTEM SET autovacuum = ' ELSE s.setter ->> n.name END
           || pg_catalog.quote_literal('on'::text) || ';'
    FROM tasker_checkpoint_settings() s
    CROSS JOIN (VALUES ('autovacuum'::text), ('track_counts')) AS n (name)
    WHERE (s.value ->> n.name) = 'off';
END;
COMMENT ON FUNCTION tasker_checkpoint_check_bloat() IS
'a check of tasker_checkpoint_doctor(): dead rows do not pile up';

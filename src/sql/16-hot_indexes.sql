--
-- Indexes that end HOT
--

CREATE FUNCTION tasker_checkpoint_hot_indexes()
RETURNS TABLE (name text, detail text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 3
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH set_columns AS (
        -- what a checkpoint sets, in the table and in its partitions, which may have
        -- indexes of their own; and what is computed from that
        SELECT a.attrelid, a.attnum, a.attname, a.attname = r.checkpoint_column AS on_checkpoint
        FROM tasker_checkpoint_registrations() r
        JOIN pg_attribute a ON a.attrelid = r.relid
            AND (a.attname = r.checkpoint_column OR a.attname = r.updated_at_column)
        WHERE r.attached
    ), all_columns AS (
        SELECT s.attrelid, s.attnum, s.attname, s.on_checkpoint, false AS computed
        FROM set_columns s
        UNION ALL
        SELECT a.attrelid, a.attnum, a.attname, s.on_checkpoint, true
        FROM set_columns s
        JOIN pg_attribute a ON a.attrelid = s.attrelid AND a.attgenerated <> '' AND NOT a.attisdropped
        JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            AND s.attnum::text IN (SELECT v[1] FROM pg_catalog.regexp_matches(d.adbin::text, ':varattno (-?[0-9]+) ', 'g') AS m (v))
    ), indexes AS (
        SELECT i.indexrelid, i.indrelid, n.nspname, c.relname, c.relkind,
               -- the columns that it has anywhere; 0 is the whole row
               ARRAY(SELECT k FROM pg_catalog.unnest(i.indkey::int2[]) AS u (k) WHERE k <> 0
                     UNION
                     SELECT v[1]::int2
                     FROM pg_catalog.regexp_matches(pg_catalog.concat(i.indexprs::text, i.indpred::text),
                                                    ':varattno (-?[0-9]+) ', 'g') AS m (v)) AS attnums
        FROM tasker_checkpoint_registrations() r
        JOIN pg_index i ON i.indrelid = r.relid
        JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_am m ON m.oid = c.relam
        -- a summarizing index leaves HOT alone from 16 on
        WHERE r.attached
        AND NOT (m.amname = 'brin' AND pg_catalog.current_setting('server_version_num')::int4 >= 160000)
    )
    SELECT pg_catalog.format('%I.%I', i.nspname, i.relname),
           CASE WHEN u.on_checkpoint IS NULL THEN 'It has the whole row.'
                WHEN NOT u.on_checkpoint AND NOT u.computed THEN 'It has the column updated_at, which every checkpoint sets.'
                ELSE pg_catalog.concat(
                    'It has the column ',
                    CASE WHEN NOT u.computed THEN 'checkpoint'
                         ELSE pg_catalog.format('%I, which is computed from %s', u.attname,
                                                CASE WHEN u.on_checkpoint THEN 'the checkpoint' ELSE 'updated_at' END) END,
                    CASE WHEN b.name IS NOT NULL
                        THEN ', and as a B-tree it refuses a cursor of more than 2704 bytes' END, '.') END,
           CASE WHEN k.oid IS NOT NULL THEN pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname)
                WHEN i.relkind = 'I' THEN pg_catalog.format('DROP INDEX %I.%I;', i.nspname, i.relname)
                ELSE pg_catalog.format('DROP INDEX CONCURRENTLY %I.%I;', i.nspname, i.relname) END
    FROM indexes i
    -- the column to name, the checkpoint itself before others
    LEFT JOIN LATERAL (SELECT a.* FROM all_columns a
                       WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.attnums)
                       ORDER BY a.on_checkpoint DESC, a.computed, a.attnum
                       LIMIT 1) u ON true
    LEFT JOIN tasker_checkpoint_cursor_indexes() b ON b.name = pg_catalog.format('%I.%I', i.nspname, i.relname)
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    WHERE u.attnum IS NOT NULL OR 0::int2 = ANY (i.attnums)
    ORDER BY 1;
END;
COMMENT ON FUNCTION tasker_checkpoint_hot_indexes() IS
'indexes of the attached table and its partitions that end HOT updates for every checkpoint, each with the statement that drops it; for tasker_checkpoint_attach() and tasker_checkpoint_doctor()';

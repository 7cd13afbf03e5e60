--
-- Indexes that end HOT, or bound the cursor
--

CREATE FUNCTION tasker_checkpoint_cursor_indexes()
RETURNS TABLE (relid oid, name text, entire boolean)
LANGUAGE C STABLE PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_cursor_indexes() IS
'the B-trees of the attached table and its partitions that hold the cursor, or what may be within it, and so bound it; for tasker_checkpoint_health() and tasker_checkpoint_hot_indexes()';

CREATE FUNCTION tasker_checkpoint_set_columns()
RETURNS TABLE (relid oid, attnum smallint, attname name, on_checkpoint boolean, computed boolean)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 3
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH set_columns AS (
        -- in partitions too, which may have indexes of their own
        SELECT a.attrelid, a.attnum, a.attname, a.attname = r.checkpoint_column AS on_checkpoint
        FROM tasker_checkpoint_registrations() r
        JOIN pg_attribute a ON a.attrelid = r.relid
            AND (a.attname = r.checkpoint_column OR a.attname = r.updated_at_column)
        WHERE r.attached
    )
    SELECT s.attrelid, s.attnum, s.attname, s.on_checkpoint, false
    FROM set_columns s
    UNION ALL
    SELECT a.attrelid, a.attnum, a.attname, s.on_checkpoint, true
    FROM set_columns s
    JOIN pg_attribute a ON a.attrelid = s.attrelid AND a.attgenerated <> '' AND NOT a.attisdropped
    JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        AND s.attnum::text IN (SELECT v[1] FROM pg_catalog.regexp_matches(d.adbin::text, ':varattno (-?[0-9]+) ', 'g') AS m (v));
END;
COMMENT ON FUNCTION tasker_checkpoint_set_columns() IS
'columns of the attached table and its partitions that every checkpoint sets, or that are computed from these; for tasker_checkpoint_hot_indexes() and tasker_checkpoint_drop_index()';

-- A unique index keeps its rows apart by its key, which only INCLUDE may have nothing to do with:
-- that is made anew without, and under its name, so that to do it again does no harm.
CREATE FUNCTION tasker_checkpoint_drop_index(relid oid, again boolean)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
BEGIN ATOMIC
    SELECT CASE WHEN k.oid IS NOT NULL THEN
                    pg_catalog.format('ALTER TABLE %s DROP CONSTRAINT %s%I', i.indrelid::regclass, e.if_exists, k.conname)
                    || CASE WHEN u.names IS NULL THEN ';'
                            ELSE pg_catalog.format(', ADD CONSTRAINT %I %s (%s)%s%s;', k.conname,
                                                   CASE k.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' || e.nulls END, u.names,
                                                   CASE WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END,
                                                   CASE WHEN k.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END) END
                WHEN u.names IS NOT NULL THEN
                    pg_catalog.format('DROP INDEX %s%s; CREATE UNIQUE INDEX %I ON %s (%s)%s;', e.if_exists, i.indexrelid::regclass,
                                      c.relname, i.indrelid::regclass, u.names, e.nulls)
                ELSE pg_catalog.format('DROP INDEX %s%s%s;', CASE WHEN c.relkind = 'I' THEN '' ELSE 'CONCURRENTLY ' END,
                                       e.if_exists, i.indexrelid::regclass) END
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    CROSS JOIN LATERAL (SELECT CASE WHEN again THEN 'IF EXISTS ' ELSE '' END AS if_exists,
                               CASE WHEN i.indnullsnotdistinct THEN ' NULLS NOT DISTINCT' ELSE '' END AS nulls) e
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    -- its key, if that is not what is in the way
    LEFT JOIN LATERAL (
        SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname::text), ', ' ORDER BY n.place) AS names
        FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS n (attnum, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = n.attnum
        WHERE i.indisunique AND NOT i.indisexclusion AND i.indnatts > i.indnkeyatts AND i.indexprs IS NULL AND i.indpred IS NULL
        AND n.place <= i.indnkeyatts
        HAVING NOT pg_catalog.bool_or(EXISTS (SELECT FROM tasker_checkpoint_set_columns() s
                                              WHERE s.relid = i.indrelid AND s.attnum = n.attnum))
    ) u ON true
    WHERE i.indexrelid = tasker_checkpoint_drop_index.relid
    -- others need it
    AND NOT i.indisreplident AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.conindid = i.indexrelid AND f.contype = 'f');
END;
COMMENT ON FUNCTION tasker_checkpoint_drop_index(oid, boolean) IS
'the statement that drops an index of the steps table, with its constraint, or makes a unique one anew without what it includes; NULL if foreign keys or the replica identity need it; "again": one that is run more than once; for tasker_checkpoint_hot_indexes() and tasker_checkpoint_health()';

CREATE FUNCTION tasker_checkpoint_hot_indexes()
RETURNS TABLE (name text, detail text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 3
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
BEGIN ATOMIC
    WITH indexes AS (
        SELECT i.indexrelid, i.indrelid, n.nspname, c.relname,
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
                        THEN ', and as a B-tree it refuses a cursor of more than 2704 bytes' END, '.') END
           || CASE WHEN d.statement IS NULL THEN ' Foreign keys or the replica identity of the table need it: have them use another.' ELSE '' END,
           d.statement
    FROM indexes i
    -- the column to name, the checkpoint itself before others
    LEFT JOIN LATERAL (SELECT a.* FROM tasker_checkpoint_set_columns() a
                       WHERE a.relid = i.indrelid AND a.attnum = ANY (i.attnums)
                       ORDER BY a.on_checkpoint DESC, a.computed, a.attnum
                       LIMIT 1) u ON true
    LEFT JOIN tasker_checkpoint_cursor_indexes() b ON b.relid = i.indexrelid
    -- computed once, for those that are shown
    CROSS JOIN LATERAL (SELECT tasker_checkpoint_drop_index(i.indexrelid, false) OFFSET 0) AS d (statement)
    WHERE u.attnum IS NOT NULL OR 0::int2 = ANY (i.attnums)
    ORDER BY 1;
END;
COMMENT ON FUNCTION tasker_checkpoint_hot_indexes() IS
'indexes of the attached table and its partitions that end HOT updates for every checkpoint, each with the statement that mends it, NULL if others need it; for tasker_checkpoint_attach() and tasker_checkpoint_doctor()';

--
-- The attached table
--

CREATE FUNCTION tasker_checkpoint_table()
RETURNS regclass
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_table() IS
'the attached steps table, NULL if there is none; raises 55000 if two tables have the guard trigger';

CREATE FUNCTION tasker_checkpoint_hot_indexes(steps regclass, checkpoint_column name)
RETURNS TABLE (name text, detail text, statement text)
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $indexes$
#variable_conflict use_column
DECLARE
    -- expressions as the server prints them: what leaves a text as long as it is,
    -- and what takes a value out of a document
    before text := '^([(]|lower[(]|upper[(])*';
    after text := '([)]|::(text|jsonb|character varying)| COLLATE "[^"]*")*';
    cursor_of text := concat('( (->|->>) ''cursor''::text| (#>|#>>) ''[{]cursor[^'']*''::text[[][]])', after);
    part_of text := concat('( (->|->>|#>|#>>) (''[^'']*''::text([[][]])?|[0-9]+)', after, ')*');
    whole_cursor text := concat(before, regexp_replace(quote_ident(checkpoint_column::text), '([^[:alnum:]_])', E'\\\\\\1', 'g'),
                                after, '(', cursor_of, part_of, ')?$');
BEGIN
    RETURN QUERY
    WITH RECURSIVE tables AS (
        -- the table with its partitions, which may have indexes of their own
        SELECT steps::oid AS relid
        UNION
        SELECT h.inhrelid
        FROM tables t
        JOIN pg_inherits h ON h.inhparent = t.relid
        JOIN pg_class c ON c.oid = h.inhrelid AND c.relispartition
    ), set_columns AS (
        -- what a checkpoint sets, and what is computed from that
        SELECT a.attrelid, a.attnum, a.attname, a.attname = checkpoint_column AS on_checkpoint, NULL::text AS computed
        FROM tables t JOIN pg_attribute a ON a.attrelid = t.relid
        WHERE a.attname = checkpoint_column
        OR (a.attname = 'updated_at' AND a.attgenerated = ''
            AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype))
    ), all_columns AS (
        SELECT * FROM set_columns
        UNION ALL
        SELECT a.attrelid, a.attnum, a.attname, s.on_checkpoint, pg_get_expr(d.adbin, d.adrelid)
        FROM tables t
        JOIN pg_attribute a ON a.attrelid = t.relid AND a.attgenerated <> '' AND NOT a.attisdropped
        JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        JOIN set_columns s ON s.attrelid = a.attrelid
             AND s.attnum::text IN (SELECT v[1] FROM regexp_matches(d.adbin::text, ':varattno (-?[0-9]+) ', 'g') v)
    ), indexes AS (
        SELECT i.indexrelid, i.indrelid, n.nspname, c.relname, c.relkind, m.amname,
               -- the columns that it has anywhere; 0 is the whole row
               array(SELECT k FROM unnest(i.indkey::int2[]) k WHERE k <> 0
                     UNION
                     SELECT v[1]::int2
                     FROM regexp_matches(concat(i.indexprs::text, i.indpred::text), ':varattno (-?[0-9]+) ', 'g') v) AS attnums,
               -- what it stores of each row
               array(SELECT pg_get_indexdef(i.indexrelid, k, false) FROM generate_series(1, i.indnatts::int) k) AS stored
        FROM tables t
        JOIN pg_index i ON i.indrelid = t.relid
        JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_am m ON m.oid = c.relam
        -- a summarizing index leaves HOT alone from 16 on
        WHERE NOT (m.amname = 'brin' AND current_setting('server_version_num')::int >= 160000)
    )
    SELECT format('%I.%I', i.nspname, i.relname),
           CASE WHEN u.on_checkpoint IS NULL THEN 'It has the whole row.'
                WHEN NOT u.on_checkpoint AND u.computed IS NULL THEN 'It has the column updated_at, which every checkpoint sets.'
                ELSE concat('It has the column ',
                            CASE WHEN u.computed IS NULL THEN 'checkpoint'
                                 ELSE format('%I, which is computed from %s', u.attname,
                                             CASE WHEN u.on_checkpoint THEN 'the checkpoint' ELSE 'updated_at' END) END,
                            CASE WHEN i.amname = 'btree' AND EXISTS (
                                          SELECT FROM unnest(i.stored) e
                                          WHERE e ~ whole_cursor
                                          OR EXISTS (SELECT FROM all_columns a
                                                     WHERE a.attrelid = i.indrelid AND a.computed ~ whole_cursor
                                                     AND e ~ concat(before, regexp_replace(quote_ident(a.attname::text), '([^[:alnum:]_])', E'\\\\\\1', 'g'),
                                                                    after, part_of, '$')))
                                THEN ', and as a B-tree it refuses a cursor of more than 2704 bytes' END, '.') END,
           CASE WHEN k.oid IS NOT NULL THEN format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname)
                WHEN i.relkind = 'I' THEN format('DROP INDEX %I.%I;', i.nspname, i.relname)
                ELSE format('DROP INDEX CONCURRENTLY %I.%I;', i.nspname, i.relname) END
    FROM indexes i
    -- the column to name, the checkpoint itself before others
    LEFT JOIN LATERAL (SELECT a.* FROM all_columns a
                       WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.attnums)
                       ORDER BY a.on_checkpoint DESC, a.computed IS NULL DESC, a.attnum
                       LIMIT 1) u ON true
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
    WHERE u.attnum IS NOT NULL OR 0 = ANY (i.attnums)
    ORDER BY 1;
END
$indexes$;
COMMENT ON FUNCTION tasker_checkpoint_hot_indexes(regclass, name) IS
'indexes of a table and its partitions that end HOT updates for every checkpoint, each with the statement that drops it; for tasker_checkpoint_attach() and tasker_checkpoint_doctor()';

CREATE FUNCTION tasker_checkpoint_attach(
    steps regclass DEFAULT NULL,
    key_column name DEFAULT 'workflow_step_uuid',
    create_indexes boolean DEFAULT false
)
RETURNS regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_attach(regclass, name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_attach(regclass, name, boolean) IS
'makes a table with a unique uuid key the steps table: adds the column checkpoint and the guard trigger, warns of indexes that end HOT; without a table tries tasker.workflow_steps and tasker_workflow_steps; returns the table; can be repeated; raises 55000 if another table is attached or none is found, 42809, 42804, 42703 or 42P16 if the table does not fit, 42P07 if another index is in the way of create_indexes';

CREATE FUNCTION tasker_checkpoint_attach_table(
    steps regclass,
    attached regclass,
    key_column name,
    create_indexes boolean
)
RETURNS regclass
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $attach$
DECLARE
    -- looked up, so that renaming or moving the schema does no harm
    own_schema name := (SELECT n.nspname FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace
                        WHERE e.extname = 'tasker_checkpoint');
    candidates regclass[];
    steps_name text;
    rel record;
    key record;
    col record;
    guard record;
    idx record;
    hot_name text;
    hot_detail text;
    hot_statement text;
    -- of an index: 41 bytes, which leave one of 63 room for what tells two apart
    stem text;
BEGIN
    -- who calls this directly has not the lock that attach takes, and not its look
    IF NOT EXISTS (SELECT FROM pg_locks l
                   WHERE l.pid = pg_backend_pid() AND l.locktype = 'object' AND l.granted
                   AND l.classid = 'pg_proc'::regclass AND l.mode = 'ShareUpdateExclusiveLock'
                   AND l.objid = format('%I.tasker_checkpoint_guard()', own_schema)::regprocedure) THEN
        RAISE EXCEPTION 'a table must be attached by tasker_checkpoint_attach()'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Call tasker_checkpoint_attach() with the steps table.';
    END IF;

    IF key_column IS NULL OR create_indexes IS NULL THEN
        RAISE EXCEPTION '% must not be null',
            CASE WHEN key_column IS NULL THEN 'key_column' ELSE 'create_indexes' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;

    IF steps IS NULL THEN
        SELECT array_agg(c.oid::regclass ORDER BY c.oid) INTO candidates
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE (n.nspname, c.relname) IN (('tasker', 'workflow_steps'),
                                         (own_schema, 'tasker_workflow_steps'))
        AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p';

        IF candidates IS NULL THEN
            RAISE EXCEPTION 'no steps table found'
                USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('Neither tasker.workflow_steps nor %I.tasker_workflow_steps is an ordinary or partitioned, permanent table.', own_schema),
                HINT = 'Call tasker_checkpoint_attach() with the steps table.';
        ELSIF cardinality(candidates) > 1 THEN
            RAISE EXCEPTION 'two steps tables found'
                USING ERRCODE = 'object_not_in_prerequisite_state',
                DETAIL = format('They are %s and %s.', candidates[1], candidates[2]),
                HINT = 'Call tasker_checkpoint_attach() with one of them.';
        END IF;
        steps := candidates[1];
    END IF;

    IF attached <> steps THEN
        RAISE EXCEPTION 'table % is attached already', attached
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Call tasker_checkpoint_detach() first.';
    END IF;

    SELECT c.relkind, c.relpersistence, c.relname, n.nspname, format('%I.%I', n.nspname, c.relname) AS name
    INTO rel
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = steps;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'table with OID % does not exist', steps::oid
            USING ERRCODE = 'undefined_table';
    ELSIF rel.relkind NOT IN ('r', 'p') OR rel.relpersistence = 't' THEN
        RAISE EXCEPTION '% cannot be the steps table', rel.name
            USING ERRCODE = 'wrong_object_type',
            DETAIL = CASE WHEN rel.relpersistence = 't' THEN 'It is temporary.'
                          ELSE 'It is not an ordinary or partitioned table.' END;
    END IF;
    steps_name := rel.name;

    -- the locks that ADD COLUMN and CREATE TRIGGER take, before anything is
    -- looked at; none if nothing is to be done
    IF attached IS NULL THEN
        EXECUTE format('LOCK TABLE %s IN %s MODE', steps_name,
                       CASE WHEN EXISTS (SELECT FROM pg_attribute
                                         WHERE attrelid = steps AND attname = 'checkpoint')
                            THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END);

        IF rel.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = steps) THEN
            RAISE EXCEPTION '% cannot be the steps table', steps_name
                USING ERRCODE = 'wrong_object_type',
                DETAIL = 'Tables inherit from it, and their rows would go past the guard.';
        END IF;

        SELECT attnum, attname, atttypid, attnotnull INTO key
        FROM pg_attribute
        WHERE attrelid = steps AND attname = key_column AND attnum > 0;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'column "%" of table % does not exist', key_column, steps_name
                USING ERRCODE = 'undefined_column',
                HINT = 'Name the key: tasker_checkpoint_attach(table, key_column => name).';
        ELSIF key.atttypid <> 'uuid'::regtype THEN
            RAISE EXCEPTION 'key column "%" of table % must be of type uuid', key_column, steps_name
                USING ERRCODE = 'datatype_mismatch',
                DETAIL = format('It is of type %s.', format_type(key.atttypid, NULL));
        ELSIF NOT key.attnotnull THEN
            RAISE EXCEPTION 'key column "%" of table % must be NOT NULL', key_column, steps_name
                USING ERRCODE = 'invalid_table_definition',
                HINT = format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', steps_name, key_column);
        ELSIF NOT EXISTS (SELECT FROM pg_index
                          WHERE indrelid = steps AND indisunique AND indimmediate
                          AND indisvalid AND indpred IS NULL
                          AND indnkeyatts = 1 AND indkey[0] = key.attnum) THEN
            RAISE EXCEPTION 'key column "%" of table % must have a unique index', key_column, steps_name
                USING ERRCODE = 'invalid_table_definition',
                DETAIL = 'There is no valid, immediate unique index on this column alone and on the whole table.',
                HINT = format('ALTER TABLE %s ADD UNIQUE (%I);', steps_name, key_column);
        END IF;

        SELECT atttypid, attnotnull, atthasdef, attgenerated INTO col
        FROM pg_attribute
        WHERE attrelid = steps AND attname = 'checkpoint' AND attnum > 0;
        IF NOT FOUND THEN
            EXECUTE format('ALTER TABLE %s ADD COLUMN checkpoint jsonb%s', steps_name,
                           CASE WHEN EXISTS (SELECT FROM pg_settings
                                             WHERE name = 'default_toast_compression'
                                             AND 'lz4' = ANY (enumvals))
                                THEN ' COMPRESSION lz4' ELSE '' END);
            -- other columns that are large must not push it out of line: each
            -- checkpoint would be written to a second table and its index
            EXECUTE format('ALTER TABLE %s ALTER COLUMN checkpoint SET STORAGE MAIN', steps_name);
        ELSIF col.atttypid <> 'jsonb'::regtype THEN
            RAISE EXCEPTION 'column "checkpoint" of table % must be of type jsonb', steps_name
                USING ERRCODE = 'datatype_mismatch',
                DETAIL = format('It is of type %s.', format_type(col.atttypid, NULL));
        ELSIF col.attnotnull OR col.atthasdef OR col.attgenerated <> '' THEN
            RAISE EXCEPTION 'column "checkpoint" of table % must be nullable and have no default', steps_name
                USING ERRCODE = 'invalid_table_definition',
                DETAIL = CASE WHEN col.attgenerated <> '' THEN 'It is generated.'
                              WHEN col.atthasdef THEN 'It has a default.'
                              ELSE 'It is NOT NULL.' END;
        END IF;

        EXECUTE format('CREATE TRIGGER zz_tasker_checkpoint_guard BEFORE INSERT OR UPDATE OF %I, checkpoint ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION %I.tasker_checkpoint_guard()',
                       key_column, steps_name, own_schema);
    END IF;

    -- the trigger's columns, whatever they are called by now
    SELECT t.tgname, t.tgenabled, t.tgattr[1] AS checkpoint, k.attname AS key_name, c.attname AS checkpoint_name
    INTO guard
    FROM pg_trigger t
    JOIN pg_attribute k ON k.attrelid = steps AND k.attnum = t.tgattr[0]
    JOIN pg_attribute c ON c.attrelid = steps AND c.attnum = t.tgattr[1]
    WHERE t.tgrelid = steps AND t.tgparentid = 0
    AND t.tgfoid = format('%I.tasker_checkpoint_guard()', own_schema)::regprocedure;

    IF guard.key_name <> key_column THEN
        RAISE EXCEPTION 'table % is attached already, with the key column "%"', steps_name, guard.key_name
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Call tasker_checkpoint_detach() first.';
    END IF;
    IF guard.tgenabled NOT IN ('O', 'A') THEN
        RAISE WARNING 'guard trigger of table % does not run', steps_name
            USING DETAIL = CASE guard.tgenabled WHEN 'D' THEN 'It is disabled.'
                                ELSE 'It is enabled for replicas only.' END,
            HINT = format('ALTER TABLE %s ENABLE TRIGGER %I;', steps_name, guard.tgname);
    END IF;

    IF col_description(steps, guard.checkpoint) IS NULL THEN
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', steps_name, guard.checkpoint_name,
                       'progress of a batch worker: cursor, items_processed, accumulated_results and history, kept by tasker_checkpoint');
    END IF;

    FOR hot_name, hot_detail, hot_statement IN EXECUTE format('SELECT name, detail, statement FROM %I.tasker_checkpoint_hot_indexes(steps => $1, checkpoint_column => $2)', own_schema)
        USING steps, guard.checkpoint_name
    LOOP
        RAISE WARNING 'index % ends HOT updates for every checkpoint', hot_name
            USING DETAIL = hot_detail, HINT = hot_statement;
    END LOOP;

    IF create_indexes THEN
        stem := rel.relname;
        WHILE octet_length(stem) > 41 LOOP
            stem := left(stem, -1);
        END LOOP;

        -- 500 characters stay below the 2704 bytes of a B-tree's entry
        FOR idx IN
            SELECT w.name, w.stored, c.oid, c.relkind, i.indrelid, i.indisvalid, pg_get_indexdef(i.indexrelid) AS definition
            FROM (VALUES ('idx_' || stem || '_checkpoint_cursor', format('"left"((%I ->> ''cursor''::text), 500)', guard.checkpoint_name)),
                         ('idx_' || stem || '_checkpoint_exists', quote_ident(guard.key_name::text))) w (name, stored)
            LEFT JOIN pg_class c ON c.relname = w.name AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = steps)
            LEFT JOIN pg_index i ON i.indexrelid = c.oid
            ORDER BY w.name
        LOOP
            IF idx.oid IS NULL THEN
                EXECUTE format('CREATE INDEX %I ON %s (%s) WHERE %I IS NOT NULL',
                               idx.name, steps_name, idx.stored, guard.checkpoint_name);
            ELSIF idx.indrelid IS DISTINCT FROM steps::oid OR NOT idx.indisvalid
                OR idx.definition <> format('CREATE INDEX %I ON %s%s USING btree (%s) WHERE (%I IS NOT NULL)',
                                            idx.name, CASE WHEN idx.relkind = 'I' THEN 'ONLY ' ELSE '' END,
                                            steps_name, idx.stored, guard.checkpoint_name) THEN
                RAISE EXCEPTION 'relation %.% is in the way of an index', quote_ident(rel.nspname::text), quote_ident(idx.name)
                    USING ERRCODE = 'duplicate_table',
                    DETAIL = CASE WHEN idx.indrelid IS NULL THEN 'It is not an index.'
                                  WHEN idx.indrelid <> steps::oid THEN format('It is an index of table %s.', idx.indrelid::regclass)
                                  WHEN NOT idx.indisvalid THEN 'It is that index, or was to be, but it is not valid.'
                                  ELSE format('It is another one: %s', idx.definition) END,
                    HINT = CASE WHEN idx.indrelid = steps::oid THEN
                                    format('Drop or rename it, and call tasker_checkpoint_attach() again: DROP INDEX %s%I.%I;',
                                           CASE WHEN idx.relkind = 'I' THEN '' ELSE 'CONCURRENTLY ' END, rel.nspname, idx.name)
                                ELSE 'Rename it, and call tasker_checkpoint_attach() again.' END;
            END IF;
        END LOOP;
    END IF;

    RETURN steps;
END
$attach$;
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_attach_table(regclass, regclass, name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_attach_table(regclass, regclass, name, boolean) IS
'the DDL of tasker_checkpoint_attach(), which alone calls it: "attached" is the table that is attached already, NULL if none is; returns the table, and raises what attach does, and 55000 to every other caller';

CREATE FUNCTION tasker_checkpoint_detach()
RETURNS regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_detach() FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_detach() IS
'drops the guard trigger of the steps table and returns the table; the column and its data stay, dispatched steps are forgotten and counted in a NOTICE; raises 55000 if no table is attached';

--
-- The attached table
--

-- The one place that knows which table is attached, and by which columns. Types
-- are those of the catalogs, to be joined with them by operators that fit exactly.
CREATE FUNCTION tasker_checkpoint_registrations()
RETURNS TABLE (
    steps oid,
    relid oid,
    attached boolean,
    counts boolean,
    is_marked boolean,
    trigger_name name,
    enabled "char",
    key_column name,
    checkpoint_column name,
    processed_column name,
    updated_at_column name,
    retry_columns name[]
)
LANGUAGE C STABLE PARALLEL SAFE
ROWS 1
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_registrations() IS
'every trigger that calls the guard: "relid" is its table, "steps" that table or the one that it is a partition of; "counts" says whether that is the steps table, "attached" whether it is the one to look at, of two that count the first that attach has made; "is_marked" whether the trigger goes with the extension; "enabled" is as in pg_trigger; then its columns, NULL where there is none of the type, "retry_columns" those that tasker_checkpoint_reset_for_retry() sets';

CREATE FUNCTION tasker_checkpoint_candidates()
RETURNS TABLE (relid oid, trusted boolean, alike boolean)
LANGUAGE C STABLE PARALLEL SAFE
ROWS 1
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_candidates() IS
'permanent tables that have a name of Tasker''s steps table: tasker.workflow_steps, and tasker_workflow_steps in the extension''s schema; "trusted" as tasker_checkpoint_trusts() says, "alike" whether it has the attached table''s key and most of its columns';

CREATE FUNCTION tasker_checkpoint_trusts(relid oid)
RETURNS boolean
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_trusts(oid) IS
'whether a table could be the steps table, and belongs to a superuser, the extension''s owner, the database''s owner or the owner of the attached table; raises 22004';

CREATE FUNCTION tasker_checkpoint_attach_call(relid oid, key_column name)
RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_attach_call(oid, name) IS
'the statement that attaches a table, with every argument and its type, so that no other function of the name fits; NULL if the table is gone; raises 22004';

CREATE FUNCTION tasker_checkpoint_table()
RETURNS regclass
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_table() IS
'the attached steps table, NULL if there is none; raises 55000 if two tables have the guard trigger';

CREATE FUNCTION tasker_checkpoint_attach(
    steps regclass DEFAULT NULL,
    key_column name DEFAULT 'workflow_step_uuid',
    create_indexes boolean DEFAULT false
)
RETURNS regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_attach(regclass, name, boolean) IS
'makes a table with a unique uuid key the steps table: adds the column checkpoint, the guard trigger and the one that forgets deleted steps, warns of indexes that end HOT; without a table tries tasker.workflow_steps and tasker_workflow_steps; returns the table; can be repeated; raises 55000 if another table is attached or none is found, 42809, 42804, 42703 or 42P16 if the table does not fit, 42P07 if another index is in the way of create_indexes, 22004, 25006, 42501 if the caller does not own the table, 42P01';

CREATE FUNCTION tasker_checkpoint_create_table(name text)
RETURNS regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_create_table(text) IS
'creates a table for an application that has none, and attaches it: id, name, inputs, processed, created_at, updated_at and checkpoint, with room for HOT updates; the name can have a schema, and is written as in SQL; returns the table, which is the caller''s; raises 55000 if a table is attached, 42P07 if the name is taken, 42602, 42601 or 0A000 if it is no name, 42809 if the schema is temporary, 3F000, 22004, 25006, 42501';

-- attach calls it past the rights on it, which nobody has
CREATE FUNCTION tasker_checkpoint_attach_table(
    steps regclass,
    key_column name,
    guard regprocedure
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $attach$
DECLARE
    rel record;
    key record;
    col record;
BEGIN
    -- who calls this directly has not the lock that attach takes, and not its look
    IF NOT EXISTS (SELECT FROM pg_locks l
                   WHERE l.pid = pg_backend_pid() AND l.locktype = 'object' AND l.granted
                   AND l.classid = 'pg_proc'::regclass AND l.mode = 'ShareUpdateExclusiveLock'
                   AND l.objid = guard) THEN
        RAISE EXCEPTION 'a table must be attached by tasker_checkpoint_attach()'
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Call tasker_checkpoint_attach() with the steps table.';
    END IF;

    SELECT c.relkind, c.relpersistence, format('%I.%I', n.nspname, c.relname) AS name
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

    IF EXISTS (SELECT FROM pg_depend t
               JOIN pg_depend g ON g.refclassid = t.refclassid AND g.refobjid = t.refobjid AND g.deptype = 'e'
               WHERE t.classid = 'pg_class'::regclass AND t.objid = steps AND t.deptype = 'e'
               AND g.classid = 'pg_proc'::regclass AND g.objid = guard) THEN
        RAISE EXCEPTION '% cannot be the steps table', rel.name
            USING ERRCODE = 'wrong_object_type',
            DETAIL = 'It is a table of the extension''s own.';
    END IF;

    -- the locks that ADD COLUMN and CREATE TRIGGER take, before anything is
    -- looked at
    EXECUTE format('LOCK TABLE %s IN %s MODE', rel.name,
                   CASE WHEN EXISTS (SELECT FROM pg_attribute
                                     WHERE attrelid = steps AND attname = 'checkpoint')
                        THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END);

    IF rel.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits WHERE inhparent = steps) THEN
        RAISE EXCEPTION '% cannot be the steps table', rel.name
            USING ERRCODE = 'wrong_object_type',
            DETAIL = 'Tables inherit from it, and their rows would go past the guard.';
    END IF;

    SELECT attnum, attname, atttypid, attnotnull, attgenerated INTO key
    FROM pg_attribute
    WHERE attrelid = steps AND attname = key_column AND attnum > 0;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'column "%" of table % does not exist', key_column, rel.name
            USING ERRCODE = 'undefined_column',
            HINT = 'Name the key: tasker_checkpoint_attach(table, key_column => name).';
    ELSIF key.atttypid <> 'uuid'::regtype THEN
        RAISE EXCEPTION 'key column "%" of table % must be of type uuid', key_column, rel.name
            USING ERRCODE = 'datatype_mismatch',
            DETAIL = format('It is of type %s.', format_type(key.atttypid, NULL));
    ELSIF key.attgenerated = 'v' THEN
        RAISE EXCEPTION 'key column "%" of table % must not be virtual', key_column, rel.name
            USING ERRCODE = 'invalid_table_definition',
            DETAIL = 'PostgreSQL makes no index on a virtual generated column.',
            HINT = 'Drop the column, and add it as GENERATED ALWAYS AS (...) STORED.';
    ELSIF NOT key.attnotnull THEN
        RAISE EXCEPTION 'key column "%" of table % must be NOT NULL', key_column, rel.name
            USING ERRCODE = 'invalid_table_definition',
            HINT = format('Let its owner run ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.', rel.name, key_column);
    ELSIF NOT EXISTS (SELECT FROM pg_index
                      WHERE indrelid = steps AND indisunique AND indimmediate
                      AND indisvalid AND indpred IS NULL
                      AND indnkeyatts = 1 AND indkey[0] = key.attnum) THEN
        RAISE EXCEPTION 'key column "%" of table % must have a unique index', key_column, rel.name
            USING ERRCODE = 'invalid_table_definition',
            DETAIL = 'There is no valid, immediate unique index on this column alone and on the whole table.',
            HINT = CASE WHEN EXISTS (SELECT FROM pg_partition_tree(steps) t
                                     JOIN pg_partitioned_table p ON p.partrelid = t.relid
                                     CROSS JOIN unnest(p.partattrs::int2[]) AS u (attnum)
                                     -- an expression is of no column
                                     LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = u.attnum
                                     WHERE a.attname IS DISTINCT FROM key_column) THEN
                            format('Make the table anew, partitioned by this column alone: PARTITION BY HASH (%I). '
                                   'A unique index has to include all that a table is partitioned by.', key_column)
                        ELSE format('Run ALTER TABLE %s ADD UNIQUE (%I).', rel.name, key_column) END;
    END IF;

    SELECT atttypid, attnotnull, atthasdef, attgenerated INTO col
    FROM pg_attribute
    WHERE attrelid = steps AND attname = 'checkpoint' AND attnum > 0;
    IF NOT FOUND THEN
        EXECUTE format('ALTER TABLE %s ADD COLUMN checkpoint jsonb%s', rel.name,
                       CASE WHEN EXISTS (SELECT FROM pg_settings
                                         WHERE name = 'default_toast_compression'
                                         AND 'lz4' = ANY (enumvals))
                            THEN ' COMPRESSION lz4' ELSE '' END);
        -- other columns that are large must not push it out of line: each
        -- checkpoint would be written to a second table and its index
        EXECUTE format('ALTER TABLE %s ALTER COLUMN checkpoint SET STORAGE MAIN', rel.name);
    ELSIF col.atttypid <> 'jsonb'::regtype THEN
        RAISE EXCEPTION 'column "checkpoint" of table % must be of type jsonb', rel.name
            USING ERRCODE = 'datatype_mismatch',
            DETAIL = format('It is of type %s.', format_type(col.atttypid, NULL));
    ELSIF col.attnotnull OR col.atthasdef OR col.attgenerated <> '' THEN
        RAISE EXCEPTION 'column "checkpoint" of table % must be nullable and have no default', rel.name
            USING ERRCODE = 'invalid_table_definition',
            DETAIL = CASE WHEN col.attgenerated <> '' THEN 'It is generated.'
                          WHEN col.atthasdef THEN 'It has a default.'
                          ELSE 'It is NOT NULL.' END;
    END IF;

    EXECUTE format('CREATE TRIGGER zz_tasker_checkpoint_guard BEFORE INSERT OR UPDATE OF %I, checkpoint ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION %s', key_column, rel.name, guard);
END
$attach$;
COMMENT ON FUNCTION tasker_checkpoint_attach_table(regclass, name, regprocedure) IS
'a part of tasker_checkpoint_attach(), which alone calls it: makes column and guard; raises what attach does, and 55000 to every other caller';

CREATE FUNCTION tasker_checkpoint_attach_indexes(
    steps regclass,
    key_column name,
    checkpoint_column name
)
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $indexes$
DECLARE
    rel record;
    idx record;
    -- of an index: 41 bytes, which leave one of 63 room for what tells two apart
    stem text;
BEGIN
    SELECT c.relname, c.relnamespace, n.nspname, format('%I.%I', n.nspname, c.relname) AS name
    INTO STRICT rel
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = steps;

    stem := rel.relname;
    WHILE octet_length(stem) > 41 LOOP
        stem := left(stem, -1);
    END LOOP;

    -- 500 characters stay below the 2704 bytes of a B-tree's entry
    FOR idx IN
        SELECT w.name, w.stored, c.oid, c.relkind, i.indrelid, i.indisvalid, pg_get_indexdef(i.indexrelid) AS definition
        FROM (VALUES ('idx_' || stem || '_checkpoint_cursor', format('"left"((%I ->> ''cursor''::text), 500)', checkpoint_column)),
                     ('idx_' || stem || '_checkpoint_exists', quote_ident(key_column::text))) w (name, stored)
        LEFT JOIN pg_class c ON c.relname = w.name AND c.relnamespace = rel.relnamespace
        LEFT JOIN pg_index i ON i.indexrelid = c.oid
        ORDER BY w.name
    LOOP
        IF idx.oid IS NULL THEN
            EXECUTE format('CREATE INDEX %I ON %s (%s) WHERE %I IS NOT NULL',
                           idx.name, rel.name, idx.stored, checkpoint_column);
        ELSIF idx.indrelid IS DISTINCT FROM steps::oid OR NOT idx.indisvalid
            OR idx.definition <> format('CREATE INDEX %I ON %s%s USING btree (%s) WHERE (%I IS NOT NULL)',
                                        idx.name, CASE WHEN idx.relkind = 'I' THEN 'ONLY ' ELSE '' END,
                                        rel.name, idx.stored, checkpoint_column) THEN
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
END
$indexes$;
COMMENT ON FUNCTION tasker_checkpoint_attach_indexes(regclass, name, name) IS
'a part of tasker_checkpoint_attach(), which alone calls it: makes the two indexes of create_indexes; raises 42P07';

CREATE FUNCTION tasker_checkpoint_detach()
RETURNS regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_detach() IS
'drops the two triggers of the steps table and returns the table; the column and its data stay, dispatched steps are forgotten and counted in a NOTICE; raises 25006, 42501 if the caller does not own the table, 55000 if none is attached, or two';

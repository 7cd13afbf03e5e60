/* tasker_checkpoint 1.0.0 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION tasker_checkpoint" to load this file. \quit

--
-- Types
--

CREATE TYPE tasker_checkpoint_receipt AS (
    sequence bigint,
    event_id uuid,
    directive text
);
COMMENT ON TYPE tasker_checkpoint_receipt IS
'what a worker gets for a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_receipt.sequence IS
'number of the checkpoint: 1 is the first one, and the first one after a clear';
COMMENT ON COLUMN tasker_checkpoint_receipt.event_id IS
'of a yield: the continuation, which a worker may claim now; of a save: the event it was given';
COMMENT ON COLUMN tasker_checkpoint_receipt.directive IS
'what the worker should do now: continue, pause or cancel';

CREATE TYPE tasker_checkpoint_state AS (
    has_checkpoint boolean,
    cursor jsonb,
    items_processed bigint,
    accumulated_results jsonb,
    checkpointed_at timestamptz,
    sequence bigint
);
COMMENT ON TYPE tasker_checkpoint_state IS
'what a handler needs to resume a step';
COMMENT ON COLUMN tasker_checkpoint_state.has_checkpoint IS
'whether the step has a checkpoint; a cursor of 0 is one';
COMMENT ON COLUMN tasker_checkpoint_state.cursor IS
'where to resume, as the handler gave it; NULL without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_state.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_state.accumulated_results IS
'partial results; NULL if there are none';
COMMENT ON COLUMN tasker_checkpoint_state.checkpointed_at IS
'time of the checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_state.sequence IS
'number of the checkpoint: history entries, those cut included; 0 without one';

CREATE TYPE tasker_checkpoint_delivery AS (
    event_id uuid,
    step_uuid uuid,
    has_checkpoint boolean,
    cursor jsonb,
    items_processed bigint,
    accumulated_results jsonb,
    sequence bigint,
    deliveries integer
);
COMMENT ON TYPE tasker_checkpoint_delivery IS
'a step that a worker has claimed, and where to resume it';
COMMENT ON COLUMN tasker_checkpoint_delivery.event_id IS
'proof of the claim, to be passed to every function that writes; known to this worker only';
COMMENT ON COLUMN tasker_checkpoint_delivery.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_delivery.has_checkpoint IS
'whether the step has a checkpoint; a cursor of 0 is one';
COMMENT ON COLUMN tasker_checkpoint_delivery.cursor IS
'where to resume, as the handler gave it; NULL without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_delivery.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_delivery.accumulated_results IS
'partial results; NULL if there are none';
COMMENT ON COLUMN tasker_checkpoint_delivery.sequence IS
'number of the checkpoint; 0 without one';
COMMENT ON COLUMN tasker_checkpoint_delivery.deliveries IS
'claims since the last checkpoint, this one included; more than 1 means that a worker failed';

--
-- Dispatched steps
--

CREATE TABLE tasker_checkpoint_events (
    -- in the order of src/events.c; what a yield leaves alone comes first
    step_uuid uuid PRIMARY KEY,
    directive text NOT NULL CHECK (directive IN ('continue', 'pause', 'cancel')),
    parked boolean NOT NULL,
    event_id uuid,
    continuation_id uuid,
    worker text,
    available_at timestamptz NOT NULL,
    lease interval,
    lease_until timestamptz,
    deliveries integer NOT NULL,
    sequence bigint NOT NULL,
    yield_event_id uuid,
    yield_digest bigint,
    yield_sequence bigint,
    save_event_id uuid,
    save_digest bigint,
    save_sequence bigint
)
USING heap
-- heartbeats and saves are HOT while their page has room; the table stays
-- small, so a tenth of it is soon dead
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- a claimed event's place is the end of its first lease, so that heartbeats
-- change no indexed column
CREATE INDEX tasker_checkpoint_events_claimable
    ON tasker_checkpoint_events (available_at)
    WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
CREATE UNIQUE INDEX tasker_checkpoint_events_event_id
    ON tasker_checkpoint_events (event_id);

COMMENT ON TABLE tasker_checkpoint_events IS
'one row for a step that is dispatched, paused or cancelled; written by the extension''s functions only';
COMMENT ON COLUMN tasker_checkpoint_events.step_uuid IS 'the step';
COMMENT ON COLUMN tasker_checkpoint_events.event_id IS
'the step''s current event, which fences writes; NULL if the row holds a directive only';
COMMENT ON COLUMN tasker_checkpoint_events.directive IS
'what the next receipt tells the worker: continue, pause or cancel';
COMMENT ON COLUMN tasker_checkpoint_events.worker IS 'who has claimed the event; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_events.available_at IS
'when the event can be claimed; of a claimed one, when its first lease ends; of a paused or cancelled step, since when it cannot be';
COMMENT ON COLUMN tasker_checkpoint_events.lease IS 'lease last given, by which a save extends it';
COMMENT ON COLUMN tasker_checkpoint_events.lease_until IS 'when the claim runs out';
COMMENT ON COLUMN tasker_checkpoint_events.deliveries IS 'claims since the last checkpoint under a claim';
COMMENT ON COLUMN tasker_checkpoint_events.parked IS
'whether the event was claimed too often without a checkpoint; lifted by tasker_checkpoint_resume()';
COMMENT ON COLUMN tasker_checkpoint_events.sequence IS 'number of the last checkpoint known here';
COMMENT ON COLUMN tasker_checkpoint_events.yield_event_id IS 'event of the last fenced yield, to recognize its replay';
COMMENT ON COLUMN tasker_checkpoint_events.yield_digest IS 'hash of its cursor, items and results';
COMMENT ON COLUMN tasker_checkpoint_events.yield_sequence IS 'its receipt''s sequence';
COMMENT ON COLUMN tasker_checkpoint_events.continuation_id IS 'its receipt''s event_id';
COMMENT ON COLUMN tasker_checkpoint_events.save_event_id IS 'event of the last fenced save, to recognize its replay';
COMMENT ON COLUMN tasker_checkpoint_events.save_digest IS 'hash of its cursor, items and results';
COMMENT ON COLUMN tasker_checkpoint_events.save_sequence IS 'its receipt''s sequence';

-- a dump carries dispatched steps, and a restore goes on with them
SELECT pg_catalog.pg_extension_config_dump('tasker_checkpoint_events', '');

--
-- The archive
--

-- by the month of the year, in UTC: a partition can be emptied long before its
-- month comes again
CREATE TABLE tasker_checkpoint_archive (
    -- in the order of src/archive.c
    step_uuid uuid NOT NULL,
    generation integer NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    last_at timestamptz,
    archived_at timestamptz NOT NULL,
    cleared_by text,
    entries jsonb NOT NULL,
    accumulated_results jsonb
)
PARTITION BY LIST ((extract(month FROM archived_at AT TIME ZONE 'UTC')));
CREATE INDEX ON tasker_checkpoint_archive (step_uuid, generation, first_sequence);

CREATE TABLE tasker_checkpoint_archive_01 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (1) USING heap;
CREATE TABLE tasker_checkpoint_archive_02 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (2) USING heap;
CREATE TABLE tasker_checkpoint_archive_03 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (3) USING heap;
CREATE TABLE tasker_checkpoint_archive_04 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (4) USING heap;
CREATE TABLE tasker_checkpoint_archive_05 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (5) USING heap;
CREATE TABLE tasker_checkpoint_archive_06 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (6) USING heap;
CREATE TABLE tasker_checkpoint_archive_07 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (7) USING heap;
CREATE TABLE tasker_checkpoint_archive_08 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (8) USING heap;
CREATE TABLE tasker_checkpoint_archive_09 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (9) USING heap;
CREATE TABLE tasker_checkpoint_archive_10 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (10) USING heap;
CREATE TABLE tasker_checkpoint_archive_11 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (11) USING heap;
CREATE TABLE tasker_checkpoint_archive_12 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (12) USING heap;

COMMENT ON TABLE tasker_checkpoint_archive IS
'history entries that were cut or cleared while tasker_checkpoint.archive_history was on; append-only, written by the guard, read by tasker_checkpoint_history(), emptied by tasker_checkpoint_purge_archive()';
COMMENT ON COLUMN tasker_checkpoint_archive.step_uuid IS 'the step';
COMMENT ON COLUMN tasker_checkpoint_archive.generation IS
'1, and one more after each clear of the step';
COMMENT ON COLUMN tasker_checkpoint_archive.first_sequence IS
'number of the first checkpoint in entries';
COMMENT ON COLUMN tasker_checkpoint_archive.last_sequence IS
'number of the last one; one less than first_sequence if there are no entries';
COMMENT ON COLUMN tasker_checkpoint_archive.last_at IS
'time of the last one, by which the history is known that goes on from it';
COMMENT ON COLUMN tasker_checkpoint_archive.archived_at IS
'when the row was written; of a clear, when it was cleared';
COMMENT ON COLUMN tasker_checkpoint_archive.cleared_by IS
'session user that cleared the checkpoint; NULL: entries were cut';
COMMENT ON COLUMN tasker_checkpoint_archive.entries IS
'checkpoints as the history had them, oldest first';
COMMENT ON COLUMN tasker_checkpoint_archive.accumulated_results IS
'results of the checkpoint that was cleared';

DO $partitions$
DECLARE
    partition regclass;
BEGIN
    FOR partition IN
        SELECT inhrelid FROM pg_catalog.pg_inherits
        WHERE inhparent = 'tasker_checkpoint_archive'::regclass
        ORDER BY inhrelid
    LOOP
        EXECUTE format('COMMENT ON TABLE %s IS %L', partition, 'tasker_checkpoint_archive for a month of the year');

        -- so that a publication of all tables does not keep it from being purged
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', partition);
        PERFORM pg_catalog.pg_extension_config_dump(partition, '');
    END LOOP;
END
$partitions$;

-- nothing by default privileges: whoever can read an event's id can write its
-- step, and the archive has steps that the reader may not see
DO $revoke$
DECLARE
    own regclass;
    grantee text;
BEGIN
    FOR own, grantee IN
        SELECT c.oid, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
             AND e.extname = 'tasker_checkpoint'
        CROSS JOIN aclexplode(c.relacl) a
        WHERE c.relkind IN ('r', 'p') AND a.grantee <> c.relowner
        GROUP BY c.oid, a.grantee
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', own, grantee);
    END LOOP;
END
$revoke$;

--
-- The guard
--

CREATE FUNCTION tasker_checkpoint_guard()
RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_guard() FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_guard() IS
'trigger that owns the checkpoint column of the steps table: keeps history, cuts it, enforces shape and limits for every writer, and the fence; raises 23514, 54000, 55000, TC001, TC002; made by tasker_checkpoint_attach()';

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
BEGIN
    RETURN QUERY
    SELECT i.name,
           CASE WHEN NOT i.on_checkpoint THEN 'It has the column updated_at, which every checkpoint sets.'
                WHEN i.bounds_cursor THEN 'It has the column checkpoint, and as a B-tree it refuses a cursor of more than 2704 bytes.'
                ELSE 'It has the column checkpoint.' END,
           CASE WHEN i.drop_constraint IS NOT NULL THEN i.drop_constraint
                WHEN i.partitioned THEN format('DROP INDEX %s;', i.name)
                ELSE format('DROP INDEX CONCURRENTLY %s;', i.name) END
    FROM (
        SELECT format('%I.%I', n.nspname, c.relname) AS name,
               c.relkind = 'I' AS partitioned,
               bool_or(a.attname = checkpoint_column) AS on_checkpoint,
               (SELECT format('ALTER TABLE %s DROP CONSTRAINT %I;', conrelid::regclass, conname)
                FROM pg_constraint
                WHERE conindid = i.indexrelid AND contype IN ('p', 'u', 'x')) AS drop_constraint,
               m.amname = 'btree'
               AND (bool_or(a.attname = checkpoint_column AND a.attnum = ANY (i.indkey))
                    OR (pg_get_expr(i.indexprs, i.indrelid) LIKE '%' || quote_ident(checkpoint_column) || '%'
                        AND pg_get_expr(i.indexprs, i.indrelid) NOT LIKE '%"left"(%')) AS bounds_cursor
        -- the table with its partitions, which may have indexes of their own
        FROM (SELECT steps AS relid UNION SELECT relid FROM pg_partition_tree(steps)) t
        JOIN pg_index i ON i.indrelid = t.relid
        JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_am m ON m.oid = c.relam
        JOIN pg_attribute a ON a.attrelid = i.indrelid
             AND (a.attname = checkpoint_column
                  OR (a.attname = 'updated_at' AND a.attgenerated = ''
                      AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype)))
        WHERE (a.attnum = ANY (i.indkey)
             OR EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.relid
                        AND d.refobjsubid = a.attnum))
        -- a summarizing index leaves HOT alone from 16 on
        AND NOT (m.amname = 'brin' AND current_setting('server_version_num')::int >= 160000)
        GROUP BY i.indexrelid, i.indrelid, i.indexprs, n.nspname, c.relname, c.relkind, m.amname
    ) i
    ORDER BY i.name;
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
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $attach$
DECLARE
    -- looked up, so that renaming or moving the schema does no harm
    own_schema name := (SELECT n.nspname FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace
                        WHERE e.extname = 'tasker_checkpoint');
    candidates regclass[];
    attached regclass;
    steps_name text;
    rel record;
    key record;
    col record;
    guard record;
    idx record;
    -- of an index: 41 bytes, which leave one of 63 room for what tells two apart
    stem text;
BEGIN
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

    -- one at a time: two that overlap would not see each other's trigger
    PERFORM pg_advisory_xact_lock(hashtextextended('tasker_checkpoint_attach', 0));

    EXECUTE format('SELECT %I.tasker_checkpoint_table()', own_schema) INTO attached;
    IF attached <> steps THEN
        RAISE EXCEPTION 'table % is attached already', attached
            USING ERRCODE = 'object_not_in_prerequisite_state',
            HINT = 'Call tasker_checkpoint_detach() first.';
    END IF;

    SELECT c.relkind, c.relpersistence, c.relname, format('%I.%I', n.nspname, c.relname) AS name
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

    EXECUTE format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION tasker_checkpoint', guard.tgname, steps_name);
    IF col_description(steps, guard.checkpoint) IS NULL THEN
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', steps_name, guard.checkpoint_name,
                       'progress of a batch worker: cursor, items_processed, accumulated_results and history, kept by tasker_checkpoint');
    END IF;

    FOR idx IN EXECUTE format('SELECT * FROM %I.tasker_checkpoint_hot_indexes($1, $2)', own_schema)
        USING steps, guard.checkpoint_name
    LOOP
        RAISE WARNING 'index % ends HOT updates for every checkpoint', idx.name
            USING DETAIL = idx.detail, HINT = idx.statement;
    END LOOP;

    IF create_indexes THEN
        stem := rel.relname;
        WHILE octet_length(stem) > 41 LOOP
            stem := left(stem, -1);
        END LOOP;

        -- 500 characters stay below the 2704 bytes of a B-tree's entry
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %s ((left(%I ->> ''cursor'', 500))) WHERE %I IS NOT NULL',
                       'idx_' || stem || '_checkpoint_cursor', steps_name,
                       guard.checkpoint_name, guard.checkpoint_name);
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %s (%I) WHERE %I IS NOT NULL',
                       'idx_' || stem || '_checkpoint_exists', steps_name,
                       guard.key_name, guard.checkpoint_name);
    END IF;

    RETURN steps;
END
$attach$;
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_attach(regclass, name, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_attach(regclass, name, boolean) IS
'makes a table with a unique uuid key the steps table: adds the column checkpoint and the guard trigger, warns of indexes that end HOT; without a table tries tasker.workflow_steps and tasker_workflow_steps; returns the table; can be repeated; raises 55000 if another table is attached or none is found, 42809, 42804, 42703 or 42P16 if the table does not fit';

CREATE FUNCTION tasker_checkpoint_detach()
RETURNS regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_detach() FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_detach() IS
'drops the guard trigger of the steps table and returns the table; the column and its data stay, dispatched steps are forgotten and counted in a NOTICE; raises 55000 if no table is attached';

--
-- Writing a checkpoint
--

CREATE FUNCTION tasker_checkpoint_yield(
    step_uuid uuid,
    cursor jsonb,
    items bigint,
    results jsonb DEFAULT NULL,
    event_id uuid DEFAULT NULL
)
RETURNS tasker_checkpoint_receipt
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) IS
'persists a checkpoint and re-dispatches the step, waking listeners at commit; items counts the items of the step since its beginning; event_id is the claim under which it is written; a repeated call returns the same receipt; raises 22004, 22023, 55000, P0002, TC002, 54000, TC001';

CREATE FUNCTION tasker_checkpoint_save(
    step_uuid uuid,
    cursor jsonb,
    items bigint,
    results jsonb DEFAULT NULL,
    event_id uuid DEFAULT NULL
)
RETURNS tasker_checkpoint_receipt
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid) IS
'persists a checkpoint while the worker goes on, in the same transaction as its work, and extends the lease of its claim; items counts the items of the step since its beginning; event_id is the claim under which it is written; a repeated call returns the same receipt; raises 22004, 22023, 55000, P0002, TC002, 54000, TC001';

CREATE FUNCTION tasker_checkpoint_yield_step_event(event_id uuid, checkpoint_data jsonb)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_yield_step_event(uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_yield_step_event(uuid, jsonb) IS
'tasker_checkpoint_yield() as Tasker''s workers call it, with step_uuid, cursor, items_processed and accumulated_results in one object; false, and nothing written, if the event is unknown, finished or superseded; raises 22004, 22023, 55000, P0002, 54000, TC001';

--
-- Dispatch
--

CREATE FUNCTION tasker_checkpoint_dispatch(step_uuid uuid)
RETURNS uuid
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_dispatch(uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_dispatch(uuid) IS
'offers a step to the workers and wakes them at commit; returns the event''s id, that of the unclaimed event if there is one already, NULL if the step is claimed, paused, cancelled or parked; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_claim(
    worker text,
    lease interval DEFAULT '1 minute',
    max_steps integer DEFAULT 1,
    step_uuid uuid DEFAULT NULL
)
RETURNS SETOF tasker_checkpoint_delivery
LANGUAGE C VOLATILE PARALLEL UNSAFE
ROWS 1
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_claim(text, interval, integer, uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_claim(text, interval, integer, uuid) IS
'takes up to max_steps dispatched steps, or the given one, for a worker until the lease ends; those that wait longest first; returns each with where to resume; raises 22004, 22023, 25000, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_heartbeat(event_id uuid, lease interval DEFAULT NULL)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_heartbeat(uuid, interval) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_heartbeat(uuid, interval) IS
'extends a claim to now and its lease, or the given one; never shortens it and never waits; false if the claim was superseded: stop; raises 22004, 22023';

CREATE FUNCTION tasker_checkpoint_complete(event_id uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_complete(uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_complete(uuid) IS
'ends a step''s dispatch, since its handler finished or failed for good; the checkpoint stays; false if the event is not the step''s current one; raises 22004';

CREATE FUNCTION tasker_checkpoint_release(event_id uuid, delay interval DEFAULT '0')
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_release(uuid, interval) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_release(uuid, interval) IS
'hands a step back, to be claimed again after the delay (0 to 1 day) from its last checkpoint; false if the event is not the step''s current one; raises 22004, 22023';

CREATE TYPE tasker_checkpoint_dispatched_step AS (
    step_uuid uuid,
    has_event boolean,
    directive text,
    parked boolean,
    available_at timestamptz,
    worker text,
    lease interval,
    lease_until timestamptz,
    deliveries integer,
    sequence bigint
);
COMMENT ON TYPE tasker_checkpoint_dispatched_step IS
'what a reader may know of a step''s dispatch: all but the ids of events';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.has_event IS
'whether it is dispatched; false: it is only paused or cancelled';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.directive IS
'what the next receipt tells the worker: continue, pause or cancel';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.parked IS
'whether it was claimed too often without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.available_at IS
'when it can be claimed; of a claimed one, when its first lease ends';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.worker IS
'who has claimed it; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.lease IS
'lease last given; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.lease_until IS
'when the claim runs out; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.deliveries IS
'claims since the last checkpoint under a claim';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.sequence IS
'number of the last checkpoint known to the dispatch';

CREATE FUNCTION tasker_checkpoint_dispatched(step_uuid uuid DEFAULT NULL)
RETURNS SETOF tasker_checkpoint_dispatched_step
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_dispatched(uuid) IS
'the steps that are dispatched, paused or cancelled, of those that the caller can see, by step, or the given one; raises 55000, P0002';

--
-- Reading a checkpoint
--

CREATE FUNCTION tasker_checkpoint_get(step_uuid uuid)
RETURNS jsonb
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_get(uuid) IS
'the whole checkpoint of a step, NULL if it has none; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_load(step_uuid uuid)
RETURNS tasker_checkpoint_state
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_load(uuid) IS
'all that a handler needs to resume a step, in one row; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_exists(step_uuid uuid)
RETURNS boolean
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_exists(uuid) IS
'whether a step has a checkpoint; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_cursor(step_uuid uuid)
RETURNS jsonb
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_cursor(uuid) IS
'where to resume a step, JSON null included; NULL without a checkpoint; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_items_processed(step_uuid uuid)
RETURNS bigint
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_items_processed(uuid) IS
'items that a step has processed since its beginning, 0 without a checkpoint; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_accumulated_results(step_uuid uuid)
RETURNS jsonb
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_accumulated_results(uuid) IS
'partial results of a step, NULL if they are null or there is no checkpoint; raises 22004, 55000, P0002';

CREATE TYPE tasker_checkpoint_history_entry AS (
    generation integer,
    sequence bigint,
    cursor jsonb,
    items_processed bigint,
    checkpointed_at timestamptz,
    accumulated_results jsonb,
    archived boolean,
    cleared_at timestamptz,
    cleared_by text
);
COMMENT ON TYPE tasker_checkpoint_history_entry IS
'a checkpoint that a step had';
COMMENT ON COLUMN tasker_checkpoint_history_entry.generation IS
'1, and one more after each clear that was archived';
COMMENT ON COLUMN tasker_checkpoint_history_entry.sequence IS
'number of the checkpoint in its generation';
COMMENT ON COLUMN tasker_checkpoint_history_entry.cursor IS
'where the step would have been resumed, as the handler gave it';
COMMENT ON COLUMN tasker_checkpoint_history_entry.items_processed IS
'items that the step had processed; NULL if that was not kept';
COMMENT ON COLUMN tasker_checkpoint_history_entry.checkpointed_at IS
'time of the checkpoint; NULL if it is unreadable';
COMMENT ON COLUMN tasker_checkpoint_history_entry.accumulated_results IS
'partial results, of the present checkpoint and of one that was cleared; NULL otherwise: history keeps none';
COMMENT ON COLUMN tasker_checkpoint_history_entry.archived IS
'whether it is in the archive; else it is in the checkpoint only';
COMMENT ON COLUMN tasker_checkpoint_history_entry.cleared_at IS
'when its generation was cleared; NULL: it is the present one';
COMMENT ON COLUMN tasker_checkpoint_history_entry.cleared_by IS
'session user that cleared it';

CREATE FUNCTION tasker_checkpoint_history(step_uuid uuid)
RETURNS SETOF tasker_checkpoint_history_entry
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_history(uuid) IS
'every checkpoint that a step had, oldest first, as far as archive and history keep it; raises 22004, 55000, P0002';

--
-- Control
--

CREATE FUNCTION tasker_checkpoint_clear(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_clear(uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_clear(uuid) IS
'removes the checkpoint of a step, and takes the step from whoever has it; true if there was one; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_reset_for_retry(
    step_uuid uuid,
    reset_checkpoint boolean DEFAULT false
)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_reset_for_retry(uuid, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_reset_for_retry(uuid, boolean) IS
'makes a step ready for another run: in_process and processed false, processed_at, results and backoff_request_seconds NULL, where the table has them; keeps the checkpoint unless told, and takes the step from whoever has it; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_pause(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_pause(uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_pause(uuid) IS
'tells the worker with its next receipt to pause, and keeps the step from being claimed; false if it was paused or cancelled already; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_cancel(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_cancel(uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_cancel(uuid) IS
'tells the worker with its next receipt to stop for good, and keeps the step from being claimed until it is resumed; false if it was cancelled already; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_resume(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_resume(uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_resume(uuid) IS
'lifts pause, cancel and parking, and wakes the workers; false if there was nothing to lift; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_rewind(
    step_uuid uuid,
    to_sequence bigint,
    results jsonb DEFAULT NULL
)
RETURNS tasker_checkpoint_receipt
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_rewind(uuid, bigint, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_rewind(uuid, bigint, jsonb) IS
'makes cursor and items of an earlier checkpoint of the history the current ones, as a new checkpoint with these results, and takes the step from whoever has it; returns the receipt; raises 22004, 22023, 54000, 55000, P0002';

--
-- Statistics
--

CREATE TYPE tasker_checkpoint_statistics AS (
    yields bigint,
    saves bigint,
    replays bigint,
    fenced bigint,
    refused_tc001 bigint,
    refused_54000 bigint,
    refused_23514 bigint,
    refused_55000 bigint,
    truncated_entries bigint,
    claims bigint,
    expired_claims bigint,
    parked bigint,
    notifications_sent bigint,
    notifications_batched bigint,
    notifications_lost bigint,
    stats_reset timestamptz
);
COMMENT ON TYPE tasker_checkpoint_statistics IS
'what was done and refused in this database; all NULL if the library is not preloaded';
COMMENT ON COLUMN tasker_checkpoint_statistics.yields IS
'checkpoints that a yield has stored';
COMMENT ON COLUMN tasker_checkpoint_statistics.saves IS
'checkpoints that a save has stored';
COMMENT ON COLUMN tasker_checkpoint_statistics.replays IS
'yields and saves that were repeated after a lost reply, and only answered';
COMMENT ON COLUMN tasker_checkpoint_statistics.fenced IS
'writes refused because the claim was superseded, or one was required: TC002, or false';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_tc001 IS
'checkpoints refused because their items were fewer than the stored ones';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_54000 IS
'checkpoints refused because they were over a limit';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_23514 IS
'writes refused because they were no checkpoint';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_55000 IS
'calls refused because of the state of a step or table: processed, not attached, not guarded';
COMMENT ON COLUMN tasker_checkpoint_statistics.truncated_entries IS
'history entries that were cut';
COMMENT ON COLUMN tasker_checkpoint_statistics.claims IS
'steps handed to a worker';
COMMENT ON COLUMN tasker_checkpoint_statistics.expired_claims IS
'those of them that were taken from a worker whose lease had run out';
COMMENT ON COLUMN tasker_checkpoint_statistics.parked IS
'steps parked because they were claimed too often without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_statistics.notifications_sent IS
'wake-ups sent';
COMMENT ON COLUMN tasker_checkpoint_statistics.notifications_batched IS
'those of them that the notifier has sent';
COMMENT ON COLUMN tasker_checkpoint_statistics.notifications_lost IS
'wake-ups that were not sent: left out while the NOTIFY queue was nearly full, or lost with a notifier that failed';
COMMENT ON COLUMN tasker_checkpoint_statistics.stats_reset IS
'since when all this was counted: the start of the server, or the last reset';

CREATE FUNCTION tasker_checkpoint_stats()
RETURNS tasker_checkpoint_statistics
LANGUAGE C VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_stats() FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_stats() IS
'what was done and refused in this database since the server''s start or the last reset; NULLs and a NOTICE if the library is not preloaded';

CREATE FUNCTION tasker_checkpoint_stats_reset()
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_stats_reset() FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_stats_reset() IS
'sets the counters of tasker_checkpoint_stats() to 0, for this database; a NOTICE if the library is not preloaded';

--
-- Maintenance
--

CREATE FUNCTION tasker_checkpoint_purge(
    older_than interval,
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_purge(interval, integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_purge(interval, integer, boolean) IS
'removes the checkpoints of processed steps that are older than that, at most max_rows, but for those that others have locked; returns how many, 0 when there are no more; a dry run counts all and removes none; raises 22004, 22023, 55000';

CREATE FUNCTION tasker_checkpoint_trim(
    entries integer,
    older_than interval DEFAULT '0',
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_trim(integer, interval, integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_trim(integer, interval, integer, boolean) IS
'shortens longer histories to their newest entries, those of at most max_rows steps, whose checkpoints are older than that, but for those that others have locked; returns how many, 0 when there are no more; a dry run counts all and changes none; raises 22004, 22023, 55000';

CREATE FUNCTION tasker_checkpoint_purge_events(
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_purge_events(integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_purge_events(integer, boolean) IS
'forgets the dispatch, pause and cancel of steps that are gone or processed, at most max_rows, but for those under a lease and those that others have locked; returns how many, 0 when there are no more; a dry run counts all and removes none; raises 22004, 22023, 25000, 55000';

--
-- Maintenance of the archive
--

CREATE FUNCTION tasker_checkpoint_purge_archive(
    older_than interval,
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $purge$
DECLARE
    month_now timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    cutoff timestamptz;
    part record;
    purged bigint := 0;
    n bigint;
BEGIN
    IF older_than IS NULL OR max_rows IS NULL OR dry_run IS NULL THEN
        RAISE EXCEPTION '% must not be null',
            CASE WHEN older_than IS NULL THEN 'older_than'
                 WHEN max_rows IS NULL THEN 'max_rows' ELSE 'dry_run' END
            USING ERRCODE = 'null_value_not_allowed';
    ELSIF older_than < '0' OR older_than > '1000 years' THEN
        RAISE EXCEPTION 'older_than is out of range'
            USING ERRCODE = 'invalid_parameter_value',
            DETAIL = 'It must be from 0 to 1000 years.',
            HINT = 'It is how old something must be, as in ''30 days''.';
    ELSIF max_rows < 1 OR max_rows > 1000000 THEN
        RAISE EXCEPTION 'max_rows must be from 1 to 1000000'
            USING ERRCODE = 'invalid_parameter_value',
            DETAIL = format('It is %s.', max_rows),
            HINT = 'Call the function again until it returns 0.';
    END IF;
    cutoff := now() - older_than;

    -- the oldest month first: the one after this one, as it last was
    FOR part IN
        SELECT format('%I.tasker_checkpoint_archive_%s', n.nspname,
                      to_char(month_now - ago * interval '1 month', 'MM')) AS name,
               (month_now + (1 - ago) * interval '1 month') AT TIME ZONE 'UTC' <= cutoff AS is_over
        FROM pg_extension e
        JOIN pg_namespace n ON n.oid = e.extnamespace
        CROSS JOIN generate_series(11, 0, -1) AS ago
        WHERE e.extname = 'tasker_checkpoint'
        ORDER BY ago DESC
    LOOP
        IF dry_run THEN
            EXECUTE format('SELECT count(*) FROM %s WHERE archived_at < $1', part.name)
                INTO n USING cutoff;
            purged := purged + n;
            CONTINUE;
        END IF;

        -- a whole month at once, unless somebody reads it
        IF part.is_over THEN
            BEGIN
                EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE NOWAIT', part.name);
                EXECUTE format('SELECT count(*) FROM %s', part.name) INTO n;
                IF n > 0 THEN
                    EXECUTE format('TRUNCATE %s', part.name);
                END IF;
                purged := purged + n;
                CONTINUE;
            EXCEPTION WHEN lock_not_available OR object_in_use THEN
                NULL;
            END;
        END IF;

        EXIT WHEN purged >= max_rows;
        EXECUTE format('DELETE FROM %1$s WHERE ctid = ANY (ARRAY('
                       'SELECT ctid FROM %1$s WHERE archived_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))',
                       part.name)
            USING cutoff, max_rows - purged;
        GET DIAGNOSTICS n = ROW_COUNT;
        purged := purged + n;
    END LOOP;

    RETURN purged;
END
$purge$;
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_purge_archive(interval, integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_purge_archive(interval, integer, boolean) IS
'removes what was archived longer ago than older_than: months that are over as a whole, of others up to max_rows rows; returns how many rows of the archive went, or, in a dry run, how many would in the end; acts as the archive''s owner; raises 22004, 22023';

--
-- Health
--

CREATE TYPE tasker_checkpoint_finding AS (
    finding text,
    severity text,
    step_uuid uuid,
    figure numeric,
    threshold numeric,
    unit text,
    detail text,
    statement text
);
COMMENT ON TYPE tasker_checkpoint_finding IS
'something about a step that somebody should look at, and what to do';
COMMENT ON COLUMN tasker_checkpoint_finding.finding IS
'what it is: parked, stale, stalled, expired, unclaimed, near_limit, long_cursor or paused';
COMMENT ON COLUMN tasker_checkpoint_finding.severity IS
'critical: the step does not go on by itself; warning: it may not; info: worth knowing';
COMMENT ON COLUMN tasker_checkpoint_finding.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_finding.figure IS
'how far it has come, in the unit';
COMMENT ON COLUMN tasker_checkpoint_finding.threshold IS
'from where on it is shown, in the unit';
COMMENT ON COLUMN tasker_checkpoint_finding.unit IS
'of figure and threshold: seconds, checkpoints, deliveries, percent or bytes';
COMMENT ON COLUMN tasker_checkpoint_finding.detail IS
'what is known, and what to do that no statement can';
COMMENT ON COLUMN tasker_checkpoint_finding.statement IS
'SQL that makes the row go away; for the operator to read before it is run';

CREATE FUNCTION tasker_checkpoint_health()
RETURNS SETOF tasker_checkpoint_finding
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $health$
DECLARE
    own_schema name := (SELECT n.nspname FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace
                        WHERE e.extname = 'tasker_checkpoint');
    steps regclass;
    col record;
    threshold record;
    btree record;
    source text;
BEGIN
    -- loads the library as well, so that its settings are known
    EXECUTE format('SELECT %I.tasker_checkpoint_table()', own_schema) INTO steps;
    IF steps IS NULL THEN
        RETURN;
    END IF;

    SELECT max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_stale') AS stale,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_stalled') AS stalled,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_expired') AS expired,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_unclaimed') AS unclaimed,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_paused') AS paused,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_near_limit') AS near_limit,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_long_cursor') AS long_cursor,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.cursor_limit') AS cursor_limit,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.results_limit') AS results_limit,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.max_deliveries') AS max_deliveries
    INTO threshold
    FROM pg_settings s
    WHERE s.name LIKE 'tasker\_checkpoint.%' AND s.vartype = 'integer';

    -- what the guard names, and what else the table may say of a step
    SELECT quote_ident(k.attname) AS key, quote_ident(c.attname) AS checkpoint,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = steps AND attname = 'processed'
                   AND atttypid = 'boolean'::regtype) AS processed,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = steps AND attname = 'in_process'
                   AND atttypid = 'boolean'::regtype) AS in_process
    INTO STRICT col
    FROM pg_trigger t
    JOIN pg_attribute k ON k.attrelid = steps AND k.attnum = t.tgattr[0]
    JOIN pg_attribute c ON c.attrelid = steps AND c.attnum = t.tgattr[1]
    WHERE t.tgrelid = steps AND t.tgparentid = 0
    AND t.tgfoid = format('%I.tasker_checkpoint_guard()', own_schema)::regprocedure;

    -- indexes that refuse a long cursor, partitions' own included
    SELECT array_agg(format('%I.%I', n.nspname, c.relname) ORDER BY c.oid) AS names,
           array_agg(format(CASE c.relkind WHEN 'I' THEN 'DROP INDEX IF EXISTS %I.%I;' ELSE 'DROP INDEX CONCURRENTLY IF EXISTS %I.%I;' END,
                            n.nspname, c.relname) ORDER BY c.oid) AS remedies
    INTO btree
    FROM (SELECT steps AS relid UNION SELECT relid FROM pg_partition_tree(steps)) t
    JOIN pg_index i ON i.indrelid = t.relid
    JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
    WHERE pg_get_expr(i.indexprs, i.indrelid) LIKE '%''cursor''%'
    AND pg_get_expr(i.indexprs, i.indrelid) NOT LIKE '%"left"(%';

    -- a step that is processed is out of danger. OFFSET 0 keeps a document from
    -- being read once for each use
    source := format(
        'SELECT s.%1$s AS step_uuid, s.%2$s #> ''{}'' AS doc, %3$s AS in_process, '
        'coalesce(d.has_event, false) AS has_event, coalesce(d.directive, ''continue'') AS directive, '
        'd.parked, d.worker, d.deliveries, d.available_at, d.lease, d.lease_until '
        'FROM %4$s s LEFT JOIN %5$I.tasker_checkpoint_dispatched() d ON d.step_uuid = s.%1$s '
        'WHERE %6$s AND (s.%2$s IS NOT NULL OR d.step_uuid IS NOT NULL) OFFSET 0',
        col.key, col.checkpoint, CASE WHEN col.in_process THEN 's.in_process' ELSE 'false' END,
        steps, own_schema,
        CASE WHEN col.processed THEN '(NOT s.processed OR s.processed IS NULL)' ELSE 'true' END);

    RETURN QUERY EXECUTE 'WITH steps AS (' || source || ')' || $query$,
    p AS (SELECT $1 AS own_schema, $2 AS stale, $3 AS stalled, $4 AS expired, $5 AS near_limit, $6 AS unclaimed,
                 $7 AS long_cursor, $8 AS paused, $9 AS cursor_limit, $10 AS results_limit,
                 $11 AS max_deliveries, $12 AS index_names, $13 AS index_remedies)
    SELECT f.finding, f.severity, f.step_uuid, f.figure, f.threshold, f.unit,
        CASE f.finding
            WHEN 'parked' THEN concat('Claimed ', f.deliveries, ' times without a checkpoint', ', last by worker "' || f.worker || '"',
                '. Find out why the handler fails before it reaches one, then resume the step.')
            WHEN 'stale' THEN CASE
                WHEN f.has_event THEN concat('Worker "', f.worker, '" has claimed the step, and gives no sign. The statement takes the step from it and offers it to others.')
                ELSE 'The step is in process, and nobody has claimed it. The statement makes it ready for another run, by the orchestrator or tasker_checkpoint_dispatch().' END
            WHEN 'stalled' THEN concat('The last checkpoints have the same cursor and items: the handler runs and gets nowhere. The statement stops it',
                CASE WHEN NOT f.has_event THEN ', if it minds the directive of its receipts' END,
                '; mend the handler, then resume the step.')
            WHEN 'expired' THEN concat('The lease of worker "', f.worker, '" has run out, and nobody has taken the step. Look whether workers run, poll and see the step; the statement wakes them.')
            WHEN 'unclaimed' THEN 'Nobody takes the step. Look whether workers run, poll and see it, and are enough; the statement wakes them.'
            WHEN 'near_limit' THEN CASE
                WHEN f.remedy IS NULL THEN concat(
                    CASE f.subject WHEN 'cursor_limit' THEN 'The cursor takes ' ELSE 'The accumulated results take ' END, f.bytes,
                    ' bytes of tasker_checkpoint.', f.subject, '; what is over it is refused. Let the handler keep what is large in a table of its own, or raise the limit, for sessions that begin after that.')
                ELSE concat('The cursor takes ', f.bytes, ' bytes of an entry in index ', f.subject, ', which refuses one of more than 2704 bytes unless it can be compressed.') END
            WHEN 'long_cursor' THEN 'Every checkpoint writes the cursor twice and the history keeps copies of it. Let the handler keep what is large in accumulated_results or a table of its own, or raise the threshold, for sessions that begin after that.'
            WHEN 'paused' THEN 'Resume the step, or cancel it if it is not to go on.'
        END,
        CASE
            WHEN f.finding IN ('parked', 'paused') THEN
                format('SELECT %I.tasker_checkpoint_resume(%L);', f.own_schema, f.step_uuid)
            WHEN f.finding IN ('expired', 'unclaimed') THEN
                format('SELECT %1$I.tasker_checkpoint_resume(%2$L) FROM %1$I.tasker_checkpoint_pause(%2$L);', f.own_schema, f.step_uuid)
            WHEN f.finding = 'stale' THEN
                format('SELECT %I.tasker_checkpoint_reset_for_retry(%L);', f.own_schema, f.step_uuid)
            WHEN f.finding = 'stalled' THEN
                format('SELECT %I.tasker_checkpoint_pause(%L);', f.own_schema, f.step_uuid)
            WHEN f.remedy IS NOT NULL THEN
                f.remedy
            -- enough for all that are shown, and at least double
            WHEN f.finding = 'near_limit' THEN
                format('ALTER DATABASE %I SET tasker_checkpoint.%I = %L;', current_database(), f.subject,
                       CASE WHEN f.most * 200 / f.threshold > 262143 * 1024 THEN '-1'
                            ELSE ceil(f.most * 200 / f.threshold / 1024) || 'kB' END)
            WHEN f.finding = 'long_cursor' THEN
                format('ALTER DATABASE %I SET tasker_checkpoint.health_long_cursor = %L;', current_database(),
                       CASE WHEN f.most > 262142 * 1024 THEN '0' ELSE ceil((f.most + 1) / 1024) || 'kB' END)
        END
    FROM (
        SELECT f.*, p.own_schema, s.step_uuid, s.has_event, s.worker, s.deliveries,
            max(f.bytes) OVER (PARTITION BY f.finding, f.subject) AS most,
            CASE
                WHEN f.finding = 'parked' THEN 'critical'
                WHEN f.finding IN ('paused', 'long_cursor') THEN 'info'
                WHEN f.figure >= CASE f.finding WHEN 'near_limit' THEN 100 ELSE 4 * f.threshold END THEN 'critical'
                ELSE 'warning'
            END AS severity
        FROM steps s
        CROSS JOIN p
        CROSS JOIN LATERAL (
            -- whether somebody resumed it after its worker's lease had run out
            SELECT s.available_at > s.lease_until AND s.available_at <= statement_timestamp() AS resumed
        ) r
        CROSS JOIN LATERAL (
            SELECT
                -- for how long it could be claimed, but for a directive; below 0 while it could not
                floor(extract(epoch FROM statement_timestamp())
                      - extract(epoch FROM CASE WHEN s.lease_until IS NULL OR r.resumed THEN s.available_at ELSE s.lease_until END)) AS idle,
                -- when its worker claimed it or last sent a heartbeat
                CASE WHEN r.resumed THEN s.available_at ELSE s.lease_until - s.lease END AS heard
        ) t
        CROSS JOIN LATERAL (
            SELECT
                s.has_event AND s.directive = 'continue' AND NOT s.parked AS claimable,
                -- for how long somebody who has it has not been heard of; a step whose lease
                -- ran out long enough ago is nobody's
                CASE
                    WHEN p.stale = 0 OR s.directive <> 'continue' OR s.parked THEN NULL
                    WHEN s.has_event AND (s.worker IS NULL OR t.idle >= nullif(p.expired, 0)) THEN NULL
                    WHEN s.has_event AND extract(epoch FROM statement_timestamp()) - extract(epoch FROM t.heard) < p.stale THEN NULL
                    WHEN s.has_event OR s.in_process THEN
                        floor(extract(epoch FROM statement_timestamp())
                              - extract(epoch FROM greatest(t.heard, (SELECT l.checkpointed_at FROM $query$
                              || quote_ident(own_schema) || $query$.tasker_checkpoint_load(s.step_uuid) l))))
                END AS silent,
                CASE
                    WHEN p.stalled = 0 OR s.directive <> 'continue' THEN NULL
                    -- the newest entry and the one that makes it too many
                    WHEN s.doc -> 'history' -> -1 -> 'cursor' = s.doc -> 'history' -> -(p.stalled::integer) -> 'cursor' THEN (
                        SELECT count(*) - coalesce(max(e.place) FILTER (
                            WHERE e.entry -> 'cursor' IS DISTINCT FROM s.doc -> 'history' -> -1 -> 'cursor'
                            OR e.entry -> 'items_processed' IS DISTINCT FROM s.doc -> 'history' -> -1 -> 'items_processed'), 0)
                        FROM jsonb_array_elements(s.doc -> 'history') WITH ORDINALITY AS e (entry, place))
                END AS repeated,
                pg_column_size(s.doc -> 'cursor') AS cursor_size,
                CASE WHEN p.near_limit > 0 THEN octet_length(s.doc ->> 'cursor') END AS cursor_length,
                CASE WHEN p.near_limit > 0 AND jsonb_typeof(s.doc) = 'object' THEN
                    coalesce(pg_column_size(s.doc -> 'accumulated_results'), 0)
                    + coalesce(pg_column_size(nullif(s.doc - '{cursor,items_processed,accumulated_results,timestamp,history,history_truncated}'::text[], '{}')), 0)
                END AS results_size
            OFFSET 0
        ) m
        CROSS JOIN LATERAL (
            VALUES
                ('parked', CASE WHEN s.has_event AND s.directive = 'continue' AND s.parked THEN s.deliveries::numeric END,
                 p.max_deliveries::numeric, 'deliveries', NULL, NULL::numeric, NULL),
                ('stale', m.silent, p.stale, 'seconds', NULL, NULL, NULL),
                ('stalled', m.repeated, p.stalled, 'checkpoints', NULL, NULL, NULL),
                ('expired', CASE WHEN m.claimable AND s.worker IS NOT NULL THEN t.idle END, p.expired, 'seconds', NULL, NULL, NULL),
                ('unclaimed', CASE WHEN m.claimable AND s.worker IS NULL THEN t.idle END, p.unclaimed, 'seconds', NULL, NULL, NULL),
                ('near_limit', CASE WHEN p.cursor_limit >= 0 THEN floor(100.0 * m.cursor_size / greatest(p.cursor_limit, 1)) END, p.near_limit, 'percent', 'cursor_limit', m.cursor_size, NULL),
                ('near_limit', CASE WHEN p.results_limit >= 0 THEN floor(100.0 * m.results_size / greatest(p.results_limit, 1)) END, p.near_limit, 'percent', 'results_limit', m.results_size, NULL),
                ('long_cursor', m.cursor_size, p.long_cursor, 'bytes', NULL, m.cursor_size, NULL),
                ('paused', CASE WHEN s.directive = 'pause' THEN t.idle END, p.paused, 'seconds', NULL, NULL, NULL)
            UNION ALL
            -- with the 12 bytes that an entry takes besides its text
            SELECT 'near_limit', floor(100.0 * (m.cursor_length + 12) / 2704), p.near_limit, 'percent', i.name, m.cursor_length + 12, i.remedy
            FROM unnest(p.index_names, p.index_remedies) AS i (name, remedy)
        ) AS f (finding, figure, threshold, unit, subject, bytes, remedy)
        WHERE f.figure >= CASE f.finding WHEN 'parked' THEN 0 ELSE nullif(f.threshold, 0) END
    ) f
    ORDER BY array_position('{critical,warning,info}'::text[], f.severity), f.step_uuid, f.finding, f.subject
    $query$
    USING own_schema, threshold.stale, threshold.stalled, threshold.expired, threshold.near_limit, threshold.unclaimed,
        threshold.long_cursor, threshold.paused, threshold.cursor_limit, threshold.results_limit, threshold.max_deliveries,
        btree.names, btree.remedies;
END
$health$;
COMMENT ON FUNCTION tasker_checkpoint_health() IS
'what is stuck or will be, of the steps that the caller can see and that are not processed: the rows of the view tasker_checkpoint_health; nothing without an attached table; raises 55000';

CREATE VIEW tasker_checkpoint_health AS
SELECT finding, severity, step_uuid, figure, threshold, unit, detail, statement
FROM tasker_checkpoint_health();
GRANT SELECT ON tasker_checkpoint_health TO PUBLIC;
COMMENT ON VIEW tasker_checkpoint_health IS
'what is stuck or will be, the worst first: a row for each finding, with the statement that helps; thresholds are the settings tasker_checkpoint.health_...';

--
-- Progress
--

CREATE TYPE tasker_checkpoint_measures AS (
    items_processed bigint,
    total_items bigint,
    rate numeric,
    checkpointed_at timestamptz,
    sequence bigint
);
COMMENT ON TYPE tasker_checkpoint_measures IS
'what a checkpoint says of progress';
COMMENT ON COLUMN tasker_checkpoint_measures.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_measures.total_items IS
'how many there are: total_items in accumulated_results; NULL if the handler does not give it';
COMMENT ON COLUMN tasker_checkpoint_measures.rate IS
'items per second, over the newest 21 entries of the history, pauses left out; NULL if they do not tell';
COMMENT ON COLUMN tasker_checkpoint_measures.checkpointed_at IS
'time of the checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_measures.sequence IS
'number of the checkpoint; 0 without one';

CREATE FUNCTION tasker_checkpoint_figures(checkpoint jsonb)
RETURNS tasker_checkpoint_measures
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_figures(jsonb) IS
'items, total, rate, time and number of a checkpoint document, as far as they can be read';

CREATE TYPE tasker_checkpoint_step_progress AS (
    step_uuid uuid,
    step_name text,
    task_uuid uuid,
    task_name text,
    items_processed bigint,
    total bigint,
    percent numeric,
    bar text,
    rate numeric,
    eta interval,
    checkpointed_at timestamptz,
    sequence bigint,
    state text,
    worker text,
    lease_until timestamptz,
    deliveries integer
);
COMMENT ON TYPE tasker_checkpoint_step_progress IS
'how far a step is, how fast, and who has it';
COMMENT ON COLUMN tasker_checkpoint_step_progress.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_step_progress.step_name IS
'its name, from Tasker''s named_steps; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.task_uuid IS
'its task; NULL where the steps table has none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.task_name IS
'the task''s name, from Tasker''s tasks and named_tasks; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_step_progress.total IS
'how many there are: total_items in accumulated_results, or end_cursor - start_cursor of inputs.cursor; NULL if neither tells';
COMMENT ON COLUMN tasker_checkpoint_step_progress.percent IS
'done, to one decimal, cut off; 100 also if more than the total is done; NULL without a total';
COMMENT ON COLUMN tasker_checkpoint_step_progress.bar IS
'the same as 20 characters in brackets';
COMMENT ON COLUMN tasker_checkpoint_step_progress.rate IS
'items per second, over the newest 21 entries of the history, pauses left out; NULL if they do not tell';
COMMENT ON COLUMN tasker_checkpoint_step_progress.eta IS
'time that the rest takes at this rate, counted from the last checkpoint; 0 if all is done; NULL while parked, cancelled or paused, without a rate or a total, and over a hundred years';
COMMENT ON COLUMN tasker_checkpoint_step_progress.checkpointed_at IS
'time of the last checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_step_progress.sequence IS
'number of the last checkpoint; 0 without one';
COMMENT ON COLUMN tasker_checkpoint_step_progress.state IS
'parked, cancelled, paused; claimed; expired: its lease ran out and nobody has taken it; delayed, waiting: to be claimed later, now; idle: not dispatched';
COMMENT ON COLUMN tasker_checkpoint_step_progress.worker IS
'who has claimed it, also if the lease ran out; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_step_progress.lease_until IS
'when the claim runs out; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_step_progress.deliveries IS
'claims since the last checkpoint under a claim; NULL if the step is not dispatched';

CREATE FUNCTION tasker_checkpoint_progress(step_uuid uuid DEFAULT NULL)
RETURNS SETOF tasker_checkpoint_step_progress
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $progress$
DECLARE
    -- looked up, so that renaming or moving the schema does no harm
    own_schema name := (SELECT n.nspname FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace
                        WHERE e.extname = 'tasker_checkpoint');
    attached regclass;
    steps record;
    -- of Tasker's tables; those beside an older steps table have its prefix
    prefix text;
    -- table and column of what the caller may read
    readable text[];
BEGIN
    EXECUTE format('SELECT %I.tasker_checkpoint_table()', own_schema) INTO attached;
    IF step_uuid IS NOT NULL THEN
        EXECUTE format('SELECT %I.tasker_checkpoint_exists($1)', own_schema) USING step_uuid;
    END IF;

    SELECT c.relname, c.relnamespace, c.relowner, n.nspname,
           quote_ident(k.attname) AS key, quote_ident(p.attname) AS checkpoint,
           (SELECT a.attnotnull FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = 'processed' AND a.atttypid = 'boolean'::regtype) AS processed_not_null
    INTO steps
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgparentid = 0
         AND t.tgfoid = format('%I.tasker_checkpoint_guard()', own_schema)::regprocedure
    JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = t.tgattr[0]
    JOIN pg_attribute p ON p.attrelid = c.oid AND p.attnum = t.tgattr[1]
    WHERE c.oid = attached;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    prefix := CASE WHEN starts_with(steps.relname, 'tasker_') THEN 'tasker_' ELSE '' END;

    -- names are read from tables of the same owner only: those of others could
    -- run code as whoever looks
    SELECT array_agg(w.relname || '.' || w.attname) INTO readable
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    JOIN (VALUES
        ('', 'inputs', '{jsonb}'::regtype[]),
        ('', 'task_uuid', '{uuid}'),
        ('', 'named_step_uuid', '{uuid}'),
        ('named_steps', 'named_step_uuid', '{uuid}'),
        ('named_steps', 'name', '{text,varchar,name}'),
        ('tasks', 'task_uuid', '{uuid}'),
        ('tasks', 'named_task_uuid', '{uuid}'),
        ('named_tasks', 'named_task_uuid', '{uuid}'),
        ('named_tasks', 'name', '{text,varchar,name}')
    ) AS w (relname, attname, types)
    ON a.attname = w.attname AND a.atttypid = ANY (w.types)
       AND CASE w.relname WHEN '' THEN c.oid = attached ELSE c.relname = prefix || w.relname END
    WHERE c.relnamespace = steps.relnamespace AND c.relowner = steps.relowner AND c.relkind IN ('r', 'p')
    AND has_column_privilege(c.oid, a.attnum, 'SELECT');

    -- OFFSET 0 has what is used several times computed once
    RETURN QUERY EXECUTE format(
        $query$
        SELECT step_uuid, step_name, task_uuid, task_name, items_processed, total, percent,
               '[' || rpad(repeat('#', trunc(percent / 5)::integer), 20, '.') || ']',
               rate,
               CASE WHEN state IN ('parked', 'cancelled', 'paused') THEN NULL
                    WHEN items_processed >= total THEN interval '0'
                    WHEN (total - items_processed) / rate < 3155760000
                    THEN make_interval(secs => ceil((total - items_processed) / rate)::double precision)
               END,
               checkpointed_at, sequence, state, worker, lease_until, deliveries
        FROM (
            SELECT s.%3$s AS step_uuid, %5$s AS step_name, %6$s AS task_uuid, %7$s AS task_name,
                   f.items_processed, t.total,
                   CASE WHEN f.items_processed >= t.total THEN 100.0
                        ELSE trunc(100.0 * f.items_processed / t.total, 1)
                   END AS percent,
                   f.rate, f.checkpointed_at, f.sequence,
                   CASE WHEN d.parked THEN 'parked'
                        WHEN d.directive = 'cancel' THEN 'cancelled'
                        WHEN d.directive = 'pause' THEN 'paused'
                        WHEN d.lease_until > $2 THEN 'claimed'
                        WHEN d.worker IS NOT NULL THEN 'expired'
                        WHEN d.available_at > $2 THEN 'delayed'
                        WHEN d.has_event THEN 'waiting'
                        ELSE 'idle'
                   END AS state,
                   d.worker, d.lease_until, d.deliveries
            FROM %2$s AS s
            LEFT JOIN %1$I.tasker_checkpoint_dispatched($1) AS d ON d.step_uuid = s.%3$s
            CROSS JOIN LATERAL %1$I.tasker_checkpoint_figures(s.%4$s) AS f
            CROSS JOIN LATERAL (SELECT coalesce(f.total_items, %8$s) AS total OFFSET 0) AS t
            WHERE (s.%4$s IS NOT NULL OR d.step_uuid IS NOT NULL)%9$s%10$s
            OFFSET 0
        ) AS steps
        $query$,
        own_schema,
        format('%I.%I', steps.nspname, steps.relname),
        steps.key,
        steps.checkpoint,
        CASE WHEN readable @> '{.named_step_uuid,named_steps.named_step_uuid,named_steps.name}' THEN
            format('(SELECT n.name::text FROM %I.%I AS n WHERE n.named_step_uuid = s.named_step_uuid LIMIT 1)',
                   steps.nspname, prefix || 'named_steps')
            ELSE 'NULL::text' END,
        CASE WHEN readable @> '{.task_uuid}' THEN 's.task_uuid' ELSE 'NULL::uuid' END,
        CASE WHEN readable @> '{.task_uuid,tasks.task_uuid,tasks.named_task_uuid,named_tasks.named_task_uuid,named_tasks.name}' THEN
            format('(SELECT n.name::text FROM %1$I.%2$I AS t JOIN %1$I.%3$I AS n ON n.named_task_uuid = t.named_task_uuid '
                   'WHERE t.task_uuid = s.task_uuid LIMIT 1)',
                   steps.nspname, prefix || 'tasks', prefix || 'named_tasks')
            ELSE 'NULL::text' END,
        CASE WHEN readable @> '{.inputs}' THEN
            -- as text, since a number can be any; 18 digits fit a bigint
            $total$(
                SELECT CASE WHEN c.start || '|' || c.stop ~ '^-?\d{1,18}(\.0*)?\|-?\d{1,18}(\.0*)?$' THEN
                       CASE WHEN c.start::numeric <= c.stop::numeric THEN (c.stop::numeric - c.start::numeric)::bigint END END
                FROM (SELECT (s.inputs #> '{cursor,start_cursor}')::text AS start,
                             (s.inputs #> '{cursor,end_cursor}')::text AS stop) AS c)$total$
            ELSE 'NULL::bigint' END,
        CASE steps.processed_not_null
            WHEN true THEN ' AND NOT s.processed'
            WHEN false THEN ' AND (s.processed = false OR s.processed IS NULL)'
            ELSE '' END,
        CASE WHEN step_uuid IS NOT NULL THEN format(' AND s.%s = $1', steps.key) ELSE '' END
    )
    USING step_uuid, clock_timestamp();
END
$progress$;
COMMENT ON FUNCTION tasker_checkpoint_progress(uuid) IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see, or the given one; nothing without an attached table; raises 55000, P0002';

-- the function runs as whoever reads the view
CREATE VIEW tasker_checkpoint_progress WITH (security_invoker = true) AS
SELECT * FROM tasker_checkpoint_progress();
GRANT SELECT ON tasker_checkpoint_progress TO PUBLIC;
COMMENT ON VIEW tasker_checkpoint_progress IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see';

--
-- Doctor
--

CREATE FUNCTION tasker_checkpoint_version()
RETURNS text
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_version() IS
'version of the library that the session has loaded';

CREATE TYPE tasker_checkpoint_diagnosis AS (
    "check" text,
    status text,
    found text,
    statement text
);
COMMENT ON TYPE tasker_checkpoint_diagnosis IS
'what a check of the installation has found, and what mends it';
COMMENT ON COLUMN tasker_checkpoint_diagnosis."check" IS
'what was looked at: table, guard, trigger_order, index, fillfactor, compression, hot_share, bloat, limits, events, grants, settings, notifier, notify_queue, replication or version';
COMMENT ON COLUMN tasker_checkpoint_diagnosis.status IS
'ok; notice: worth knowing, and may be meant; warning: costs, or fails some day; error: checkpoints are refused, unguarded or open to others';
COMMENT ON COLUMN tasker_checkpoint_diagnosis.found IS
'what was found, and what to do that no statement can';
COMMENT ON COLUMN tasker_checkpoint_diagnosis.statement IS
'SQL that makes the row go away; for the operator to read before it is run; NULL if there is none';

CREATE FUNCTION tasker_checkpoint_doctor()
RETURNS SETOF tasker_checkpoint_diagnosis
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $doctor$
DECLARE
    own_extension oid;
    -- looked up, so that renaming or moving the schema does no harm
    own_schema name;
    guard_function oid;
    -- triggers that call it, partitions' left out; the first one counts
    guards oid[];
    -- what the guard names: the table, its partitions, its columns
    steps record;
    library_version text;
    -- settings by their names, ours without the prefix; and what begins the
    -- statement that sets one where it was set
    conf jsonb;
    setter jsonb;
    topic text;
    fine text;
    n bigint;
BEGIN
    SELECT e.oid, n.nspname INTO STRICT own_extension, own_schema
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'tasker_checkpoint';
    guard_function := format('%I.tasker_checkpoint_guard()', own_schema)::regprocedure;

    -- loads the library, so that its settings are known
    EXECUTE format('SELECT %I.tasker_checkpoint_version()', own_schema) INTO library_version;
    SELECT jsonb_object_agg(replace(s.name, 'tasker_checkpoint.', ''), s.setting)
           || jsonb_build_object('preloaded', bool_or(s.name = 'tasker_checkpoint.max_notifiers' AND s.context = 'postmaster'),
                                 'pending', bool_or(s.name = 'shared_preload_libraries' AND s.pending_restart)),
           jsonb_object_agg(replace(s.name, 'tasker_checkpoint.', ''),
               CASE WHEN s.source IN ('session', 'client', 'interactive') THEN 'SET'
                    WHEN s.source = 'user' THEN format('ALTER ROLE %I SET', session_user)
                    WHEN s.source = 'database user' THEN format('ALTER ROLE %I IN DATABASE %I SET', session_user, current_database())
                    ELSE format('ALTER DATABASE %I SET', current_database()) END || format(' %s = ', s.name))
    INTO conf, setter
    FROM pg_settings s
    WHERE s.name LIKE 'tasker\_checkpoint.%'
    OR s.name IN ('autovacuum', 'track_counts', 'default_toast_compression', 'max_worker_processes',
                  'session_replication_role', 'shared_preload_libraries');

    -- of two, the one that attach has made
    SELECT coalesce(array_agg(t.oid ORDER BY d.objid IS NULL, t.oid), '{}') INTO guards
    FROM pg_trigger t
    LEFT JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
         AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = own_extension AND d.deptype = 'x'
    WHERE t.tgfoid = guard_function AND t.tgparentid = 0;

    SELECT t.tgrelid AS relid, t.tgrelid::regclass::text AS name, c.relnamespace AS namespace, c.relkind,
           k.attname AS key, k.attnum AS key_number, k.attnotnull AS key_not_null,
           p.attname AS checkpoint, p.attnotnull AS checkpoint_not_null, p.atthasdef AS has_default,
           ARRAY(SELECT t.tgrelid UNION SELECT relid FROM pg_partition_tree(t.tgrelid)) AS tables
    INTO steps
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_attribute k ON k.attrelid = t.tgrelid AND k.attnum = t.tgattr[0] AND k.atttypid = 'uuid'::regtype
    JOIN pg_attribute p ON p.attrelid = t.tgrelid AND p.attnum = t.tgattr[1] AND p.atttypid = 'jsonb'::regtype
    WHERE t.oid = guards[1] AND cardinality(t.tgattr::int2[]) = 2;

    FOR topic, fine IN
        VALUES ('table', format('Table %s is attached.', (SELECT tgrelid::regclass FROM pg_trigger WHERE oid = guards[1]))),
               ('guard', 'The guard trigger runs for every INSERT and for every UPDATE of key and checkpoint.'),
               ('trigger_order', 'No BEFORE trigger runs after the guard.'),
               ('index', 'No index ends HOT updates for every checkpoint.'),
               ('fillfactor', 'Pages keep room for HOT updates.'),
               ('compression', 'Checkpoints are compressed as well as this server can.'),
               ('hot_share', 'Updates are HOT, as far as was counted.'),
               ('bloat', 'Autovacuum keeps up, as far as was counted.'),
               ('limits', 'No sampled checkpoint is near a limit.'),
               ('events', 'Hardly any event is of no use.'),
               ('grants', 'Workers have the rights that they need, and no others on the steps table.'),
               ('settings', 'The settings agree with each other.'),
               ('notifier', 'The library is preloaded; a notifier comes when there is much to notify.'),
               ('notify_queue', 'The queue of notifications is drained.'),
               ('replication', 'This session runs triggers, and this server takes writes.'),
               ('version', format('Library, extension and control file are of version %s.', library_version))
    LOOP
        -- without a table there is nothing of it to look at
        CONTINUE WHEN (topic = 'guard' AND guards = '{}')
            OR (topic IN ('trigger_order', 'index', 'fillfactor', 'compression', 'hot_share', 'limits', 'events')
                AND steps.relid IS NULL)
            -- our own functions know of no table if there are two
            OR (topic = 'events' AND cardinality(guards) > 1);

        BEGIN
            CASE topic
            WHEN 'table' THEN
                RETURN QUERY
                SELECT topic, 'error',
                       'No steps table is attached, and every function but a few raises 55000. '
                       'Call tasker_checkpoint_attach() with the steps table.',
                       (SELECT format('SELECT %I.tasker_checkpoint_attach();', own_schema)
                        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE (n.nspname, c.relname) IN (('tasker', 'workflow_steps'), (own_schema, 'tasker_workflow_steps'))
                        AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
                        HAVING count(*) = 1)
                WHERE guards = '{}'
                UNION ALL
                SELECT topic, 'error',
                       format('Table %s has a guard trigger besides that of %s, and every function raises 55000.',
                              t.tgrelid::regclass, (SELECT tgrelid::regclass FROM pg_trigger WHERE oid = guards[1])),
                       format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass)
                FROM pg_trigger t
                WHERE t.oid = ANY (guards[2:])
                UNION ALL
                SELECT topic, f.status, f.found, f.statement
                FROM (VALUES
                    (NOT EXISTS (SELECT FROM pg_index
                                 WHERE indrelid = steps.relid AND indisunique AND indimmediate AND indisvalid
                                 AND indpred IS NULL AND indnkeyatts = 1 AND indkey[0] = steps.key_number),
                     'error', format('Key column %I has no valid, immediate unique index on it alone, so a step can be there twice.', steps.key),
                     format('ALTER TABLE %s ADD UNIQUE (%I);', steps.name, steps.key)),
                    (NOT steps.key_not_null,
                     'warning', format('Key column %I can be null.', steps.key),
                     format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', steps.name, steps.key)),
                    (steps.checkpoint_not_null,
                     'error', format('Column %I is NOT NULL, so a clear fails, and so does an INSERT without a checkpoint.', steps.checkpoint),
                     format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL;', steps.name, steps.checkpoint)),
                    (steps.has_default,
                     'warning', format('Column %I has a default, so new steps have a checkpoint that no worker made.', steps.checkpoint),
                     format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT;', steps.name, steps.checkpoint))
                ) AS f (is_so, status, found, statement)
                WHERE f.is_so AND steps.relid IS NOT NULL
                UNION ALL
                SELECT topic, 'warning', format('Table %s is unlogged: a crash empties it.', c.oid::regclass),
                       format('ALTER TABLE %s SET LOGGED;', c.oid::regclass)
                FROM pg_class c
                WHERE c.oid = ANY (steps.tables) AND c.relkind = 'r' AND c.relpersistence = 'u'
                UNION ALL
                SELECT topic, 'error', format('Table %s inherits from %s, and its rows go past the guard.', i.inhrelid::regclass, steps.name),
                       format('ALTER TABLE %s NO INHERIT %s;', i.inhrelid::regclass, steps.name)
                FROM pg_inherits i
                WHERE i.inhparent = steps.relid AND steps.relkind = 'r';

            WHEN 'guard' THEN
                RETURN QUERY
                -- made by hand
                SELECT topic, 'error',
                       format('Guard trigger %I of table %s does not name the key, of type uuid, and the checkpoint. '
                              'Drop it, and attach the table again.', t.tgname, t.tgrelid::regclass),
                       format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass)
                FROM pg_trigger t
                WHERE t.oid = guards[1] AND steps.relid IS NULL
                UNION ALL
                SELECT topic, 'error',
                       format('Guard trigger %I of table %s is not BEFORE INSERT OR UPDATE FOR EACH ROW, or has a condition.',
                              t.tgname, steps.name),
                       format('DROP TRIGGER %1$I ON %2$s; CREATE TRIGGER %1$I BEFORE INSERT OR UPDATE OF %3$I, %4$I ON %2$s '
                              'FOR EACH ROW EXECUTE FUNCTION %5$I.tasker_checkpoint_guard(); '
                              'ALTER TRIGGER %1$I ON %2$s DEPENDS ON EXTENSION tasker_checkpoint;',
                              t.tgname, steps.name, steps.key, steps.checkpoint, own_schema)
                FROM pg_trigger t
                -- ROW, BEFORE, INSERT, UPDATE
                WHERE t.oid = guards[1] AND steps.relid IS NOT NULL AND (t.tgtype <> 1 + 2 + 4 + 16 OR t.tgqual IS NOT NULL)
                UNION ALL
                SELECT topic, 'error',
                       format('Guard trigger %I of table %s is %s: checkpoints are stored as they are sent, and yield and save raise 55000.',
                              t.tgname, t.tgrelid::regclass,
                              CASE t.tgenabled WHEN 'D' THEN 'disabled' ELSE 'enabled for replicas only' END),
                       format('ALTER TABLE %s ENABLE TRIGGER %I;', t.tgrelid::regclass, t.tgname)
                FROM pg_trigger t
                WHERE t.tgfoid = guard_function AND t.tgrelid = ANY (steps.tables) AND t.tgenabled NOT IN ('O', 'A')
                UNION ALL
                SELECT topic, 'notice',
                       format('Guard trigger %I of table %s is not marked DEPENDS ON EXTENSION, so DROP EXTENSION fails without CASCADE.',
                              t.tgname, t.tgrelid::regclass),
                       format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION tasker_checkpoint;', t.tgname, t.tgrelid::regclass)
                FROM pg_trigger t
                WHERE t.oid = guards[1] AND steps.relid IS NOT NULL
                AND NOT EXISTS (SELECT FROM pg_depend d
                                WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
                                AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = own_extension AND d.deptype = 'x');

            WHEN 'trigger_order' THEN
                RETURN QUERY
                SELECT topic, 'warning',
                       format('Trigger %I of table %s runs after the guard, which does not see what it makes of the checkpoint. '
                              'By the new name it runs before.', t.tgname, t.tgrelid::regclass),
                       format('ALTER TRIGGER %I ON %s RENAME TO %I;', t.tgname, t.tgrelid::regclass,
                              CASE WHEN 'zy_' < g.tgname THEN 'zy_' ELSE '!' END
                              || CASE WHEN octet_length(t.tgname::text) > 60
                                      OR EXISTS (SELECT FROM pg_trigger o WHERE o.tgrelid = t.tgrelid AND o.tgname IN ('zy_' || t.tgname, '!' || t.tgname))
                                      THEN left(t.tgname, 10) || '_' || left(md5(t.tgname), 8)
                                      ELSE t.tgname END)
                FROM pg_trigger t
                JOIN pg_trigger g ON g.tgrelid = t.tgrelid AND g.tgfoid = guard_function
                WHERE t.tgrelid = ANY (steps.tables) AND t.tgparentid = 0 AND NOT t.tgisinternal
                AND t.tgfoid <> guard_function AND t.tgname > g.tgname AND t.tgenabled <> 'D'
                -- ROW and BEFORE, INSERT or an UPDATE that a checkpoint is
                AND (t.tgtype::int & (1 + 2)) = 1 + 2
                AND ((t.tgtype::int & 4) <> 0
                     OR ((t.tgtype::int & 16) <> 0
                         AND (t.tgattr = ''::int2vector
                              OR EXISTS (SELECT FROM pg_attribute a
                                         WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr)
                                         AND a.attname IN (steps.key, steps.checkpoint, 'updated_at')))))
                ORDER BY t.tgrelid::regclass::text, t.tgname;

            WHEN 'index' THEN
                RETURN QUERY EXECUTE format(
                    $query$
                    SELECT $1, 'warning', format('Index %%s ends HOT updates for every checkpoint. %%s', i.name, i.detail), i.statement
                    FROM %I.tasker_checkpoint_hot_indexes($2, $3) AS i
                    $query$, own_schema)
                USING topic, steps.relid::regclass, steps.checkpoint;

            WHEN 'fillfactor' THEN
                RETURN QUERY
                SELECT topic, 'notice',
                       format('Pages of table %s are filled up to %s %%, so that an update seldom finds room for HOT. '
                              'Pages that are there already stay as they are.', c.oid::regclass, o.fillfactor),
                       format('ALTER TABLE %s SET (fillfactor = 70);', c.oid::regclass)
                FROM pg_class c
                JOIN pg_am m ON m.oid = c.relam AND m.amname = 'heap'
                CROSS JOIN LATERAL (
                    SELECT coalesce(max(option_value::int), 100) AS fillfactor
                    FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor') o
                WHERE c.oid = ANY (steps.tables) AND c.relkind = 'r' AND o.fillfactor > 90
                ORDER BY c.oid::regclass::text;

            WHEN 'compression' THEN
                RETURN QUERY
                SELECT topic, f.status, f.found, f.statement
                FROM pg_class c
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = steps.checkpoint
                CROSS JOIN LATERAL (VALUES
                    (a.attstorage = 'p', 'error',
                     format('Column %I of table %s has storage PLAIN, and a row cannot be larger than a page.', a.attname, c.oid::regclass),
                     format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTENDED;', c.oid::regclass, a.attname)),
                    (a.attstorage IN ('x', 'm') AND (a.attcompression = 'p' OR (a.attcompression = '' AND conf ->> 'default_toast_compression' = 'pglz'))
                     AND EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)),
                     'notice',
                     format('Column %I of table %s is compressed by pglz, which takes longer than lz4. What is stored stays as it is until it is written again.',
                            a.attname, c.oid::regclass),
                     format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION lz4;', c.oid::regclass, a.attname))
                ) AS f (is_so, status, found, statement)
                WHERE c.oid = ANY (steps.tables) AND c.relkind IN ('r', 'p') AND f.is_so
                ORDER BY c.oid::regclass::text;

            WHEN 'hot_share' THEN
                -- what has cost HOT so far is counted until the counters are reset
                EXECUTE format('SELECT count(*) FROM %I.tasker_checkpoint_hot_indexes($1, $2)', own_schema)
                    INTO n USING steps.relid::regclass, steps.checkpoint;
                RETURN QUERY
                SELECT topic, 'warning',
                       format('Of %s updates %s %% were HOT. ', s.updates, trunc(100.0 * s.hot / s.updates))
                       || CASE WHEN n > 0 THEN 'See to the indexes first.'
                               WHEN s.is_full THEN 'See to the fillfactor first.'
                               ELSE 'Long transactions keep pages from being pruned, and updates of indexed columns are never HOT. The statement begins the count anew, also that of autovacuum.' END,
                       CASE WHEN n = 0 AND NOT s.is_full THEN
                           format('SELECT pg_stat_reset_single_table_counters(c.oid) FROM pg_class c WHERE c.oid = ANY (%L::oid[]);', s.leaves) END
                FROM (
                    SELECT sum(pg_stat_get_tuples_updated(c.oid)) AS updates, sum(pg_stat_get_tuples_hot_updated(c.oid)) AS hot,
                           array_agg(c.oid) AS leaves,
                           bool_or(coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                                             WHERE option_name = 'fillfactor'), 100) > 90) AS is_full
                    FROM pg_class c
                    WHERE c.oid = ANY (steps.tables) AND c.relkind = 'r'
                ) s
                WHERE s.updates >= 1000 AND s.hot < 0.8 * s.updates;

            WHEN 'bloat' THEN
                RETURN QUERY
                WITH looked_at AS (
                    SELECT c.oid, c.oid::regclass::text AS name, '' AS prefix, 'Table ' AS what, c.reloptions
                    FROM pg_class c
                    WHERE c.relkind = 'r'
                    AND (c.oid = ANY (steps.tables) OR c.oid = format('%I.tasker_checkpoint_events', own_schema)::regclass)
                    UNION ALL
                    SELECT t.oid, c.oid::regclass::text, 'toast.', 'The TOAST table of ', t.reloptions
                    FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid
                    WHERE c.relkind = 'r' AND c.oid = ANY (steps.tables)
                )
                SELECT topic, 'warning',
                       format('%s%s has %s dead rows and %s live ones, in %s. VACUUM makes their room good for new ones, unless an old transaction may still see them.',
                              l.what, l.name, pg_stat_get_dead_tuples(l.oid), pg_stat_get_live_tuples(l.oid),
                              pg_size_pretty(pg_relation_size(l.oid))),
                       format('VACUUM %s;', l.name)
                FROM looked_at l
                WHERE pg_stat_get_dead_tuples(l.oid) >= greatest(10000, pg_stat_get_live_tuples(l.oid))
                UNION ALL
                SELECT topic, 'warning', format('%s%s is not vacuumed automatically.', l.what, l.name),
                       format('ALTER TABLE %s RESET (%sautovacuum_enabled);', l.name, l.prefix)
                FROM looked_at l CROSS JOIN LATERAL pg_options_to_table(l.reloptions) o
                WHERE o.option_name = 'autovacuum_enabled' AND NOT o.option_value::boolean
                UNION ALL
                SELECT topic, 'warning',
                       format('%s is off, and so is every automatic vacuum.%s', s.name,
                              CASE WHEN s.name = 'autovacuum' THEN ' The change takes effect at pg_reload_conf().' ELSE '' END),
                       CASE WHEN s.name = 'autovacuum' THEN 'ALTER SYSTEM SET autovacuum = ' ELSE setter ->> s.name END || quote_literal('on') || ';'
                FROM (VALUES ('autovacuum'), ('track_counts')) AS s (name)
                WHERE conf ->> s.name = 'off';

            WHEN 'limits' THEN
                -- the largest of what a thousand pages have, as stored, which costs no look at the document
                RETURN QUERY EXECUTE format(
                    $query$
                    SELECT $1, CASE f.name WHEN 'history_size' THEN 'notice' ELSE 'warning' END,
                           CASE f.name WHEN 'history_size'
                               THEN format('Of the checkpoints sampled %%s have %%s near tasker_checkpoint.history_size, up to %%s bytes of %%s; what is over it is cut, whatever history_limit lets it keep.',
                                           f.near, f.what, f.most, f.bound)
                               ELSE format('Of the checkpoints sampled %%s have %%s near tasker_checkpoint.%%s, up to %%s bytes of %%s; what is over it is refused. See tasker_checkpoint_health.',
                                           f.near, f.what, f.name, f.most, f.bound) END,
                           ($3 ->> f.name) || quote_literal(least(2 * greatest(f.most, f.bound), 268435455)) || ';'
                    FROM (
                        SELECT v.name, v.what, v.bound, max(v.bytes) AS most, count(*) AS near
                        FROM (
                            SELECT largest.checkpoint #> '{}' AS doc
                            FROM (
                                SELECT sampled.checkpoint
                                FROM (SELECT %1$I AS checkpoint FROM %2$s TABLESAMPLE SYSTEM (%3$s) WHERE %1$I IS NOT NULL%4$s LIMIT 10000) AS sampled
                                ORDER BY pg_column_size(sampled.checkpoint) DESC
                                LIMIT 100
                            ) AS largest
                            OFFSET 0
                        ) AS s
                        CROSS JOIN LATERAL (VALUES
                            ('cursor_limit', 'a cursor', ($2 ->> 'cursor_limit')::bigint, pg_column_size(s.doc -> 'cursor')),
                            ('results_limit', 'results', ($2 ->> 'results_limit')::bigint, pg_column_size(s.doc -> 'accumulated_results')),
                            ('history_size', 'a history', ($2 ->> 'history_size')::bigint, pg_column_size(s.doc -> 'history'))
                        ) AS v (name, what, bound, bytes)
                        WHERE v.bound > 0 AND v.bytes >= 0.8 * v.bound
                        GROUP BY v.name, v.what, v.bound
                    ) AS f
                    ORDER BY f.name
                    $query$,
                    steps.checkpoint, steps.name,
                    (SELECT least(100, 100.0 * 1000 / greatest(1, sum(pg_relation_size(c.oid)) / current_setting('block_size')::int))::real
                     FROM pg_class c WHERE c.oid = ANY (steps.tables) AND c.relkind = 'r'),
                    (SELECT ' AND processed IS NOT TRUE' FROM pg_attribute a
                     WHERE a.attrelid = steps.relid AND a.attname = 'processed' AND a.atttypid = 'boolean'::regtype
                     AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')))
                USING topic, conf, setter;

            WHEN 'events' THEN
                EXECUTE format('SELECT %I.tasker_checkpoint_purge_events(dry_run => true)', own_schema) INTO n;
                RETURN QUERY
                SELECT topic, 'notice', format('%s dispatched steps are gone or processed.', n),
                       format('SELECT %I.tasker_checkpoint_purge_events(%s);', own_schema, least(n + 1000, 1000000))
                WHERE n > 100;

            WHEN 'grants' THEN
                RETURN QUERY
                WITH own AS (
                    SELECT p.oid, replace(p.proname, 'tasker_checkpoint_', '') AS name, p.provolatile, p.proowner,
                           coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
                    FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid
                    WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
                    AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = own_extension
                ), worker AS (
                    -- whoever was granted a function that writes checkpoints
                    SELECT r.oid, quote_ident(r.rolname) AS name, r.rolsuper AS is_super,
                           bool_or(has_function_privilege(r.oid, operators.oid, 'EXECUTE')) AS is_operator
                    FROM own CROSS JOIN aclexplode(own.acl) a
                    JOIN pg_roles r ON r.oid = a.grantee
                    JOIN own operators ON operators.name = 'reset_for_retry'
                    WHERE own.name IN ('yield', 'save') AND a.grantee <> own.proowner
                    GROUP BY r.oid, r.rolname, r.rolsuper
                ), need AS (
                    SELECT v.privilege, a.attname, a.attnum
                    FROM pg_attribute a CROSS JOIN (VALUES ('SELECT'), ('UPDATE')) AS v (privilege)
                    WHERE a.attrelid = steps.relid AND a.attnum > 0
                    AND CASE WHEN a.attname = steps.checkpoint THEN true
                             WHEN v.privilege = 'SELECT' THEN a.attname = steps.key
                                 OR (a.attname = 'processed' AND a.atttypid = 'boolean'::regtype)
                             ELSE a.attname = 'updated_at' AND a.attgenerated = ''
                                 AND a.atttypid IN ('timestamp'::regtype, 'timestamptz'::regtype) END
                ), too_much AS (
                    -- on the table or on one of its partitions, whoever has it: the role, PUBLIC, a group
                    SELECT a.relid, a.owner, a.grantee,
                           string_agg(DISTINCT a.privilege_type || CASE WHEN a.attname IS NULL THEN '' ELSE format(' (%I)', a.attname) END, ', ') AS privileges,
                           bool_or(a.privilege_type = 'UPDATE' AND a.attname IS NULL) AS whole_update,
                           bool_and(a.grantor = a.owner) AS by_owner, bool_or(a.is_grantable) AS is_grantable
                    FROM (
                        SELECT c.oid AS relid, c.relowner AS owner, NULL::name AS attname, x.*
                        FROM pg_class c CROSS JOIN aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x
                        WHERE c.oid = ANY (steps.tables) AND x.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
                        UNION ALL
                        SELECT c.oid, c.relowner, a.attname, x.*
                        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid CROSS JOIN aclexplode(a.attacl) x
                        WHERE c.oid = ANY (steps.tables) AND a.attnum > 0 AND NOT a.attisdropped AND x.privilege_type = 'UPDATE'
                        AND a.attname NOT IN (steps.checkpoint, 'updated_at')
                    ) a
                    GROUP BY a.relid, a.owner, a.grantee
                )
                SELECT topic, 'error', format('Everybody can execute %s functions that are for workers or operators only.', count(*)),
                       format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC;', string_agg(own.oid::regprocedure::text, ', ' ORDER BY own.name))
                FROM own CROSS JOIN aclexplode(own.acl) a
                WHERE a.grantee = 0 AND own.provolatile = 'v'
                HAVING count(*) > 0
                UNION ALL
                SELECT topic, 'error', format('%s has rights on %s, where event ids, or steps that it may not see, can be read.', g.grantee, g.name),
                       format('REVOKE ALL ON %s FROM %s;', g.name, g.grantee)
                FROM (
                    SELECT c.oid::regclass::text AS name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS grantee
                    FROM pg_depend d
                    JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p')
                    CROSS JOIN LATERAL (
                        SELECT t.grantee FROM aclexplode(c.relacl) t
                        UNION
                        SELECT t.grantee FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) t WHERE a.attrelid = c.oid
                    ) x
                    WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND x.grantee <> c.relowner
                    AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = own_extension
                ) g
                UNION ALL
                SELECT topic, 'warning', format('Worker %s is a superuser, whom no limit binds.', w.name),
                       format('ALTER ROLE %s NOSUPERUSER;', w.name)
                FROM worker w WHERE w.is_super
                UNION ALL
                SELECT topic, 'error', format('Worker %s cannot use schema %I.', w.name, n.nspname),
                       format('GRANT USAGE ON SCHEMA %I TO %s;', n.nspname, w.name)
                FROM worker w
                JOIN pg_namespace n ON n.nspname = own_schema OR n.oid = steps.namespace
                WHERE NOT has_schema_privilege(w.oid, n.oid, 'USAGE')
                UNION ALL
                SELECT topic, 'error', format('Worker %s lacks rights on table %s: %s.', m.name, steps.name, string_agg(m.privilege, ', ')),
                       format('GRANT %s ON %s TO %s;', string_agg(m.privilege, ', '), steps.name, m.name)
                FROM (
                    SELECT w.name, format('%s (%s)', need.privilege, string_agg(quote_ident(need.attname), ', ' ORDER BY need.attnum)) AS privilege
                    FROM worker w CROSS JOIN need
                    WHERE NOT has_column_privilege(w.oid, steps.relid, need.attnum, need.privilege)
                    GROUP BY w.name, need.privilege
                    ORDER BY need.privilege
                ) m
                GROUP BY m.name
                UNION ALL
                SELECT topic, 'error', format('Worker %s can claim steps, but not execute %s.', w.name, string_agg(o.name, ', ' ORDER BY o.name)),
                       format('GRANT EXECUTE ON FUNCTION %s TO %s;', string_agg(o.oid::regprocedure::text, ', ' ORDER BY o.name), w.name)
                FROM worker w
                JOIN own claim ON claim.name = 'claim' AND has_function_privilege(w.oid, claim.oid, 'EXECUTE')
                JOIN own o ON o.name IN ('heartbeat', 'complete', 'release') AND NOT has_function_privilege(w.oid, o.oid, 'EXECUTE')
                GROUP BY w.name
                UNION ALL
                SELECT topic, 'warning',
                       format('Worker %s can do more to table %s than write checkpoints%s: %s.', w.name, t.relid::regclass,
                              CASE WHEN t.grantee = w.oid THEN CASE WHEN t.owner = w.oid THEN ', which it owns' ELSE '' END
                                   WHEN t.grantee = 0 THEN ', as everybody can'
                                   ELSE format(', as a member of %s', t.grantee::regrole) END, t.privileges)
                       || CASE WHEN t.owner = w.oid THEN ' Give the table another owner.'
                               WHEN t.grantee IN (w.oid, 0) AND NOT t.by_owner THEN ' It was not the owner who granted that.'
                               ELSE ' What its own work needs, leave.' END,
                       CASE WHEN t.owner = w.oid OR (t.grantee IN (w.oid, 0) AND NOT t.by_owner) THEN NULL
                            WHEN t.grantee IN (w.oid, 0) THEN
                                format('REVOKE %s ON %s FROM %s%s;', t.privileges, t.relid::regclass,
                                       CASE t.grantee WHEN 0 THEN 'PUBLIC' ELSE w.name END,
                                       CASE WHEN t.is_grantable THEN ' CASCADE' ELSE '' END)
                                -- goes with that of the whole table
                                || CASE WHEN t.whole_update AND t.relid = steps.relid THEN
                                       format(' GRANT UPDATE (%s) ON %s TO %s;',
                                              (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM need WHERE privilege = 'UPDATE'),
                                              steps.name, w.name)
                                       ELSE '' END
                            ELSE (SELECT string_agg(format('REVOKE %s FROM %s%s;', t.grantee::regrole, w.name,
                                                           -- a superuser's are the first one's
                                                           CASE WHEN m.grantor <> 10 AND current_setting('server_version_num')::int >= 160000
                                                                THEN format(' GRANTED BY %s', m.grantor::regrole) ELSE '' END), ' ')
                                  FROM pg_auth_members m WHERE m.roleid = t.grantee AND m.member = w.oid)
                       END
                FROM worker w JOIN too_much t ON CASE WHEN t.grantee IN (w.oid, 0) THEN true ELSE pg_has_role(w.oid, t.grantee, 'USAGE') END
                WHERE NOT w.is_super AND NOT w.is_operator
                UNION ALL
                SELECT topic, 'warning', format('%s can lift the setting %s.', g.grantee, g.parname),
                       format('REVOKE ALL ON PARAMETER %s FROM %s;', g.parname, g.grantee)
                FROM (
                    SELECT DISTINCT p.parname, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE w.name END AS grantee
                    FROM pg_parameter_acl p CROSS JOIN aclexplode(p.paracl) x
                    LEFT JOIN worker w ON w.oid = x.grantee AND NOT w.is_operator
                    WHERE p.parname LIKE 'tasker\_checkpoint.%' AND p.parname NOT LIKE 'tasker\_checkpoint.health\_%'
                    AND (x.grantee = 0 OR w.oid IS NOT NULL)
                ) g;

            WHEN 'settings' THEN
                RETURN QUERY
                SELECT topic, f.status, f.found, (setter ->> f.name) || quote_literal(f.value) || ';'
                FROM (
                    SELECT (conf ->> 'cursor_limit')::bigint AS cursor_limit, (conf ->> 'results_limit')::bigint AS results_limit,
                           (conf ->> 'results_warning')::bigint AS results_warning, (conf ->> 'history_limit')::bigint AS history_limit,
                           (conf ->> 'history_size')::bigint AS history_size, (conf ->> 'max_lease')::bigint AS max_lease
                ) c
                CROSS JOIN LATERAL (VALUES
                    -- a JSON null takes 12 bytes
                    (c.cursor_limit BETWEEN 0 AND 11, 'error', 'cursor_limit', '64kB',
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
                    (c.history_limit = 0 AND conf ->> 'archive_history' = 'off', 'notice', 'history_limit', '100',
                     'tasker_checkpoint.history_limit is 0, so rewind has nothing to go back to.'),
                    (c.history_limit <> 0 AND c.history_size = 0 AND conf ->> 'archive_history' = 'off', 'notice', 'history_size', '64kB',
                     'tasker_checkpoint.history_size is 0, so rewind has nothing to go back to.'),
                    (c.history_limit = -1 AND c.history_size = -1, 'warning', 'history_size', '64kB',
                     'Neither tasker_checkpoint.history_limit nor history_size bounds a history, and every checkpoint writes all of it.'),
                    (conf ->> 'enforce' = 'warning', 'notice', 'enforce', 'error',
                     'tasker_checkpoint.enforce only warns of what is over a limit. That is for a roll-out.'),
                    (c.max_lease < 60, 'warning', 'max_lease', '1min',
                     'tasker_checkpoint.max_lease is shorter than the lease that claim takes by default, so that a claim without one is refused.'),
                    (conf ->> 'notify' = 'off', 'notice', 'notify', 'on',
                     'tasker_checkpoint.notify is off, so workers find steps when they poll next'
                     || CASE WHEN conf ->> 'preloaded' = 'true' THEN ', and the notifier has nothing to do.' ELSE '.' END)
                ) AS f (is_so, status, name, value, found)
                WHERE f.is_so
                UNION ALL
                SELECT topic, 'notice',
                       format('For role %s tasker_checkpoint.enforce only warns of what is over a limit. That is for a roll-out.', d.setrole::regrole),
                       format('ALTER ROLE %s%s RESET tasker_checkpoint.enforce;', d.setrole::regrole,
                              CASE d.setdatabase WHEN 0 THEN '' ELSE format(' IN DATABASE %I', current_database()) END)
                FROM pg_db_role_setting d CROSS JOIN unnest(d.setconfig) AS s
                WHERE s ~* '^tasker_checkpoint\.enforce=warning$' AND d.setrole <> 0
                AND d.setrole <> quote_ident(session_user)::regrole
                AND d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()));

            WHEN 'notifier' THEN
                IF conf ->> 'preloaded' = 'true' THEN
                    RETURN QUERY EXECUTE format(
                        $query$
                        SELECT $1, f.status, f.found, f.statement
                        FROM (SELECT ($2 ->> 'max_notifiers')::int AS most, ($2 ->> 'max_worker_processes')::int AS processes) c
                        CROSS JOIN (SELECT count(*) FILTER (WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())) AS here,
                                           count(*) AS everywhere
                                    FROM pg_stat_activity WHERE backend_type = 'tasker_checkpoint notifier') a
                        CROSS JOIN (SELECT notifications_sent AS sent, notifications_sent - notifications_batched AS alone,
                                           extract(epoch FROM clock_timestamp() - stats_reset) AS seconds
                                    FROM %I.tasker_checkpoint_stats()) s
                        CROSS JOIN LATERAL (VALUES
                            (c.most = 0, 'notice', 'tasker_checkpoint.max_notifiers is 0, so that every transaction notifies by itself. The change takes effect at a restart.',
                             'ALTER SYSTEM SET tasker_checkpoint.max_notifiers = 2;'),
                            (c.most > 0 AND c.processes <= c.most, 'warning',
                             format('max_worker_processes, %%s, is not enough for %%s notifiers and the server''s own. The change takes effect at a restart.', c.processes, c.most),
                             format('ALTER SYSTEM SET max_worker_processes = %%s;', c.most + 8)),
                            (c.most > 0 AND a.here = 0 AND a.everywhere >= c.most, 'warning',
                             format('All %%s notifiers are at work in other databases, so that transactions here notify by themselves. The change takes effect at a restart.', c.most),
                             format('ALTER SYSTEM SET tasker_checkpoint.max_notifiers = %%s;', least(c.most * 2, 64))),
                            (c.most > 0 AND a.here = 0 AND s.alone >= 1000 AND s.alone > s.sent / 2 AND s.alone > 10 * s.seconds, 'warning',
                             format('%%s of %%s wake-ups were sent by transactions themselves, since no notifier could be started: the server''s log says why. '
                                    'If all background workers are in use, more help, at a restart.', s.alone, s.sent),
                             format('ALTER SYSTEM SET max_worker_processes = %%s;', c.processes + 8)),
                            (NOT pg_has_role('pg_read_all_stats', 'USAGE'), 'notice',
                             format('Role %%I cannot see which background workers there are.', current_user),
                             format('GRANT pg_read_all_stats TO %%I;', current_user))
                        ) AS f (is_so, status, found, statement)
                        WHERE f.is_so
                        $query$, own_schema)
                    USING topic, conf;
                ELSE
                    RETURN QUERY
                    SELECT topic, 'notice', 'The library is not preloaded: every transaction notifies by itself, and nothing is counted. '
                           || CASE WHEN conf ->> 'pending' = 'true' THEN 'shared_preload_libraries was changed, and waits for a restart.'
                                   WHEN conf ? 'shared_preload_libraries' THEN 'The change takes effect at a restart.'
                                   ELSE format('Role %I cannot see what else is in shared_preload_libraries.', current_user) END,
                           CASE WHEN conf ? 'shared_preload_libraries' AND conf ->> 'pending' = 'false' THEN
                               format('ALTER SYSTEM SET shared_preload_libraries = %s;',
                                      (SELECT string_agg(quote_literal(btrim(l, ' "')), ', ' ORDER BY place)
                                       FROM unnest(string_to_array(conf ->> 'shared_preload_libraries', ',') || 'tasker_checkpoint'::text)
                                            WITH ORDINALITY AS u (l, place)
                                       WHERE btrim(l, ' "') <> '')) END;
                END IF;

            WHEN 'notify_queue' THEN
                RETURN QUERY
                SELECT topic, CASE WHEN q.usage >= 0.5 THEN 'error' ELSE 'warning' END,
                       format('The queue of notifications is %s %% full, since a session that listens is in a transaction or does not read. '
                              'From 75 %% on wake-ups are left out. ', trunc(100 * q.usage::numeric, 1))
                       || CASE WHEN s.pid IS NULL THEN 'Look for it in pg_stat_activity.'
                               ELSE format('Of those that are idle in a transaction, the statement ends the oldest, of role %I.', s.usename) END,
                       CASE WHEN s.pid IS NOT NULL THEN format('SELECT pg_terminate_backend(%s);', s.pid) END
                FROM pg_notification_queue_usage() AS q (usage)
                LEFT JOIN LATERAL (
                    SELECT pid, usename FROM pg_stat_activity
                    WHERE state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
                    ORDER BY xact_start LIMIT 1) s ON true
                WHERE q.usage >= 0.01;

            WHEN 'replication' THEN
                RETURN QUERY
                SELECT topic, 'error', 'session_replication_role is replica, so the guard does not run in this session.',
                       (setter ->> 'session_replication_role') || quote_literal('origin') || ';'
                WHERE conf ->> 'session_replication_role' = 'replica'
                UNION ALL
                SELECT topic, 'notice', 'This is a standby: checkpoints are written on the primary, and mended there.', NULL
                WHERE pg_is_in_recovery();

            WHEN 'version' THEN
                RETURN QUERY
                SELECT topic, CASE WHEN library_version = e.extversion THEN 'warning' ELSE 'error' END,
                       format('The library is of version %s, the extension of %s, the control file of %s. ', library_version, e.extversion,
                              coalesce(a.default_version, 'none'))
                       || CASE WHEN library_version = a.default_version THEN 'The extension is to be updated.'
                               WHEN conf ->> 'preloaded' = 'true' THEN 'Restart the server, for it to load the library again.'
                               ELSE 'Install all files of one version, and connect again.' END,
                       CASE WHEN library_version = a.default_version THEN 'ALTER EXTENSION tasker_checkpoint UPDATE;' END
                FROM pg_extension e
                LEFT JOIN pg_available_extensions a ON a.name = e.extname
                WHERE e.oid = own_extension
                AND (library_version <> e.extversion OR e.extversion IS DISTINCT FROM a.default_version);
            END CASE;

            IF NOT FOUND THEN
                RETURN NEXT (topic, 'ok'::text, fine, NULL::text);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RETURN NEXT (topic, 'notice'::text, format('Role "%s" could not look at this: %s.', current_user, SQLERRM), NULL::text);
        END;
    END LOOP;
END
$doctor$;
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_doctor() FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_doctor() IS
'checks the installation: a row for each check that is fine, and a row for each thing found, with the statement that mends it; changes nothing, and what the caller cannot look at is a row as well';

--
-- Attach Tasker's table, if it is here
--

DO $auto$
DECLARE
    client_level text := current_setting('client_min_messages');
    attached regclass;
    problem text;
    reason text;
    remedy text;
    table_owner name;
BEGIN
    BEGIN
        -- exactly this function, whatever else has the name
        attached := tasker_checkpoint_attach(NULL::regclass, 'workflow_step_uuid'::name, false);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT,
            reason = PG_EXCEPTION_DETAIL, remedy = PG_EXCEPTION_HINT;
    END;

    -- CREATE EXTENSION raises the level to hide its script's notices; a caller
    -- who asked for errors only still gets none
    IF client_level = 'warning' THEN
        PERFORM set_config('client_min_messages', 'notice', true);
    END IF;
    IF attached IS NULL THEN
        RAISE NOTICE 'no steps table attached: %', problem
            USING DETAIL = coalesce(nullif(reason, ''), 'Nothing was changed.'),
            HINT = CASE WHEN remedy LIKE '%tasker_checkpoint_attach(%' THEN remedy
                        ELSE concat_ws(' ', nullif(remedy, ''), 'Then call tasker_checkpoint_attach() with the steps table.') END;
    ELSE
        -- found by its name, which anybody may have given it who can create tables
        SELECT pg_get_userbyid(relowner) INTO table_owner
        FROM pg_class
        WHERE oid = attached AND pg_get_userbyid(relowner) <> current_user;
        IF FOUND THEN
            RAISE NOTICE 'steps table % attached', attached
                USING DETAIL = format('It belongs to role "%s".', table_owner);
        ELSE
            RAISE NOTICE 'steps table % attached', attached;
        END IF;
    END IF;
    PERFORM set_config('client_min_messages', client_level, true);
END
$auto$;

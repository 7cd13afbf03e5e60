--
-- Privileges
--

-- Nothing by default privileges, whoever has set them for what is created here:
-- a function is nobody's but its owner's unless it is granted below. Not in a
-- script that updates the extension: it would take away what was granted since.
DO $privileges$
DECLARE
    script_path text := pg_catalog.current_setting('search_path');
    own record;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    FOR own IN
        SELECT o.kind, pg_get_userbyid(o.owner) AS owner, o.acl IS NOT NULL AS is_set,
               CASE o.kind WHEN 'ROUTINE' THEN o.objid::regprocedure::text WHEN 'TYPE' THEN o.objid::regtype::text
                           ELSE o.objid::regclass::text END AS identity,
               (SELECT string_agg(DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                                           ELSE quote_ident(pg_get_userbyid(a.grantee)) END, ', ')
                FROM aclexplode(coalesce(o.acl, acldefault(o.acl_kind, o.owner))) a
                WHERE a.grantee <> o.owner) AS others
        FROM pg_extension e
        JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
        JOIN (
            SELECT 'pg_proc'::regclass AS classid, oid AS objid, 'ROUTINE' AS kind, 'f'::"char" AS acl_kind,
                   proowner AS owner, proacl AS acl
            FROM pg_proc
            UNION ALL
            SELECT 'pg_class', oid, CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                   CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner, relacl
            FROM pg_class
            WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
            UNION ALL
            SELECT 'pg_type', oid, 'TYPE', 'T', typowner, typacl
            FROM pg_type
            -- an array has no privileges of its own, and those of a row type pg_dump
            -- does not know
            WHERE typtype <> 'b'
            AND (typtype <> 'c' OR (SELECT relkind FROM pg_class WHERE oid = typrelid) = 'c')
        ) o ON o.classid = d.classid AND o.objid = d.objid
        WHERE e.extname = 'tasker_checkpoint'
    LOOP
        IF own.others IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON %s %s FROM %s CASCADE', own.kind, own.identity, own.others);
        END IF;
        IF own.is_set THEN
            EXECUTE format('GRANT ALL ON %s %s TO %I', own.kind, own.identity, own.owner);
        END IF;
        IF own.kind = 'TYPE' THEN
            EXECUTE format('GRANT USAGE ON TYPE %s TO PUBLIC', own.identity);
        END IF;
    END LOOP;

    PERFORM set_config('search_path', script_path, true);
END
$privileges$;

-- What reads is everybody's: it shows what the caller can read of the steps table.
GRANT EXECUTE ON FUNCTION
    tasker_checkpoint_table(),
    tasker_checkpoint_get(uuid),
    tasker_checkpoint_load(uuid),
    tasker_checkpoint_exists(uuid),
    tasker_checkpoint_cursor(uuid),
    tasker_checkpoint_items_processed(uuid),
    tasker_checkpoint_accumulated_results(uuid),
    tasker_checkpoint_history(uuid),
    tasker_checkpoint_dispatched(uuid),
    tasker_checkpoint_progress(uuid),
    tasker_checkpoint_health(interval, integer, interval, interval, interval, integer, integer, interval)
TO PUBLIC;
GRANT SELECT ON tasker_checkpoint_progress, tasker_checkpoint_health, tasker_checkpoint_queues TO PUBLIC;

-- They call these as whoever calls them.
GRANT EXECUTE ON FUNCTION
    tasker_checkpoint_survey(uuid, boolean),
    tasker_checkpoint_unguarded(),
    tasker_checkpoint_old_snapshots(),
    tasker_checkpoint_cursor_indexes(),
    tasker_checkpoint_set_columns(),
    tasker_checkpoint_drop_index(oid, boolean),
    tasker_checkpoint_shown(text, boolean),
    tasker_checkpoint_enough(bigint, bigint),
    tasker_checkpoint_limits()
TO PUBLIC;

-- Nobody gets anything by a trigger that calls it: beside a guard that counts it does what attach
-- has it do, and elsewhere nothing. EXECUTE on the guard alone is the right to register.
GRANT EXECUTE ON FUNCTION tasker_checkpoint_forget() TO PUBLIC;

-- What these tell is in the catalogs, in settings, or in the library; what they ask for
-- besides they ask for as the caller.
GRANT EXECUTE ON FUNCTION
    tasker_checkpoint_registrations(),
    tasker_checkpoint_candidates(),
    tasker_checkpoint_trusts(oid),
    tasker_checkpoint_attach_call(oid, name),
    tasker_checkpoint_hot_indexes(),
    tasker_checkpoint_sample(real),
    tasker_checkpoint_version(),
    tasker_checkpoint_settings(),
    tasker_checkpoint_counted(boolean),
    tasker_checkpoint_own_functions(),
    tasker_checkpoint_workers(),
    tasker_checkpoint_missing_rights(),
    tasker_checkpoint_needless_rights(),
    tasker_checkpoint_revoke(text, text, oid, oid, boolean),
    tasker_checkpoint_leave(oid, oid),
    tasker_checkpoint_missing_indexes(),
    tasker_checkpoint_look(regprocedure),
    tasker_checkpoint_check_table(),
    tasker_checkpoint_check_guard(),
    tasker_checkpoint_check_trigger_order(),
    tasker_checkpoint_check_index(),
    tasker_checkpoint_check_fillfactor(),
    tasker_checkpoint_check_compression(),
    tasker_checkpoint_check_hot_share(),
    tasker_checkpoint_check_bloat(),
    tasker_checkpoint_check_snapshots(),
    tasker_checkpoint_check_limits(),
    tasker_checkpoint_check_events(),
    tasker_checkpoint_check_grants(),
    tasker_checkpoint_check_settings(),
    tasker_checkpoint_check_notifier(),
    tasker_checkpoint_check_notify_queue(),
    tasker_checkpoint_check_connections(),
    tasker_checkpoint_check_replication(),
    tasker_checkpoint_check_names(),
    tasker_checkpoint_check_version()
TO PUBLIC;

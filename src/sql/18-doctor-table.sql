--
-- Doctor: the steps table
--

CREATE FUNCTION tasker_checkpoint_check_table()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH counting AS (
        SELECT r.* FROM tasker_checkpoint_registrations() r WHERE r.counts AND r.relid = r.steps
    ), attached AS (
        SELECT c.oid, c.oid::regclass::text AS name, c.relkind, pg_catalog.pg_get_userbyid(c.relowner) AS owner, r.key_column, k.attnotnull AS key_not_null,
               r.checkpoint_column, p.attnotnull AS checkpoint_not_null, p.atthasdef AS has_default,
               -- of a part the whole
               CASE WHEN tasker_checkpoint_trusts(coalesce(pg_catalog.pg_partition_root(c.oid::regclass)::oid, 0::oid))
                    THEN pg_catalog.pg_partition_root(c.oid::regclass)::oid END AS root,
               -- what takes the guard from it, as tasker_checkpoint_health() does: unlike detach it leaves steps dispatched
               (SELECT pg_catalog.string_agg(pg_catalog.format('DROP TRIGGER %I ON %s; ', t.tgname, c.oid::regclass), '' ORDER BY t.tgname DESC)
                FROM pg_trigger t
                WHERE t.tgrelid = c.oid AND t.tgparentid = 0::oid
                AND (t.tgname = r.trigger_name OR t.tgfoid = 'tasker_checkpoint_forget()'::regprocedure::oid)) AS unguard,
               EXISTS (SELECT FROM pg_index i
                       WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
                       AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = k.attnum) AS key_is_unique
        FROM counting r
        JOIN pg_class c ON c.oid = r.relid
        JOIN pg_attribute k ON k.attrelid = c.oid AND k.attname = r.key_column
        JOIN pg_attribute p ON p.attrelid = c.oid AND p.attname = r.checkpoint_column
        WHERE r.attached
    ), others AS (
        -- Tasker's tables besides; two generations of Tasker side by side are not told apart
        SELECT u.relid, u.trusted, u.alike, a.name AS attached, a.key_column, a.unguard
        FROM tasker_checkpoint_candidates() u
        CROSS JOIN attached a
        WHERE (SELECT pg_catalog.count(*) FROM counting) = 1
        AND NOT EXISTS (SELECT FROM tasker_checkpoint_candidates() t WHERE t.relid = a.oid)
        AND NOT EXISTS (SELECT FROM tasker_checkpoint_registrations() r WHERE r.attached AND r.relid = u.relid)
        -- that the attached one is a part of it is said below
        AND a.root IS DISTINCT FROM u.relid AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = a.oid AND i.inhparent = u.relid)
    ), moves AS (
        -- what health says of a copy that has taken the place of the attached one, under whatever name
        SELECT (s.told).detail, (s.told).statement
        FROM (SELECT a.unguard, tasker_checkpoint_unguarded() AS told
              FROM attached a
              WHERE (SELECT pg_catalog.count(*) FROM counting) = 1
              AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = a.oid)) s
        WHERE pg_catalog.starts_with((s.told).statement, s.unguard)
        AND NOT EXISTS (SELECT FROM others o WHERE o.trusted AND o.alike)
    ), marks AS (
        -- what attach leaves on a table beside the guard
        SELECT d.objoid AS relid, 'c'::text AS kind,
               pg_catalog.format('COMMENT ON COLUMN %s.%I IS NULL;', d.objoid::regclass, t.attname) AS statement
        FROM pg_description d
        JOIN pg_attribute t ON t.attrelid = d.objoid AND t.attnum::int4 = d.objsubid
        WHERE d.classoid = 'pg_class'::regclass::oid AND t.atttypid = 'jsonb'::regtype::oid
        AND pg_catalog.starts_with(d.description, 'progress of a batch worker: ')
        UNION ALL
        SELECT t.tgrelid, 't', pg_catalog.format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass)
        FROM pg_trigger t
        WHERE t.tgfoid = 'tasker_checkpoint_forget()'::regprocedure::oid AND t.tgparentid = 0::oid
    ), left_behind AS (
        SELECT c.oid::regclass::text AS name, pg_catalog.string_agg(m.statement, ' ' ORDER BY m.kind DESC, m.statement) AS statement
        FROM marks m
        JOIN pg_class c ON c.oid = m.relid
        WHERE NOT c.relispartition AND tasker_checkpoint_trusts(c.oid)
        AND EXISTS (SELECT FROM attached)
        AND NOT EXISTS (SELECT FROM tasker_checkpoint_registrations() r WHERE r.relid = c.oid)
        AND NOT EXISTS (SELECT FROM others o WHERE o.relid = c.oid)
        AND NOT EXISTS (SELECT FROM moves v CROSS JOIN attached a
                        WHERE v.statement = a.unguard || tasker_checkpoint_attach_call(c.oid, a.key_column))
        GROUP BY c.oid
    )
    SELECT 'ok', pg_catalog.format('Table %s is attached.', a.name), NULL
    FROM attached a
    UNION ALL
    SELECT 'error',
           'No steps table is attached, and every function but a few raises 55000. '
           'Call tasker_checkpoint_attach() with the steps table.',
           (SELECT tasker_checkpoint_attach_call(pg_catalog.max(t.relid), 'workflow_step_uuid'::name)
            FROM tasker_checkpoint_candidates() t WHERE t.trusted HAVING pg_catalog.count(*) = 1)
    WHERE NOT EXISTS (SELECT FROM counting)
    UNION ALL
    -- anybody may give a table of his the name
    SELECT 'notice',
           pg_catalog.format('Table %s, which is named as Tasker''s, belongs to role "%s". Only if that is the steps table, the statement attaches it.',
                             c.oid::regclass, tasker_checkpoint_shown(pg_catalog.pg_get_userbyid(c.relowner)::text, false)),
           tasker_checkpoint_attach_call(c.oid, 'workflow_step_uuid'::name)
    FROM tasker_checkpoint_candidates() t JOIN pg_class c ON c.oid = t.relid
    WHERE NOT t.trusted AND NOT EXISTS (SELECT FROM counting)
    UNION ALL
    -- renamed and replaced, as online schema changes do, or migrated anew
    SELECT CASE WHEN o.alike THEN 'error' ELSE 'notice' END,
           pg_catalog.format('Table %s, which Tasker uses, is not attached, but %s is: what is written there is not guarded.', o.relid::regclass, o.attached),
           CASE WHEN o.alike THEN o.unguard || tasker_checkpoint_attach_call(o.relid, o.key_column) END
    FROM others o
    WHERE o.trusted
    UNION ALL
    SELECT 'error', v.detail, v.statement FROM moves v
    UNION ALL
    SELECT 'warning',
           pg_catalog.format('Table %s is as if it had been attached, and is not, but %s is. If it is in use, what is stored in it is not guarded; if not, the statement takes the marks away.',
                             l.name, a.name),
           l.statement
    FROM left_behind l CROSS JOIN attached a
    UNION ALL
    SELECT 'notice',
           pg_catalog.format('Table %s, which is named as Tasker''s, belongs to role "%s", and %s is attached. Only if the other is the steps table, drop both triggers of this one, which unlike detach leaves steps dispatched, and attach that.',
                             c.oid::regclass, tasker_checkpoint_shown(pg_catalog.pg_get_userbyid(c.relowner)::text, false), o.attached),
           NULL
    FROM others o JOIN pg_class c ON c.oid = o.relid
    WHERE NOT o.trusted
    UNION ALL
    SELECT CASE WHEN p.trusted THEN 'error' ELSE 'notice' END,
           pg_catalog.format('Table %s has become a partition of %s,', a.name, c.oid::regclass)
           || CASE WHEN p.trusted THEN ' whose other rows go past the guard.'
                   ELSE pg_catalog.format(' which belongs to role "%s": other rows of that table go past the guard.',
                                          tasker_checkpoint_shown(pg_catalog.pg_get_userbyid(c.relowner)::text, false)) END,
           CASE WHEN p.trusted THEN a.unguard || tasker_checkpoint_attach_call(c.oid, a.key_column) END
    FROM attached a
    JOIN pg_inherits i ON i.inhrelid = a.oid
    JOIN pg_class c ON c.oid = coalesce(a.root, i.inhparent)
    CROSS JOIN LATERAL tasker_checkpoint_trusts(c.oid) AS p (trusted)
    UNION ALL
    SELECT 'error',
           pg_catalog.format('Table %s has a guard trigger besides that of %s, and every function raises 55000.', r.relid::regclass, a.name),
           pg_catalog.format('DROP TRIGGER %I ON %s;', r.trigger_name, r.relid::regclass)
    FROM counting r CROSS JOIN attached a
    WHERE NOT r.attached
    UNION ALL
    SELECT f.status, f.found, f.statement
    FROM attached a
    CROSS JOIN LATERAL (VALUES
        (NOT a.key_is_unique,
         'error', pg_catalog.format('Key column %I has no valid, immediate unique index on it alone, so a step can be there twice.', a.key_column),
         pg_catalog.format('ALTER TABLE %s ADD UNIQUE (%I);', a.name, a.key_column)),
        (NOT a.key_not_null,
         'warning',
         pg_catalog.format('Key column %I can be null.', a.key_column)
         || CASE WHEN a.owner = CURRENT_USER THEN ''
                 ELSE pg_catalog.format(' Its owner, role "%s", can mend it by ALTER TABLE %s ALTER COLUMN %I SET NOT NULL; as others that statement runs code of the owner''s.',
                                        tasker_checkpoint_shown(a.owner::text, false), a.name, a.key_column) END,
         -- it asks the table's CHECK constraints, and computes what is constant in them
         CASE WHEN a.owner = CURRENT_USER THEN
             pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', a.name, a.key_column) END),
        (a.checkpoint_not_null,
         'error', pg_catalog.format('Column %I is NOT NULL, so a clear fails, and so does an INSERT without a checkpoint.', a.checkpoint_column),
         pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL;', a.name, a.checkpoint_column)),
        (a.has_default,
         'warning', pg_catalog.format('Column %I has a default, so new steps have a checkpoint that no worker made.', a.checkpoint_column),
         pg_catalog.format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT;', a.name, a.checkpoint_column))
    ) AS f (is_so, status, found, statement)
    WHERE f.is_so
    UNION ALL
    SELECT 'warning', pg_catalog.format('Table %s is unlogged: a crash empties it.', c.oid::regclass),
           pg_catalog.format('ALTER TABLE %s SET LOGGED;', c.oid::regclass)
    FROM tasker_checkpoint_registrations() r JOIN pg_class c ON c.oid = r.relid
    WHERE r.attached AND c.relkind = 'r' AND c.relpersistence = 'u'
    UNION ALL
    SELECT 'error', pg_catalog.format('Table %s inherits from %s, and its rows go past the guard.', i.inhrelid::regclass, a.name),
           pg_catalog.format('ALTER TABLE %s NO INHERIT %s;', i.inhrelid::regclass, a.name)
    FROM attached a JOIN pg_inherits i ON i.inhparent = a.oid
    WHERE a.relkind = 'r';
END;
COMMENT ON FUNCTION tasker_checkpoint_check_table() IS
'a check of tasker_checkpoint_doctor(): the steps table is attached, and is the one in use, and its columns are as attach wants them';

CREATE FUNCTION tasker_checkpoint_check_guard()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH strays AS (
        -- made by hand
        SELECT r.*, EXISTS (SELECT FROM tasker_checkpoint_registrations() c WHERE c.counts) AS have_other,
               pg_catalog.count(*) OVER () AS strays
        FROM tasker_checkpoint_registrations() r
        WHERE NOT r.counts AND r.relid = r.steps
    ), forgetting AS (
        -- of a partitioned table also those of its partitions, which have clones
        SELECT t.tgrelid, t.tgname, t.tgenabled, r.relid = r.steps AS is_root,
               EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                       WHERE d.classid = 'pg_trigger'::regclass::oid AND d.objid = t.oid
                       AND d.refclassid = 'pg_extension'::regclass::oid AND d.deptype = 'x'
                       AND e.extname = 'tasker_checkpoint') AS is_marked
        FROM tasker_checkpoint_registrations() r
        JOIN pg_trigger t ON t.tgrelid = r.relid
        -- AFTER DELETE, ROW
        WHERE r.attached AND t.tgfoid = 'tasker_checkpoint_forget()'::regprocedure::oid AND t.tgtype = 9::int2
        AND t.tgnargs = 0::int2 AND t.tgqual IS NULL AND NOT t.tgdeferrable
    )
    SELECT 'ok', 'The guard trigger runs for every INSERT and for every UPDATE of key and checkpoint.', NULL
    UNION ALL
    SELECT CASE WHEN s.have_other THEN 'warning' ELSE 'error' END,
           pg_catalog.format('Trigger %I of table %s calls the guard, but is not as tasker_checkpoint_attach() makes it, and registers nothing.',
                             s.trigger_name, s.relid::regclass),
           pg_catalog.format('DROP TRIGGER %I ON %s;', s.trigger_name, s.relid::regclass)
           || CASE WHEN NOT s.have_other AND s.strays = 1 AND s.key_column IS NOT NULL
                   THEN pg_catalog.format(' %s', tasker_checkpoint_attach_call(s.relid, s.key_column)) ELSE '' END
    FROM strays s
    UNION ALL
    SELECT 'error',
           pg_catalog.format('Guard trigger %I of table %s is %s: checkpoints are stored as they are sent, and yield and save raise 55000.',
                             r.trigger_name, r.relid::regclass,
                             CASE r.enabled WHEN 'D' THEN 'disabled' ELSE 'enabled for replicas only' END),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', r.relid::regclass, r.trigger_name)
    FROM tasker_checkpoint_registrations() r
    WHERE r.attached AND r.enabled NOT IN ('O', 'A')
    UNION ALL
    SELECT 'notice',
           pg_catalog.format('Guard trigger %I of table %s is not marked DEPENDS ON EXTENSION, so DROP EXTENSION fails without CASCADE.',
                             r.trigger_name, r.relid::regclass),
           pg_catalog.format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION tasker_checkpoint;', r.trigger_name, r.relid::regclass)
    FROM tasker_checkpoint_registrations() r
    WHERE r.attached AND r.relid = r.steps AND NOT r.is_marked
    UNION ALL
    SELECT 'warning',
           pg_catalog.format('Table %s has no trigger that forgets deleted steps: one that is deleted and inserted again is dispatched, claimed, paused or cancelled as before.',
                             r.relid::regclass),
           tasker_checkpoint_attach_call(r.relid, r.key_column)
    FROM tasker_checkpoint_registrations() r
    WHERE r.attached AND r.relid = r.steps AND NOT EXISTS (SELECT FROM forgetting f WHERE f.is_root)
    UNION ALL
    SELECT 'warning',
           pg_catalog.format('Trigger %I of table %s is %s: a step that is deleted and inserted again is dispatched, claimed, paused or cancelled as before.',
                             f.tgname, f.tgrelid::regclass,
                             CASE f.tgenabled WHEN 'D' THEN 'disabled' ELSE 'enabled for replicas only' END),
           pg_catalog.format('ALTER TABLE %s ENABLE TRIGGER %I;', f.tgrelid::regclass, f.tgname)
    FROM forgetting f
    WHERE f.tgenabled NOT IN ('O', 'A')
    UNION ALL
    SELECT 'notice',
           pg_catalog.format('Trigger %I of table %s is not marked DEPENDS ON EXTENSION, so DROP EXTENSION fails without CASCADE.',
                             f.tgname, f.tgrelid::regclass),
           pg_catalog.format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION tasker_checkpoint;', f.tgname, f.tgrelid::regclass)
    FROM forgetting f
    WHERE f.is_root AND NOT f.is_marked;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_guard() IS
'a check of tasker_checkpoint_doctor(): the guard trigger runs, goes with the extension, and is the only trigger that calls the guard; so does the trigger beside it, which forgets deleted steps';

CREATE FUNCTION tasker_checkpoint_check_trigger_order()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH later AS (
        SELECT t.tgrelid, t.tgname, CASE WHEN 'zy_' < g.trigger_name THEN 'zy_' ELSE '!' END AS prefix
        FROM tasker_checkpoint_registrations() g
        JOIN pg_trigger t ON t.tgrelid = g.relid
        WHERE g.attached AND t.tgparentid = 0::oid AND NOT t.tgisinternal
        AND t.tgfoid <> 'tasker_checkpoint_guard()'::regprocedure::oid
        AND t.tgname > g.trigger_name AND t.tgenabled <> 'D'
        -- ROW and BEFORE, INSERT or an UPDATE that a checkpoint is
        AND (t.tgtype::int4 & 3) = 3
        AND ((t.tgtype::int4 & 4) <> 0
             OR ((t.tgtype::int4 & 16) <> 0
                 AND (pg_catalog.cardinality(t.tgattr::int2[]) = 0
                      OR EXISTS (SELECT FROM pg_attribute a
                                 WHERE a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr::int2[])
                                 AND a.attname IN (g.key_column, g.checkpoint_column, 'updated_at')))))
    )
    SELECT 'ok', 'No BEFORE trigger runs after the guard.', NULL
    UNION ALL
    (SELECT 'warning',
            pg_catalog.format('Trigger %I of table %s runs after the guard, which does not see what it makes of the checkpoint. '
                              'By the new name it runs before.', l.tgname, l.tgrelid::regclass),
            pg_catalog.format('ALTER TRIGGER %I ON %s RENAME TO %I;', l.tgname, l.tgrelid::regclass,
                l.prefix
                || CASE WHEN pg_catalog.octet_length(l.tgname::text) > 60
                        OR EXISTS (SELECT FROM pg_trigger o
                                   WHERE o.tgrelid = l.tgrelid
                                   AND o.tgname::text IN ('zy_' || l.tgname::text, '!' || l.tgname::text))
                        THEN pg_catalog.concat(pg_catalog.left(l.tgname::text, 10), '_',
                                               pg_catalog.left(pg_catalog.md5(l.tgname::text), 8))
                        ELSE l.tgname::text END)
     FROM later l
     ORDER BY l.tgrelid::regclass::text, l.tgname);
END;
COMMENT ON FUNCTION tasker_checkpoint_check_trigger_order() IS
'a check of tasker_checkpoint_doctor(): no trigger changes a checkpoint after the guard';

--
-- Doctor
--

CREATE FUNCTION tasker_checkpoint_sample(percent real)
RETURNS TABLE (cursor_size bigint, results_size bigint, history_size bigint)
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_sample(real) IS
'sizes in bytes of cursor, results and history, of the largest checkpoints on so many percent of the steps table''s pages, of the steps that the caller can see; for tasker_checkpoint_doctor(); raises 22004, 55000';

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
'what was looked at: table, guard, trigger_order, index, fillfactor, compression, hot_share, bloat, limits, events, grants, settings, notifier, notify_queue, replication, names or version';
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
    strays oid[];
    -- what the guard names: the table, its partitions, its columns
    steps record;
    library_version text;
    -- settings by their names, ours without the prefix; and what begins the
    -- statement that sets one where it was set
    conf jsonb;
    setter jsonb;
    -- with every argument and its type, so that no other function of the name fits
    attach_call CONSTANT text := 'SELECT %I.tasker_checkpoint_attach(%L::pg_catalog.regclass, %L::pg_catalog.name, false);';
    -- whose tables CREATE EXTENSION attaches by their names; superusers' and the
    -- attached one's owner's besides
    owners oid[];
    topic text;
    fine text;
    n bigint;
BEGIN
    SELECT e.oid, n.nspname, ARRAY[e.extowner, (SELECT datdba FROM pg_database WHERE datname = current_database())]
    INTO STRICT own_extension, own_schema, owners
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
    WHERE starts_with(s.name, 'tasker_checkpoint.')
    OR s.name IN ('autovacuum', 'track_counts', 'default_toast_compression', 'max_worker_processes',
                  'session_replication_role', 'shared_preload_libraries');

    -- those that count, of two the one that attach has made first; others call the
    -- function, and register nothing
    SELECT coalesce(array_agg(g.oid ORDER BY NOT g.is_marked, g.oid) FILTER (WHERE g.counts), '{}'),
           coalesce(array_agg(g.oid ORDER BY g.oid) FILTER (WHERE NOT g.counts), '{}')
    INTO guards, strays
    FROM (
        SELECT t.oid,
               EXISTS (SELECT FROM pg_depend d
                       WHERE d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
                       AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = own_extension AND d.deptype = 'x') AS is_marked,
               c.relpersistence <> 't' AND c.relkind IN ('r', 'p')
               AND t.tgtype = 1 + 2 + 4 + 16 AND t.tgqual IS NULL AND t.tgnargs = 0
               AND cardinality(t.tgattr::int2[]) = 2 AND t.tgattr[0] <> t.tgattr[1]
               AND EXISTS (SELECT FROM pg_attribute k WHERE k.attrelid = c.oid AND k.attnum = t.tgattr[0]
                           AND NOT k.attisdropped AND k.atttypid = 'uuid'::regtype)
               AND EXISTS (SELECT FROM pg_attribute p WHERE p.attrelid = c.oid AND p.attnum = t.tgattr[1]
                           AND NOT p.attisdropped AND p.atttypid = 'jsonb'::regtype) AS counts
        FROM pg_trigger t
        JOIN pg_class c ON c.oid = t.tgrelid
        WHERE t.tgfoid = guard_function AND t.tgparentid = 0
    ) g;

    SELECT t.tgrelid AS relid, t.tgrelid::regclass::text AS name, c.relnamespace AS namespace, c.relkind,
           k.attname AS key, k.attnum AS key_number, k.attnotnull AS key_not_null,
           p.attname AS checkpoint, p.attnotnull AS checkpoint_not_null, p.atthasdef AS has_default,
           ARRAY(SELECT t.tgrelid UNION SELECT relid FROM pg_partition_tree(t.tgrelid)) AS tables, c.relowner AS owner
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
               ('hot_share', 'Checkpoints are HOT updates, as far as was counted.'),
               ('bloat', 'Autovacuum keeps up, as far as was counted.'),
               ('limits', 'No sampled checkpoint is near a limit.'),
               ('events', 'Hardly any event is of no use.'),
               ('grants', 'Workers have the rights that they need, and no others on the steps table.'
                          || (SELECT coalesce(' A table can be registered, beside superusers and the owner, by '
                                              || string_agg(CASE x.grantee WHEN 0 THEN 'everybody' ELSE x.grantee::regrole::text END, ', ' ORDER BY x.grantee::regrole::text COLLATE "C") || '.', '')
                              FROM pg_proc p CROSS JOIN aclexplode(p.proacl) x
                              WHERE p.oid = guard_function AND x.grantee <> p.proowner)),
               ('settings', 'The settings agree with each other.'),
               ('notifier', 'The library is preloaded; a notifier comes when there is much to notify.'),
               ('notify_queue', 'The queue of notifications is drained.'),
               ('replication', 'This session runs triggers, and this server takes writes.'),
               ('names', 'No object in the extension''s schema is named as one of its own.'),
               ('version', format('Library, extension and control file are of version %s.', library_version))
    LOOP
        -- without a table there is nothing of it to look at
        CONTINUE WHEN (topic = 'guard' AND guards = '{}' AND strays = '{}')
            OR (topic IN ('trigger_order', 'index', 'fillfactor', 'compression', 'hot_share', 'limits', 'events')
                AND steps.relid IS NULL)
            -- our own functions know of no table if there are two
            OR (topic IN ('limits', 'events') AND cardinality(guards) > 1);

        BEGIN
            CASE topic
            WHEN 'table' THEN
                RETURN QUERY
                WITH taskers AS (
                    SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, r.rolname AS owner,
                           r.rolsuper OR r.oid = ANY (owners) OR r.oid IS NOT DISTINCT FROM steps.owner AS trusted
                    FROM pg_class c
                    JOIN pg_namespace n ON n.oid = c.relnamespace
                    JOIN pg_roles r ON r.oid = c.relowner
                    WHERE (n.nspname, c.relname) IN (('tasker', 'workflow_steps'), (own_schema, 'tasker_workflow_steps'))
                    AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
                ),
                -- two generations of Tasker side by side are not told apart
                unattached AS (
                    SELECT * FROM taskers
                    WHERE steps.relid IS NOT NULL AND cardinality(guards) = 1
                    AND NOT EXISTS (SELECT FROM taskers t WHERE t.oid = steps.relid)
                    AND oid <> ALL (steps.tables)
                ),
                parents AS (
                    SELECT format('%I.%I', n.nspname, c.relname) AS name, r.rolname AS owner,
                           r.rolsuper OR r.oid = ANY (owners) OR r.oid = steps.owner AS trusted
                    FROM pg_inherits i
                    JOIN pg_class c ON c.oid = i.inhparent
                    JOIN pg_namespace n ON n.oid = c.relnamespace
                    JOIN pg_roles r ON r.oid = c.relowner
                    WHERE i.inhrelid = steps.relid
                )
                SELECT topic, 'error',
                       'No steps table is attached, and every function but a few raises 55000. '
                       'Call tasker_checkpoint_attach() with the steps table.',
                       (SELECT format(attach_call, own_schema, max(t.name), 'workflow_step_uuid')
                        FROM taskers t WHERE t.trusted HAVING count(*) = 1)
                WHERE guards = '{}'
                UNION ALL
                -- anybody may give a table of his the name
                SELECT topic, 'notice',
                       format('Table %s, which is named as Tasker''s, belongs to role "%s". Only if that is the steps table, the statement attaches it.', t.name, t.owner),
                       format(attach_call, own_schema, t.name, 'workflow_step_uuid')
                FROM taskers t
                WHERE guards = '{}' AND NOT t.trusted
                UNION ALL
                -- renamed and replaced, as online schema changes do, or migrated anew
                SELECT topic, CASE WHEN steps.key = 'workflow_step_uuid' THEN 'error' ELSE 'notice' END,
                       format('Table %s, which Tasker uses, is not attached, but %s is: what is written there is not guarded.', u.oid::regclass, steps.name),
                       format('SELECT %I.tasker_checkpoint_detach(); ', own_schema) || format(attach_call, own_schema, u.name, 'workflow_step_uuid')
                FROM unattached u
                WHERE u.trusted
                UNION ALL
                SELECT topic, 'notice',
                       format('Table %s, which is named as Tasker''s, belongs to role "%s", and %s is attached. Only if the other is the steps table, detach this one and attach that.', u.name, u.owner, steps.name),
                       NULL
                FROM unattached u
                WHERE NOT u.trusted
                UNION ALL
                SELECT topic, CASE WHEN i.trusted THEN 'error' ELSE 'notice' END,
                       format('Table %s has become a partition of %s,', steps.name, i.name)
                       || CASE WHEN i.trusted THEN ' whose other rows go past the guard.'
                               ELSE format(' which belongs to role "%s": other rows of that table go past the guard.', i.owner) END,
                       CASE WHEN i.trusted THEN
                           format('SELECT %I.tasker_checkpoint_detach(); ', own_schema) || format(attach_call, own_schema, i.name, steps.key) END
                FROM parents i
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
                SELECT topic, CASE WHEN guards = '{}' THEN 'error' ELSE 'warning' END,
                       format('Trigger %I of table %s calls the guard, but is not as tasker_checkpoint_attach() makes it, and registers nothing.',
                              t.tgname, t.tgrelid::regclass),
                       format('DROP TRIGGER %I ON %s;', t.tgname, t.tgrelid::regclass)
                       || coalesce((SELECT ' ' || format(attach_call, own_schema, t.tgrelid::regclass, k.attname)
                                    FROM pg_attribute k
                                    WHERE guards = '{}' AND cardinality(strays) = 1
                                    AND k.attrelid = t.tgrelid AND k.attnum = t.tgattr[0] AND k.atttypid = 'uuid'::regtype), '')
                FROM pg_trigger t
                WHERE t.oid = ANY (strays)
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
                -- an orchestrator's updates of indexed columns are none of ours; what is ours is
                -- counted while the library is preloaded
                IF conf ->> 'preloaded' = 'true' THEN
                    EXECUTE format('SELECT count(*) FROM %I.tasker_checkpoint_hot_indexes($1::regclass, $2::name)', own_schema)
                        INTO n USING steps.relid::regclass, steps.checkpoint;
                    RETURN QUERY EXECUTE format(
                        $query$
                        SELECT $1, 'warning',
                               format('Of %%s checkpoints %%s %%%% were HOT. ', s.yields + s.saves, trunc(100.0 * s.hot_checkpoints / (s.yields + s.saves)))
                               || CASE WHEN $2 > 0 THEN 'See to the indexes first.'
                                       WHEN f.is_full THEN 'See to the fillfactor first.'
                                       ELSE 'Long transactions keep pages from being pruned. The statement begins the count anew.' END,
                               CASE WHEN $2 = 0 AND NOT f.is_full THEN %2$L END
                        FROM %1$I.tasker_checkpoint_stats() AS s
                        CROSS JOIN (
                            SELECT bool_or(coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions)
                                                     WHERE option_name = 'fillfactor'), 100) > 90) AS is_full
                            FROM pg_class c
                            WHERE c.oid = ANY ($3) AND c.relkind = 'r'
                        ) AS f
                        WHERE s.yields + s.saves >= 1000 AND s.hot_checkpoints < 0.8 * (s.yields + s.saves)
                        $query$, own_schema, format('SELECT %I.tasker_checkpoint_stats_reset();', own_schema))
                    USING topic, n, steps.tables;
                END IF;

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
                -- of a thousand pages
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
                        FROM %I.tasker_checkpoint_sample($4::real) AS s
                        CROSS JOIN LATERAL (VALUES
                            ('cursor_limit', 'a cursor', ($2 ->> 'cursor_limit')::bigint, s.cursor_size),
                            ('results_limit', 'results', ($2 ->> 'results_limit')::bigint, s.results_size),
                            ('history_size', 'a history', ($2 ->> 'history_size')::bigint, s.history_size)
                        ) AS v (name, what, bound, bytes)
                        WHERE v.bound > 0 AND v.bytes >= 0.8 * v.bound
                        GROUP BY v.name, v.what, v.bound
                    ) AS f
                    ORDER BY f.name
                    $query$, own_schema)
                USING topic, conf, setter,
                    (SELECT least(100, 100.0 * 1000 / greatest(1, sum(pg_relation_size(c.oid)) / current_setting('block_size')::int))::real
                     FROM pg_class c WHERE c.oid = ANY (steps.tables) AND c.relkind = 'r');

            WHEN 'events' THEN
                EXECUTE format('SELECT %I.tasker_checkpoint_purge_events(1000, true)', own_schema) INTO n;
                RETURN QUERY
                SELECT topic, 'notice', format('%s dispatched steps are gone or processed.', n),
                       format('SELECT %I.tasker_checkpoint_purge_events(%s, false);', own_schema, least(n + 1000, 1000000))
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
                -- who may have a table guarded may also keep the real one from being found
                SELECT topic, 'warning', format('Worker %s can register a steps table: it can execute the guard.', w.name),
                       format('REVOKE EXECUTE ON FUNCTION %s FROM %s;', guard_function::regprocedure, w.name)
                FROM worker w
                WHERE NOT w.is_super AND NOT w.is_operator AND has_function_privilege(w.oid, guard_function, 'EXECUTE')
                UNION ALL
                SELECT topic, 'notice',
                       format('What role %s creates later is given away by its default privileges: %s to %s.', d.defaclrole::regrole, x.privilege_type,
                              CASE x.grantee WHEN 0 THEN 'everybody' ELSE x.grantee::regrole::text END)
                       || ' The extension takes that back from its own objects, whenever they are made.', NULL
                FROM pg_default_acl d
                JOIN pg_extension e ON e.oid = own_extension AND e.extowner = d.defaclrole
                CROSS JOIN aclexplode(d.defaclacl) x
                WHERE d.defaclobjtype IN ('f', 'r') AND d.defaclnamespace IN (0, e.extnamespace)
                AND x.grantee <> d.defaclrole AND NOT (x.grantee = 0 AND d.defaclobjtype = 'f' AND d.defaclnamespace = 0)
                UNION ALL
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
                    WHERE starts_with(p.parname, 'tasker_checkpoint.') AND NOT starts_with(p.parname, 'tasker_checkpoint.health_')
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
                WHERE lower(s) = 'tasker_checkpoint.enforce=warning' AND d.setrole <> 0
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

            WHEN 'names' THEN
                -- a call that does not give each argument its type may mean another's
                RETURN QUERY
                SELECT topic, 'warning',
                       format('Function %s of role %I is not the extension''s, and has the name of one that is: a call may mean it, or be ambiguous.',
                              p.oid::regprocedure, pg_get_userbyid(p.proowner)),
                       format('ALTER ROUTINE %s RENAME TO %I;', p.oid::regprocedure, 'not_' || left(p.proname, 59))
                FROM pg_proc p
                JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = own_schema
                WHERE starts_with(p.proname, 'tasker_checkpoint_')
                AND NOT EXISTS (SELECT FROM pg_depend d
                                WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                                AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = own_extension AND d.deptype = 'e')
                ORDER BY p.oid::regprocedure::text COLLATE "C";

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
        EXCEPTION WHEN insufficient_privilege THEN
            RETURN NEXT (topic, 'notice'::text, format('Role "%s" could not look at this: %s.', current_user, SQLERRM), NULL::text);
        END;
    END LOOP;
END
$doctor$;
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_doctor() FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_doctor() IS
'checks the installation: a row for each check that is fine, and a row for each thing found, with the statement that mends it; changes nothing, and what the caller cannot look at is a row as well';

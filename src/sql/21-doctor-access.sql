--
-- Doctor: who may do what, and whose names are in the way
--

CREATE FUNCTION tasker_checkpoint_own_functions()
RETURNS TABLE (oid oid, name text, volatility "char", owner oid, acl aclitem[])
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 60
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.oid, pg_catalog.replace(p.proname::text, 'tasker_checkpoint_', ''), p.provolatile, p.proowner,
           coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
    FROM pg_extension e
    JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass::oid AND d.refobjid = e.oid AND d.deptype = 'e'
    JOIN pg_proc p ON d.classid = 'pg_proc'::regclass::oid AND p.oid = d.objid
    WHERE e.extname = 'tasker_checkpoint';
END;
COMMENT ON FUNCTION tasker_checkpoint_own_functions() IS
'the extension''s functions, by their names without its prefix, and who may do what with them';

CREATE FUNCTION tasker_checkpoint_workers()
RETURNS TABLE (oid oid, name text, is_super boolean, is_operator boolean)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid, pg_catalog.quote_ident(r.rolname::text), r.rolsuper,
           pg_catalog.bool_or(pg_catalog.has_function_privilege(r.oid, o.oid, 'EXECUTE'))
    FROM tasker_checkpoint_own_functions() f
    CROSS JOIN LATERAL pg_catalog.aclexplode(f.acl) a
    JOIN pg_roles r ON r.oid = a.grantee
    JOIN tasker_checkpoint_own_functions() o ON o.name = 'reset_for_retry'
    WHERE f.name IN ('yield', 'save') AND a.grantee <> f.owner
    GROUP BY r.oid, r.rolname, r.rolsuper;
END;
COMMENT ON FUNCTION tasker_checkpoint_workers() IS
'roles that were granted a function that writes checkpoints, by their names as SQL wants them, and whether they are superusers or have an operator''s functions, too';

CREATE FUNCTION tasker_checkpoint_missing_rights()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH attached AS (
        SELECT c.oid, c.relnamespace, r.key_column, r.checkpoint_column, r.processed_column, r.updated_at_column
        FROM tasker_checkpoint_registrations() r JOIN pg_class c ON c.oid = r.relid
        WHERE r.attached AND r.relid = r.steps
    ), need AS (
        SELECT s.oid AS relid, v.privilege, a.attname, a.attnum
        FROM attached s
        CROSS JOIN LATERAL (VALUES
            ('SELECT'::text, s.key_column), ('SELECT', s.checkpoint_column), ('SELECT', s.processed_column),
            ('UPDATE', s.checkpoint_column), ('UPDATE', s.updated_at_column)) AS v (privilege, attname)
        JOIN pg_attribute a ON a.attrelid = s.oid AND a.attname = v.attname
    ), lacking AS (
        SELECT w.name, n.relid,
               pg_catalog.format('%s (%s)', n.privilege,
                                 pg_catalog.string_agg(pg_catalog.quote_ident(n.attname::text), ', ' ORDER BY n.attnum)) AS privilege
        FROM tasker_checkpoint_workers() w CROSS JOIN need n
        WHERE NOT pg_catalog.has_column_privilege(w.oid, n.relid, n.attnum, n.privilege)
        GROUP BY w.name, n.relid, n.privilege
    )
    SELECT 'error', pg_catalog.format('Worker %s cannot use schema %I.', w.name, n.nspname),
           pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %s;', n.nspname, w.name)
    FROM tasker_checkpoint_workers() w
    JOIN pg_namespace n ON n.oid IN (SELECT e.extnamespace FROM pg_extension e WHERE e.extname = 'tasker_checkpoint'
                                     UNION ALL SELECT s.relnamespace FROM attached s)
    WHERE NOT pg_catalog.has_schema_privilege(w.oid, n.oid, 'USAGE')
    UNION ALL
    SELECT 'error',
           pg_catalog.format('Worker %s lacks rights on table %s: %s.', l.name, l.relid::regclass,
                             pg_catalog.string_agg(l.privilege, ', ' ORDER BY l.privilege)),
           pg_catalog.format('GRANT %s ON %s TO %s;', pg_catalog.string_agg(l.privilege, ', ' ORDER BY l.privilege),
                             l.relid::regclass, l.name)
    FROM lacking l
    GROUP BY l.name, l.relid
    UNION ALL
    SELECT 'error',
           pg_catalog.format('Worker %s can claim steps, but not execute %s.', w.name,
                             pg_catalog.string_agg(f.name, ', ' ORDER BY f.name)),
           pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO %s;',
                             pg_catalog.string_agg(f.oid::regprocedure::text, ', ' ORDER BY f.name), w.name)
    FROM tasker_checkpoint_workers() w
    JOIN tasker_checkpoint_own_functions() c ON c.name = 'claim' AND pg_catalog.has_function_privilege(w.oid, c.oid, 'EXECUTE')
    JOIN tasker_checkpoint_own_functions() f ON f.name IN ('heartbeat', 'complete', 'release')
        AND NOT pg_catalog.has_function_privilege(w.oid, f.oid, 'EXECUTE')
    GROUP BY w.name;
END;
COMMENT ON FUNCTION tasker_checkpoint_missing_rights() IS
'a part of tasker_checkpoint_check_grants(): rights that workers need, and have not';

CREATE FUNCTION tasker_checkpoint_revoke(
    rights text, grantee text, owner oid, grantor oid, grantable boolean
)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN grantor = owner THEN r.statement
                ELSE pg_catalog.format('SET ROLE %s; %s RESET ROLE;', grantor::regrole, r.statement) END
    FROM (SELECT pg_catalog.format('REVOKE %s FROM %s%s;', rights, grantee, CASE WHEN grantable THEN ' CASCADE' ELSE '' END)) r (statement);
END;
COMMENT ON FUNCTION tasker_checkpoint_revoke(text, text, oid, oid, boolean) IS
'the statement that takes rights back: as who granted them, since nobody else''s REVOKE would, and with what the grantee has granted; for tasker_checkpoint_check_grants()';

CREATE FUNCTION tasker_checkpoint_leave(role oid, member oid)
RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.string_agg(
               pg_catalog.format('REVOKE %s FROM %s%s;', m.roleid::regrole, m.member::regrole,
                                 -- a superuser's are the first one's
                                 CASE WHEN m.grantor <> 10::oid AND pg_catalog.current_setting('server_version_num')::int4 >= 160000
                                      THEN pg_catalog.format(' GRANTED BY %s', m.grantor::regrole) ELSE '' END), ' ')
    FROM pg_auth_members m
    WHERE m.roleid = role AND m.member = tasker_checkpoint_leave.member;
END;
COMMENT ON FUNCTION tasker_checkpoint_leave(oid, oid) IS
'the statement that ends a membership; NULL if it is one of a member; for tasker_checkpoint_check_grants()';

CREATE FUNCTION tasker_checkpoint_needless_rights()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH granted AS (
        -- on the table or on one of its partitions
        SELECT r.relid, c.relowner, NULL::name AS attname, x.*
        FROM tasker_checkpoint_registrations() r
        JOIN pg_class c ON c.oid = r.relid
        CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))) x
        WHERE r.attached AND x.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
        UNION ALL
        SELECT r.relid, c.relowner, a.attname, x.*
        FROM tasker_checkpoint_registrations() r
        JOIN pg_class c ON c.oid = r.relid
        JOIN pg_attribute a ON a.attrelid = r.relid AND a.attnum > 0 AND NOT a.attisdropped
        CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) x
        WHERE r.attached AND x.privilege_type = 'UPDATE' AND a.attname NOT IN (r.checkpoint_column, 'updated_at')
    ), too_much AS (
        -- whoever has it: the role, PUBLIC, a group
        SELECT g.relid, g.relowner AS owner, g.grantee,
               pg_catalog.string_agg(DISTINCT g.privilege_type || CASE WHEN g.attname IS NULL THEN ''
                                                                       ELSE pg_catalog.format(' (%I)', g.attname) END, ', ') AS privileges,
               pg_catalog.bool_or(g.privilege_type = 'UPDATE' AND g.attname IS NULL) AS whole_update,
               pg_catalog.bool_and(g.grantor = g.relowner) AS by_owner, pg_catalog.bool_or(g.is_grantable) AS is_grantable
        FROM granted g
        GROUP BY g.relid, g.relowner, g.grantee
    ), had AS (
        SELECT t.*, w.oid AS worker, w.name, t.owner = w.oid AS is_owner, t.grantee IN (w.oid, 0::oid) AS is_direct,
               CASE WHEN t.grantee = 0::oid THEN 'PUBLIC' ELSE w.name END AS grantee_name
        FROM tasker_checkpoint_workers() w
        JOIN too_much t ON CASE WHEN t.grantee IN (w.oid, 0::oid) THEN true ELSE pg_catalog.pg_has_role(w.oid, t.grantee, 'USAGE') END
        WHERE NOT w.is_super AND NOT w.is_operator
    )
    -- an application may work on a table of its own, as one role
    SELECT CASE WHEN h.is_owner THEN 'notice' ELSE 'warning' END,
           pg_catalog.format('Worker %s can do more to table %s than write checkpoints%s: %s.%s', h.name, h.relid::regclass,
                             CASE WHEN h.grantee = h.worker AND h.is_owner THEN ', which it owns'
                                  WHEN h.grantee = h.worker THEN ''
                                  WHEN h.is_direct THEN ', as everybody can'
                                  ELSE pg_catalog.format(', as a member of %s', h.grantee::regrole) END, h.privileges,
                             CASE WHEN h.is_owner THEN ' If limits are to bind it, give the table another owner.'
                                  WHEN h.is_direct AND NOT h.by_owner THEN ' It was not the owner who granted that.'
                                  ELSE ' What its own work needs, leave.' END),
           CASE WHEN h.is_owner OR (h.is_direct AND NOT h.by_owner) THEN NULL
                WHEN h.is_direct THEN
                    pg_catalog.format('REVOKE %s ON %s FROM %s%s;', h.privileges, h.relid::regclass, h.grantee_name,
                                      CASE WHEN h.is_grantable THEN ' CASCADE' ELSE '' END)
                    -- what is needed goes with the right on the whole table
                    || coalesce((SELECT pg_catalog.format(' GRANT UPDATE (%s) ON %s TO %s;',
                                                          pg_catalog.string_agg(pg_catalog.quote_ident(a.attname::text), ', ' ORDER BY a.attnum),
                                                          h.relid::regclass, h.name)
                                 FROM tasker_checkpoint_registrations() r
                                 JOIN pg_attribute a ON a.attrelid = r.relid AND a.attname IN (r.checkpoint_column, r.updated_at_column)
                                 WHERE h.whole_update AND r.attached AND r.relid = h.relid AND r.relid = r.steps
                                 HAVING pg_catalog.count(*) > 0), '')
                ELSE tasker_checkpoint_leave(h.grantee, h.worker) END
    FROM had h
    UNION ALL
    (SELECT 'warning', pg_catalog.format('%s can lift the setting %s%s.', g.name, g.parname, g.as_member),
            CASE WHEN g.as_member = '' THEN
                tasker_checkpoint_revoke('ALL ON PARAMETER ' || g.parname, g.name, 10::oid, g.grantor, pg_catalog.bool_or(g.is_grantable))
                ELSE tasker_checkpoint_leave(g.grantee, g.worker) END
     FROM (
         SELECT p.parname, x.grantee, x.grantor, x.is_grantable, w.oid AS worker, coalesce(w.name, 'PUBLIC') AS name,
                CASE WHEN x.grantee IN (w.oid, 0::oid) THEN '' ELSE pg_catalog.format(', as a member of %s', x.grantee::regrole) END AS as_member
         FROM pg_parameter_acl p
         CROSS JOIN LATERAL pg_catalog.aclexplode(p.paracl) x
         LEFT JOIN tasker_checkpoint_workers() w ON CASE WHEN x.grantee IN (w.oid, 0::oid) THEN x.grantee <> 0::oid
                                                         ELSE NOT w.is_super AND pg_catalog.pg_has_role(w.oid, x.grantee, 'USAGE') END
                                                    AND NOT w.is_operator
         WHERE pg_catalog.starts_with(p.parname, 'tasker_checkpoint.')
         AND (x.grantee = 0::oid OR w.oid IS NOT NULL)
     ) g
     GROUP BY g.parname, g.grantee, g.grantor, g.worker, g.name, g.as_member
     ORDER BY g.name COLLATE "C", g.parname COLLATE "C", g.as_member COLLATE "C");
END;
COMMENT ON FUNCTION tasker_checkpoint_needless_rights() IS
'a part of tasker_checkpoint_check_grants(): rights of workers beyond what they need on the steps table, and on settings';

CREATE FUNCTION tasker_checkpoint_check_grants()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok',
           'Workers have the rights that they need, and no others on the steps table.'
           || coalesce((SELECT pg_catalog.format(' A table can be registered, beside superusers and the owner, by %s.',
                                                 pg_catalog.string_agg(g.grantee, ', ' ORDER BY g.role COLLATE "C"))
                        FROM pg_proc p
                        CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) x
                        CROSS JOIN LATERAL (SELECT x.grantee::regrole::text AS role,
                                                   CASE WHEN x.grantee = 0::oid THEN 'everybody' ELSE x.grantee::regrole::text END AS grantee) g
                        WHERE p.oid = 'tasker_checkpoint_guard()'::regprocedure::oid AND x.grantee <> p.proowner
                        HAVING pg_catalog.count(*) > 0), ''),
           NULL
    UNION ALL
    -- who may have a table guarded may also keep the real one from being found, which
    -- that one's owner may in any case
    SELECT 'warning', pg_catalog.format('Worker %s can register a steps table: it can execute the guard%s.', w.name,
                                        CASE WHEN a.grantee = w.oid THEN '' ELSE pg_catalog.format(', as a member of %s', a.grantee::regrole) END),
           CASE WHEN a.grantee = w.oid THEN
               tasker_checkpoint_revoke('EXECUTE ON FUNCTION ' || f.oid::regprocedure::text, w.name, f.owner, a.grantor, a.is_grantable)
               ELSE tasker_checkpoint_leave(a.grantee, w.oid) END
    FROM tasker_checkpoint_workers() w
    CROSS JOIN tasker_checkpoint_own_functions() f
    CROSS JOIN LATERAL pg_catalog.aclexplode(f.acl) a
    WHERE f.name = 'guard' AND NOT w.is_super AND NOT w.is_operator
    -- what everybody has is below
    AND CASE WHEN a.grantee = 0::oid THEN false ELSE pg_catalog.pg_has_role(w.oid, a.grantee, 'USAGE') END
    AND NOT EXISTS (SELECT FROM tasker_checkpoint_registrations() r JOIN pg_class c ON c.oid = r.relid
                    WHERE r.attached AND r.relid = r.steps AND c.relowner = w.oid)
    UNION ALL
    SELECT 'notice',
           pg_catalog.format('What role %s creates later is given away by its default privileges: %s to %s.', d.defaclrole::regrole, x.privilege_type,
                             CASE WHEN x.grantee = 0::oid THEN 'everybody' ELSE x.grantee::regrole::text END)
           || ' The extension takes that back from its own objects, whenever they are made.', NULL
    FROM pg_extension e
    JOIN pg_default_acl d ON d.defaclrole = e.extowner AND d.defaclnamespace IN (0::oid, e.extnamespace) AND d.defaclobjtype IN ('f', 'r')
    CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) x
    WHERE e.extname = 'tasker_checkpoint'
    AND x.grantee <> d.defaclrole AND NOT (x.grantee = 0::oid AND d.defaclobjtype = 'f' AND d.defaclnamespace = 0::oid)
    UNION ALL
    SELECT 'error', pg_catalog.format('Everybody can execute %s functions that are for workers or operators only.', pg_catalog.count(*)),
           tasker_checkpoint_revoke('EXECUTE ON ROUTINE ' || pg_catalog.string_agg(f.oid::regprocedure::text, ', ' ORDER BY f.name),
                                    'PUBLIC', f.owner, a.grantor, false)
    FROM tasker_checkpoint_own_functions() f CROSS JOIN LATERAL pg_catalog.aclexplode(f.acl) a
    -- what a deleted step takes along it takes whoever may make triggers of it
    WHERE a.grantee = 0::oid AND f.volatility = 'v' AND f.name <> 'forget'
    GROUP BY f.owner, a.grantor
    UNION ALL
    (SELECT 'error', pg_catalog.format('%s has rights on %s, where event ids, or steps that it may not see, can be read.', g.grantee, g.name),
            tasker_checkpoint_revoke('ALL ON ' || g.name, g.grantee, g.owner, g.grantor, g.grantable)
     FROM (
         SELECT c.oid::regclass::text AS name, CASE WHEN x.grantee = 0::oid THEN 'PUBLIC' ELSE x.grantee::regrole::text END AS grantee,
                c.relowner AS owner, x.grantor, pg_catalog.bool_or(x.is_grantable) AS grantable
         FROM pg_class c
         CROSS JOIN LATERAL (
             SELECT t.grantee, t.grantor, t.is_grantable FROM pg_catalog.aclexplode(c.relacl) t
             UNION ALL
             SELECT t.grantee, t.grantor, t.is_grantable
             FROM pg_attribute a CROSS JOIN LATERAL pg_catalog.aclexplode(a.attacl) t WHERE a.attrelid = c.oid
         ) x
         WHERE c.oid IN ('tasker_checkpoint_events'::regclass::oid, 'tasker_checkpoint_archive'::regclass::oid)
         AND x.grantee <> c.relowner
         GROUP BY c.oid, c.relowner, x.grantee, x.grantor
     ) g
     -- before the owner's, which take what was granted on
     ORDER BY g.grantor = g.owner, g.grantee COLLATE "C", g.name COLLATE "C")
    UNION ALL
    SELECT 'warning', pg_catalog.format('Worker %s is a superuser, whom no limit binds.', w.name),
           pg_catalog.format('ALTER ROLE %s NOSUPERUSER;', w.name)
    FROM tasker_checkpoint_workers() w
    WHERE w.is_super
    UNION ALL
    SELECT r.status, r.found, r.statement FROM tasker_checkpoint_missing_rights() r
    UNION ALL
    SELECT r.status, r.found, r.statement FROM tasker_checkpoint_needless_rights() r;
END;
COMMENT ON FUNCTION tasker_checkpoint_check_grants() IS
'a check of tasker_checkpoint_doctor(): workers have the rights that they need, and nobody has those that nobody should';

CREATE FUNCTION tasker_checkpoint_check_names()
RETURNS TABLE (status text, found text, statement text)
LANGUAGE sql STABLE PARALLEL SAFE
ROWS 5
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'ok', 'No object in the extension''s schema is named as one of its own.', NULL
    UNION ALL
    -- a call that does not give each argument its type may mean another's
    (SELECT 'warning',
            pg_catalog.format('Function %s of role %I is not the extension''s, and has the name of one that is: a call may mean it, or be ambiguous.',
                              p.oid::regprocedure, pg_catalog.pg_get_userbyid(p.proowner)),
            pg_catalog.format('ALTER ROUTINE %s RENAME TO %I;', p.oid::regprocedure,
                              pg_catalog.concat('not_', pg_catalog.left(p.proname::text, 59)))
     FROM pg_extension e
     JOIN pg_proc p ON p.pronamespace = e.extnamespace
     WHERE e.extname = 'tasker_checkpoint' AND pg_catalog.starts_with(p.proname::text, 'tasker_checkpoint_')
     AND NOT EXISTS (SELECT FROM tasker_checkpoint_own_functions() f WHERE f.oid = p.oid)
     ORDER BY p.oid::regprocedure::text COLLATE "C");
END;
COMMENT ON FUNCTION tasker_checkpoint_check_names() IS
'a check of tasker_checkpoint_doctor(): no function of others'' can be taken for one of the extension''s';

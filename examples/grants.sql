-- What a reader, a worker and an operator need on the attached table:
--
--     psql -v reader=batch_reader -v worker=batch_worker -v operator=batch_operator \
--         -f examples/grants.sql DATABASE
--
-- as a superuser. Roles that are not there are created, and cannot log in; a kind
-- without a name is left out. It can be repeated, after attach for instance, and
-- takes nothing away. docs/operations.md says what each can do. Others can create
-- objects in the schemas on a search_path, so this has but pg_catalog on its own.

\set tasker_checkpoint_stop :ON_ERROR_STOP
\set ON_ERROR_STOP on
\if :{?reader} \else \set reader '' \endif
\if :{?worker} \else \set worker '' \endif
\if :{?operator} \else \set operator '' \endif

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

SELECT n.oid AS schema, quote_ident(nspname) AS schema_name
FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'tasker_checkpoint' \gset
SELECT coalesce(:schema_name.tasker_checkpoint_table()::oid, 0) AS steps \gset
SELECT :steps = 0 AS none \gset
\if :none
DO $$ BEGIN RAISE 'no steps table is attached' USING ERRCODE = '55000'; END $$;
\endif

SELECT DISTINCT format('CREATE ROLE %I', role)
FROM unnest(ARRAY[:'reader', :'worker', :'operator']) AS role
WHERE role <> '' AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role::name)
\gexec

SELECT DISTINCT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, role)
FROM unnest(ARRAY[:'reader', :'worker', :'operator']) AS role, pg_namespace n
WHERE role <> ''
AND n.oid IN (:schema, (SELECT relnamespace FROM pg_class WHERE oid = :steps))
\gexec

-- The table. Of the columns besides key and checkpoint it may have only some.
SELECT format('GRANT SELECT ON %s TO %I', :steps::regclass, role)
FROM unnest(ARRAY[:'reader', :'operator']) AS role
WHERE role <> ''
\gexec
SELECT format('GRANT %s (%s) ON %s TO %I', privilege,
              string_agg(quote_ident(attname), ', ' ORDER BY attnum), :steps::regclass, role)
FROM :schema_name.tasker_checkpoint_registrations() r
CROSS JOIN LATERAL (VALUES
    (:'worker', 'SELECT', ARRAY[key_column, checkpoint_column, processed_column]),
    (:'worker', 'UPDATE', ARRAY[checkpoint_column, updated_at_column]),
    (:'operator', 'UPDATE', ARRAY[checkpoint_column, updated_at_column] || retry_columns)
) AS g (role, privilege, names)
JOIN pg_attribute ON attrelid = relid AND attname = ANY (names)
WHERE attached AND relid = steps AND role <> ''
GROUP BY role, privilege
\gexec

-- Tasker's names, which tasker_checkpoint_progress shows
SELECT format('GRANT SELECT (%s) ON %s TO %I', string_agg(quote_ident(attname), ', ' ORDER BY attnum),
              n.oid::regclass, role)
FROM unnest(ARRAY[:'reader', :'operator']) AS role
CROSS JOIN pg_class s
JOIN pg_class n ON n.relnamespace = s.relnamespace AND n.relowner = s.relowner AND n.relkind IN ('r', 'p')
     AND n.relname = ANY (CASE WHEN starts_with(s.relname, 'tasker_')
                          THEN '{tasker_named_steps,tasker_tasks,tasker_named_tasks}'::name[]
                          ELSE '{named_steps,tasks,named_tasks}' END)
JOIN pg_attribute ON attrelid = n.oid AND attname IN ('named_step_uuid', 'task_uuid', 'named_task_uuid', 'name')
WHERE role <> '' AND s.oid = :steps
GROUP BY role, n.oid
\gexec

-- The functions. What reads is everybody's.
SELECT format('GRANT EXECUTE ON ROUTINE %s TO %I', p.oid::regprocedure, role)
FROM (VALUES
    (:'worker', 'dispatch wait claim heartbeat yield save yield_step_event complete release'),
    (:'operator', 'dispatch pause resume cancel rewind clear reset_for_retry'),
    (:'operator', 'attach create_table detach doctor stats stats_reset'),
    (:'operator', 'purge trim purge_events purge_archive')
) AS g (role, functions)
CROSS JOIN string_to_table(functions, ' ') AS f
JOIN pg_proc p ON proname = 'tasker_checkpoint_' || f AND pronamespace = :schema
WHERE role <> ''
\gexec

COMMIT;
-- as it was, for whoever has come by \i
\set ON_ERROR_STOP :tasker_checkpoint_stop
\unset tasker_checkpoint_stop

/* tasker_checkpoint 1.0.0 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION tasker_checkpoint" to load this file. \quit

-- A superuser runs this script, and others may create objects in the schema it
-- goes to, which is on its search_path: their operators and functions fit the
-- arguments of a call better than pg_catalog's, their tables have our names. So
-- every block leaves but pg_catalog on the path, before anything else, and puts
-- it back in the end; outside of blocks there are constants, and operators and
-- functions of pg_catalog that fit exactly. No name of ours is taken:

DO $begin$
DECLARE
    script_path text := pg_catalog.current_setting('search_path');
    own_schema pg_catalog.pg_namespace;
    own_owner oid;
    in_the_way text[];
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    SELECT n.* INTO STRICT own_schema
    FROM pg_extension e
    JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'tasker_checkpoint';
    SELECT extowner INTO STRICT own_owner FROM pg_extension WHERE extname = 'tasker_checkpoint';

    -- who installs this is no superuser where that is allowed, and gets nothing into a
    -- schema or tablespace that he could not create things in himself
    IF NOT has_schema_privilege(own_owner, own_schema.oid, 'CREATE') THEN
        RAISE EXCEPTION 'permission denied for schema %', own_schema.nspname
            USING ERRCODE = 'insufficient_privilege',
            DETAIL = format('Role "%s" may not create objects there.', pg_get_userbyid(own_owner)),
            HINT = 'Take another schema: CREATE EXTENSION tasker_checkpoint SCHEMA another.';
    END IF;
    PERFORM set_config('default_tablespace', '', true)
    FROM pg_tablespace
    WHERE spcname = current_setting('default_tablespace')::name
    AND NOT has_tablespace_privilege(own_owner, oid, 'CREATE');

    SELECT array_agg(format('%s of role "%s"', pg_describe_object(o.classid, o.objid, 0), pg_get_userbyid(o.owner))
                     ORDER BY o.classid, o.name, o.objid)
    INTO in_the_way
    FROM (
        SELECT 'pg_proc'::regclass AS classid, oid AS objid, proowner AS owner, proname AS name
        FROM pg_proc
        WHERE pronamespace = own_schema.oid
        UNION ALL
        SELECT 'pg_class', oid, relowner, relname
        FROM pg_class
        WHERE relnamespace = own_schema.oid AND relkind <> 'c'
        UNION ALL
        SELECT 'pg_type', t.oid, t.typowner, t.typname
        FROM pg_type t
        LEFT JOIN pg_class c ON c.oid = t.typrelid
        -- that of a table goes with it
        WHERE t.typnamespace = own_schema.oid AND (c.oid IS NULL OR c.relkind = 'c')
    ) o
    WHERE starts_with(o.name::text, 'tasker_checkpoint_');

    IF in_the_way IS NOT NULL THEN
        RAISE EXCEPTION 'schema "%" has objects with names of the extension''s', own_schema.nspname
            USING ERRCODE = 'duplicate_object',
            DETAIL = format('They are: %s%s.', array_to_string(in_the_way[:20], ', '),
                            CASE WHEN cardinality(in_the_way) > 20
                                 THEN format(', and %s more', cardinality(in_the_way) - 20) END),
            HINT = 'Names that begin with tasker_checkpoint_ are the extension''s. Drop or rename those objects, '
                   'or take a schema of its own: CREATE EXTENSION tasker_checkpoint SCHEMA another.';
    END IF;

    PERFORM set_config('search_path', script_path, true);
END
$begin$;

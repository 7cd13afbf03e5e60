--
-- Attach Tasker's table, if it is here
--

DO $auto$
DECLARE
    script_path text := pg_catalog.current_setting('search_path');
    client_level text := pg_catalog.current_setting('client_min_messages');
    own_schema name;
    own_owner oid;
    candidates regclass[];
    strangers text;
    statements text;
    attached regclass;
    problem text;
    reason text;
    remedy text;
    note text;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    SELECT n.nspname, x.extowner INTO STRICT own_schema, own_owner
    FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
    WHERE x.extname = 'tasker_checkpoint';

    -- found by its name, which anybody may have given it who can create tables:
    -- attached unasked if its owner could do the same as who installs this; and if who
    -- installs this could attach it, who is no superuser where that is allowed
    EXECUTE format(
        $candidates$
        SELECT array_agg(c.oid::regclass) FILTER (WHERE o.trusted),
               string_agg(format('Table %%s belongs to role "%%s".', c.oid::regclass, pg_get_userbyid(c.relowner)), ' ')
                   FILTER (WHERE NOT o.trusted),
               string_agg(%1$I.tasker_checkpoint_attach_call(relid => c.oid, key_column => 'workflow_step_uuid'::name), ' or ')
                   FILTER (WHERE NOT o.trusted)
        FROM %1$I.tasker_checkpoint_candidates() t
        JOIN pg_class c ON c.oid = t.relid
        CROSS JOIN LATERAL (SELECT t.trusted AND pg_has_role($1, c.relowner, 'USAGE')) o (trusted)
        $candidates$, own_schema)
    INTO candidates, strangers, statements
    USING own_owner;

    IF candidates IS NULL AND strangers IS NOT NULL THEN
        problem := 'a table was found that is another role''s';
        reason := concat(strangers, ' Only a table of a superuser, the extension''s owner or the database''s owner is attached by itself',
                         CASE WHEN NOT (SELECT rolsuper FROM pg_roles WHERE oid = own_owner)
                              THEN ', if the extension''s owner could attach it' END, '.');
        remedy := concat('If that is the steps table: ', statements);
    ELSE
        BEGIN
            -- exactly this function, whatever else has the name
            EXECUTE format('SELECT %I.tasker_checkpoint_attach(steps => $1, key_column => $2, create_indexes => $3)', own_schema)
                INTO attached
                USING CASE WHEN cardinality(candidates) = 1 THEN candidates[1] END,
                      'workflow_step_uuid'::name, false;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT,
                reason = PG_EXCEPTION_DETAIL, remedy = PG_EXCEPTION_HINT;
        END;
    END IF;

    IF attached IS NULL THEN
        note := coalesce(nullif(reason, ''), 'Nothing was changed.');
        IF candidates IS NOT NULL AND strangers IS NOT NULL THEN
            note := concat(note, ' ', strangers);
        END IF;
        IF remedy IS NULL OR remedy NOT LIKE '%tasker_checkpoint_attach(%' THEN
            remedy := concat_ws(' ', nullif(remedy, ''), 'Then call tasker_checkpoint_attach() with the steps table.');
        END IF;
    ELSE
        SELECT format('It belongs to role "%s".', pg_get_userbyid(relowner)) INTO note
        FROM pg_class
        WHERE oid = attached AND pg_get_userbyid(relowner) <> current_user;
        note := nullif(concat_ws(' ', note, strangers), '');
        remedy := format('If another is the steps table: SELECT %I.tasker_checkpoint_detach(); %s', own_schema, statements);
    END IF;

    -- CREATE EXTENSION raises the level to hide its script's notices; a caller
    -- who asked for errors only still gets none
    IF client_level = 'warning' THEN
        PERFORM set_config('client_min_messages', 'notice', true);
    END IF;
    IF attached IS NULL THEN
        RAISE NOTICE 'no steps table attached: %', problem USING DETAIL = note, HINT = remedy;
    ELSIF strangers IS NOT NULL THEN
        RAISE NOTICE 'steps table % attached', attached USING DETAIL = note, HINT = remedy;
    ELSIF note IS NOT NULL THEN
        RAISE NOTICE 'steps table % attached', attached USING DETAIL = note;
    ELSE
        RAISE NOTICE 'steps table % attached', attached;
    END IF;
    PERFORM set_config('client_min_messages', client_level, true);
    PERFORM set_config('search_path', script_path, true);
END
$auto$;

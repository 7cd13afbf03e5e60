--
-- Attach Tasker's table, if it is here
--

DO $auto$
DECLARE
    script_path text := pg_catalog.current_setting('search_path');
    client_level text := pg_catalog.current_setting('client_min_messages');
    attached regclass;
    problem text;
    reason text;
    remedy text;
    table_owner name;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    BEGIN
        -- exactly this function, whatever else has the name
        EXECUTE (SELECT format('SELECT %I.tasker_checkpoint_attach(NULL::regclass, ''workflow_step_uuid''::name, false)', n.nspname)
                 FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                 WHERE e.extname = 'tasker_checkpoint')
            INTO attached;
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
    PERFORM set_config('search_path', script_path, true);
END
$auto$;

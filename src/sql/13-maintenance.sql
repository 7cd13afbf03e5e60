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

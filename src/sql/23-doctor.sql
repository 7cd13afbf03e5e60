--
-- Doctor
--


CREATE FUNCTION tasker_checkpoint_look(look_at regprocedure)
RETURNS TABLE ("check" text, status text, found text, statement text)
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_look(regprocedure) IS
'what a check of tasker_checkpoint_doctor() has found; what the caller may not look at is a row as well, and no error; raises 22004, 22023';

-- A check returns a row with status "ok", which says what is so if it finds nothing,
-- and a row for each thing that it finds. It is STABLE: what is VOLATILE is not for
-- everybody.
CREATE FUNCTION tasker_checkpoint_doctor()
RETURNS TABLE (
    -- what was looked at, as the function is called that looks:
    -- tasker_checkpoint_check_...
    "check" text,
    -- ok; notice: worth knowing, and may be meant; warning: costs, or fails some day;
    -- error: checkpoints are refused, unguarded or open to others
    status text,
    -- what was found, and what to do that no statement can
    found text,
    -- SQL that makes the row go away; for the operator to read before it is run; NULL if
    -- there is none
    statement text
)
LANGUAGE sql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.*
    FROM (
        SELECT pg_catalog.count(*) AS triggers, pg_catalog.count(*) FILTER (WHERE g.counts AND g.relid = g.steps) AS tables
        FROM tasker_checkpoint_registrations() g
    ) r
    -- in the order in which they are shown; without a table there is nothing of it to
    -- look at, and our own functions know of none if there are two
    CROSS JOIN LATERAL (VALUES
        ('tasker_checkpoint_check_table()'::regprocedure, true),
        ('tasker_checkpoint_check_guard()'::regprocedure, r.triggers > 0),
        ('tasker_checkpoint_check_trigger_order()'::regprocedure, r.tables > 0),
        ('tasker_checkpoint_check_index()'::regprocedure, r.tables > 0),
        ('tasker_checkpoint_check_fillfactor()'::regprocedure, r.tables > 0),
        ('tasker_checkpoint_check_compression()'::regprocedure, r.tables > 0),
        ('tasker_checkpoint_check_hot_share()'::regprocedure, r.tables > 0),
        ('tasker_checkpoint_check_bloat()'::regprocedure, true),
        ('tasker_checkpoint_check_snapshots()'::regprocedure, true),
        ('tasker_checkpoint_check_limits()'::regprocedure, r.tables = 1),
        ('tasker_checkpoint_check_events()'::regprocedure, r.tables = 1),
        ('tasker_checkpoint_check_grants()'::regprocedure, true),
        ('tasker_checkpoint_check_settings()'::regprocedure, true),
        ('tasker_checkpoint_check_notifier()'::regprocedure, true),
        ('tasker_checkpoint_check_notify_queue()'::regprocedure, true),
        ('tasker_checkpoint_check_connections()'::regprocedure, true),
        ('tasker_checkpoint_check_replication()'::regprocedure, true),
        ('tasker_checkpoint_check_names()'::regprocedure, true),
        ('tasker_checkpoint_check_version()'::regprocedure, true)
    ) AS c (look_at, is_of_use)
    CROSS JOIN LATERAL tasker_checkpoint_look(c.look_at) d
    WHERE c.is_of_use;
END;
COMMENT ON FUNCTION tasker_checkpoint_doctor() IS
'checks the installation: a row for each check that is fine, and a row for each thing found, with the statement that mends it; changes nothing, and what the caller cannot look at is a row as well';

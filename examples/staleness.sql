-- Has Tasker's staleness detector leave those tasks alone of which a step moves, as
-- tasker_checkpoint_progress shows it:
--
--     psql -f examples/staleness.sql DATABASE
--
-- as the owner of Tasker's schema. It can be repeated, and has to be after a
-- migration that makes tasker.get_stale_tasks_for_dlq() anew. To undo it, drop that
-- function, and rename get_stale_tasks_unasked() back. docs/tasker.md says more.

\set ON_ERROR_STOP on

BEGIN;
SET LOCAL search_path = pg_catalog, pg_temp;

-- Whether a step of the task was heard of lately, or is paused. The time is that of
-- Tasker's checkpoint_stall_minutes. Not replaced but made anew: what somebody else has
-- made under this name would stay his.
DROP FUNCTION IF EXISTS tasker.has_moving_step(uuid);
SELECT format($create$
CREATE FUNCTION tasker.has_moving_step(task_uuid uuid) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM tasker.workflow_steps AS s
        CROSS JOIN LATERAL %I.tasker_checkpoint_progress(s.workflow_step_uuid) AS p
        WHERE s.task_uuid = $1 AND NOT s.processed
        AND (p.state = 'paused' OR p.checkpointed_at > now() - interval '15 minutes'))
$$ $create$, nspname)
FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'tasker_checkpoint'
\gexec

-- Tasker's own goes aside, unless it has already.
SELECT prosrc !~ 'has_moving_step' AS is_taskers
FROM pg_proc
WHERE oid = 'tasker.get_stale_tasks_for_dlq(integer,integer,integer,integer,integer)'::regprocedure \gset
\if :is_taskers
DROP FUNCTION IF EXISTS tasker.get_stale_tasks_unasked(integer, integer, integer, integer, integer);
ALTER FUNCTION tasker.get_stale_tasks_for_dlq(integer, integer, integer, integer, integer)
    RENAME TO get_stale_tasks_unasked;

-- The batch is cut after what moves is left out, lest that fill it. No search_path
-- is set: Tasker's own needs its caller's.
CREATE FUNCTION tasker.get_stale_tasks_for_dlq(
    p_default_waiting_deps integer DEFAULT 60,
    p_default_waiting_retry integer DEFAULT 30,
    p_default_steps_process integer DEFAULT 30,
    p_max_lifetime_hours integer DEFAULT 24,
    p_batch_size integer DEFAULT 100)
RETURNS TABLE (
    task_uuid uuid,
    namespace_name varchar,
    task_name varchar,
    current_state varchar,
    time_in_state_minutes numeric,
    threshold_minutes integer,
    task_age_minutes numeric)
LANGUAGE sql
AS $$
    SELECT t.*
    FROM tasker.get_stale_tasks_unasked($1, $2, $3, $4, 2147483647) AS t
    WHERE NOT tasker.has_moving_step(t.task_uuid)
    LIMIT $5
$$;
COMMENT ON FUNCTION tasker.get_stale_tasks_for_dlq(integer, integer, integer, integer, integer) IS
'the stale tasks of get_stale_tasks_unasked(), but for those of which a step has checkpointed lately or is paused';
\endif
COMMIT;

--
-- Progress
--

-- Nobody's to call by itself: progress and health are views on it. Each role sees
-- what it can see of the steps, and no event_id.
CREATE FUNCTION tasker_checkpoint_survey(step_uuid uuid, health boolean)
RETURNS TABLE (
    step_uuid uuid,
    -- false: the table does not have it, and of the rest there is only what the
    -- dispatch says
    found boolean,
    processed boolean,
    checkpointed_at timestamptz,
    -- for progress; without a checkpoint items, rate and sequence are NULL
    step_name text,
    task_uuid uuid,
    task_name text,
    items_processed bigint,
    total bigint,
    rate double precision,
    sequence bigint,
    -- the clock's time, the same in all rows
    seen_at timestamptz,
    -- for health
    in_process boolean,
    -- the newest checkpoints that are where the last one is
    repeated integer,
    cursor_size bigint,
    results_size bigint,
    -- of the cursor as text, where an index bounds that
    cursor_length bigint,
    -- of a parked step
    readable boolean,
    -- the prepared transaction that has the step, or its dispatch
    gid text,
    prepared_at timestamptz,
    -- what the dispatch says; all NULL where it has no row
    has_event boolean,
    directive text,
    parked boolean,
    worker text,
    available_at timestamptz,
    lease interval,
    leased_at timestamptz,
    lease_until timestamptz,
    deliveries integer,
    queue text
)
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_survey(uuid, boolean) IS
'what is known of the steps that are not processed and have a checkpoint, and of all that are dispatched, of those that the caller can see, or of the given one; for tasker_checkpoint_progress() and tasker_checkpoint_health(); raises 42501, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_progress(step_uuid uuid DEFAULT NULL)
RETURNS TABLE (
    step_uuid uuid,
    step_name text,
    task_uuid uuid,
    task_name text,
    items_processed bigint,
    total bigint,
    percent numeric,
    rate numeric,
    eta interval,
    checkpointed_at timestamptz,
    sequence bigint,
    state text,
    worker text,
    lease_until timestamptz,
    deliveries integer,
    queue text
)
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT p.step_uuid, p.step_name, p.task_uuid, p.task_name, p.items, p.total,
           CASE WHEN p.items >= p.total THEN 100.0
                ELSE pg_catalog.div(p.items::numeric * 1000.0, p.total::numeric) * 0.1 END,
           -- six digits: an estimate has no more that say something
           p.rate::real::numeric,
           CASE WHEN p.stopped THEN NULL
                WHEN p.items >= p.total THEN interval '0'
                -- a hundred years
                WHEN p.rest < 3155760000::double precision
                THEN pg_catalog.make_interval(secs => pg_catalog.ceil(p.rest)) END,
           p.checkpointed_at, coalesce(p.sequence, 0), p.state, p.worker, p.lease_until, p.deliveries, p.queue
    FROM (
        SELECT s.*, coalesce(s.items_processed, 0) AS items,
               (s.total - coalesce(s.items_processed, 0))::double precision / s.rate AS rest,
               s.parked OR s.directive <> 'continue' AS stopped,
               CASE WHEN s.directive IS NULL THEN 'idle'
                    WHEN s.parked THEN 'parked'
                    WHEN s.directive = 'cancel' THEN 'cancelled'
                    WHEN s.directive = 'pause' THEN 'paused'
                    WHEN s.lease_until > s.seen_at THEN 'claimed'
                    WHEN s.worker IS NOT NULL THEN 'expired'
                    WHEN s.available_at > s.seen_at THEN 'delayed'
                    WHEN s.has_event THEN 'waiting'
                    ELSE 'idle' END AS state
        FROM tasker_checkpoint_survey(tasker_checkpoint_progress.step_uuid, false) s
        WHERE s.found AND NOT s.processed AND (s.sequence IS NOT NULL OR s.directive IS NOT NULL)
    ) p;
END;
COMMENT ON FUNCTION tasker_checkpoint_progress(uuid) IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see, or the given one; nothing without an attached table; raises 42501, 55000, P0002';

-- the function runs as whoever reads the view
CREATE VIEW tasker_checkpoint_progress WITH (security_invoker = true) AS
SELECT * FROM tasker_checkpoint_progress(NULL::pg_catalog.uuid);
COMMENT ON VIEW tasker_checkpoint_progress IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see';
COMMENT ON COLUMN tasker_checkpoint_progress.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_progress.step_name IS
'its name, from Tasker''s named_steps, else from a column "name" of the steps table; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_progress.task_uuid IS
'its task; NULL where the steps table has none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_progress.task_name IS
'the task''s name, from Tasker''s tasks and named_tasks; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_progress.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_progress.total IS
'how many there are: total_items in accumulated_results, or end_cursor - start_cursor of inputs.cursor; NULL if neither tells';
COMMENT ON COLUMN tasker_checkpoint_progress.percent IS
'done, to one decimal, cut off; 100 also if more than the total is done; NULL without a total';
COMMENT ON COLUMN tasker_checkpoint_progress.rate IS
'items per second, over the newest 21 entries of the history, pauses left out; NULL if they do not tell';
COMMENT ON COLUMN tasker_checkpoint_progress.eta IS
'time that the rest takes at this rate, counted from the last checkpoint; 0 if all is done; NULL while parked, cancelled or paused, without a rate or a total, and over a hundred years';
COMMENT ON COLUMN tasker_checkpoint_progress.checkpointed_at IS
'time of the last checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_progress.sequence IS
'number of the last checkpoint; 0 without one';
COMMENT ON COLUMN tasker_checkpoint_progress.state IS
'parked, cancelled, paused; claimed; expired: its lease ran out and nobody has taken it; delayed, waiting: to be claimed later, now; idle: not dispatched';
COMMENT ON COLUMN tasker_checkpoint_progress.worker IS
'who has claimed it, also if the lease ran out; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_progress.lease_until IS
'when the claim runs out; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_progress.deliveries IS
'claims since the last yield or save that got the step on; NULL if the step is not dispatched';
COMMENT ON COLUMN tasker_checkpoint_progress.queue IS
'queue from which it is claimed; NULL if the step is not dispatched';

--
-- Progress
--

CREATE TYPE tasker_checkpoint_measures AS (
    items_processed bigint,
    total_items bigint,
    rate numeric,
    checkpointed_at timestamptz,
    sequence bigint
);
COMMENT ON TYPE tasker_checkpoint_measures IS
'what a checkpoint says of progress';
COMMENT ON COLUMN tasker_checkpoint_measures.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_measures.total_items IS
'how many there are: total_items in accumulated_results; NULL if the handler does not give it';
COMMENT ON COLUMN tasker_checkpoint_measures.rate IS
'items per second, over the newest 21 entries of the history, pauses left out; NULL if they do not tell';
COMMENT ON COLUMN tasker_checkpoint_measures.checkpointed_at IS
'time of the checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_measures.sequence IS
'number of the checkpoint; 0 without one';

CREATE FUNCTION tasker_checkpoint_figures(checkpoint jsonb)
RETURNS tasker_checkpoint_measures
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_figures(jsonb) IS
'items, total, rate, time and number of a checkpoint document, as far as they can be read';

CREATE TYPE tasker_checkpoint_step_progress AS (
    step_uuid uuid,
    step_name text,
    task_uuid uuid,
    task_name text,
    items_processed bigint,
    total bigint,
    percent numeric,
    bar text,
    rate numeric,
    eta interval,
    checkpointed_at timestamptz,
    sequence bigint,
    state text,
    worker text,
    lease_until timestamptz,
    deliveries integer
);
COMMENT ON TYPE tasker_checkpoint_step_progress IS
'how far a step is, how fast, and who has it';
COMMENT ON COLUMN tasker_checkpoint_step_progress.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_step_progress.step_name IS
'its name, from Tasker''s named_steps; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.task_uuid IS
'its task; NULL where the steps table has none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.task_name IS
'the task''s name, from Tasker''s tasks and named_tasks; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_step_progress.total IS
'how many there are: total_items in accumulated_results, or end_cursor - start_cursor of inputs.cursor; NULL if neither tells';
COMMENT ON COLUMN tasker_checkpoint_step_progress.percent IS
'done, to one decimal, cut off; 100 also if more than the total is done; NULL without a total';
COMMENT ON COLUMN tasker_checkpoint_step_progress.bar IS
'the same as 20 characters in brackets';
COMMENT ON COLUMN tasker_checkpoint_step_progress.rate IS
'items per second, over the newest 21 entries of the history, pauses left out; NULL if they do not tell';
COMMENT ON COLUMN tasker_checkpoint_step_progress.eta IS
'time that the rest takes at this rate, counted from the last checkpoint; 0 if all is done; NULL while parked, cancelled or paused, without a rate or a total, and over a hundred years';
COMMENT ON COLUMN tasker_checkpoint_step_progress.checkpointed_at IS
'time of the last checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_step_progress.sequence IS
'number of the last checkpoint; 0 without one';
COMMENT ON COLUMN tasker_checkpoint_step_progress.state IS
'parked, cancelled, paused; claimed; expired: its lease ran out and nobody has taken it; delayed, waiting: to be claimed later, now; idle: not dispatched';
COMMENT ON COLUMN tasker_checkpoint_step_progress.worker IS
'who has claimed it, also if the lease ran out; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_step_progress.lease_until IS
'when the claim runs out; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_step_progress.deliveries IS
'claims since the last checkpoint under a claim; NULL if the step is not dispatched';

CREATE FUNCTION tasker_checkpoint_progress(step_uuid uuid DEFAULT NULL)
RETURNS SETOF tasker_checkpoint_step_progress
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_progress(uuid) IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see, or the given one; nothing without an attached table; raises 55000, P0002';

-- the function runs as whoever reads the view
CREATE VIEW tasker_checkpoint_progress WITH (security_invoker = true) AS
SELECT * FROM tasker_checkpoint_progress(step_uuid => NULL::pg_catalog.uuid);
COMMENT ON VIEW tasker_checkpoint_progress IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see';

--
-- Reading a checkpoint
--

CREATE TYPE tasker_checkpoint_state AS (
    has_checkpoint boolean,
    cursor jsonb,
    items_processed bigint,
    accumulated_results jsonb,
    checkpointed_at timestamptz,
    sequence bigint
);
COMMENT ON TYPE tasker_checkpoint_state IS
'what a handler needs to resume a step';
COMMENT ON COLUMN tasker_checkpoint_state.has_checkpoint IS
'whether the step has a checkpoint; a cursor of 0 is one';
COMMENT ON COLUMN tasker_checkpoint_state.cursor IS
'where to resume, as the handler gave it; NULL without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_state.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_state.accumulated_results IS
'partial results; NULL if there are none';
COMMENT ON COLUMN tasker_checkpoint_state.checkpointed_at IS
'time of the checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_state.sequence IS
'number of the checkpoint: history entries, those cut included; 0 without one';

CREATE FUNCTION tasker_checkpoint_get(step_uuid uuid)
RETURNS jsonb
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_get(uuid) IS
'the whole checkpoint of a step, NULL if it has none; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_load(step_uuid uuid)
RETURNS tasker_checkpoint_state
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_load(uuid) IS
'all that a handler needs to resume a step, in one row; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_exists(step_uuid uuid)
RETURNS boolean
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_exists(uuid) IS
'whether a step has a checkpoint; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_cursor(step_uuid uuid)
RETURNS jsonb
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_cursor(uuid) IS
'where to resume a step, JSON null included; NULL without a checkpoint; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_items_processed(step_uuid uuid)
RETURNS bigint
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_items_processed(uuid) IS
'items that a step has processed since its beginning, 0 without a checkpoint; raises 22004, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_accumulated_results(step_uuid uuid)
RETURNS jsonb
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_accumulated_results(uuid) IS
'partial results of a step, NULL if they are null or there is no checkpoint; raises 22004, 55000, P0002';

--
-- History
--

CREATE TYPE tasker_checkpoint_history_entry AS (
    generation integer,
    sequence bigint,
    cursor jsonb,
    items_processed bigint,
    checkpointed_at timestamptz,
    accumulated_results jsonb,
    archived boolean,
    cleared_at timestamptz,
    cleared_by text
);
COMMENT ON TYPE tasker_checkpoint_history_entry IS
'a checkpoint that a step had';
COMMENT ON COLUMN tasker_checkpoint_history_entry.generation IS
'1, and one more after each clear that was archived, or where the key was used again';
COMMENT ON COLUMN tasker_checkpoint_history_entry.sequence IS
'number of the checkpoint in its generation';
COMMENT ON COLUMN tasker_checkpoint_history_entry.cursor IS
'where the step would have been resumed, as the handler gave it';
COMMENT ON COLUMN tasker_checkpoint_history_entry.items_processed IS
'items that the step had processed; NULL if that was not kept';
COMMENT ON COLUMN tasker_checkpoint_history_entry.checkpointed_at IS
'time of the checkpoint; NULL if it is unreadable';
COMMENT ON COLUMN tasker_checkpoint_history_entry.accumulated_results IS
'partial results, of the present checkpoint and of one that was cleared; NULL otherwise: history keeps none';
COMMENT ON COLUMN tasker_checkpoint_history_entry.archived IS
'whether it is in the archive; else it is in the checkpoint only';
COMMENT ON COLUMN tasker_checkpoint_history_entry.cleared_at IS
'when its generation was cleared; NULL: it is the present one';
COMMENT ON COLUMN tasker_checkpoint_history_entry.cleared_by IS
'session user that cleared it';

CREATE FUNCTION tasker_checkpoint_history(step_uuid uuid)
RETURNS SETOF tasker_checkpoint_history_entry
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_history(uuid) IS
'every checkpoint that a step had, oldest first, as far as archive and history keep it; raises 22004, 55000, P0002';

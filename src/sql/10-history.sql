--
-- History
--


CREATE FUNCTION tasker_checkpoint_history(step_uuid uuid)
RETURNS TABLE (
    -- 1, and one more after each clear that was archived, or where the key was used
    -- again
    generation integer,
    -- number of the checkpoint in its generation
    sequence bigint,
    -- where the step would have been resumed, as the handler gave it
    cursor jsonb,
    -- items that the step had processed; NULL if that was not kept
    items_processed bigint,
    -- time of the checkpoint; NULL if it is unreadable
    checkpointed_at timestamptz,
    -- partial results, of the present checkpoint and of one that was cleared; NULL
    -- otherwise: history keeps none
    accumulated_results jsonb,
    -- whether it is in the archive; else it is in the checkpoint only
    archived boolean,
    -- when its generation was cleared; NULL: it is the present one
    cleared_at timestamptz,
    -- session user that cleared it
    cleared_by text
)
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_history(uuid) IS
'every checkpoint that a step had, oldest first, as far as archive and history keep it; raises 22004, 55000, P0002';

--
-- The archive
--

CREATE TABLE tasker_checkpoint_archive (
    -- in the order of src/archive/chunk.h
    step_uuid uuid NOT NULL,
    generation integer NOT NULL CHECK (generation > 0),
    first_sequence bigint NOT NULL CHECK (first_sequence > 0),
    last_sequence bigint NOT NULL CHECK (last_sequence >= first_sequence - 1),
    last_at timestamptz,
    next_at timestamptz,
    archived_at timestamptz NOT NULL,
    cleared_by text,
    entries jsonb NOT NULL CHECK (pg_catalog.jsonb_typeof(entries) = 'array'),
    accumulated_results jsonb,
    PRIMARY KEY (step_uuid, generation, first_sequence)
)
USING heap;
-- what is old goes by it
CREATE INDEX tasker_checkpoint_archive_archived_at ON tasker_checkpoint_archive (archived_at);

COMMENT ON TABLE tasker_checkpoint_archive IS
'history entries that were cut or cleared while tasker_checkpoint.archive_history was on; append-only, written by the guard, read by tasker_checkpoint_history(), emptied by tasker_checkpoint_purge_archive()';
COMMENT ON COLUMN tasker_checkpoint_archive.step_uuid IS 'the step';
COMMENT ON COLUMN tasker_checkpoint_archive.generation IS
'1, and one more after each clear of the step, or where its key was used again';
COMMENT ON COLUMN tasker_checkpoint_archive.first_sequence IS
'number of the first checkpoint in entries';
COMMENT ON COLUMN tasker_checkpoint_archive.last_sequence IS
'number of the last one; one less than first_sequence if there are no entries';
COMMENT ON COLUMN tasker_checkpoint_archive.last_at IS
'time of the last one';
COMMENT ON COLUMN tasker_checkpoint_archive.next_at IS
'time of the checkpoint after it, also of the first one after a clear; with last_at it tells whether a checkpoint goes on from here. -infinity: the step is gone, and another has its key';
COMMENT ON COLUMN tasker_checkpoint_archive.archived_at IS
'when the row was written; of a clear, when it was cleared';
COMMENT ON COLUMN tasker_checkpoint_archive.cleared_by IS
'session user that cleared the checkpoint; NULL: entries were cut';
COMMENT ON COLUMN tasker_checkpoint_archive.entries IS
'checkpoints as the history had them, oldest first';
COMMENT ON COLUMN tasker_checkpoint_archive.accumulated_results IS
'results of the checkpoint that was cleared';

SELECT pg_catalog.pg_extension_config_dump('tasker_checkpoint_archive', '');

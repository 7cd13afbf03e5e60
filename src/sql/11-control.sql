--
-- Control
--

CREATE FUNCTION tasker_checkpoint_clear(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_clear(uuid) IS
'removes the checkpoint of a step, history included, and takes the step from whoever has it; true if there was one; raises 22004, 25006, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_reset_for_retry(
    step_uuid uuid,
    reset_checkpoint boolean DEFAULT false
)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_reset_for_retry(uuid, boolean) IS
'makes a step ready for another run: in_process and processed false, processed_at, results and backoff_request_seconds NULL, where the table has them; keeps the checkpoint unless told, and takes the step from whoever has it; returns nothing; raises 22004, 25006, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_pause(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_pause(uuid) IS
'tells the worker with its next receipt to pause, and keeps the step from being claimed until it is resumed; true if it is paused now, false if it was paused or cancelled already; raises 22004, 25006, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_cancel(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_cancel(uuid) IS
'tells the worker with its next receipt to stop for good, and keeps the step from being claimed until it is resumed; true if it is cancelled now, false if it was already; raises 22004, 25006, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_resume(step_uuid uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_resume(uuid) IS
'lifts pause, cancel and parking, and wakes the workers; true if something was lifted, false if there was nothing; raises 22004, 25006, 55000, P0002';

CREATE FUNCTION tasker_checkpoint_rewind(
    step_uuid uuid,
    to_sequence bigint,
    results jsonb DEFAULT NULL
)
RETURNS tasker_checkpoint_receipt
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_rewind(uuid, bigint, jsonb) IS
'makes cursor and items of an earlier checkpoint the current ones, as a new checkpoint with these results, and takes the step from whoever has it; to_sequence is the number of that checkpoint since the last clear, in the history or the archive; returns the receipt; raises 22004, 22023, 25006, 54000, 55000, P0002';

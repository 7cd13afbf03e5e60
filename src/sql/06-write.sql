--
-- Writing a checkpoint
--

CREATE TYPE tasker_checkpoint_receipt AS (
    sequence bigint,
    event_id uuid,
    directive text,
    replayed boolean
);
COMMENT ON TYPE tasker_checkpoint_receipt IS
'what a worker gets for a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_receipt.sequence IS
'number of the checkpoint: 1 is the first one, and the first one after a clear';
COMMENT ON COLUMN tasker_checkpoint_receipt.event_id IS
'of a yield: the continuation, which a worker may claim now; of a save: the event it was given';
COMMENT ON COLUMN tasker_checkpoint_receipt.directive IS
'what the worker should do now: continue, pause or cancel';
COMMENT ON COLUMN tasker_checkpoint_receipt.replayed IS
'whether the call repeats one that was stored before: this is its receipt, and nothing was written';

CREATE FUNCTION tasker_checkpoint_yield(
    step_uuid uuid,
    cursor jsonb,
    items bigint,
    results jsonb DEFAULT NULL,
    event_id uuid DEFAULT NULL
)
RETURNS tasker_checkpoint_receipt
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) IS
'persists a checkpoint and re-dispatches the step, waking listeners at commit; items counts the items of the step since its beginning; event_id is the claim under which it is written; a repeated call returns the same receipt, or raises TC003 if its transaction has written before it; raises 22004, 22023, 55000, P0002, TC002, 54000, TC001';

CREATE FUNCTION tasker_checkpoint_save(
    step_uuid uuid,
    cursor jsonb,
    items bigint,
    results jsonb DEFAULT NULL,
    event_id uuid DEFAULT NULL
)
RETURNS tasker_checkpoint_receipt
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid) IS
'persists a checkpoint while the worker goes on, in the same transaction as its work, and extends the lease of its claim; items counts the items of the step since its beginning; event_id is the claim under which it is written; a repeated call returns the same receipt, or raises TC003 if its transaction has written before it; raises 22004, 22023, 55000, P0002, TC002, 54000, TC001';

CREATE FUNCTION tasker_checkpoint_yield_step_event(event_id uuid, checkpoint_data jsonb)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_yield_step_event(uuid, jsonb) FROM PUBLIC;
COMMENT ON FUNCTION tasker_checkpoint_yield_step_event(uuid, jsonb) IS
'tasker_checkpoint_yield() as Tasker''s workers call it, with step_uuid, cursor, items_processed and accumulated_results in one object; false, and nothing written, if the event is unknown, finished or superseded; raises 22004, 22023, 55000, P0002, 54000, TC001, TC003';

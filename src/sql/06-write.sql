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
'what is answered to tasker_checkpoint_yield(), tasker_checkpoint_save() and tasker_checkpoint_rewind()';
COMMENT ON COLUMN tasker_checkpoint_receipt.sequence IS
'number of the checkpoint: 1 is the first one, and the first one after a clear';
COMMENT ON COLUMN tasker_checkpoint_receipt.event_id IS
'of a yield and a rewind: the step''s new event, which a worker may claim now; of a save: the one that was given; NULL for a save without one, and a rewind of a step that is not dispatched';
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
COMMENT ON FUNCTION tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) IS
'persists a checkpoint and offers the step to the next worker, waking listeners at commit; cursor says where to resume, items counts the items of the step since its beginning, results are partial ones, event_id is the claim under which it is written; returns the receipt; a repeated call returns the same one, or raises TC003 if its transaction has written before it; raises 22004, 22023, 25006, 54000, 55000, P0002, TC001, TC002';

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
COMMENT ON FUNCTION tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid) IS
'persists a checkpoint while the worker goes on, in the same transaction as its work, and extends the lease of its claim; cursor says where to resume, items counts the items of the step since its beginning, results are partial ones, event_id is the claim under which it is written; returns the receipt; a repeated call returns the same one, or raises TC003 if its transaction has written before it; raises 22004, 22023, 25006, 54000, 55000, P0002, TC001, TC002';

CREATE FUNCTION tasker_checkpoint_yield_step_event(event_id uuid, checkpoint_data jsonb)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_yield_step_event(uuid, jsonb) IS
'tasker_checkpoint_yield() as Tasker''s workers call it, with step_uuid, cursor, items_processed and accumulated_results in one object; true if it was stored, also before; false, and nothing written, if the event is unknown, finished or superseded; raises 22004, 22023, 25006, 54000, 55000, P0002, TC001, TC003';

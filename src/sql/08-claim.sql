--
-- Claiming
--

CREATE TYPE tasker_checkpoint_delivery AS (
    event_id uuid,
    step_uuid uuid,
    has_checkpoint boolean,
    cursor jsonb,
    items_processed bigint,
    accumulated_results jsonb,
    sequence bigint,
    deliveries integer,
    queue text
);
COMMENT ON TYPE tasker_checkpoint_delivery IS
'a step that a worker has claimed, and where to resume it';
COMMENT ON COLUMN tasker_checkpoint_delivery.event_id IS
'proof of the claim, to be passed to every function that writes; known to this worker only';
COMMENT ON COLUMN tasker_checkpoint_delivery.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_delivery.has_checkpoint IS
'whether the step has a checkpoint; a cursor of 0 is one';
COMMENT ON COLUMN tasker_checkpoint_delivery.cursor IS
'where to resume, as the handler gave it; NULL without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_delivery.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_delivery.accumulated_results IS
'partial results; NULL if there are none';
COMMENT ON COLUMN tasker_checkpoint_delivery.sequence IS
'number of the checkpoint; 0 without one';
COMMENT ON COLUMN tasker_checkpoint_delivery.deliveries IS
'claims since the last yield or save that got the step on, this one included; more than 1 means that a worker failed';
COMMENT ON COLUMN tasker_checkpoint_delivery.queue IS
'queue that it was claimed from';

CREATE FUNCTION tasker_checkpoint_claim(
    worker text,
    lease interval DEFAULT '1 minute',
    max_steps integer DEFAULT 1,
    step_uuid uuid DEFAULT NULL,
    queues text[] DEFAULT NULL
)
RETURNS SETOF tasker_checkpoint_delivery
LANGUAGE C VOLATILE PARALLEL UNSAFE
ROWS 1
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_claim(text, interval, integer, uuid, text[]) IS
'takes up to max_steps (1 to 1000) dispatched steps, or the given one, for a worker until the lease ends, which is at most tasker_checkpoint.max_lease; of these queues, or of all; those of higher priority first, and of these those that wait longest; returns each with where to resume; to be committed before the work; raises 22004, 22023, 25000, 25006, 55000, P0002';

CREATE PROCEDURE tasker_checkpoint_wait(
    queues text[] DEFAULT NULL,
    timeout interval DEFAULT '30 seconds'
)
LANGUAGE C
AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE tasker_checkpoint_wait(text[], interval) IS
'returns when there is something to claim in these queues, or in any, or when the timeout (0 to 1 day) is over; sleeps in the server meanwhile, with no snapshot, lock or transaction id; one session is woken for each event that is offered; statement_timeout ends it with its error, and a transaction_timeout of less than the 5 seconds between two looks the session; to be called outside of transaction blocks and functions, and followed by a claim; raises 22004, 22023, 25001, 25006, 42704, 55000';

CREATE FUNCTION tasker_checkpoint_heartbeat(event_id uuid, lease interval DEFAULT NULL)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_heartbeat(uuid, interval) IS
'extends a claim to now and its lease, or the given one, which is at most tasker_checkpoint.max_lease; never shortens it and never waits; false if the claim was superseded, or nobody has claimed the event: stop; raises 22004, 22023, 25006';

CREATE FUNCTION tasker_checkpoint_complete(event_id uuid)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_complete(uuid) IS
'ends a step''s dispatch, since its handler finished or failed for good; the checkpoint stays; true if it was ended; false if the event is not the step''s current one: roll back; raises 22004, 25006';

CREATE FUNCTION tasker_checkpoint_release(
    event_id uuid,
    delay interval DEFAULT '0',
    interrupted boolean DEFAULT false
)
RETURNS boolean
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_release(uuid, interval, boolean) IS
'hands a step back, to be claimed again after the delay (0 to 1 day) from its last checkpoint; if the worker was only interrupted, the delivery that its claim counted is taken back; true if it was handed back; false if the event is not the step''s current one; raises 22004, 22023, 25006';

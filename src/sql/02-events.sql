--
-- Dispatched steps
--

-- the constraints keep a row that is edited by hand whole; the functions write
-- below them
CREATE TABLE tasker_checkpoint_events (
    -- in the order of src/dispatch/event_row.h; what a save changes comes last, so
    -- that the WAL has only that
    step_uuid uuid PRIMARY KEY,
    directive text NOT NULL CHECK (directive IN ('continue', 'pause', 'cancel')),
    parked boolean NOT NULL,
    queue text COLLATE "C" NOT NULL DEFAULT 'default' CHECK (pg_catalog.octet_length(queue) BETWEEN 1 AND 63),
    priority smallint NOT NULL DEFAULT 0 CHECK (priority BETWEEN -100 AND 100),
    event_id uuid,
    continuation_id uuid,
    yield_event_id uuid,
    yield_digest bigint,
    yield_sequence bigint,
    yield_checkpointed_at timestamptz,
    worker text CHECK (pg_catalog.octet_length(worker) BETWEEN 1 AND 200),
    lease interval CHECK (lease > interval '0' AND lease <= interval '7 days'),
    deliveries integer NOT NULL CHECK (deliveries >= 0),
    available_at timestamptz NOT NULL,
    lease_until timestamptz,
    sequence bigint NOT NULL CHECK (sequence >= 0),
    save_digest bigint,
    save_checkpointed_at timestamptz,
    CONSTRAINT tasker_checkpoint_events_directive_only_check
        CHECK (event_id IS NOT NULL OR directive <> 'continue'),
    CONSTRAINT tasker_checkpoint_events_claim_check
        CHECK (worker IS NULL OR (event_id IS NOT NULL AND lease IS NOT NULL AND lease_until IS NOT NULL)),
    CONSTRAINT tasker_checkpoint_events_yield_check
        CHECK (pg_catalog.num_nulls(yield_event_id, yield_digest, yield_sequence, yield_checkpointed_at, continuation_id) IN (0, 5)),
    CONSTRAINT tasker_checkpoint_events_save_check
        CHECK (pg_catalog.num_nulls(save_digest, save_checkpointed_at) IN (0, 2))
)
USING heap
-- heartbeats and saves are HOT while their page has room; the table stays
-- small, so a tenth of it is soon dead
WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

-- a claimed event's place is the end of its lease when it was last moved, which
-- heartbeats do at half of the lease
CREATE INDEX tasker_checkpoint_events_claimable
    ON tasker_checkpoint_events (queue, priority DESC, available_at)
    WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
CREATE UNIQUE INDEX tasker_checkpoint_events_event_id
    ON tasker_checkpoint_events (event_id);

COMMENT ON TABLE tasker_checkpoint_events IS
'one row for a step that is dispatched, paused or cancelled; written by the extension''s functions only';
COMMENT ON COLUMN tasker_checkpoint_events.step_uuid IS 'the step';
COMMENT ON COLUMN tasker_checkpoint_events.event_id IS
'the step''s current event, which fences writes; NULL if the row holds a directive only';
COMMENT ON COLUMN tasker_checkpoint_events.directive IS
'what the next receipt tells the worker: continue, pause or cancel';
COMMENT ON COLUMN tasker_checkpoint_events.queue IS 'name of the queue from which it is claimed';
COMMENT ON COLUMN tasker_checkpoint_events.priority IS 'from -100 to 100; within a queue what has more is claimed first';
COMMENT ON COLUMN tasker_checkpoint_events.worker IS 'who has claimed the event; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_events.available_at IS
'when the event can be claimed; of a claimed one, when its lease ends, or earlier by at most half of it; of a paused or cancelled step, since when it cannot be';
COMMENT ON COLUMN tasker_checkpoint_events.lease IS 'lease last given, by which a save extends it';
COMMENT ON COLUMN tasker_checkpoint_events.lease_until IS 'when the claim runs out';
COMMENT ON COLUMN tasker_checkpoint_events.deliveries IS 'claims since the last yield or save that got the step on';
COMMENT ON COLUMN tasker_checkpoint_events.parked IS
'whether no claim delivers the event any more, since it was claimed too often without getting on, or its checkpoint breaks readers; lifted by tasker_checkpoint_resume()';
COMMENT ON COLUMN tasker_checkpoint_events.sequence IS 'number of the last checkpoint known here';
COMMENT ON COLUMN tasker_checkpoint_events.yield_event_id IS 'event of the last fenced yield, to recognize its replay';
COMMENT ON COLUMN tasker_checkpoint_events.yield_digest IS 'hash of its cursor, items and results';
COMMENT ON COLUMN tasker_checkpoint_events.yield_sequence IS 'its receipt''s sequence';
COMMENT ON COLUMN tasker_checkpoint_events.yield_checkpointed_at IS 'time of its checkpoint';
COMMENT ON COLUMN tasker_checkpoint_events.continuation_id IS 'its receipt''s event_id';
COMMENT ON COLUMN tasker_checkpoint_events.save_digest IS
'hash of cursor, items and results of the last save under this event, to recognize its replay; its receipt''s sequence is the row''s';
COMMENT ON COLUMN tasker_checkpoint_events.save_checkpointed_at IS 'time of its checkpoint';

-- a dump carries dispatched steps, and a restore goes on with them
SELECT pg_catalog.pg_extension_config_dump('tasker_checkpoint_events', '');

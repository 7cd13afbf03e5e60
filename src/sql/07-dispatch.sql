--
-- Dispatch
--

CREATE FUNCTION tasker_checkpoint_dispatch(step_uuid uuid)
RETURNS uuid
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_dispatch(uuid) IS
'offers a step to the workers and wakes them at commit; returns the event''s id, that of the unclaimed event if there is one already, NULL if the step is claimed, paused, cancelled or parked; raises 22004, 25006, 55000, P0002';

CREATE TYPE tasker_checkpoint_dispatched_step AS (
    step_uuid uuid,
    has_event boolean,
    directive text,
    parked boolean,
    available_at timestamptz,
    worker text,
    lease interval,
    lease_until timestamptz,
    deliveries integer,
    sequence bigint
);
COMMENT ON TYPE tasker_checkpoint_dispatched_step IS
'what a reader may know of a step''s dispatch: all but the ids of events';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.has_event IS
'whether it is dispatched; false: it is only paused or cancelled';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.directive IS
'what the next receipt tells the worker: continue, pause or cancel';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.parked IS
'whether no claim delivers it any more, since it was claimed too often without getting on, or its checkpoint breaks readers';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.available_at IS
'when it can be claimed; of a claimed one, when its first lease ends; of a paused or cancelled one, since when it cannot be';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.worker IS
'who has claimed it; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.lease IS
'lease last given; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.lease_until IS
'when the claim runs out; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.deliveries IS
'claims since the last yield or save that got the step on';
COMMENT ON COLUMN tasker_checkpoint_dispatched_step.sequence IS
'number of the last checkpoint known to the dispatch';

CREATE FUNCTION tasker_checkpoint_dispatched(step_uuid uuid DEFAULT NULL)
RETURNS SETOF tasker_checkpoint_dispatched_step
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_dispatched(uuid) IS
'the steps that are dispatched, paused or cancelled, in the order of their keys, or the given one: all, also those that are gone, or, under row security, those that the caller can see; raises 55000, P0002';

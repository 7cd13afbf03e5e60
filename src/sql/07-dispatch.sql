--
-- Dispatch
--

CREATE FUNCTION tasker_checkpoint_dispatch(
    step_uuid uuid,
    queue text DEFAULT NULL,
    priority integer DEFAULT NULL,
    delay interval DEFAULT '0'
)
RETURNS uuid
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_dispatch(uuid, text, integer, interval) IS
'offers a step to the workers of a queue (of 1 to 63 bytes, made by the first dispatch that names it; NULL keeps the step''s, else "default"), at a priority (-100 to 100; NULL keeps the step''s, else 0), after a delay (0 to 1 day), and wakes them at commit; an unclaimed event moves there; returns the event''s id, NULL if the step is claimed, paused, cancelled or parked; raises 22004, 22023, 25006, 55000, P0002';


CREATE FUNCTION tasker_checkpoint_dispatched(step_uuid uuid DEFAULT NULL)
RETURNS TABLE (
    -- the step
    step_uuid uuid,
    -- whether it is dispatched; false: it is only paused or cancelled
    has_event boolean,
    -- what the next receipt tells the worker: continue, pause or cancel
    directive text,
    -- whether no claim delivers it any more, since it was claimed too often without
    -- getting on, or its checkpoint breaks readers
    parked boolean,
    -- when it can be claimed; of a claimed one, when its lease ends, or earlier by at
    -- most half of it
    available_at timestamptz,
    -- who has claimed it; NULL if nobody has
    worker text,
    -- lease last given; NULL if nobody has it
    lease interval,
    -- when the claim runs out; NULL if nobody has it
    lease_until timestamptz,
    -- claims since the last yield or save that got the step on
    deliveries integer,
    -- number of the last checkpoint known to the dispatch
    sequence bigint,
    -- queue from which it is claimed
    queue text,
    -- from -100 to 100; within a queue what has more is claimed first
    priority integer
)
LANGUAGE C STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_dispatched(uuid) IS
'the steps that are dispatched, paused or cancelled, in the order of their keys, or the given one: all, also those that are gone, or, under row security, those that the caller can see; raises 55000, P0002';

-- what is dispatched, counted as the reader sees it
CREATE VIEW tasker_checkpoint_queues WITH (security_invoker = true) AS
SELECT d.queue,
       pg_catalog.count(*) FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'waiting'::pg_catalog.text) AS waiting,
       pg_catalog.count(*) FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'delayed'::pg_catalog.text) AS delayed,
       pg_catalog.count(*) FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'claimed'::pg_catalog.text) AS claimed,
       pg_catalog.count(*) FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'expired'::pg_catalog.text) AS expired,
       pg_catalog.count(*) FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'paused'::pg_catalog.text) AS paused,
       pg_catalog.count(*) FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'parked'::pg_catalog.text) AS parked,
       pg_catalog.now() OPERATOR(pg_catalog.-) pg_catalog.min(d.available_at)
           FILTER (WHERE d.state OPERATOR(pg_catalog.=) 'waiting'::pg_catalog.text) AS oldest_wait
FROM (
    SELECT s.queue, s.available_at,
           CASE WHEN s.parked THEN 'parked'::pg_catalog.text
                WHEN s.directive OPERATOR(pg_catalog.<>) 'continue'::pg_catalog.text THEN 'paused'::pg_catalog.text
                WHEN s.worker IS NOT NULL THEN
                    CASE WHEN s.lease_until OPERATOR(pg_catalog.>) pg_catalog.now() THEN 'claimed'::pg_catalog.text
                         ELSE 'expired'::pg_catalog.text END
                WHEN s.available_at OPERATOR(pg_catalog.>) pg_catalog.now() THEN 'delayed'::pg_catalog.text
                ELSE 'waiting'::pg_catalog.text END AS state
    FROM tasker_checkpoint_dispatched(step_uuid => NULL::pg_catalog.uuid) s
) d
GROUP BY d.queue;
COMMENT ON VIEW tasker_checkpoint_queues IS
'a row for each queue in which a step is that the caller can see: how many wait, are delayed, claimed, held by a lease that ran out, paused or cancelled, or parked, and how long the oldest has waited';
COMMENT ON COLUMN tasker_checkpoint_queues.queue IS 'its name';
COMMENT ON COLUMN tasker_checkpoint_queues.waiting IS 'steps that can be claimed now';
COMMENT ON COLUMN tasker_checkpoint_queues.delayed IS 'steps that can be claimed later';
COMMENT ON COLUMN tasker_checkpoint_queues.claimed IS 'steps that a worker has under a lease';
COMMENT ON COLUMN tasker_checkpoint_queues.expired IS 'steps whose lease ran out, and that nobody has taken over';
COMMENT ON COLUMN tasker_checkpoint_queues.paused IS 'steps that are paused or cancelled';
COMMENT ON COLUMN tasker_checkpoint_queues.parked IS 'steps that were claimed too often without getting on';
COMMENT ON COLUMN tasker_checkpoint_queues.oldest_wait IS 'how long the oldest of those that wait could be claimed; NULL if none waits';

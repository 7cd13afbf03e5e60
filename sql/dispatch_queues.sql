-- a queue is made by the dispatch that names it, and claims take from those that they name, in the order of priority and time
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
INSERT INTO steps SELECT format('00000000-0000-0000-0000-0000000001%s', lpad(n::text, 2, '0'))::uuid FROM generate_series(0, 29) n;
GRANT SELECT ON tasker_checkpoint_events TO regress_tckpt_worker;
CREATE FUNCTION step(n int) RETURNS uuid LANGUAGE sql AS $$SELECT format('00000000-0000-0000-0000-0000000001%s', lpad(n::text, 2, '0'))::uuid$$;
CREATE FUNCTION number(step uuid) RETURNS int LANGUAGE sql AS $$SELECT right(step::text, 2)::int$$;
-- dispatches a few, each a moment after the one before
CREATE FUNCTION offer(queue text, priority int, VARIADIC steps int[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	n int;
BEGIN
	FOREACH n IN ARRAY steps LOOP
		PERFORM tasker_checkpoint_dispatch(step(n), queue, priority);
	END LOOP;
END
$$;
-- what a worker of these queues is given, in order, and hands back
CREATE FUNCTION given(queues text[], n int) RETURNS text LANGUAGE sql AS $$
	WITH claimed AS (SELECT * FROM tasker_checkpoint_claim('one', max_steps => n, queues => queues) WITH ORDINALITY)
	SELECT string_agg(concat(queue, ' ', number(step_uuid)), ', ' ORDER BY ordinality) FROM claimed
$$;
SET ROLE regress_tckpt_worker;

-- refused
SELECT tasker_checkpoint_dispatch(step(0), ''); -- fail
SELECT tasker_checkpoint_dispatch(step(0), repeat('q', 64)); -- fail
SELECT tasker_checkpoint_dispatch(step(0), repeat('é', 32)); -- fail
SELECT tasker_checkpoint_dispatch(step(0), priority => -101); -- fail
SELECT tasker_checkpoint_dispatch(step(0), priority => 101); -- fail
SELECT tasker_checkpoint_dispatch(step(0), delay => '-1 s'); -- fail
SELECT tasker_checkpoint_dispatch(step(0), delay => '1 day 1 s'); -- fail
SELECT tasker_checkpoint_dispatch(step(0), delay => NULL); -- fail
SELECT * FROM tasker_checkpoint_claim('one', queues => '{}'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', queues => '{a,NULL}'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', queues => ARRAY[repeat('q', 64)]); -- fail
SELECT count(*) FROM tasker_checkpoint_dispatched();
-- at the bounds
SELECT tasker_checkpoint_dispatch(step(0), repeat('q', 63), -100, '1 day') IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_dispatch(step(0), 'a " name''s', 100) IS NOT NULL AS dispatched;
SELECT queue, priority, available_at <= clock_timestamp() AS available FROM tasker_checkpoint_dispatched();
SELECT queue, deliveries FROM tasker_checkpoint_claim('one', queues => ARRAY['a " name''s']);

-- where nothing is said
SELECT tasker_checkpoint_dispatch(step(1)) IS NOT NULL AS dispatched;
SELECT queue, priority FROM tasker_checkpoint_dispatched(step(1));
-- an unclaimed one moves, and keeps what is not said, and its id
SELECT tasker_checkpoint_dispatch(step(1), 'mail', 7, '1 hour') AS id \gset
SELECT queue, priority, available_at > clock_timestamp() AS delayed FROM tasker_checkpoint_dispatched(step(1));
SELECT tasker_checkpoint_dispatch(step(1), priority => -3) = :'id' AS same;
SELECT queue, priority, available_at > clock_timestamp() AS delayed FROM tasker_checkpoint_dispatched(step(1));
SELECT available_at AS at FROM tasker_checkpoint_dispatched(step(1)) \gset
-- one that waits already keeps its place
SELECT tasker_checkpoint_dispatch(step(1)) = :'id' AS same;
SELECT available_at = :'at' AS same, queue, priority FROM tasker_checkpoint_dispatched(step(1));
-- a claimed, paused or parked one stays where it is
SELECT event_id AS e FROM tasker_checkpoint_claim('one', queues => '{mail}') \gset
SELECT tasker_checkpoint_dispatch(step(1), 'other', 9);
SELECT queue, priority FROM tasker_checkpoint_dispatched(step(1));
-- and it keeps both through yield, release, pause, rewind and a retry
SELECT event_id AS e FROM tasker_checkpoint_yield(step(1), '1', 1, NULL, :'e') \gset
SELECT queue, priority FROM tasker_checkpoint_dispatched(step(1));
SELECT event_id AS e, queue FROM tasker_checkpoint_claim('one', step_uuid => step(1)) \gset
SELECT tasker_checkpoint_save(step(1), '2', 2, NULL, :'e') IS NOT NULL AS saved, tasker_checkpoint_heartbeat(:'e');
SELECT tasker_checkpoint_release(:'e');
SELECT queue, priority FROM tasker_checkpoint_dispatched(step(1));
RESET ROLE;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_pause(step(1)), tasker_checkpoint_resume(step(1)), tasker_checkpoint_rewind(step(1), 1) IS NOT NULL AS rewound;
SELECT tasker_checkpoint_reset_for_retry(step(1));
SELECT queue, priority FROM tasker_checkpoint_dispatched(step(1));
-- a directive outlives its event, with the queue
SELECT tasker_checkpoint_pause(step(1));
RESET ROLE;
SELECT tasker_checkpoint_complete((SELECT event_id FROM tasker_checkpoint_events WHERE step_uuid = step(1)));
SELECT has_event, queue, priority FROM tasker_checkpoint_dispatched(step(1));
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_resume(step(1));
RESET ROLE;
SET ROLE regress_tckpt_worker;
-- an unfenced yield of a step that was not dispatched
SELECT event_id AS e FROM tasker_checkpoint_yield(step(2), '1', 1) \gset
SELECT queue, priority FROM tasker_checkpoint_dispatched(step(2));
SELECT tasker_checkpoint_complete(:'e');

-- of one queue, or of others
SELECT offer('a', 0, 10, 11), offer('b', 0, 12, 13), offer('c', 0, 14);
SELECT given('{nobody''s}', 9), given('{b}', 9), given('{b}', 9);
SELECT given('{c,a}', 9);
-- both must fit
SELECT offer('a', 0, 15);
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => step(15), queues => '{b}');
SELECT queue FROM tasker_checkpoint_claim('one', step_uuid => step(15), queues => '{b,a}');
-- priority before time, in a queue and across them; of equal ones the oldest, whichever queue it is in
SELECT offer('a', 0, 16), offer('b', 5, 17), offer('a', 5, 18), offer('b', -1, 19), offer('a', -2, 20), offer('b', 0, 21), offer('a', 0, 22);
SELECT given('{a,b}', 9);
-- all queues, in the same order; one that is asked for twice is one
SELECT offer('x', 1, 23), offer('y', 2, 24), offer('z', 1, 25);
SELECT given(NULL, 2), given('{x,x,z,z}', 9);
-- behind many that are delayed or in flight the lower priorities are found
RESET ROLE;
INSERT INTO steps SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 300) n;
SET ROLE regress_tckpt_worker;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid, 'a', (n % 3)::int, CASE WHEN n % 2 = 0 THEN interval '1 hour' ELSE '0' END))
FROM (SELECT workflow_step_uuid, row_number() OVER () AS n FROM steps WHERE workflow_step_uuid::text LIKE '00000000-0000-0000-0001-%') s;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 1000, queues => '{a}');
SELECT offer('a', -7, 26);
SELECT given('{a}', 9);

-- the view counts them
RESET ROLE;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_pause(step(26));
RESET ROLE;
SET ROLE regress_tckpt_worker;
SELECT offer('d', 0, 27, 28);
SELECT queue, waiting, delayed, claimed, expired, paused, parked, oldest_wait >= '0' AS waits FROM tasker_checkpoint_queues WHERE queue IN ('a', 'd', 'x') ORDER BY 1;
RESET ROLE;
DROP FUNCTION offer, given, number, step;
\i :drop_steps

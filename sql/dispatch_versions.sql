-- What a transaction has done to a step before makes none of its calls dearer, and each finds the last of it
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid FROM generate_series(0, 9) n;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
CREATE FUNCTION reads(call text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT json) SELECT tasker_checkpoint_' || call INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks';
END
$$;
-- 200 versions of each event, and the next of each on another page than the one before
CREATE PROCEDURE change() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 200 LOOP
		PERFORM tasker_checkpoint_release(event_id) FROM (SELECT event_id FROM tasker_checkpoint_events OFFSET 0) e;
	END LOOP;
END
$$;
RESET client_min_messages;

SELECT reads(format('pause(%L)', :'s1')) > 0 AS paused, reads(format('resume(%L)', :'s1')) > 0 AS resumed;
BEGIN;
CALL change();
SELECT event_id FROM tasker_checkpoint_events WHERE step_uuid = :'s1' \gset
SELECT reads(format('release(%L)', :'event_id')) < 50 AS by_its_event, reads(format('pause(%L)', :'s1')) < 50 AS by_its_step;
ROLLBACK;

-- the last is found, after a savepoint too
BEGIN;
SELECT tasker_checkpoint_pause(:'s1');
SAVEPOINT a;
SELECT tasker_checkpoint_resume(:'s1');
SELECT tasker_checkpoint_pause(:'s1');
SELECT tasker_checkpoint_cancel(:'s1');
ROLLBACK TO a;
SELECT tasker_checkpoint_pause(:'s1');
SELECT tasker_checkpoint_resume(:'s1');
SELECT sequence, directive FROM tasker_checkpoint_yield(:'s1', '1', 1);
SAVEPOINT b;
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events WHERE step_uuid = :'s1';
SELECT tasker_checkpoint_resume(:'s1');
SELECT tasker_checkpoint_dispatch(:'s1', 'other') IS NOT NULL AS dispatched;
SELECT sequence, queue FROM tasker_checkpoint_dispatched(:'s1');
ROLLBACK TO b;
SELECT sequence, directive FROM tasker_checkpoint_yield(:'s1', '2', 2);
SELECT sequence, queue FROM tasker_checkpoint_dispatched(:'s1');
COMMIT;
-- and its key is the only one
SELECT count(*) FROM tasker_checkpoint_dispatched(:'s1');
INSERT INTO tasker_checkpoint_events (step_uuid, directive, parked, deliveries, available_at, sequence)
VALUES (:'s1', 'pause', false, 0, now(), 0); -- fail
-- the table was emptied, or written anew, in between
BEGIN;
SELECT tasker_checkpoint_pause(:'s1');
TRUNCATE tasker_checkpoint_events;
SELECT tasker_checkpoint_pause(:'s1');
SELECT tasker_checkpoint_resume(:'s1');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
CLUSTER tasker_checkpoint_events USING tasker_checkpoint_events_pkey;
SELECT tasker_checkpoint_cancel(:'s1');
SELECT directive FROM tasker_checkpoint_dispatched(:'s1');
ROLLBACK;

DROP FUNCTION reads;
DROP PROCEDURE change;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;

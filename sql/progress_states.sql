-- The view of progress: what state a step is in, and when it has no time left to show
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, inputs jsonb, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps
SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid,
	'{"cursor": {"start_cursor": 0, "end_cursor": 100}}',
	'{"cursor": 20, "items_processed": 20, "timestamp": "2026-01-01T00:00:02Z", "history": [
		{"cursor": 10, "items_processed": 10, "timestamp": "2026-01-01T00:00:01Z"},
		{"cursor": 20, "items_processed": 20, "timestamp": "2026-01-01T00:00:02Z"}]}'
FROM generate_series(1, 9) i;
CREATE FUNCTION step(integer) RETURNS uuid LANGUAGE sql RETURN format('00000000-0000-0000-0000-%s', lpad($1::text, 12, '0'))::uuid;

-- 1 is left alone
SELECT tasker_checkpoint_dispatch(step(2)) IS NOT NULL AS waiting;
SELECT count(tasker_checkpoint_release(tasker_checkpoint_dispatch(step(3)), '1 hour')) AS delayed;
SELECT count(tasker_checkpoint_dispatch(step(i))) FROM generate_series(4, 8) i;
SELECT worker.deliveries AS claimed FROM tasker_checkpoint_claim('one', '1 hour', 1, step(4)) worker;
SELECT worker.deliveries AS expired FROM tasker_checkpoint_claim('two', '1 microsecond', 1, step(5)) worker;
SELECT tasker_checkpoint_pause(step(6)) AS paused;
SELECT worker.deliveries AS claimed FROM tasker_checkpoint_claim('three', '1 hour', 1, step(7)) worker;
SELECT tasker_checkpoint_cancel(step(7)) AS cancelled;
SELECT tasker_checkpoint_pause(step(9)) AS paused;

-- claimed as often as it may be
SET tasker_checkpoint.max_deliveries = 1;
SELECT worker.deliveries FROM tasker_checkpoint_claim('four', '1 microsecond', 1, step(8)) worker;
SELECT worker.deliveries FROM tasker_checkpoint_claim('four', '1 hour', 1, step(8)) worker;
RESET tasker_checkpoint.max_deliveries;

SELECT right(step_uuid::text, 1) AS step, state, worker, lease_until > clock_timestamp() AS leased, deliveries, rate, eta
FROM tasker_checkpoint_progress ORDER BY 1;

-- lifted, they go on
SELECT count(*) FILTER (WHERE tasker_checkpoint_resume(workflow_step_uuid)) FROM steps;
SELECT right(step_uuid::text, 1) AS step, state, worker, eta
FROM tasker_checkpoint_progress WHERE step_uuid >= step(6) ORDER BY 1;

-- what is parked is that first of all, cancelled before paused
SET tasker_checkpoint.max_deliveries = 1;
SELECT worker.deliveries FROM tasker_checkpoint_claim('four', '1 microsecond', 1, step(8)) worker;
SELECT worker.deliveries FROM tasker_checkpoint_claim('four', '1 hour', 1, step(8)) worker;
SELECT tasker_checkpoint_pause(step(8)), tasker_checkpoint_cancel(step(8));
SELECT state FROM tasker_checkpoint_progress(step(8));

DROP TABLE steps;
DROP FUNCTION step;
DROP EXTENSION tasker_checkpoint;

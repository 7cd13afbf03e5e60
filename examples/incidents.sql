-- Steps in trouble, to practise docs/operations.md on. In an empty database, as a
-- superuser:
--
--     psql -f examples/steps.sql -f examples/incidents.sql DATABASE
--
-- One step for each finding of tasker_checkpoint_health, which names it; "import"
-- is well, "idle" is not dispatched, "done" was processed long ago, "cleared" has
-- lost its checkpoint to an operator. Ages are made up by writing to the dispatch
-- table, which nobody does otherwise.

SET search_path = pg_catalog, pg_temp;
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint SCHEMA public;
RESET client_min_messages;

INSERT INTO tasker.tasks (task_uuid) VALUES ('00000000-0000-0000-0000-00000000000a');

-- The newest checkpoint is so old; there are so many, as far apart, each of 200
-- items; the cursor is the number of items unless one is given.
CREATE TEMP TABLE incidents (n int, name text, age interval, apart interval, checkpoints int, cursor jsonb, results jsonb);
INSERT INTO incidents VALUES
	(1, 'import', '5 s', '10 s', 50, NULL, '{"total_items": 48000}'),
	(2, 'parked', '2 hours', '10 s', 3, NULL, '{"total_items": 6000}'),
	(3, 'stale', '30 min', '10 s', 30, NULL, NULL),
	(4, 'stalled', '30 s', '1 min', 8, '"page-17"', NULL),
	(5, 'expired', '12 min', '10 s', 20, NULL, NULL),
	(6, 'unclaimed', '10 min', '10 s', 20, NULL, NULL),
	(7, 'paused', '2 days', '10 s', 20, NULL, NULL),
	(8, 'near_limit', '20 s', '10 s', 20, NULL, to_jsonb(repeat('x', 900000))),
	(9, 'long_cursor', '20 s', '10 s', 2, to_jsonb(repeat('x', 2100)), NULL),
	(10, 'idle', '1 min', '10 s', 20, NULL, NULL),
	(11, 'done', '60 days', '10 s', 20, NULL, NULL),
	(12, 'cleared', '1 min', '10 s', 20, NULL, '{"total": 250}');

INSERT INTO tasker.named_steps (name) SELECT name FROM incidents;

-- A document that has a history is stored as it is.
INSERT INTO tasker.workflow_steps
	(workflow_step_uuid, task_uuid, named_step_uuid, processed, created_at, updated_at, checkpoint)
SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid, '00000000-0000-0000-0000-00000000000a',
	named_step_uuid, name = 'done', now(), now(),
	newest || jsonb_build_object('accumulated_results', results, 'history', history)
FROM incidents
JOIN tasker.named_steps USING (name)
CROSS JOIN LATERAL (
	SELECT jsonb_agg(entry ORDER BY i) AS history, jsonb_agg(entry ORDER BY i DESC) -> 0 AS newest
	FROM generate_series(1, checkpoints) AS i
	CROSS JOIN LATERAL jsonb_build_object(
		'cursor', coalesce(cursor, to_jsonb(i * 200)),
		'items_processed', CASE name WHEN 'stalled' THEN 1600 ELSE i * 200 END,
		'timestamp', to_char(now() AT TIME ZONE 'UTC' - age - (checkpoints - i) * apart, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS entry
) AS c;

-- Those that are dispatched, and who has claimed which.
SELECT count(public.tasker_checkpoint_dispatch(workflow_step_uuid)) AS dispatched
FROM tasker.workflow_steps JOIN tasker.named_steps USING (named_step_uuid)
WHERE name NOT IN ('idle', 'done', 'cleared');
SELECT count(*) AS claimed
FROM incidents
JOIN tasker.named_steps USING (name)
JOIN tasker.workflow_steps USING (named_step_uuid)
CROSS JOIN LATERAL public.tasker_checkpoint_claim('worker ' || n, CASE name WHEN 'stale' THEN interval '1 hour' ELSE '1 minute' END, 1, workflow_step_uuid)
WHERE name NOT IN ('unclaimed', 'paused', 'idle', 'done', 'cleared');

UPDATE public.tasker_checkpoint_events SET parked = true, deliveries = 20, available_at = now() - interval '2 hours', lease_until = now() - interval '2 hours'
WHERE step_uuid = '00000000-0000-0000-0000-000000000002';
UPDATE public.tasker_checkpoint_events SET lease_until = now() + interval '30 min', available_at = now() + interval '30 min'
WHERE step_uuid = '00000000-0000-0000-0000-000000000003';
UPDATE public.tasker_checkpoint_events SET lease_until = now() - interval '10 min', available_at = now() - interval '10 min'
WHERE step_uuid = '00000000-0000-0000-0000-000000000005';
UPDATE public.tasker_checkpoint_events SET available_at = now() - interval '10 min'
WHERE step_uuid = '00000000-0000-0000-0000-000000000006';
SELECT public.tasker_checkpoint_pause('00000000-0000-0000-0000-000000000007'::uuid) AS paused;
UPDATE public.tasker_checkpoint_events SET available_at = now() - interval '2 days'
WHERE step_uuid = '00000000-0000-0000-0000-000000000007';

-- The one that was cleared, with the archive on. Workers have an hour for the others.
SET tasker_checkpoint.archive_history = on;
SELECT public.tasker_checkpoint_clear('00000000-0000-0000-0000-000000000012'::uuid) AS cleared;
RESET tasker_checkpoint.archive_history;
UPDATE public.tasker_checkpoint_events SET lease_until = now() + interval '1 hour', lease = '1 hour'
WHERE lease_until > now() AND step_uuid <> '00000000-0000-0000-0000-000000000003';

DROP TABLE incidents;
RESET search_path;

-- A checkpoint changes the columns checkpoint and updated_at, and nothing else
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (
	workflow_step_uuid uuid DEFAULT gen_random_uuid() PRIMARY KEY,
	task_uuid uuid NOT NULL,
	named_step_uuid uuid NOT NULL,
	retryable boolean DEFAULT true NOT NULL,
	max_attempts integer DEFAULT 3,
	in_process boolean DEFAULT false NOT NULL,
	processed boolean DEFAULT false NOT NULL,
	processed_at timestamp,
	attempts integer,
	last_attempted_at timestamp,
	backoff_request_seconds integer,
	inputs jsonb,
	results jsonb,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	priority integer DEFAULT 0 NOT NULL);
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_worker;
GRANT USAGE ON SCHEMA tasker TO regress_tckpt_worker;
GRANT SELECT, UPDATE ON tasker.workflow_steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
INSERT INTO tasker.workflow_steps
SELECT s, gen_random_uuid(), gen_random_uuid(), false, 7, true, false, '2001-01-01 12:00:00.5', 2, '2001-01-01 11:00', 30,
	'{"cursor": {"batch_id": "001", "start_cursor": 0, "end_cursor": 1000, "batch_size": 1000}, "is_no_op": false}',
	'{"partial": [1, 2.50, null]}', '2000-01-01 00:00:00.123456', '2000-01-01 00:00:00.123456', 5
FROM unnest(ARRAY[:'s1', :'s2']::uuid[]) s;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;
-- the columns that differ from how they were
CREATE TEMPORARY TABLE before AS TABLE tasker.workflow_steps;
CREATE FUNCTION pg_temp.changed(OUT step text, OUT columns text) RETURNS SETOF record LANGUAGE sql AS $$
	SELECT right(new.workflow_step_uuid::text, 1), (SELECT string_agg(n.key, ', ' ORDER BY n.key COLLATE "C")
			FROM jsonb_each(to_jsonb(new)) n JOIN jsonb_each(to_jsonb(old)) o ON n.key = o.key AND n.value::text <> o.value::text)
	FROM tasker.workflow_steps new JOIN before old USING (workflow_step_uuid) ORDER BY 1
$$;

-- a session in another time zone: updated_at is in UTC
SET TimeZone = 'Pacific/Chatham';
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, '{"sum": 1}');
SELECT * FROM pg_temp.changed();
SELECT updated_at BETWEEN (now() AT TIME ZONE 'UTC') - interval '1 minute' AND (now() AT TIME ZONE 'UTC') AS utc FROM tasker.workflow_steps
WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2);
SELECT * FROM pg_temp.changed();
-- it is the transaction's time, as that of Tasker's own statement
BEGIN;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3);
SELECT updated_at = now() AT TIME ZONE 'UTC' AS now, (checkpoint ->> 'timestamp')::timestamptz > now() AS later
FROM tasker.workflow_steps WHERE workflow_step_uuid = :'s1';
COMMIT;
RESET TimeZone;
SELECT tasker_checkpoint_clear(:'s1');
SELECT * FROM pg_temp.changed();

-- the readers change nothing, and lock nothing
SELECT xmin AS before, xmax AS lock FROM tasker.workflow_steps WHERE workflow_step_uuid = :'s1' \gset
SELECT tasker_checkpoint_get(:'s1'), tasker_checkpoint_exists(:'s1'), tasker_checkpoint_cursor(:'s1'), tasker_checkpoint_items_processed(:'s1'),
	tasker_checkpoint_accumulated_results(:'s1'), (tasker_checkpoint_load(:'s1')).sequence;
SELECT xmin = :'before' AS same, xmax = :'lock' AS unlocked FROM tasker.workflow_steps WHERE workflow_step_uuid = :'s1';

-- the guard changes nothing but the checkpoint
TRUNCATE before;
INSERT INTO before TABLE tasker.workflow_steps;
UPDATE tasker.workflow_steps SET checkpoint = '{"cursor": 1, "items_processed": 1}' WHERE workflow_step_uuid = :'s1';
SELECT * FROM pg_temp.changed();

-- reset_for_retry changes its columns
TRUNCATE before;
INSERT INTO before TABLE tasker.workflow_steps;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT * FROM pg_temp.changed();
SELECT updated_at BETWEEN (now() AT TIME ZONE 'UTC') - interval '1 minute' AND (now() AT TIME ZONE 'UTC') AS utc FROM tasker.workflow_steps
WHERE workflow_step_uuid = :'s1';

-- columns that were dropped or added since, defaults and generated columns
RESET ROLE;
ALTER TABLE tasker.workflow_steps DROP COLUMN retryable, DROP COLUMN attempts,
	ADD COLUMN added text DEFAULT 'added', ADD COLUMN doubled int GENERATED ALWAYS AS (priority * 2) STORED,
	ADD COLUMN seen jsonb GENERATED ALWAYS AS (checkpoint -> 'cursor') STORED;
SET ROLE regress_tckpt_worker;
DROP TABLE before;
CREATE TEMPORARY TABLE before AS TABLE tasker.workflow_steps;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '{"page": 4}', 4);
SELECT * FROM pg_temp.changed();
SELECT seen, added, doubled FROM tasker.workflow_steps ORDER BY workflow_step_uuid;
RESET ROLE;
ALTER TABLE tasker.workflow_steps DROP COLUMN seen;

-- updated_at of other types
CREATE PROCEDURE updated(type text) LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE tasker.workflow_steps DROP COLUMN IF EXISTS updated_at;
	EXECUTE 'ALTER TABLE tasker.workflow_steps ADD COLUMN updated_at ' || type;
	UPDATE tasker.workflow_steps SET workflow_step_uuid = workflow_step_uuid;
	PERFORM tasker_checkpoint_clear(workflow_step_uuid), tasker_checkpoint_yield(workflow_step_uuid, '1', 1),
		tasker_checkpoint_save(workflow_step_uuid, '2', 2), tasker_checkpoint_clear(workflow_step_uuid),
		tasker_checkpoint_reset_for_retry(workflow_step_uuid)
	FROM tasker.workflow_steps;
END
$$;
SET TimeZone = 'Pacific/Chatham';
BEGIN;
CALL updated('timestamptz');
SELECT updated_at = now() AS now FROM tasker.workflow_steps;
CALL updated('timestamp');
SELECT updated_at = now() AT TIME ZONE 'UTC' AS now FROM tasker.workflow_steps;
CALL updated('timestamp(0)');
SELECT updated_at = (now() AT TIME ZONE 'UTC')::timestamp(0) AS now FROM tasker.workflow_steps;
CALL updated('timestamptz(3)');
SELECT updated_at = now()::timestamptz(3) AS now FROM tasker.workflow_steps;
COMMIT;
RESET TimeZone;
-- left alone
CALL updated('date');
SELECT updated_at FROM tasker.workflow_steps;
CALL updated('text DEFAULT ''mine''');
SELECT updated_at FROM tasker.workflow_steps;
CALL updated('bigint DEFAULT 7');
SELECT updated_at FROM tasker.workflow_steps;
CALL updated('timestamp GENERATED ALWAYS AS (created_at) STORED');
SELECT updated_at = created_at AS generated FROM tasker.workflow_steps;
CREATE DOMAIN tasker.utc AS timestamp;
CALL updated('tasker.utc');
SELECT updated_at FROM tasker.workflow_steps;

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE before;
DROP PROCEDURE updated;
DROP SCHEMA tasker CASCADE;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

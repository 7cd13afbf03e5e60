-- purge removes the checkpoints of processed steps older than an interval, in batches
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6), checkpoint jsonb);
CREATE FUNCTION step(n int) RETURNS uuid IMMUTABLE LANGUAGE sql AS
$$SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid$$;
-- stored as they are, before there is a guard
INSERT INTO steps
SELECT step(n), processed, '2000-01-01', jsonb_build_object('cursor', n, 'items_processed', n, 'history', '[]'::jsonb, 'timestamp', at)
FROM (VALUES
	(1, true, to_jsonb('2000-01-01T00:00:00Z'::text)),
	(2, true, to_jsonb(clock_timestamp() - interval '31 days')),
	(3, true, to_jsonb(clock_timestamp() - interval '29 days')),
	(4, false, to_jsonb('2000-01-01T00:00:00Z'::text)),
	(5, NULL, to_jsonb('2000-01-01T00:00:00Z'::text)),
	-- ahead of the clock, or no time at all
	(6, true, to_jsonb(clock_timestamp() + interval '1 day')),
	(7, true, to_jsonb('yesterday'::text)),
	(8, true, 'null')) v (n, processed, at);
INSERT INTO steps VALUES (step(9), true, '2000-01-01', '"no document"'), (step(10), true, '2000-01-01', 'null'), (step(11), true, '2000-01-01', NULL);
SELECT tasker_checkpoint_attach('steps');
CREATE VIEW kept AS SELECT string_agg(ltrim(right(workflow_step_uuid::text, 2), '0'), ' ' ORDER BY workflow_step_uuid) AS kept FROM steps WHERE checkpoint IS NOT NULL;
CREATE ROLE regress_tckpt_operator;
GRANT SELECT (workflow_step_uuid, checkpoint, processed), UPDATE (checkpoint) ON steps TO regress_tckpt_operator;
GRANT SELECT ON kept TO regress_tckpt_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_operator;
RESET client_min_messages;
SET ROLE regress_tckpt_operator;

-- a dry run counts all of them, whatever max_rows is, and changes nothing
SELECT tasker_checkpoint_purge('30 days', dry_run => true), tasker_checkpoint_purge('30 days', 1, true);
SELECT * FROM kept;

-- by the checkpoint's own time
SELECT tasker_checkpoint_purge('30 days');
SELECT * FROM kept;
SELECT tasker_checkpoint_purge('30 days');
SELECT tasker_checkpoint_purge('28 days');
SELECT * FROM kept;
-- 0: whatever their age; what is stored as JSON null is no checkpoint
SELECT tasker_checkpoint_purge('1 microsecond', dry_run => true), tasker_checkpoint_purge('0', dry_run => true);
SELECT tasker_checkpoint_purge('0'), tasker_checkpoint_purge('0');
SELECT * FROM kept;
RESET ROLE;

-- updated_at says when somebody worked on the step
SELECT DISTINCT updated_at FROM steps;

-- what is in use is not purged, and a step that runs again begins anew
SELECT sequence FROM tasker_checkpoint_yield(step(4), '5', 5);
SELECT tasker_checkpoint_purge('0');
UPDATE steps SET processed = true WHERE workflow_step_uuid = step(4);
SELECT tasker_checkpoint_purge('0');
SELECT tasker_checkpoint_reset_for_retry(step(4));
SELECT sequence, directive FROM tasker_checkpoint_yield(step(4), '1', 1);

-- in batches, each in a transaction of its own, until there are none
TRUNCATE steps;
INSERT INTO steps SELECT step(n), n % 2 = 0, now(), jsonb_build_object('cursor', n, 'items_processed', n) FROM generate_series(1, 2500) n;
SELECT tasker_checkpoint_purge('0', dry_run => true);
CREATE TABLE batches (n bigint);
DO $$
DECLARE
	n bigint;
BEGIN
	LOOP
		n := tasker_checkpoint_purge('0', 500);
		INSERT INTO batches VALUES (n);
		COMMIT;
		EXIT WHEN n = 0;
	END LOOP;
END
$$;
SELECT string_agg(n::text, ' ' ORDER BY n DESC) AS batches, sum(n) FROM batches;
SELECT count(*) FILTER (WHERE processed), count(*) FILTER (WHERE NOT processed) FROM steps WHERE checkpoint IS NOT NULL;

-- with an archive, what is purged is there
SELECT workflow_step_uuid AS archived FROM steps WHERE checkpoint IS NOT NULL ORDER BY 1 LIMIT 1 \gset
BEGIN;
SET LOCAL tasker_checkpoint.archive_history = on;
SELECT sequence FROM tasker_checkpoint_save(:'archived', '2', 2);
UPDATE steps SET processed = true WHERE workflow_step_uuid = :'archived';
SELECT tasker_checkpoint_purge('0');
SELECT sequence, cursor, archived FROM tasker_checkpoint_history(:'archived');
ROLLBACK;

-- rolled back, they are there again
UPDATE steps SET processed = true;
BEGIN;
SELECT tasker_checkpoint_purge('0', 1249);
SELECT count(*) FROM steps WHERE checkpoint IS NOT NULL;
ROLLBACK;
SELECT count(*) FROM steps WHERE checkpoint IS NOT NULL;

-- a trigger that keeps some rows as they are does not keep purge from the others
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
CREATE TRIGGER keep BEFORE UPDATE ON steps FOR EACH ROW WHEN (old.workflow_step_uuid < step(1000)) EXECUTE FUNCTION keep();
SELECT tasker_checkpoint_purge('0', 700), tasker_checkpoint_purge('0', 700);
SELECT tasker_checkpoint_purge('0');
SELECT count(*), bool_and(workflow_step_uuid < step(1000)) AS kept FROM steps WHERE checkpoint IS NOT NULL;

DROP VIEW kept;
DROP TABLE steps, batches;
DROP FUNCTION step, keep;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

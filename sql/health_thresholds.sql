-- Thresholds of health: one less, as much, one more, off; and from where on it is critical
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, name text UNIQUE, in_process boolean, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
CREATE FUNCTION seed(VARIADIC names text[]) RETURNS void LANGUAGE sql AS
$$DELETE FROM steps; DELETE FROM tasker_checkpoint_events;
INSERT INTO steps (workflow_step_uuid, name) SELECT gen_random_uuid(), n FROM unnest(names) n$$;
CREATE FUNCTION string_of(size integer) RETURNS jsonb LANGUAGE sql AS $$SELECT to_jsonb(repeat('x', size - 12))$$;
CREATE FUNCTION health(stale interval DEFAULT '15 minutes', stalled integer DEFAULT 5, expired interval DEFAULT '5 minutes',
	unclaimed interval DEFAULT '5 minutes', paused interval DEFAULT '1 day', near_limit integer DEFAULT 80, long_cursor integer DEFAULT 2048)
RETURNS TABLE (name text, finding text, severity text, figure numeric, threshold numeric, unit text)
BEGIN ATOMIC
	SELECT s.name, h.finding, h.severity, CASE h.unit WHEN 'seconds' THEN NULL ELSE h.figure END, h.threshold, h.unit
	FROM tasker_checkpoint_health(stale, stalled, expired, unclaimed, paused, near_limit, long_cursor) h
	JOIN steps s ON s.workflow_step_uuid = h.step_uuid
	ORDER BY s.name COLLATE "C", h.finding COLLATE "C", h.figure;
END;
RESET client_min_messages;

-- times: a minute is further than a second, and the test takes less
SELECT seed('3540', '3600', '3660', '14340', '14400');
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() - name::integer * interval '1 s' FROM steps WHERE workflow_step_uuid = step_uuid;
SELECT * FROM health(unclaimed => '1 hour');
SELECT * FROM health(unclaimed => '0');

SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 10);
UPDATE tasker_checkpoint_events SET lease_until = clock_timestamp() - name::integer * interval '1 s', available_at = '2000-01-01'
FROM steps WHERE workflow_step_uuid = step_uuid;
SELECT * FROM health(expired => '1 hour', stale => '0');
SELECT * FROM health(expired => '0', stale => '0');
-- until a lease counts as expired its worker can be stale, but never both
SELECT * FROM health(expired => '0', stale => '1 hour');
SELECT * FROM health(expired => '1 hour', stale => '1 hour');
-- resumed, it is neither
SELECT count(tasker_checkpoint_resume(workflow_step_uuid)) FROM steps, tasker_checkpoint_pause(workflow_step_uuid);
SELECT * FROM health(expired => '1 hour', stale => '1 hour');

SELECT seed('3540', '3600', '3660', '14400');
SELECT count(tasker_checkpoint_pause(workflow_step_uuid)) FROM steps;
UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() - name::integer * interval '1 s' FROM steps WHERE workflow_step_uuid = step_uuid;
SELECT * FROM health(paused => '1 hour');
SELECT * FROM health(paused => '0');

-- the last that was heard: a lease that was given or extended, or a checkpoint
SET tasker_checkpoint.max_lease = '7d';
SELECT seed('3540', '3600', '3660', '14340', '14400', 'saved');
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
SELECT count(*) FROM tasker_checkpoint_claim('one', '7 days', 10);
UPDATE tasker_checkpoint_events SET lease_until = clock_timestamp() + interval '7 days' - CASE name WHEN 'saved' THEN 14400 ELSE name::integer END * interval '1 s'
FROM steps WHERE workflow_step_uuid = step_uuid;
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}' WHERE name = 'saved';
SELECT * FROM health(stale => '1 hour');
SELECT * FROM health(stale => '0');
-- who has not claimed, but is in process
SELECT seed('nothing');
INSERT INTO steps
SELECT gen_random_uuid(), n, true, false,
	jsonb_build_object('cursor', 1, 'items_processed', 1, 'history_truncated', 1, 'timestamp', clock_timestamp() - n::integer * interval '1 s')
FROM unnest('{3540,3600,3660,14340,14400}'::text[]) n;
SELECT * FROM health(stale => '1 hour');
UPDATE steps SET in_process = NULL WHERE name = '14400';
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{cursor}', '2') WHERE name = '14340';
SELECT * FROM health(stale => '1 hour');
RESET tasker_checkpoint.max_lease;

-- checkpoints in a row, by JSON's equality; the row ends where cursor or items differ
SET tasker_checkpoint.history_limit = 100;
SELECT seed('4', '5', '6', '19', '20', 'of 6 the cursor differs in 1', 'of 6 the items differ in 1', 'back to where it was', '5 numbers');
SELECT name, count(tasker_checkpoint_save(workflow_step_uuid, '"same"', 0)) FROM steps, generate_series(1, name::integer) WHERE name ~ '^\d+$' GROUP BY 1 ORDER BY name::integer;
SELECT count(tasker_checkpoint_save(workflow_step_uuid, to_jsonb(n = 2), 1)) FROM steps, generate_series(1, 6) n WHERE name = 'of 6 the cursor differs in 1';
SELECT count(tasker_checkpoint_save(workflow_step_uuid, '"same"', CASE WHEN n > 1 THEN 1 ELSE 0 END)) FROM steps, generate_series(1, 6) n WHERE name = 'of 6 the items differ in 1';
SELECT count(tasker_checkpoint_save(workflow_step_uuid, to_jsonb(abs(3 - n)), 1)) FROM steps, generate_series(1, 5) n WHERE name = 'back to where it was';
SELECT count(tasker_checkpoint_save(workflow_step_uuid, ('1.' || repeat('0', n))::jsonb, 1)) FROM steps, generate_series(1, 5) n WHERE name = '5 numbers';
SELECT * FROM health();
SELECT * FROM health(stalled => 6);
SELECT * FROM health(stalled => 0);
-- no more than the history keeps
SET tasker_checkpoint.history_limit = 4;
SELECT count(tasker_checkpoint_save(workflow_step_uuid, '"same"', 0)) FROM steps WHERE name IN ('6', '19', '20');
SELECT * FROM health();
RESET tasker_checkpoint.history_limit;

-- percent of a limit; what is at it is full
SELECT seed('799', '800', '801', '1000');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, '1', 1, string_of(name::integer))) FROM steps;
SET tasker_checkpoint.results_limit = 1000;
SELECT * FROM health();
SELECT * FROM health(near_limit => 100);
SELECT * FROM health(near_limit => 0);
SET tasker_checkpoint.results_limit = -1;
SELECT * FROM health();
SET tasker_checkpoint.results_limit = 0;
SELECT count(*), min(figure) FROM health();
SELECT DISTINCT replace(statement, quote_ident(current_database()), 'here') AS statement FROM tasker_checkpoint_health();
RESET tasker_checkpoint.results_limit;
-- other keys count as results
SELECT seed('alone', 'more');
UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', string_of(700)) || CASE name WHEN 'more' THEN '{"note": "is a key of its own, a hundred bytes long or nearly so, as one has to say something"}' ELSE '{}' END::jsonb;
SET tasker_checkpoint.results_limit = 1000;
SELECT * FROM health();
RESET tasker_checkpoint.results_limit;
-- the cursor's
SELECT seed('799', '800', '801');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, string_of(name::integer), 1)) FROM steps;
SET tasker_checkpoint.cursor_limit = 1000;
SELECT * FROM health();
SET tasker_checkpoint.cursor_limit = -1;
SELECT * FROM health();
RESET tasker_checkpoint.cursor_limit;
-- an index's, which has no setting: text and 12 bytes
CREATE INDEX steps_cursor ON steps ((checkpoint ->> 'cursor'));
CREATE INDEX steps_cut ON steps (left(checkpoint ->> 'cursor', 500));
CREATE INDEX steps_items ON steps ((checkpoint ->> 'items_processed'));
SELECT seed('2151', '2152', '2692');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, to_jsonb(repeat('x', name::integer)), 1)) FROM steps;
SELECT * FROM health(long_cursor => 0);
SELECT DISTINCT statement FROM tasker_checkpoint_health(long_cursor => 0);
DROP INDEX steps_cursor;
SELECT * FROM health(long_cursor => 0);

-- bytes of a cursor
SELECT seed('2047', '2048', '2049', '9000');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, string_of(name::integer), 1)) FROM steps;
SELECT * FROM health();
SELECT * FROM health(long_cursor => 0);
-- what to keep elsewhere no statement can tell
SELECT detail, statement FROM tasker_checkpoint_health(long_cursor => 8192);

-- NULL and less than 0 turn a finding off, too, and all can be off
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1, "accumulated_results": "x"}', in_process = true;
SELECT count(tasker_checkpoint_save(workflow_step_uuid, '"same"', 2)) FROM steps, generate_series(1, 5);
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps WHERE name > '2047';
SELECT count(tasker_checkpoint_pause(workflow_step_uuid)) FROM steps WHERE name = '9000';
UPDATE tasker_checkpoint_events SET available_at = '2000-01-01';
SELECT name, finding FROM health(stale => '1 microsecond', long_cursor => 1);
SELECT * FROM health('0', 0, '0', '0', '0', 0, 0);
SELECT * FROM health(NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT * FROM health('-1 day', -1, '-1 day', '-1 day', '-1 day', -1, -1);
-- more than there can be
SELECT name, finding FROM health('1000 years', 2147483647, '1000 years', '1000 years', '1000 years', 2147483647, 2147483647);
-- and more than there is time, as long as an interval can be
SELECT name, finding FROM health('178000000 years', 5, '178000000 years', '178000000 years', '178000000 years', 0, 0);
SELECT count(*) FROM tasker_checkpoint_health(old_snapshot => '178000000 years', stale => '6000 years') WHERE finding = 'old_snapshot';
-- the view has the defaults
SELECT count(*) FROM (TABLE tasker_checkpoint_health EXCEPT SELECT * FROM tasker_checkpoint_health()) x;
SELECT count(*) FROM tasker_checkpoint_health v JOIN tasker_checkpoint_health() f ON to_jsonb(v) - 'figure' = to_jsonb(f) - 'figure';
DROP FUNCTION health;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION seed(text[]), string_of(integer);

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
CREATE VIEW health AS
SELECT name, finding, severity, CASE unit WHEN 'seconds' THEN NULL ELSE figure END AS figure, threshold, unit
FROM tasker_checkpoint_health JOIN steps ON workflow_step_uuid = step_uuid
ORDER BY name COLLATE "C", finding COLLATE "C", figure;
RESET client_min_messages;

-- times: a minute is further than a second, and the test takes less
SET tasker_checkpoint.health_unclaimed = '1h';
SELECT seed('3540', '3600', '3660', '14340', '14400');
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() - name::integer * interval '1 s' FROM steps WHERE workflow_step_uuid = step_uuid;
SELECT * FROM health;
SET tasker_checkpoint.health_unclaimed = 0;
SELECT * FROM health;
RESET tasker_checkpoint.health_unclaimed;

SET tasker_checkpoint.health_expired = '1h';
SET tasker_checkpoint.health_stale = 0;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 10);
UPDATE tasker_checkpoint_events SET lease_until = clock_timestamp() - name::integer * interval '1 s', available_at = '2000-01-01'
FROM steps WHERE workflow_step_uuid = step_uuid;
SELECT * FROM health;
SET tasker_checkpoint.health_expired = 0;
SELECT * FROM health;
-- until a lease counts as expired its worker can be stale, but never both
SET tasker_checkpoint.health_stale = '1h';
SELECT * FROM health;
SET tasker_checkpoint.health_expired = '1h';
SELECT * FROM health;
-- resumed, it is neither
SELECT count(tasker_checkpoint_resume(workflow_step_uuid)) FROM steps, tasker_checkpoint_pause(workflow_step_uuid);
SELECT * FROM health;
RESET tasker_checkpoint.health_stale;
RESET tasker_checkpoint.health_expired;

SET tasker_checkpoint.health_paused = '1h';
SELECT seed('3540', '3600', '3660', '14400');
SELECT count(tasker_checkpoint_pause(workflow_step_uuid)) FROM steps;
UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() - name::integer * interval '1 s' FROM steps WHERE workflow_step_uuid = step_uuid;
SELECT * FROM health;
SET tasker_checkpoint.health_paused = 0;
SELECT * FROM health;
RESET tasker_checkpoint.health_paused;

-- the last that was heard: a lease that was given or extended, or a checkpoint
SET tasker_checkpoint.health_stale = '1h';
SET tasker_checkpoint.max_lease = '7d';
SELECT seed('3540', '3600', '3660', '14340', '14400', 'saved');
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
SELECT count(*) FROM tasker_checkpoint_claim('one', '7 days', 10);
UPDATE tasker_checkpoint_events SET lease_until = clock_timestamp() + interval '7 days' - CASE name WHEN 'saved' THEN 14400 ELSE name::integer END * interval '1 s'
FROM steps WHERE workflow_step_uuid = step_uuid;
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}' WHERE name = 'saved';
SELECT * FROM health;
SET tasker_checkpoint.health_stale = 0;
SELECT * FROM health;
SET tasker_checkpoint.health_stale = '1h';
-- who has not claimed, but is in process
SELECT seed('nothing');
INSERT INTO steps
SELECT gen_random_uuid(), n, true, false,
	jsonb_build_object('cursor', 1, 'items_processed', 1, 'history_truncated', 1, 'timestamp', clock_timestamp() - n::integer * interval '1 s')
FROM unnest('{3540,3600,3660,14340,14400}'::text[]) n;
SELECT * FROM health;
UPDATE steps SET in_process = NULL WHERE name = '14400';
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{cursor}', '2') WHERE name = '14340';
SELECT * FROM health;
RESET tasker_checkpoint.health_stale;
RESET tasker_checkpoint.max_lease;

-- checkpoints in a row, by JSON's equality; the row ends where cursor or items differ
SET tasker_checkpoint.history_limit = 100;
SELECT seed('4', '5', '6', '19', '20', 'of 6 the cursor differs in 1', 'of 6 the items differ in 1', 'back to where it was', '5 numbers');
SELECT name, count(tasker_checkpoint_save(workflow_step_uuid, '"same"', 0)) FROM steps, generate_series(1, name::integer) WHERE name ~ '^\d+$' GROUP BY 1 ORDER BY name::integer;
SELECT count(tasker_checkpoint_save(workflow_step_uuid, to_jsonb(n = 2), 1)) FROM steps, generate_series(1, 6) n WHERE name = 'of 6 the cursor differs in 1';
SELECT count(tasker_checkpoint_save(workflow_step_uuid, '"same"', CASE WHEN n > 1 THEN 1 ELSE 0 END)) FROM steps, generate_series(1, 6) n WHERE name = 'of 6 the items differ in 1';
SELECT count(tasker_checkpoint_save(workflow_step_uuid, to_jsonb(abs(3 - n)), 1)) FROM steps, generate_series(1, 5) n WHERE name = 'back to where it was';
SELECT count(tasker_checkpoint_save(workflow_step_uuid, ('1.' || repeat('0', n))::jsonb, 1)) FROM steps, generate_series(1, 5) n WHERE name = '5 numbers';
SELECT * FROM health;
SET tasker_checkpoint.health_stalled = 6;
SELECT * FROM health;
SET tasker_checkpoint.health_stalled = 0;
SELECT * FROM health;
-- no more than the history keeps
SET tasker_checkpoint.health_stalled = 5;
SET tasker_checkpoint.history_limit = 4;
SELECT count(tasker_checkpoint_save(workflow_step_uuid, '"same"', 0)) FROM steps WHERE name IN ('6', '19', '20');
SELECT * FROM health;
RESET tasker_checkpoint.history_limit;

-- percent of a limit; what is at it is full
SELECT seed('799', '800', '801', '1000');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, '1', 1, string_of(name::integer))) FROM steps;
SET tasker_checkpoint.results_limit = 1000;
SELECT * FROM health;
SET tasker_checkpoint.health_near_limit = 100;
SELECT * FROM health;
SET tasker_checkpoint.health_near_limit = 0;
SELECT * FROM health;
RESET tasker_checkpoint.health_near_limit;
SET tasker_checkpoint.results_limit = -1;
SELECT * FROM health;
SET tasker_checkpoint.results_limit = 0;
SELECT count(*), min(figure) FROM health;
SELECT DISTINCT replace(statement, quote_ident(current_database()), 'here') AS statement FROM tasker_checkpoint_health;
RESET tasker_checkpoint.results_limit;
-- other keys count as results
SELECT seed('alone', 'more');
UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', string_of(700)) || CASE name WHEN 'more' THEN '{"note": "is a key of its own, a hundred bytes long or nearly so, as one has to say something"}' ELSE '{}' END::jsonb;
SET tasker_checkpoint.results_limit = 1000;
SELECT * FROM health;
RESET tasker_checkpoint.results_limit;
-- the cursor's
SELECT seed('799', '800', '801');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, string_of(name::integer), 1)) FROM steps;
SET tasker_checkpoint.cursor_limit = 1000;
SELECT * FROM health;
SET tasker_checkpoint.cursor_limit = -1;
SELECT * FROM health;
RESET tasker_checkpoint.cursor_limit;
-- an index's, which has no setting: text and 12 bytes
CREATE INDEX steps_cursor ON steps ((checkpoint ->> 'cursor'));
CREATE INDEX steps_cut ON steps (left(checkpoint ->> 'cursor', 500));
CREATE INDEX steps_items ON steps ((checkpoint ->> 'items_processed'));
SET tasker_checkpoint.health_long_cursor = 0;
SELECT seed('2151', '2152', '2692');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, to_jsonb(repeat('x', name::integer)), 1)) FROM steps;
SELECT * FROM health;
SELECT DISTINCT statement FROM tasker_checkpoint_health;
DROP INDEX steps_cursor;
SELECT * FROM health;
RESET tasker_checkpoint.health_long_cursor;

-- bytes of a cursor
SELECT seed('2047', '2048', '2049', '9000');
SELECT count(tasker_checkpoint_save(workflow_step_uuid, string_of(name::integer), 1)) FROM steps;
SELECT * FROM health;
SET tasker_checkpoint.health_long_cursor = 0;
SELECT * FROM health;
-- the statements have figures that do
SET tasker_checkpoint.health_long_cursor = '8kB';
SELECT * FROM health;
SELECT replace(statement, quote_ident(current_database()), 'here') AS statement FROM tasker_checkpoint_health;

-- whoever looks may set them
CREATE ROLE regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SET tasker_checkpoint.health_long_cursor = 1;
RESET ROLE;
DROP VIEW health;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION seed(text[]), string_of(integer);
DROP ROLE regress_tckpt_reader;

-- The figures of a document: the rate, over the newest entries of its history
SET client_min_messages = error;
SET timezone = 'UTC';
CREATE EXTENSION tasker_checkpoint;

CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps', 'id');

-- of a history with an entry for each of these items and seconds; NULL leaves the key out
CREATE FUNCTION rate(items bigint[], seconds numeric[]) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	step uuid := gen_random_uuid();
BEGIN
	INSERT INTO steps VALUES (step, jsonb_build_object('cursor', 0, 'items_processed', 0, 'history', (
		SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('cursor', 0, 'items_processed', i, 'timestamp',
			to_char(timestamp '2026-01-01' + s * interval '1 second', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))) ORDER BY n), '[]')
		FROM unnest(items, seconds) WITH ORDINALITY AS e (i, s, n))));
	RETURN (SELECT p.rate FROM tasker_checkpoint_progress(step) p);
END
$$;

INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', '{"cursor": 3, "items_processed": 300, "timestamp": "2026-01-01T00:00:03.5Z",
	"accumulated_results": {"total_items": 1000}, "history_truncated": 5, "history": [
	{"cursor": 1, "items_processed": 100, "timestamp": "2026-01-01T00:00:01Z"},
	{"cursor": 3, "items_processed": 300, "timestamp": "2026-01-01T00:00:03.5Z"}]}'),
	('00000000-0000-0000-0000-000000000002', NULL);
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000002') IS NOT NULL AS dispatched;
SELECT items_processed, total, rate, checkpointed_at, sequence FROM tasker_checkpoint_progress ORDER BY step_uuid;

-- none, one, two entries
SELECT rate('{}', '{}'), rate('{100}', '{1}'), rate('{100,200}', '{1,2}');
-- six digits say enough
SELECT rate('{0,1}', '{0,3}'), rate('{0,1}', '{0,700000}'), rate('{0,1234567891}', '{0,1}'),
	rate('{0,9223372036854775807}', '{0,0.000001}');

-- a pause is left out, wherever it is; so is a hurry
SELECT rate('{100,200,300,400}', '{1,2,3602,3603}') AS in_the_middle,
	rate('{100,200,300,400}', '{1,2,3,3603}') AS at_the_end,
	rate('{100,200,300}', '{1,2,3602}') AS of_two,
	rate('{100,200,300,400}', '{1,2,2.001,3}') AS hurry,
	rate('{100,200,300,400,500,600,700}', '{1,2,3602,3603,7203,7204,7205}') AS twice;
-- a few items in no time, after each batch, count as few
SELECT rate('{100,101,201,202,302,303,403}', '{10,10.001,20,20.001,30,30.001,40}');
-- the old pace is forgotten after 20 intervals
SELECT rate(array_agg(CASE WHEN n < 20 THEN n * 1000 ELSE 20000 + (n - 20) * 10 END ORDER BY n), array_agg(n ORDER BY n)) FROM generate_series(0, 40) n;
SELECT rate(array_agg(CASE WHEN n < 20 THEN n * 1000 ELSE 20000 + (n - 20) * 10 END ORDER BY n), array_agg(n ORDER BY n)) FROM generate_series(0, 39) n;

-- no progress: the time counts with that of the next items
SELECT rate('{100,100,100,200}', '{0,1,2,5}'), rate('{100,100,100}', '{0,1,2}');
-- at one time: the items count with the next ones
SELECT rate('{100,200,300}', '{1,1,3}'), rate('{100,200}', '{1,1}');
-- taken back: neither fewer items nor an earlier time is an interval
SELECT rate('{100,200,50,150}', '{1,2,3,4}'), rate('{100,50}', '{1,2}'), rate('{100,200,300,400}', '{100,101,1,2}'), rate('{100,200}', '{2,1}');
-- Tasker's own entries have no items, others no time
SELECT rate('{NULL,100,NULL,300}', '{0,1,2,3}'), rate('{NULL,NULL,NULL}', '{0,1,2}'), rate('{100,200,300}', '{1,NULL,5}');

DROP FUNCTION rate;

-- what a worker's own saves and a rewind leave
TRUNCATE steps;
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
SET tasker_checkpoint.history_limit = 21;
SELECT count(tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i)) FROM generate_series(1, 150) i;
SELECT items_processed, rate > 1 AS fast, sequence FROM tasker_checkpoint_progress;
SELECT sequence FROM tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 140);
SELECT items_processed, rate > 1 AS fast, sequence FROM tasker_checkpoint_progress;
SET tasker_checkpoint.history_limit = 0;
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '200', 200);
SELECT items_processed, rate, sequence FROM tasker_checkpoint_progress;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

-- history_limit and history_size cut the oldest entries, and never refuse anything
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
-- each setting is the operator's
CREATE PROCEDURE set_limits(entries text, size text) LANGUAGE sql AS $$
	SELECT set_config('tasker_checkpoint.history_limit', entries, false), set_config('tasker_checkpoint.history_size', size, false)
$$;
CREATE FUNCTION yields(first int, last int, cursor jsonb DEFAULT NULL)
RETURNS TABLE (sequence bigint, entries int, oldest jsonb, truncated jsonb, size int)
LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		sequence := (tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', coalesce(cursor, to_jsonb(i)), i)).sequence;
	END LOOP;
	SELECT jsonb_array_length(checkpoint -> 'history'), checkpoint #> '{history,0,items_processed}', checkpoint -> 'history_truncated',
		pg_column_size(checkpoint -> 'history')
	INTO entries, oldest, truncated, size FROM steps;
	RETURN NEXT;
END
$$;
GRANT EXECUTE ON FUNCTION yields TO regress_tckpt_worker;
RESET client_min_messages;

-- none kept: the sequence goes on all the same
CALL set_limits('0', '64kB');
SET ROLE regress_tckpt_worker;
SELECT * FROM yields(1, 1);
SELECT * FROM yields(2, 5);
SELECT checkpoint -> 'history' AS history FROM steps;

-- one kept
RESET ROLE;
CALL set_limits('1', '64kB');
SET ROLE regress_tckpt_worker;
SELECT * FROM yields(6, 6);
SELECT * FROM yields(7, 10);

-- three kept: one less, as many, one more
RESET ROLE;
CALL set_limits('3', '64kB');
SELECT tasker_checkpoint_clear(:'s1');
SET ROLE regress_tckpt_worker;
SELECT * FROM yields(1, 2);
SELECT * FROM yields(3, 3);
SELECT * FROM yields(4, 4);
SELECT * FROM yields(5, 9);

-- a limit that is lowered cuts at the next checkpoint, not by an edit; one that is raised brings nothing back
RESET ROLE;
CALL set_limits('2', '64kB');
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}';
SELECT jsonb_array_length(checkpoint -> 'history') AS entries FROM steps;
SELECT * FROM yields(10, 10);
RESET ROLE;
CALL set_limits('5', '64kB');
SET ROLE regress_tckpt_worker;
SELECT * FROM yields(11, 11);

-- the default is a hundred, -1 is all
RESET ROLE;
RESET tasker_checkpoint.history_limit;
RESET tasker_checkpoint.history_size;
SELECT tasker_checkpoint_clear(:'s1');
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, oldest, truncated FROM yields(1, 10);
SELECT sequence, entries, oldest, truncated FROM yields(11, 11);
RESET ROLE;
CALL set_limits('-1', '-1');
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, oldest, truncated, size > 100000 AS large FROM yields(12, 1200);
-- and back
RESET ROLE;
RESET tasker_checkpoint.history_limit;
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, oldest, truncated FROM yields(1201, 1201);

-- size: what three entries take, one byte less, one byte more
RESET ROLE;
SELECT tasker_checkpoint_clear(:'s1');
CALL set_limits('-1', '-1');
SET ROLE regress_tckpt_worker;
SELECT size AS three FROM yields(1, 3) \gset
RESET ROLE;
SELECT tasker_checkpoint_clear(:'s1');
SET tasker_checkpoint.history_size = :three;
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, oldest, truncated FROM yields(1, 3);
SELECT sequence, entries, oldest, truncated FROM yields(4, 4);
RESET ROLE;
SELECT tasker_checkpoint_clear(:'s1');
SELECT :three - 1 AS less, :three + 1 AS more \gset
SET tasker_checkpoint.history_size = :less;
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, oldest, truncated, size < :three AS fits FROM yields(1, 3);
SELECT sequence, entries, oldest, truncated, size < :three AS fits FROM yields(4, 4);
RESET ROLE;
SELECT tasker_checkpoint_clear(:'s1');
SET tasker_checkpoint.history_size = :more;
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, oldest, truncated FROM yields(1, 4);

-- the same with entries of other sizes: what is kept always fits, and one more would not
RESET ROLE;
SELECT tasker_checkpoint_clear(:'s1');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '0', 0);
DO $$
DECLARE
	step uuid := '00000000-0000-0000-0000-000000000001';
	before jsonb;
	after jsonb;
	kept int;
	bad int := 0;
	cut int := 0;
	size int;
BEGIN
	PERFORM setseed(0.25);
	PERFORM set_config('tasker_checkpoint.history_limit', '-1', false);
	FOR i IN 1 .. 1000 LOOP
		size := random() * 1500;
		PERFORM set_config('tasker_checkpoint.history_size', size::text, false);
		SELECT checkpoint -> 'history' INTO before FROM steps WHERE workflow_step_uuid = step;
		PERFORM tasker_checkpoint_yield(step, CASE WHEN random() < 0.3 THEN to_jsonb(i) ELSE to_jsonb(repeat('x', (random() * 200)::int)) END, i);
		SELECT checkpoint -> 'history', before || (checkpoint - 'history' - 'accumulated_results' - 'history_truncated')
		INTO after, before FROM steps WHERE workflow_step_uuid = step;
		kept := jsonb_array_length(after);
		IF jsonb_array_length(before) > kept THEN
			cut := cut + 1;
		END IF;
		IF pg_column_size(after) > greatest(size, 8)
		OR after <> jsonb_path_query_array(before, format('$[%s to last]', jsonb_array_length(before) - kept)::jsonpath)
		OR jsonb_array_length(before) > kept AND pg_column_size(jsonb_path_query_array(before,
			format('$[%s to last]', jsonb_array_length(before) - kept - 1)::jsonpath)) <= size
		THEN
			bad := bad + 1;
		END IF;
	END LOOP;
	RAISE NOTICE 'bad: %, cut: %', bad, cut > 100;
END
$$;

-- an entry that is too large by itself goes as well
SELECT tasker_checkpoint_clear(:'s1');
CALL set_limits('100', '1kB');
SET ROLE regress_tckpt_worker;
SELECT * FROM yields(1, 2);
SELECT * FROM yields(3, 3, to_jsonb(repeat('x', 2000)));
SELECT checkpoint -> 'history' AS history, length(checkpoint ->> 'cursor') FROM steps;
SELECT sequence, entries, oldest, truncated FROM yields(4, 4);

-- no room at all
RESET ROLE;
CALL set_limits('100', '0');
SET ROLE regress_tckpt_worker;
SELECT * FROM yields(5, 6);

-- whichever is less counts
RESET ROLE;
SET tasker_checkpoint.history_size = :three;
SET tasker_checkpoint.history_limit = 2;
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, truncated FROM yields(7, 12);
RESET ROLE;
SET tasker_checkpoint.history_limit = 4;
SET ROLE regress_tckpt_worker;
SELECT sequence, entries, truncated FROM yields(13, 18);

-- direct statements are cut alike
UPDATE steps SET checkpoint = '{"cursor": 19, "items_processed": 19, "history": []}';
SELECT sequence, jsonb_array_length(checkpoint -> 'history') AS entries FROM steps, tasker_checkpoint_load(workflow_step_uuid);

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP PROCEDURE set_limits;
DROP FUNCTION yields;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

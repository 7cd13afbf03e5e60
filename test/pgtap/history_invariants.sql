-- After whatever operations: sequence = history_truncated + length of history, and it never falls but by a clear
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps') \gset
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
SET LOCAL tasker_checkpoint.require_monotonic_items = off;

-- what was really written, to be compared with what history says
CREATE TEMPORARY TABLE written (n serial, sequence bigint, cursor jsonb, items bigint, stamp text);
CREATE TEMPORARY TABLE broken (what text, n int);
CREATE FUNCTION pg_temp.operate(rounds int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	step uuid := '00000000-0000-0000-0000-000000000001';
	last bigint := 0;
	last_stamp text := '';
	operation int;
	state tasker_checkpoint_state;
	document jsonb;
	receipt bigint;
	done int := 0;
BEGIN
	PERFORM setseed(0.75);
	FOR i IN 1 .. rounds LOOP
		receipt := NULL;
		operation := random() * 9;
		IF operation <= 1 THEN
			receipt := (tasker_checkpoint_yield(step, to_jsonb(i), i)).sequence;
		ELSIF operation = 2 THEN
			receipt := (tasker_checkpoint_save(step, to_jsonb(i), i, to_jsonb(i))).sequence;
		ELSIF operation <= 4 THEN
			-- whatever is claimed of history, a new checkpoint; without any entry it could be an
			-- earlier one, by its number
			UPDATE steps SET checkpoint = jsonb_build_object('cursor', i, 'items_processed', i, 'history',
				(SELECT jsonb_agg('{"cursor": "forged"}'::jsonb) FROM generate_series(1, 1 + (random() * 9)::int)),
				'history_truncated', (random() * 100)::int, 'timestamp', '2999-01-01T00:00:00Z');
			receipt := last + 1;
		ELSIF operation = 5 THEN
			-- an edit: trim, and forge
			UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', coalesce(
				(SELECT jsonb_agg('{"cursor": "forged"}'::jsonb) FROM generate_series(1, (random() * 20)::int)), '[]')) WHERE checkpoint IS NOT NULL;
		ELSIF operation = 6 THEN
			UPDATE steps SET checkpoint = checkpoint || jsonb_build_object('history_truncated', (random() * 1000)::int, 'note', i);
		ELSIF operation = 7 THEN
			UPDATE steps SET checkpoint = checkpoint - 'history_truncated' - 'history';
		ELSIF operation = 8 THEN
			PERFORM set_config('tasker_checkpoint.history_limit', (ARRAY[0, 1, 2, 5, 20, -1])[1 + (random() * 5)::int]::text, true);
		ELSIF random() < 0.2 THEN
			UPDATE steps SET checkpoint = NULL;
			last := 0;
			last_stamp := '';
			DELETE FROM written;
		END IF;

		SELECT checkpoint INTO document FROM steps;
		state := tasker_checkpoint_load(step);
		IF receipt IS NOT NULL THEN
			done := done + 1;
			INSERT INTO written (sequence, cursor, items, stamp) VALUES (receipt, to_jsonb(i), i, document ->> 'timestamp');
			IF receipt <> last + 1 OR state.sequence <> receipt THEN
				INSERT INTO broken VALUES ('sequence of a new checkpoint', i);
			END IF;
			IF document ->> 'timestamp' <= last_stamp THEN
				INSERT INTO broken VALUES ('time', i);
			END IF;
			IF document - '{history,history_truncated,timestamp,accumulated_results}'::text[] <> jsonb_build_object('cursor', i, 'items_processed', i) THEN
				INSERT INTO broken VALUES ('keys', i);
			END IF;
			last_stamp := document ->> 'timestamp';
			last := receipt;
		ELSIF state.sequence <> last THEN
			INSERT INTO broken VALUES ('sequence without a new checkpoint', i);
		END IF;
		IF state.sequence <> coalesce((document ->> 'history_truncated')::bigint, 0) + coalesce(jsonb_array_length(document -> 'history'), 0) THEN
			INSERT INTO broken VALUES ('sequence = history_truncated + length', i);
		END IF;
		IF document ->> 'history_truncated' = '0' THEN
			INSERT INTO broken VALUES ('history_truncated is absent while 0', i);
		END IF;
		-- each entry is one that was written, at its place
		IF EXISTS (SELECT FROM jsonb_array_elements(document -> 'history') WITH ORDINALITY h (entry, position)
				LEFT JOIN written ON sequence = coalesce((document ->> 'history_truncated')::bigint, 0) + position
				WHERE entry IS DISTINCT FROM jsonb_build_object('cursor', cursor, 'items_processed', items, 'timestamp', stamp)) THEN
			INSERT INTO broken VALUES ('entries', i);
		END IF;
	END LOOP;
	RETURN done;
END
$$;

SELECT plan(3);
SELECT cmp_ok(pg_temp.operate(3000), '>', 1000, 'new checkpoints among 3000 operations');
SELECT is_empty('SELECT * FROM broken ORDER BY n', 'none of them breaks an invariant');
SELECT isnt_empty('SELECT * FROM written', 'and there was something to be compared');

SELECT * FROM finish();
ROLLBACK;

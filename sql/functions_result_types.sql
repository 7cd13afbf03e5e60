-- A function whose result type was given other columns says so
\set s1 00000000-0000-0000-0000-000000000001
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean);
SELECT tasker_checkpoint_attach('steps') \g /dev/null
INSERT INTO steps VALUES (:'s1');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SET client_min_messages = warning;

-- one more, another type, one less
CREATE PROCEDURE try(named text, call text) LANGUAGE plpgsql AS $$
DECLARE
	change text;
	attribute name := (SELECT attname FROM pg_attribute WHERE attrelid = ('tasker_checkpoint_' || named)::regclass AND attnum = 1);
BEGIN
	FOREACH change IN ARRAY ARRAY['ADD ATTRIBUTE more text', 'ALTER ATTRIBUTE %I TYPE "char"', 'DROP ATTRIBUTE %I'] LOOP
		BEGIN
			EXECUTE 'ALTER TYPE tasker_checkpoint_' || named || ' ' || format(change, attribute);
			EXECUTE 'SELECT * FROM ' || call;
			RAISE INFO '%: nothing was said', change;
			RAISE SQLSTATE 'TT000';
		EXCEPTION WHEN SQLSTATE 'TT000' THEN NULL;
			WHEN object_not_in_prerequisite_state THEN RAISE INFO '%: %', change, sqlerrm;
		END;
	END LOOP;
END
$$;
CALL try('receipt', $$tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', 1)$$);
CALL try('receipt', $$tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1)$$);
CALL try('delivery', $$tasker_checkpoint_claim('w')$$);
CALL try('state', $$tasker_checkpoint_load('00000000-0000-0000-0000-000000000001')$$);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1);
CALL try('receipt', $$tasker_checkpoint_rewind('00000000-0000-0000-0000-000000000001', 1)$$);
SELECT sequence FROM tasker_checkpoint_load(:'s1');

DROP PROCEDURE try;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

-- Whatever is done to the archive's indexes and rows, checkpoints are stored, archived and found
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
RESET client_min_messages;
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 2;
CREATE PROCEDURE go(n int) LANGUAGE plpgsql AS $$
DECLARE
	seen text;
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
	END LOOP;
	SELECT format('%s of %s, up to %s in generation %s', count(DISTINCT sequence), max(sequence) - min(sequence) + 1, max(sequence), generation) INTO seen
	FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001') GROUP BY generation ORDER BY generation DESC LIMIT 1;
	RAISE NOTICE '%', seen;
END
$$;
SET tasker_checkpoint.require_monotonic_items = off;
CALL go(10);
CREATE INDEX ON tasker_checkpoint_archive (archived_at);
CALL go(5);
CREATE UNIQUE INDEX second ON tasker_checkpoint_archive (step_uuid, generation, first_sequence);
CREATE INDEX ON tasker_checkpoint_archive (step_uuid DESC, generation DESC, first_sequence DESC);
CREATE INDEX ON tasker_checkpoint_archive USING hash (step_uuid);
CREATE INDEX ON tasker_checkpoint_archive (step_uuid, generation, first_sequence) WHERE cleared_by IS NOT NULL;
CALL go(5);
ALTER INDEX tasker_checkpoint_archive_pkey RENAME TO other;
CALL go(5);
ALTER TABLE tasker_checkpoint_archive DROP CONSTRAINT other;
CALL go(5);
DROP INDEX second;
SELECT count(*) FROM pg_index WHERE indrelid = 'tasker_checkpoint_archive'::regclass AND indkey::text LIKE '1 2 3%' AND indpred IS NULL AND indoption::text = '0 0 0';
CALL go(5);
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 7);
SELECT cursor FROM tasker_checkpoint_load(:'s1');
SELECT tasker_checkpoint_clear(:'s1');
CALL go(3);
ALTER TABLE tasker_checkpoint_archive ADD PRIMARY KEY (step_uuid, generation, first_sequence);
VACUUM FULL tasker_checkpoint_archive;
CALL go(5);
-- rows that somebody has edited are passed over, or end the trail
SELECT count(*) > 5 AS rows FROM tasker_checkpoint_archive;
\set VERBOSITY sqlstate
UPDATE tasker_checkpoint_archive SET last_sequence = first_sequence - 2; -- fail
UPDATE tasker_checkpoint_archive SET entries = '{}'; -- fail
\set VERBOSITY default
ALTER TABLE tasker_checkpoint_archive ALTER entries DROP NOT NULL, ALTER archived_at DROP NOT NULL,
	DROP CONSTRAINT tasker_checkpoint_archive_check, DROP CONSTRAINT tasker_checkpoint_archive_entries_check;
UPDATE tasker_checkpoint_archive SET entries = NULL WHERE first_sequence % 4 = 0;
UPDATE tasker_checkpoint_archive SET entries = '{"no": "array"}' WHERE first_sequence % 4 = 1;
UPDATE tasker_checkpoint_archive SET last_sequence = 9223372036854775807 WHERE first_sequence % 4 = 2;
UPDATE tasker_checkpoint_archive SET entries = '[1, null, {}, []]', last_at = NULL, next_at = NULL WHERE first_sequence % 4 = 3;
SELECT count(*) > 0 AS some FROM tasker_checkpoint_history(:'s1');
SELECT max(sequence) FROM generate_series(1, 9) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT max(sequence) FROM tasker_checkpoint_history(:'s1');
DELETE FROM tasker_checkpoint_archive WHERE entries IS NULL OR last_sequence < 100;
CALL go(5);
TRUNCATE tasker_checkpoint_archive;
CALL go(5);

DROP PROCEDURE go;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

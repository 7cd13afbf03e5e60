-- The archive: what is cut goes there first, each entry once, and the trail has no gap
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002');
RESET client_min_messages;

CREATE VIEW rows AS
SELECT right(step_uuid::text, 1) AS step, generation AS gen, first_sequence AS first, last_sequence AS last,
	jsonb_array_length(entries) AS entries, entries -> 0 ->> 'cursor' AS cursor, entries -> -1 ->> 'cursor' AS to_cursor,
	(entries -> -1 ->> 'timestamp')::timestamptz = last_at AS last_at, cleared_by IS NOT NULL AS cleared, accumulated_results AS results
FROM tasker_checkpoint_archive ORDER BY step_uuid, generation, first_sequence;
-- the trail: one line for each generation
CREATE FUNCTION trail(step text) RETURNS TABLE (gen int, trail text, no_gap boolean, in_order boolean, archived bigint, cleared boolean, results jsonb)
LANGUAGE sql AS $$
	SELECT generation, string_agg(format('%s:%s', sequence, cursor), ' ' ORDER BY n),
		max(sequence) - min(sequence) + 1 = count(*) AND count(DISTINCT sequence) = count(*), bool_and(ok),
		count(*) FILTER (WHERE h.archived), bool_and(cleared_at IS NOT NULL AND cleared_by = session_user), max(accumulated_results::text)::jsonb
	FROM (SELECT *, ROW(sequence, checkpointed_at) > lag(ROW(sequence, checkpointed_at)) OVER (PARTITION BY generation ORDER BY n) IS NOT false AS ok
		FROM tasker_checkpoint_history(('00000000-0000-0000-0000-00000000000' || step)::uuid) WITH ORDINALITY h (generation, sequence, cursor,
			items, checkpointed_at, accumulated_results, archived, cleared_at, cleared_by, n)) h
	GROUP BY 1 ORDER BY 1
$$;
CREATE PROCEDURE save(step int, from_n int, to_n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN from_n .. to_n LOOP
		PERFORM tasker_checkpoint_save(('00000000-0000-0000-0000-00000000000' || step)::uuid, to_jsonb(n), n, to_jsonb('results of ' || n));
	END LOOP;
END
$$;

-- off: what is cut is gone
SET tasker_checkpoint.history_limit = 4;
CALL save(1, 1, 6);
SELECT count(*) FROM tasker_checkpoint_archive;
SELECT * FROM trail('1');

-- on: all that is stored goes as soon as the first of it is cut, then nothing until its last is cut
SET tasker_checkpoint.archive_history = on;
CALL save(1, 7, 7);
SELECT * FROM rows;
CALL save(1, 8, 10);
SELECT count(*) FROM rows;
CALL save(1, 11, 11);
SELECT * FROM rows;
SELECT * FROM trail('1');
-- the checkpoint itself is no longer than without
SELECT jsonb_array_length(checkpoint -> 'history') AS history, checkpoint ->> 'history_truncated' AS truncated FROM steps WHERE workflow_step_uuid::text ~ '1$';

-- history of another length: shorter, longer, none, cut by size
SET tasker_checkpoint.history_limit = 2;
CALL save(1, 12, 14);
SET tasker_checkpoint.history_limit = 6;
CALL save(1, 15, 22);
SET tasker_checkpoint.history_limit = 0;
CALL save(1, 23, 25);
SET tasker_checkpoint.history_limit = 5;
CALL save(1, 26, 33);
SET tasker_checkpoint.history_size = 250;
CALL save(1, 34, 36);
RESET tasker_checkpoint.history_size;
SELECT * FROM trail('1');
SELECT gen, first, last, entries FROM rows;
-- each entry is in one row
SELECT count(*) = sum(n) FROM (SELECT count(*) AS n FROM tasker_checkpoint_archive, generate_series(first_sequence, last_sequence) s GROUP BY step_uuid, generation, s) c;

-- an edit cuts too
UPDATE steps SET checkpoint = checkpoint || '{"history": [0]}' WHERE workflow_step_uuid::text ~ '1$';
SELECT jsonb_array_length(checkpoint -> 'history') AS history FROM steps WHERE workflow_step_uuid::text ~ '1$';
SELECT right(trail, 60), no_gap, in_order FROM trail('1');

-- what is rolled back is not archived
BEGIN;
SAVEPOINT a;
CALL save(1, 37, 60);
SELECT count(*) FROM rows;
ROLLBACK TO a;
CALL save(1, 37, 48);
SELECT right(trail, 40), no_gap, in_order FROM trail('1');
COMMIT;
SELECT right(trail, 40), no_gap, in_order FROM trail('1');

-- a clear ends a generation: it archives the rest, with its results, and says who
TRUNCATE tasker_checkpoint_archive;
UPDATE steps SET checkpoint = NULL;
TRUNCATE tasker_checkpoint_archive;
SELECT * FROM trail('2');
CALL save(2, 1, 3);
SELECT * FROM trail('2');
SELECT tasker_checkpoint_clear('00000000-0000-0000-0000-000000000002');
SELECT * FROM trail('2');
CALL save(2, 1, 7);
-- in every way
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid::text ~ '2$';
CALL save(2, 1, 1);
UPDATE steps SET checkpoint = 'null' WHERE workflow_step_uuid::text ~ '2$';
CALL save(2, 1, 2);
SELECT tasker_checkpoint_reset_for_retry('00000000-0000-0000-0000-000000000002', true);
CALL save(2, 5, 6);
SELECT * FROM rows;
SELECT * FROM trail('2');
-- no checkpoint, no clear
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid::text ~ '1$';
SELECT tasker_checkpoint_clear('00000000-0000-0000-0000-000000000001');
SELECT * FROM trail('1');

-- a clear that was not archived begins a trail anew: what came before is not known to be this step's
TRUNCATE tasker_checkpoint_archive;
CALL save(1, 1, 8);
SET tasker_checkpoint.archive_history = off;
SELECT tasker_checkpoint_clear('00000000-0000-0000-0000-000000000001');
CALL save(1, 101, 103);
SET tasker_checkpoint.archive_history = on;
SELECT gen, trail, cleared FROM trail('1');
CALL save(1, 104, 109);
SELECT * FROM trail('1');
-- also when it has got further than the archive
SET tasker_checkpoint.archive_history = off;
SELECT tasker_checkpoint_clear('00000000-0000-0000-0000-000000000001');
CALL save(1, 201, 208);
SET tasker_checkpoint.archive_history = on;
CALL save(1, 209, 210);
SELECT * FROM trail('1');
-- a history that was cut while nothing was archived goes on, with a gap
SET tasker_checkpoint.archive_history = off;
CALL save(1, 211, 220);
SET tasker_checkpoint.archive_history = on;
CALL save(1, 221, 222);
SELECT * FROM trail('1');

-- errors
SELECT * FROM tasker_checkpoint_history(NULL); -- fail
SELECT * FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000009'); -- fail
DROP FUNCTION trail;
DROP PROCEDURE save;
DROP VIEW rows;
DROP TABLE steps;
SELECT * FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001'); -- fail
RESET tasker_checkpoint.archive_history;
DROP EXTENSION tasker_checkpoint;

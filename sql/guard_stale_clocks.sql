-- What is written back is told from what is new whatever the clocks of server and writers say
\set s 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, note text, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
RESET client_min_messages;
CREATE TABLE copy (checkpoint jsonb);
CREATE VIEW state AS SELECT note, checkpoint -> 'cursor' AS cursor, jsonb_array_length(checkpoint -> 'history') AS entries,
	(tasker_checkpoint_load(workflow_step_uuid)).sequence FROM steps;
-- a time as the guard prints it, so far from now
CREATE FUNCTION at(ahead interval) RETURNS text LANGUAGE sql AS $$
	SELECT to_char((clock_timestamp() + ahead) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
-- a document as a writer composes it who has a clock of its own, on top of an old one
CREATE FUNCTION compose(cursor int, ahead interval, old jsonb, counted boolean DEFAULT false) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	own jsonb := jsonb_build_object('cursor', cursor, 'items_processed', cursor, 'timestamp', at(ahead));
BEGIN
	RETURN own || jsonb_build_object('accumulated_results', NULL, 'history', coalesce(old -> 'history', '[]') || own) ||
		CASE WHEN counted THEN jsonb_build_object('history_truncated', coalesce(old -> 'history_truncated', '0')) ELSE '{}' END;
END $$;
CREATE PROCEDURE begin_with(checkpoint jsonb) LANGUAGE sql AS $$
	DELETE FROM steps;
	DELETE FROM copy;
	INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', '', checkpoint);
	INSERT INTO copy VALUES (checkpoint);
$$;
CREATE PROCEDURE save(from_n int, to_n int) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN from_n .. to_n LOOP
		PERFORM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(n), n);
	END LOOP;
END $$;

-- a row read while the server's clock was ahead: a year, an hour, a little; its entry is cut since, or there was none
CALL begin_with(compose(1, '1 year', NULL));
CALL save(2, 22);
UPDATE steps SET note = 'a year', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;
CALL begin_with(compose(1, '1 hour', NULL));
CALL save(2, 22);
UPDATE steps SET note = 'an hour', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;
CALL begin_with(compose(1, '2 minutes', NULL));
CALL save(2, 22);
UPDATE steps SET note = 'two minutes', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;
CALL begin_with(compose(1, '1 year', NULL));
SET tasker_checkpoint.history_limit = 0;
CALL save(2, 22);
UPDATE steps SET note = 'no history', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;
CALL begin_with(compose(2, '1 year', NULL) || '{"history": [], "history_truncated": 2}');
CALL save(3, 22);
UPDATE steps SET note = 'no history in either', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;
RESET tasker_checkpoint.history_limit;
-- while it is in the history
CALL begin_with(compose(1, '1 year', NULL));
CALL save(2, 3);
UPDATE steps SET note = 'kept', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;

-- a writer who composes like the guard, and whose clock is behind or ahead, from the first checkpoint on
CALL begin_with('{"cursor": 1, "items_processed": 1}');
UPDATE steps SET checkpoint = compose(2, '-30 s', checkpoint);
UPDATE steps SET checkpoint = compose(3, '-30 s', checkpoint, true);
UPDATE steps SET checkpoint = compose(4, '-1 year', checkpoint);
UPDATE steps SET checkpoint = compose(5, '30 s', checkpoint);
UPDATE steps SET checkpoint = compose(6, '1 year', checkpoint);
SELECT * FROM state;
SET tasker_checkpoint.history_limit = 1;
UPDATE steps SET checkpoint = compose(7, '-30 s', checkpoint);
UPDATE steps SET checkpoint = compose(8, '-30 s', checkpoint, true);
SELECT * FROM state;
-- without history: he counts, or his clock is not behind
SET tasker_checkpoint.history_limit = 0;
UPDATE steps SET checkpoint = compose(9, '-30 s', checkpoint, true);
UPDATE steps SET checkpoint = compose(10, '-30 s', checkpoint, true);
UPDATE steps SET checkpoint = compose(11, '30 s', checkpoint);
UPDATE steps SET checkpoint = compose(12, '30 s', checkpoint);
SELECT * FROM state;
RESET tasker_checkpoint.history_limit;
-- who sends his own entry alone; also where the history goes back to his clock
CALL begin_with('{"cursor": 1, "items_processed": 1}');
UPDATE steps SET checkpoint = compose(2, '1 s', NULL);
UPDATE steps SET checkpoint = compose(3, '1 s', NULL);
SELECT * FROM state;
CALL begin_with(compose(1, '-1 hour', NULL));
UPDATE steps SET checkpoint = compose(2, '-30 s', NULL);
UPDATE steps SET checkpoint = compose(3, '-30 s', NULL);
SELECT * FROM state;

-- two who have read the same, or an earlier one, keep an entry each
CALL begin_with(compose(1, '-1 hour', NULL));
INSERT INTO copy SELECT checkpoint FROM steps;
UPDATE steps SET checkpoint = compose(2, '-30 s', checkpoint);
UPDATE steps SET checkpoint = compose(3, '-40 s', (SELECT checkpoint FROM copy LIMIT 1));
UPDATE steps SET checkpoint = compose(4, '-40 s', (SELECT checkpoint FROM copy LIMIT 1), true);
SELECT * FROM state;

-- a copy from before a clear is older than what was begun anew, whatever its number
CALL begin_with('{"cursor": 1, "items_processed": 1}');
CALL save(2, 2);
DELETE FROM copy;
INSERT INTO copy SELECT checkpoint FROM steps;
UPDATE steps SET checkpoint = NULL;
CALL save(10, 10);
UPDATE steps SET note = 'one more', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;
CALL save(11, 11);
UPDATE steps SET note = 'as many', checkpoint = copy.checkpoint FROM copy;
CALL save(12, 12);
UPDATE steps SET note = 'fewer', checkpoint = copy.checkpoint FROM copy;
SELECT * FROM state;

-- a stored time that is ahead of all clocks, or none, makes nothing older by its time
CALL begin_with(compose(1, '1 year', NULL));
UPDATE steps SET checkpoint = compose(2, '0', NULL);
SELECT * FROM state;
CALL begin_with(compose(1, '1 year', NULL) || '{"timestamp": "yesterday"}');
UPDATE steps SET checkpoint = compose(2, '0', NULL);
SELECT * FROM state;

DROP VIEW state;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, copy;
DROP FUNCTION at, compose;
DROP PROCEDURE begin_with, save;

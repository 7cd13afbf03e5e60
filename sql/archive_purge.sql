-- Purging the archive: months that are over go at once, the rest in batches; the trail goes on
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_operator;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
RESET client_min_messages;

-- a row for each of the last 14 months; those of 12 and 13 months ago share the partitions of this month and the last
CREATE FUNCTION month(ago int) RETURNS timestamptz LANGUAGE sql AS $$
	SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - ago * interval '1 month') AT TIME ZONE 'UTC'
$$;
CREATE FUNCTION since(ago int) RETURNS interval LANGUAGE sql AS $$
	SELECT make_interval(secs => extract(epoch FROM now() - month(ago)))
$$;
CREATE PROCEDURE archive(ago int, rows int) LANGUAGE sql AS $$
	INSERT INTO tasker_checkpoint_archive
	SELECT '00000000-0000-0000-0000-000000000001', 1, 1000 - 10 * ago + i, 1000 - 10 * ago + i, now(), month(ago) + interval '1 second',
		NULL, jsonb_build_array(jsonb_build_object('cursor', i)), NULL
	FROM generate_series(0, rows - 1) i
$$;
CREATE VIEW months AS
SELECT ago, count(*) AS rows FROM tasker_checkpoint_archive JOIN generate_series(0, 13) ago ON archived_at = month(ago) + interval '1 second' GROUP BY ago ORDER BY ago;
DO $$
BEGIN
	FOR ago IN 0 .. 13 LOOP
		CALL archive(ago, 1);
	END LOOP;
END
$$;
SELECT count(DISTINCT tableoid), count(*) FROM tasker_checkpoint_archive;

-- they are one trail, in order
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
SELECT count(*), bool_and(ok) AS in_order FROM (SELECT sequence > lag(sequence) OVER (ORDER BY ordinality) IS NOT false AS ok
	FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001') WITH ORDINALITY) t;

-- a dry run counts, and changes nothing
SELECT tasker_checkpoint_purge_archive('500 years', dry_run => true) AS none, tasker_checkpoint_purge_archive('0', dry_run => true) AS everything,
	tasker_checkpoint_purge_archive(since(11), 1, true) AS oldest;
SELECT count(*) FROM tasker_checkpoint_archive;

-- what is older than all that is there
SELECT tasker_checkpoint_purge_archive('500 years');
-- what shares a younger month's partition goes by rows
SELECT tasker_checkpoint_purge_archive(since(11), 1) AS one, tasker_checkpoint_purge_archive(since(11), 1) AS another, tasker_checkpoint_purge_archive(since(11), 1) AS none;
SELECT max(ago) FROM months;
-- months that are over go as a whole, whatever max_rows is, and leave no dead rows
CALL archive(2, 9);
CALL archive(5, 5);
CREATE TEMPORARY TABLE files AS SELECT oid, relfilenode FROM pg_class WHERE relname ~ '^tasker_checkpoint_archive_\d\d$';
SELECT tasker_checkpoint_purge_archive(since(3), 1);
SELECT * FROM months;
SELECT count(*) AS truncated FROM files JOIN pg_class c USING (oid) WHERE c.relfilenode <> files.relfilenode;
-- by rows, if somebody reads the month
CALL archive(5, 5);
BEGIN;
DECLARE reader CURSOR FOR SELECT FROM tasker_checkpoint_archive;
FETCH reader;
SELECT tasker_checkpoint_purge_archive(since(3), 3);
COMMIT;
SELECT * FROM months;

-- of this month by rows, as often as it takes
TRUNCATE tasker_checkpoint_archive;
CALL archive(0, 10);
SELECT tasker_checkpoint_purge_archive('0', 4);
SELECT tasker_checkpoint_purge_archive('0', 4);
SELECT tasker_checkpoint_purge_archive('0', 4);
SELECT tasker_checkpoint_purge_archive('0', 4);

-- a step whose archive was purged goes on archiving
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 3;
SELECT max(sequence) FROM generate_series(1, 8) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
SELECT tasker_checkpoint_purge_archive('0');
SELECT max(sequence) FROM generate_series(9, 15) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
SELECT min(sequence), max(sequence), count(*), max(generation) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001');
RESET tasker_checkpoint.archive_history;
RESET tasker_checkpoint.history_limit;

-- an operator needs no right on the archive, and gets none
SELECT tasker_checkpoint_purge_archive(NULL); -- fail
SELECT tasker_checkpoint_purge_archive('1 day', NULL); -- fail
SELECT tasker_checkpoint_purge_archive('1 day', 1, NULL); -- fail
SELECT tasker_checkpoint_purge_archive('-1 s'); -- fail
SELECT tasker_checkpoint_purge_archive('1001 years'); -- fail
SELECT tasker_checkpoint_purge_archive('1 day', 0); -- fail
SELECT tasker_checkpoint_purge_archive('1 day', 1000001); -- fail
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge_archive('0'); -- fail
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_purge_archive TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge_archive('0') > 0 AS purged;
SELECT count(*) FROM tasker_checkpoint_archive; -- fail
RESET ROLE;

DROP VIEW months;
DROP PROCEDURE archive;
DROP FUNCTION since, month;
DROP TABLE steps, files;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

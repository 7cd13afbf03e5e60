-- Purging the archive: what is old goes in batches; the trail goes on
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_operator;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
RESET client_min_messages;
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 3;
SELECT max(sequence) FROM generate_series(1, 60) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
CREATE VIEW trail AS SELECT min(sequence), max(sequence), count(*), count(*) FILTER (WHERE archived) AS archived, max(generation) AS generation
FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001');
SELECT count(*), min(last_sequence), max(last_sequence) FROM tasker_checkpoint_archive;
SELECT * FROM trail;
-- a day older, the earlier the more
UPDATE tasker_checkpoint_archive SET archived_at = archived_at - (60 - last_sequence) * interval '1 day';

-- a dry run counts, and changes nothing
SELECT tasker_checkpoint_purge_archive('500 years', dry_run => true) AS none, tasker_checkpoint_purge_archive('0', dry_run => true) AS everything,
	tasker_checkpoint_purge_archive('30 days', 1, true) AS older;
SELECT count(*) FROM tasker_checkpoint_archive;

-- what is older than all that is there; then as often as it takes
SELECT tasker_checkpoint_purge_archive('500 years');
SELECT tasker_checkpoint_purge_archive('30 days', 8);
SELECT tasker_checkpoint_purge_archive('30 days', 8);
SELECT tasker_checkpoint_purge_archive('30 days', 8);
SELECT count(*), min(last_sequence) FROM tasker_checkpoint_archive;
SELECT * FROM trail;
-- without the index by age
DROP INDEX tasker_checkpoint_archive_archived_at;
SELECT tasker_checkpoint_purge_archive('20 days');
SELECT count(*), min(last_sequence) FROM tasker_checkpoint_archive;

-- a step whose archive was purged goes on archiving
SELECT tasker_checkpoint_purge_archive('0');
SELECT * FROM trail;
SELECT max(sequence) FROM generate_series(61, 70) i, tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(i), i);
SELECT * FROM trail;
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

DROP VIEW trail;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

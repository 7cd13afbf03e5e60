-- trim shortens histories to their newest entries, and touches no other row
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
\set s4 00000000-0000-0000-0000-000000000004
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6), checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1', false), (:'s2', false), (:'s3', false), (:'s4', true);
SELECT count(tasker_checkpoint_save(workflow_step_uuid, to_jsonb(n), n, '{"sum": 1}'))
FROM (VALUES (:'s1'::uuid, 5), (:'s2', 3), (:'s3', 2)) s (workflow_step_uuid, saves), generate_series(1, saves) n;
UPDATE steps SET updated_at = '2000-01-01';
UPDATE steps SET checkpoint = checkpoint || '{"note": "kept"}' WHERE workflow_step_uuid = :'s1';
CREATE VIEW described AS
SELECT right(workflow_step_uuid::text, 1) AS step, (tasker_checkpoint_load(workflow_step_uuid)).sequence,
	jsonb_path_query_array(checkpoint, '$.history[*].cursor') AS history, checkpoint -> 'history_truncated' AS truncated, updated_at
FROM steps WHERE checkpoint IS NOT NULL ORDER BY 1;
CREATE ROLE regress_tckpt_operator;
GRANT SELECT (workflow_step_uuid, checkpoint, processed), UPDATE (checkpoint) ON steps TO regress_tckpt_operator;
GRANT SELECT ON described TO regress_tckpt_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_operator;
CREATE TEMPORARY TABLE before AS SELECT *, xmin AS version FROM steps;
RESET client_min_messages;
SET ROLE regress_tckpt_operator;
SELECT * FROM described;

-- at the limit, and a dry run
SELECT tasker_checkpoint_trim(5), tasker_checkpoint_trim(4, dry_run => true), tasker_checkpoint_trim(2, max_rows => 1, dry_run => true);
SELECT tasker_checkpoint_trim(2, '1 day'), tasker_checkpoint_trim(2, '1 day', dry_run => true);
RESET ROLE;
SELECT count(*) FROM steps s JOIN before b USING (workflow_step_uuid) WHERE s.xmin <> b.version;
SET ROLE regress_tckpt_operator;

-- the newest two are kept; sequences, times and other keys stay
SELECT tasker_checkpoint_trim(2, max_rows => 1), tasker_checkpoint_trim(2, max_rows => 1), tasker_checkpoint_trim(2);
SELECT * FROM described;
RESET ROLE;
SELECT right(s.workflow_step_uuid::text, 1) AS step, s.xmin = b.version AS untouched,
	s.checkpoint - 'history' - 'history_truncated' = b.checkpoint - 'history' - 'history_truncated' AS same
FROM steps s JOIN before b USING (workflow_step_uuid) WHERE s.checkpoint IS NOT NULL ORDER BY 1;

-- with an archive, what is cut is there
BEGIN;
SET LOCAL tasker_checkpoint.archive_history = on;
SELECT tasker_checkpoint_trim(1);
SELECT sequence, cursor, archived FROM tasker_checkpoint_history(:'s1');
ROLLBACK;
SET ROLE regress_tckpt_operator;

-- none are kept; a dry run and the run agree
SELECT tasker_checkpoint_trim(0, dry_run => true);
SELECT tasker_checkpoint_trim(0), tasker_checkpoint_trim(0);
SELECT * FROM described;
RESET ROLE;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '6', 6);

-- after the limit was lowered; who has a step keeps it
SELECT sequence FROM tasker_checkpoint_save(:'s1', '7', 7);
SET tasker_checkpoint.history_limit = 1;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS event FROM tasker_checkpoint_claim('one') \gset
SET tasker_checkpoint.require_claim = on;
SELECT tasker_checkpoint_trim(1);
SELECT sequence, directive FROM tasker_checkpoint_save(:'s1', '8', 8, NULL, :'event');
RESET tasker_checkpoint.require_claim;
RESET tasker_checkpoint.history_limit;
SELECT step, sequence, history, truncated FROM described;

-- old checkpoints only, those of processed steps too
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
UPDATE steps SET checkpoint = '{"cursor": 9, "items_processed": 9, "timestamp": "2000-01-01T00:00:00Z",
	"history": [{"cursor": 8}, {"cursor": 9}], "history_truncated": 7}'
WHERE workflow_step_uuid IN (:'s3', :'s4');
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '9', 9, NULL, :'event');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'event');
SELECT tasker_checkpoint_trim(1, '1 day'), tasker_checkpoint_trim(1, '1 day');
SELECT step, sequence, history, truncated FROM described;

-- what was stored without the guard, and would be no edit, is left as it is
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
UPDATE steps SET checkpoint = '{"cursor": 9, "items_processed": 9, "history": [{}, {}]}' WHERE workflow_step_uuid = :'s1';
UPDATE steps SET checkpoint = '{"cursor": 9, "timestamp": "2000-01-01T00:00:00Z", "history": [{}, {}]}' WHERE workflow_step_uuid = :'s2';
UPDATE steps SET checkpoint = '{"cursor": 9, "items_processed": 9, "timestamp": "2000-01-01T00:00:00Z", "history": "none"}' WHERE workflow_step_uuid = :'s3';
UPDATE steps SET checkpoint = '{"items_processed": 9, "timestamp": "2000-01-01T00:00:00Z", "history": [{}, {}]}' WHERE workflow_step_uuid = :'s4';
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT tasker_checkpoint_trim(0), tasker_checkpoint_trim(0, dry_run => true);
-- a time that none can read is one, and entries that are no objects count as cut
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
UPDATE steps SET checkpoint = '{"cursor": 9, "items_processed": 9, "timestamp": "yesterday", "history": [{"cursor": 7}, 8, {"cursor": 9}, {"cursor": 10}]}';
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT tasker_checkpoint_trim(1, '1 day'), tasker_checkpoint_trim(2), tasker_checkpoint_trim(1), tasker_checkpoint_trim(1);
SELECT step, sequence, history, truncated FROM described;

-- without the guard the sequence does not fall either
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT tasker_checkpoint_trim(0);
SELECT step, sequence, history, truncated FROM described;

DROP VIEW described;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

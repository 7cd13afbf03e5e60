-- What purge, trim and purge_events refuse
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6), checkpoint jsonb);
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', true, now(),
	'{"cursor": 2, "items_processed": 2, "timestamp": "2000-01-01T00:00:00Z", "history": [{"cursor": 2}]}');
CREATE ROLE regress_tckpt_operator;
RESET client_min_messages;

-- no table is attached
SELECT tasker_checkpoint_purge('1 day'); -- fail
SELECT tasker_checkpoint_trim(10); -- fail
SELECT tasker_checkpoint_purge_events(); -- fail
SELECT tasker_checkpoint_attach('steps');

-- nulls
SELECT tasker_checkpoint_purge(NULL); -- fail
SELECT tasker_checkpoint_purge('1 day', NULL); -- fail
SELECT tasker_checkpoint_purge('1 day', 1, NULL); -- fail
SELECT tasker_checkpoint_trim(NULL); -- fail
SELECT tasker_checkpoint_trim(1, NULL); -- fail
SELECT tasker_checkpoint_trim(1, '0', NULL); -- fail
SELECT tasker_checkpoint_trim(1, '0', 1, NULL); -- fail
SELECT tasker_checkpoint_purge_events(NULL); -- fail
SELECT tasker_checkpoint_purge_events(1, NULL); -- fail
\echo :SQLSTATE

-- bounds
SELECT tasker_checkpoint_purge('-1 microsecond'); -- fail
SELECT tasker_checkpoint_purge('1 day -25 hours'); -- fail
SELECT tasker_checkpoint_purge('1000 years'), tasker_checkpoint_trim(2147483647, '1000 years');
SELECT tasker_checkpoint_purge('1000 years 1 microsecond'); -- fail
SELECT tasker_checkpoint_purge('178000000 years'); -- fail
SELECT tasker_checkpoint_trim(1, '-1 day'); -- fail
SELECT tasker_checkpoint_trim(-1); -- fail
SELECT tasker_checkpoint_purge('1000 years', 1), tasker_checkpoint_purge('1000 years', 1000000);
SELECT tasker_checkpoint_purge('1 day', 0); -- fail
SELECT tasker_checkpoint_purge('1 day', 1000001); -- fail
SELECT tasker_checkpoint_trim(1, '0', -1); -- fail
SELECT tasker_checkpoint_purge_events(0); -- fail
SELECT tasker_checkpoint_purge_events(0, true); -- fail
\echo :SQLSTATE

-- nothing can be written: a dry run only counts
BEGIN READ ONLY;
SELECT tasker_checkpoint_purge('1 day', dry_run => true), tasker_checkpoint_trim(0, dry_run => true), tasker_checkpoint_purge_events(dry_run => true);
SAVEPOINT s;
SELECT tasker_checkpoint_purge('1 day'); -- fail
ROLLBACK TO s;
SELECT tasker_checkpoint_trim(0); -- fail
ROLLBACK TO s;
SELECT tasker_checkpoint_purge_events(); -- fail
\echo :SQLSTATE
ROLLBACK;

-- events are looked at with a later snapshot than the one they are found by
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT tasker_checkpoint_purge_events(dry_run => true);
SELECT tasker_checkpoint_purge_events(); -- fail
\echo :SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT tasker_checkpoint_trim(0), tasker_checkpoint_purge('1 day');
ROLLBACK;

-- a role without rights
UPDATE steps SET processed = false;
SELECT tasker_checkpoint_dispatch(workflow_step_uuid) IS NOT NULL AS dispatched FROM steps;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge('1 day'); -- fail
SELECT tasker_checkpoint_trim(0); -- fail
SELECT tasker_checkpoint_purge_events(); -- fail
RESET ROLE;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge('1 day'); -- fail
SELECT tasker_checkpoint_trim(0); -- fail
SELECT tasker_checkpoint_purge_events(); -- fail
RESET ROLE;
-- one that may only look can count
GRANT SELECT (workflow_step_uuid, checkpoint, processed) ON steps TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_purge('1 day', dry_run => true), tasker_checkpoint_trim(0, dry_run => true), tasker_checkpoint_purge_events(dry_run => true);
SELECT tasker_checkpoint_purge('1 day'); -- fail
SELECT tasker_checkpoint_trim(0); -- fail
SELECT tasker_checkpoint_purge_events(); -- fail
\echo :SQLSTATE
RESET ROLE;
SELECT checkpoint IS NOT NULL AS kept, jsonb_array_length(checkpoint -> 'history') AS history FROM steps;

-- which steps are processed must be known
ALTER TABLE steps ALTER processed TYPE text;
SELECT tasker_checkpoint_purge('1 day'); -- fail
ALTER TABLE steps DROP processed;
ALTER TABLE steps RENAME checkpoint TO "Progress";
SELECT tasker_checkpoint_purge('1 day', dry_run => true); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_trim(0), tasker_checkpoint_purge_events();

DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

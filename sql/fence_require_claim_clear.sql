-- While claims are required, a statement that removes the checkpoint of a claimed step is refused; clear(), reset_for_retry() and purge() are not
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, note text, processed boolean);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
SELECT event_id AS e1 FROM tasker_checkpoint_claim('w', step_uuid => :'s1') \gset
RESET client_min_messages;
SET tasker_checkpoint.require_claim = on;
-- a step that has none yet
UPDATE steps SET note = 'none', checkpoint = NULL WHERE workflow_step_uuid = :'s1';
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'e1');

UPDATE steps SET note = 'lost', checkpoint = NULL WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET note = 'lost', checkpoint = 'null' WHERE workflow_step_uuid = :'s1'; -- fail
INSERT INTO steps VALUES (:'s1', 'lost') ON CONFLICT (workflow_step_uuid) DO UPDATE SET note = excluded.note, checkpoint = NULL; -- fail
\echo :LAST_ERROR_SQLSTATE
SELECT note, checkpoint -> 'cursor' AS cursor FROM steps WHERE workflow_step_uuid = :'s1';
-- without the setting, as before
SET tasker_checkpoint.require_claim = off;
BEGIN;
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
ROLLBACK;
SET tasker_checkpoint.require_claim = on;
-- a step that is offered and one that is not dispatched, and one whose lease ran out
BEGIN;
UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01';
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
ROLLBACK;
SELECT tasker_checkpoint_release(:'e1');
BEGIN;
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
ROLLBACK;
-- purge leaves the checkpoint of a claimed step
SELECT event_id AS e1 FROM tasker_checkpoint_claim('w', step_uuid => :'s1') \gset
UPDATE steps SET processed = true;
SELECT tasker_checkpoint_purge('0', dry_run => true);
SELECT tasker_checkpoint_purge('0');
SET tasker_checkpoint.require_claim = off;
SELECT tasker_checkpoint_purge('0');
SET tasker_checkpoint.require_claim = on;
SELECT tasker_checkpoint_complete(:'e1');
BEGIN;
SELECT tasker_checkpoint_purge('0');
ROLLBACK;
UPDATE steps SET processed = false;
-- the functions that take the step from the worker
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS e1 FROM tasker_checkpoint_claim('w', step_uuid => :'s1') \gset
BEGIN;
SELECT tasker_checkpoint_reset_for_retry(:'s1', true);
SELECT checkpoint FROM steps WHERE workflow_step_uuid = :'s1';
ROLLBACK;
SELECT tasker_checkpoint_clear(:'s1');
SELECT checkpoint FROM steps WHERE workflow_step_uuid = :'s1';
SELECT tasker_checkpoint_heartbeat(:'e1');

DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;

-- A call repeated in a transaction that has written before it raises TC003: the first attempt's rows are there
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
CREATE TABLE work (item int);
GRANT SELECT, INSERT, UPDATE ON work TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
CREATE TEMP TABLE scratch (n int);
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
SELECT event_id AS e1 FROM tasker_checkpoint_claim('w', step_uuid => :'s1') \gset
SELECT event_id AS e2 FROM tasker_checkpoint_claim('w', step_uuid => :'s2') \gset

-- the transaction whose reply to COMMIT was lost, and the same again
BEGIN;
INSERT INTO work SELECT generate_series(1, 10);
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1');
COMMIT;
BEGIN;
INSERT INTO work SELECT generate_series(1, 10);
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM work;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
-- the call alone is answered
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1');
BEGIN;
SELECT count(*) FROM work;
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1');
COMMIT;

-- whatever has written: an update of nothing but one row, a temporary table, DDL, the same statement, a savepoint
BEGIN;
UPDATE work SET item = item WHERE item = 1;
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
BEGIN;
INSERT INTO scratch VALUES (1);
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
BEGIN;
CREATE TEMP TABLE more (n int);
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
INSERT INTO work SELECT sequence FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
WITH w AS (INSERT INTO work VALUES (11) RETURNING item)
SELECT tasker_checkpoint_save(:'s1', to_jsonb(item - 1), 10, NULL, :'e1') FROM w; -- fail
BEGIN;
SAVEPOINT a;
INSERT INTO work VALUES (11);
RELEASE a;
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
-- also a statement that could have written, and found nothing
BEGIN;
UPDATE work SET item = 0 WHERE item = 99;
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
-- our own functions are no rows; nor do they hide any
BEGIN;
SELECT tasker_checkpoint_heartbeat(:'e1');
SELECT sequence FROM tasker_checkpoint_save(:'s2', '5', 5, NULL, :'e2');
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1');
COMMIT;
BEGIN;
SELECT tasker_checkpoint_trim(100), tasker_checkpoint_purge('1 day'), tasker_checkpoint_purge_events(), tasker_checkpoint_purge_archive('1 day');
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1');
COMMIT;
BEGIN;
INSERT INTO work VALUES (11);
SELECT tasker_checkpoint_heartbeat(:'e1');
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
BEGIN;
INSERT INTO work VALUES (11);
SELECT tasker_checkpoint_trim(100, dry_run => true);
SELECT tasker_checkpoint_trim(100);
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
-- a logical message, which is no command that writes, also after a call of ours
BEGIN;
SELECT pg_logical_emit_message(true, 'outbox', 'x') IS NOT NULL AS sent;
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;
BEGIN;
SELECT tasker_checkpoint_dispatch(:'s1');
SELECT pg_logical_emit_message(true, 'outbox', 'x') IS NOT NULL AS sent;
SELECT tasker_checkpoint_save(:'s1', '10', 10, NULL, :'e1'); -- fail
ROLLBACK;

-- several in one transaction: its own checkpoints are answered, those of an earlier one not
BEGIN;
INSERT INTO work SELECT generate_series(11, 20);
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '20', 20, NULL, :'e1');
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '20', 20, NULL, :'e1');
INSERT INTO work VALUES (0);
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '20', 20, NULL, :'e1');
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s2', '5', 5, NULL, :'e2'); -- fail
ROLLBACK;
BEGIN;
INSERT INTO work SELECT generate_series(11, 20);
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '20', 20, NULL, :'e1');
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s2', '5', 5, NULL, :'e2'); -- fail
ROLLBACK;
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '20', 20, NULL, :'e1');
-- one that was rolled back is not this transaction's any more
SELECT sequence FROM tasker_checkpoint_save(:'s1', '30', 30, NULL, :'e1');
BEGIN;
SAVEPOINT a;
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '31', 31, NULL, :'e1');
ROLLBACK TO a;
INSERT INTO work VALUES (21);
SELECT tasker_checkpoint_save(:'s1', '30', 30, NULL, :'e1'); -- fail
ROLLBACK;

-- a yield, by both of its names, also when its continuation is claimed
BEGIN;
INSERT INTO work VALUES (31);
SELECT event_id AS next FROM tasker_checkpoint_yield(:'s1', '40', 40, NULL, :'e1') \gset
COMMIT;
BEGIN;
INSERT INTO work VALUES (31);
SELECT tasker_checkpoint_yield(:'s1', '40', 40, NULL, :'e1'); -- fail
ROLLBACK;
SELECT event_id AS e3 FROM tasker_checkpoint_claim('w', step_uuid => :'s1') \gset
BEGIN;
INSERT INTO work VALUES (31);
SELECT tasker_checkpoint_yield_step_event(:'e1',
	'{"step_uuid": "00000000-0000-0000-0000-000000000001", "cursor": 40, "items_processed": 40}'); -- fail
ROLLBACK;
SELECT event_id = :'next' AS same, sequence, replayed FROM tasker_checkpoint_yield(:'s1', '40', 40, NULL, :'e1');
SELECT tasker_checkpoint_yield_step_event(:'e1',
	'{"step_uuid": "00000000-0000-0000-0000-000000000001", "cursor": 40, "items_processed": 40}');

-- a save whose claim is gone is superseded, repeated or not
SELECT sequence FROM tasker_checkpoint_save(:'s1', '50', 50, NULL, :'e3');
RESET ROLE;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '50', 50, NULL, :'e3'); -- fail
SELECT event_id AS e4 FROM tasker_checkpoint_claim('w', step_uuid => :'s1') \gset

-- a save that others have written upon: stored anew where nothing can be doubled
SELECT sequence FROM tasker_checkpoint_save(:'s1', '60', 60, NULL, :'e4');
UPDATE steps SET checkpoint = '{"cursor": 61, "items_processed": 60}' WHERE workflow_step_uuid = :'s1';
BEGIN;
INSERT INTO work VALUES (51);
SELECT tasker_checkpoint_save(:'s1', '60', 60, NULL, :'e4'); -- fail
ROLLBACK;
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '60', 60, NULL, :'e4');
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
-- one that was cleared since is stored anew, with its rows, which the clear has not removed: nobody else repeats them
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '60', 60, NULL, :'e4');
UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = :'s1';
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}' WHERE workflow_step_uuid = :'s1';
BEGIN;
INSERT INTO work VALUES (51);
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '60', 60, NULL, :'e4');
COMMIT;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
-- one that the history does not keep any more may be there all the same
RESET ROLE;
SET tasker_checkpoint.history_limit = 1;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '70', 70, NULL, :'e4');
UPDATE steps SET checkpoint = '{"cursor": 71, "items_processed": 70}' WHERE workflow_step_uuid = :'s1';
BEGIN;
INSERT INTO work VALUES (61);
SELECT tasker_checkpoint_save(:'s1', '70', 70, NULL, :'e4'); -- fail
ROLLBACK;
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '70', 70, NULL, :'e4');
RESET tasker_checkpoint.history_limit;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '60', 70, NULL, :'e4');
-- the same by an edit: it stays the present one
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', '[]') WHERE workflow_step_uuid = :'s1';
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '60', 70, NULL, :'e4');

DROP TABLE work, scratch;
\i :drop_steps

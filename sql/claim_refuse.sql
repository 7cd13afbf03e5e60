-- claim refuses arguments that are out of bounds, and transactions in which a cursor could be stale
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
RESET ROLE;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset

-- worker: 1 to 200 bytes
SELECT * FROM tasker_checkpoint_claim(NULL); -- fail
SELECT * FROM tasker_checkpoint_claim(''); -- fail
SELECT * FROM tasker_checkpoint_claim(repeat('x', 201)); -- fail
SELECT * FROM tasker_checkpoint_claim(repeat('é', 101)); -- fail
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim(repeat('x', 200));
ROLLBACK;
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim(repeat('é', 100));
ROLLBACK;
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('x');
ROLLBACK;

-- lease: more than nothing, and not more than max_lease
SELECT * FROM tasker_checkpoint_claim('one', NULL); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '0'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '-1 microsecond'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '1 hour 1 microsecond'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '1 month'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '-1 month'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '1 month -30 days'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '178000000 years'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '-178000000 years'); -- fail
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one', '1 hour');
ROLLBACK;
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one', '1 microsecond');
ROLLBACK;
-- days and hours are not compared one by one
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one', '1 day -23 hours');
ROLLBACK;
-- the operator decides, the worker does not
SET tasker_checkpoint.max_lease = '1 d'; -- fail
RESET ROLE;
SET tasker_checkpoint.max_lease = '1 d';
SET ROLE regress_tckpt_worker;
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one', '1 day');
ROLLBACK;
SELECT * FROM tasker_checkpoint_claim('one', '1 day 1 microsecond'); -- fail
RESET ROLE;
SET tasker_checkpoint.max_lease = '10 s';
SET ROLE regress_tckpt_worker;
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
SELECT * FROM tasker_checkpoint_claim('one', '10001 ms'); -- fail
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one', '10 s');
ROLLBACK;
RESET ROLE;
RESET tasker_checkpoint.max_lease;
SET ROLE regress_tckpt_worker;

-- max_steps: 1 to 1000
SELECT * FROM tasker_checkpoint_claim('one', max_steps => NULL); -- fail
SELECT * FROM tasker_checkpoint_claim('one', max_steps => 0); -- fail
SELECT * FROM tasker_checkpoint_claim('one', max_steps => -1); -- fail
SELECT * FROM tasker_checkpoint_claim('one', max_steps => 1001); -- fail
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 1000);
ROLLBACK;

-- a step that is not there
SELECT * FROM tasker_checkpoint_claim('one', step_uuid => :'missing'); -- fail
-- no step at all means any
BEGIN;
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => NULL);
ROLLBACK;

-- one snapshot for the whole transaction would hand out stale cursors
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM tasker_checkpoint_claim('one', step_uuid => :'s1'); -- fail
ROLLBACK;
BEGIN ISOLATION LEVEL READ UNCOMMITTED;
SELECT count(*) FROM tasker_checkpoint_claim('one');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM tasker_checkpoint_claim('one'); -- fail
ROLLBACK;

-- nothing of all that has claimed it
SELECT tasker_checkpoint_dispatch(:'s1') = :'dispatched' AS same;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

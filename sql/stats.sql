-- Without preload there are no statistics: NULLs, and a hint. Only operators may ask.
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_operator;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamptz, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
RESET client_min_messages;

\x
SELECT * FROM tasker_checkpoint_stats();
\x
SELECT tasker_checkpoint_stats_reset();

-- what would be counted works all the same
SELECT sequence FROM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1);
BEGIN;
SELECT sequence FROM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '2', 2);
SAVEPOINT a;
SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1); -- fail
ROLLBACK TO a;
COMMIT;
SET client_min_messages = error;
SELECT tasker_checkpoint_stats() IS NULL AS nothing;

SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_stats(); -- fail
SELECT tasker_checkpoint_stats_reset(); -- fail
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_stats(), tasker_checkpoint_stats_reset() TO regress_tckpt_operator;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_stats() IS NULL AS nothing;
SELECT tasker_checkpoint_stats_reset();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION tasker_checkpoint_stats(), tasker_checkpoint_stats_reset() FROM regress_tckpt_operator;

-- nor does a standby or a read-only transaction matter
BEGIN READ ONLY;
SELECT tasker_checkpoint_stats() IS NULL AS nothing;
SELECT tasker_checkpoint_stats_reset();
COMMIT;

DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_operator;

-- A save stores a checkpoint as a yield does, in the transaction of the worker's own rows
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean NOT NULL DEFAULT false,
	updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE TABLE output (item int PRIMARY KEY);
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT SELECT, INSERT ON output TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION shown(checkpoint jsonb) RETURNS text
LANGUAGE sql
RETURN regexp_replace(checkpoint::text, '"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"', '"(time)"', 'g');
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

SELECT * FROM tasker_checkpoint_save(:'s1', '{"page": 1}', 10, '[1]');
SELECT shown(checkpoint) FROM steps;
-- yields and saves share history and sequence
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM tasker_checkpoint_yield(:'s1', '{"page": 2}', 20, '[1, 2]');
SELECT * FROM tasker_checkpoint_save(:'s1', '{"page": 3}', 30);
SELECT shown(checkpoint) FROM steps;
SELECT pg_typeof(s) FROM tasker_checkpoint_save(step_uuid => :'s1', cursor => 'null', items => 30, results => NULL,
	event_id => NULL) s;

-- refused for the same reasons
SELECT tasker_checkpoint_save(NULL, '1', 1); -- fail
SELECT tasker_checkpoint_save(:'s1', NULL, 1); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', NULL); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', -1); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 1, NULL, :'s1'); -- fail
SELECT tasker_checkpoint_save(:'missing', '1', 1); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 29); -- fail
SELECT tasker_checkpoint_save(:'s1', to_jsonb(repeat('x', 70000)), 40); -- fail
SELECT tasker_checkpoint_save(:'s1', '1', 40, to_jsonb(repeat('x', 2000000))); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_save(:'s1', '1', 40); -- fail
ROLLBACK;
RESET ROLE;
UPDATE steps SET processed = true;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_save(:'s1', '1', 40); -- fail
RESET ROLE;
UPDATE steps SET processed = false;
SET ROLE regress_tckpt_worker;
SELECT sequence, cursor, items_processed FROM tasker_checkpoint_load(:'s1');

-- work and progress commit or roll back together
SELECT tasker_checkpoint_clear(:'s1');
BEGIN;
INSERT INTO output SELECT generate_series(1, 10);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '10', 10);
COMMIT;
BEGIN;
INSERT INTO output SELECT generate_series(11, 20);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '20', 20);
ROLLBACK;
SELECT (SELECT max(item) FROM output), cursor, items_processed, sequence FROM tasker_checkpoint_load(:'s1');
BEGIN;
INSERT INTO output SELECT generate_series(11, 20);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '20', 20);
SAVEPOINT batch;
INSERT INTO output SELECT generate_series(21, 30);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '30', 30);
ROLLBACK TO batch;
COMMIT;
SELECT (SELECT max(item) FROM output), cursor, items_processed, sequence FROM tasker_checkpoint_load(:'s1');

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, output;
DROP FUNCTION shown;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

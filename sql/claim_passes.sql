-- claim looks at 500 events that it can't deliver, and no further
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, n integer, tenant text, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
-- in the order of n
INSERT INTO steps SELECT md5(n::text)::uuid, n, 'theirs' FROM generate_series(1, 501) n;
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
UPDATE tasker_checkpoint_events SET available_at = timestamptz '2000-01-01' + n * interval '1 s' FROM steps WHERE workflow_step_uuid = step_uuid;
CREATE PROCEDURE give_back() LANGUAGE sql SECURITY DEFINER AS
'UPDATE tasker_checkpoint_events SET worker = NULL, lease = NULL, lease_until = NULL, available_at = timestamptz ''2000-01-01'' + n * interval ''1 s'' FROM steps WHERE workflow_step_uuid = step_uuid';
RESET client_min_messages;

-- those of others, which row security hides: 500, 499
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY ours ON steps TO regress_tckpt_worker USING (tenant = 'ours');
UPDATE steps SET tenant = 'ours' WHERE n = 501;
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 10);
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 10, queues => '{default}');
-- in the order in which they come, whatever is delivered in between
RESET ROLE;
UPDATE steps SET tenant = 'ours' WHERE n IN (1, 250);
SET ROLE regress_tckpt_worker;
SELECT n FROM tasker_checkpoint_claim('one', max_steps => 10) JOIN steps ON workflow_step_uuid = step_uuid ORDER BY 1;
RESET ROLE;
CALL give_back();
-- an event in another queue is not ahead
UPDATE steps SET tenant = 'theirs' WHERE n IN (1, 250);
UPDATE tasker_checkpoint_events SET queue = 'another' FROM steps WHERE workflow_step_uuid = step_uuid AND n = 500;
SET ROLE regress_tckpt_worker;
SELECT n FROM tasker_checkpoint_claim('one', queues => '{default}') JOIN steps ON workflow_step_uuid = step_uuid;
RESET ROLE;
CALL give_back();
UPDATE tasker_checkpoint_events SET queue = 'default';
ALTER TABLE steps DISABLE ROW LEVEL SECURITY;

-- those of processed steps, of which each call removes 100 more
UPDATE steps SET processed = true WHERE n <= 500;
SET ROLE regress_tckpt_worker;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 10);
SELECT count(*) FROM tasker_checkpoint_dispatched();
SELECT n FROM tasker_checkpoint_claim('one', max_steps => 10) JOIN steps ON workflow_step_uuid = step_uuid;
SELECT count(*) FROM tasker_checkpoint_dispatched();
RESET ROLE;
DROP PROCEDURE give_back;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

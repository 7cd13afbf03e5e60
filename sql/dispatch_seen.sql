-- What a reader may know of dispatched steps: those it sees, and no event id
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_tenant;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, tenant text, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps
SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid,
	CASE WHEN i % 2 = 0 THEN 'regress_tckpt_tenant' ELSE 'another' END
FROM generate_series(1, 6) i;
RESET client_min_messages;

CREATE VIEW seen AS
SELECT substr(step_uuid::text, 36) AS step, has_event, directive, parked, available_at <= clock_timestamp() AS available,
	worker, lease, lease_until > clock_timestamp() AS alive, deliveries, sequence
FROM tasker_checkpoint_dispatched();
GRANT SELECT ON seen TO PUBLIC;
SELECT * FROM seen;

-- 1 is offered, 2 has yielded, 3 is claimed, 4 only paused, 5 released with a delay, 6 not dispatched
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps WHERE workflow_step_uuid::text ~ '[1235]$';
SELECT sequence FROM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000002', '1', 1);
SELECT worker.deliveries FROM tasker_checkpoint_claim('one', '1 hour', 1, '00000000-0000-0000-0000-000000000003') worker;
SELECT tasker_checkpoint_pause('00000000-0000-0000-0000-000000000004');
SELECT tasker_checkpoint_release(event_id, '1 hour')
FROM tasker_checkpoint_claim('two', '1 minute', 1, '00000000-0000-0000-0000-000000000005');
SELECT * FROM seen;

-- one step: by its key
SELECT right(step_uuid::text, 1) AS step, worker, deliveries FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000003');
SELECT count(*) FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000006');
SELECT count(*) FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000009'); -- fail

-- also under a snapshot of its own, where nothing can be written
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM seen;
COMMIT;

-- who cannot read the steps sees nothing of them
SET ROLE regress_tckpt_reader;
SELECT * FROM seen; -- fail
RESET ROLE;
GRANT SELECT (workflow_step_uuid, checkpoint) ON steps TO regress_tckpt_reader, regress_tckpt_tenant;
SET ROLE regress_tckpt_reader;
SELECT count(*) FROM seen;
RESET ROLE;

-- nor of those that row security hides
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON steps FOR SELECT USING (tenant = current_user);
SET ROLE regress_tckpt_reader;
SELECT step FROM seen;
SET ROLE regress_tckpt_tenant;
SELECT step FROM seen;
SELECT right(step_uuid::text, 1) AS step FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000002');
SELECT count(*) FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000003'); -- fail
RESET ROLE;
SELECT count(*) FROM seen;

-- a step that is gone is seen by those only who would see it
SET session_replication_role = replica;
DELETE FROM steps WHERE workflow_step_uuid::text ~ '2$';
RESET session_replication_role;
SELECT step FROM seen;
SET ROLE regress_tckpt_tenant;
SELECT step FROM seen;
RESET ROLE;

DROP VIEW seen;
DROP TABLE steps;
SELECT * FROM tasker_checkpoint_dispatched(); -- fail
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_reader, regress_tckpt_tenant;

-- heartbeat keeps a claim, complete ends a dispatch, release hands a step back
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
-- what is left of the lease, in minutes, rounded
CREATE VIEW leases AS SELECT right(step_uuid::text, 1) AS step, lease, round(extract(epoch FROM lease_until - clock_timestamp()) / 60) AS minutes
FROM tasker_checkpoint_events ORDER BY step_uuid;
GRANT SELECT ON leases TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;

-- heartbeat: to now and the lease last given
SELECT tasker_checkpoint_dispatch(:'s1') AS dispatched \gset
SELECT tasker_checkpoint_heartbeat(:'dispatched');
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', '10 minutes') \gset
SELECT * FROM leases;
CALL lapse();
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT * FROM leases;
-- another one; it stays
SELECT tasker_checkpoint_heartbeat(:'claimed', '20 minutes');
SELECT * FROM leases;
CALL lapse();
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT * FROM leases;
-- a shorter one: never shortened, but the next one is as short
SELECT tasker_checkpoint_heartbeat(event_id => :'claimed', lease => '5 minutes');
SELECT * FROM leases;
CALL lapse();
SELECT tasker_checkpoint_heartbeat(:'claimed', NULL);
SELECT * FROM leases;
-- a save does the same, and also never shortens
CALL lapse();
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT * FROM leases;
SELECT tasker_checkpoint_heartbeat(:'claimed', '30 minutes');
SELECT tasker_checkpoint_heartbeat(:'claimed', '1 minute');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2, NULL, :'claimed');
SELECT * FROM leases;
-- a heartbeat is no delivery, and no checkpoint
SELECT deliveries, sequence FROM events;

-- refused
SELECT tasker_checkpoint_heartbeat(NULL); -- fail
SELECT tasker_checkpoint_heartbeat(:'claimed', '0'); -- fail
SELECT tasker_checkpoint_heartbeat(:'claimed', '-1 second'); -- fail
SELECT tasker_checkpoint_heartbeat(:'claimed', '1 hour 1 microsecond'); -- fail
SELECT tasker_checkpoint_heartbeat(:'missing', '1 hour 1 microsecond'); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_heartbeat(:'claimed'); -- fail
ROLLBACK;
SELECT tasker_checkpoint_heartbeat(:'claimed', '1 hour');
SELECT tasker_checkpoint_heartbeat(:'missing', '1 hour');
-- a limit that was lowered binds the next lease that is given
RESET ROLE;
SET tasker_checkpoint.max_lease = '30 s';
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_heartbeat(:'claimed', '1 minute'); -- fail
SELECT tasker_checkpoint_heartbeat(:'claimed', '30 seconds');
RESET ROLE;
RESET tasker_checkpoint.max_lease;
SET ROLE regress_tckpt_worker;

-- release: at once
SELECT tasker_checkpoint_release(:'claimed');
SELECT * FROM events;
SELECT tasker_checkpoint_release(:'claimed'), tasker_checkpoint_heartbeat(:'claimed'), tasker_checkpoint_complete(:'claimed');
SELECT event_id AS claimed, cursor, sequence, deliveries FROM tasker_checkpoint_claim('two') \gset
SELECT :'cursor' AS cursor, :'sequence' AS sequence, :'deliveries' AS deliveries;
-- later
SELECT tasker_checkpoint_release(:'claimed', '10 minutes');
SELECT * FROM events;
SELECT count(*) FROM tasker_checkpoint_claim('two');
SELECT count(*) FROM tasker_checkpoint_claim('two', step_uuid => :'s1');
-- again, by the id of now: it is available at once
SELECT tasker_checkpoint_release(tasker_checkpoint_dispatch(:'s1'), delay => '0');
SELECT deliveries FROM tasker_checkpoint_claim('two');
-- a delayed yield: the receipt's id
CALL lapse();
SELECT event_id AS continuation FROM tasker_checkpoint_yield(:'s1', '3', 3) \gset
SELECT tasker_checkpoint_release(event_id => :'continuation', delay => '1 minute');
SELECT tasker_checkpoint_release(:'continuation', '1 minute');
SELECT * FROM events;
-- an unfenced yield or a fenced one ends the delay
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '4', 4);
SELECT available FROM events;

-- the delay: 0 to 1 day
SELECT event_id AS claimed FROM tasker_checkpoint_claim('two') \gset
SELECT tasker_checkpoint_release(NULL); -- fail
SELECT tasker_checkpoint_release(:'claimed', NULL); -- fail
SELECT tasker_checkpoint_release(:'claimed', '-1 microsecond'); -- fail
SELECT tasker_checkpoint_release(:'claimed', '1 day 1 microsecond'); -- fail
SELECT tasker_checkpoint_release(:'claimed', '1 month'); -- fail
SELECT tasker_checkpoint_release(:'claimed', '178000000 years'); -- fail
SELECT tasker_checkpoint_release(:'missing', '-1 microsecond'); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_release(:'claimed'); -- fail
ROLLBACK;
BEGIN;
SELECT tasker_checkpoint_release(:'claimed', '1 day');
ROLLBACK;
BEGIN;
SELECT tasker_checkpoint_release(:'claimed', '24 hours');
ROLLBACK;
BEGIN;
SELECT tasker_checkpoint_release(:'claimed', '1 microsecond');
ROLLBACK;
SELECT tasker_checkpoint_heartbeat(:'claimed');

-- complete: the event goes, the checkpoint stays, and nothing of the step is changed
SELECT tasker_checkpoint_complete(:'claimed');
SELECT * FROM events;
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
SELECT processed, in_process, results FROM steps WHERE workflow_step_uuid = :'s1';
SELECT tasker_checkpoint_complete(:'claimed');
-- also of what nobody has claimed
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));
SELECT event_id AS continuation FROM tasker_checkpoint_yield(:'s1', '5', 5) \gset
SELECT tasker_checkpoint_complete(event_id => :'continuation');
SELECT * FROM events;
SELECT tasker_checkpoint_complete(NULL); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_complete(:'claimed'); -- fail
ROLLBACK;
BEGIN;
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));
ROLLBACK;

-- neither the step nor the table need be there any more (past the trigger that would take the event along)
SELECT count(tasker_checkpoint_dispatch(step)) FROM unnest(ARRAY[:'s1', :'s2']::uuid[]) step;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT event_id AS other FROM tasker_checkpoint_claim('one', step_uuid => :'s2') \gset
RESET ROLE;
SET session_replication_role = replica;
DELETE FROM steps;
RESET session_replication_role;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_heartbeat(:'claimed'), tasker_checkpoint_complete(:'claimed'), tasker_checkpoint_release(:'other');

-- a name as long as it can be survives what is written under the claim
RESET ROLE;
INSERT INTO steps VALUES (:'s1');
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim(repeat('w', 200), step_uuid => :'s1') \gset
SELECT max(tasker_checkpoint_save(:'s1', to_jsonb(repeat('c', 1000 + n)), n, to_jsonb(repeat('r', 10000)), :'claimed')::text) IS NOT NULL AS saved
FROM generate_series(1, 50) n;
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT worker = repeat('w', 200) AS whole, live, sequence FROM events WHERE step = '1';
SELECT tasker_checkpoint_complete(:'claimed');

RESET ROLE;
SELECT tasker_checkpoint_detach();
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_heartbeat(:'other'), tasker_checkpoint_complete(:'other'), tasker_checkpoint_release(:'other');

RESET ROLE;
DROP VIEW leases;
\i :drop_steps

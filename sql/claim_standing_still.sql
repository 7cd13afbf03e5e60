-- A step that is claimed again and again and gets nowhere is parked, whether its worker yields or fails; one whose worker is interrupted is not
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE VIEW events AS SELECT right(step_uuid::text, 1) AS step, worker, deliveries, parked FROM tasker_checkpoint_events ORDER BY step_uuid;
GRANT SELECT ON events TO regress_tckpt_worker;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;

-- 50 interruptions
DO $$
DECLARE
	event uuid;
BEGIN
	FOR i IN 1..50 LOOP
		SELECT event_id INTO STRICT event FROM tasker_checkpoint_claim('w');
		PERFORM tasker_checkpoint_release(event, interrupted => true);
	END LOOP;
END $$;
SELECT * FROM events;
-- what has failed before still counts, and nothing falls below 0
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('w') \gset
SELECT :deliveries AS deliveries, tasker_checkpoint_release(:'claimed');
SELECT event_id AS claimed, deliveries FROM tasker_checkpoint_claim('w') \gset
SELECT :deliveries AS deliveries;
SELECT deliveries FROM events;
SELECT tasker_checkpoint_release(:'claimed', interrupted => true);
SELECT deliveries FROM events;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('w') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT deliveries FROM events;
SELECT tasker_checkpoint_release(:'claimed', '1 hour', true);
SELECT deliveries FROM events;
-- parked by another's claim while its worker was late, and only interrupted
RESET ROLE;
SET tasker_checkpoint.max_deliveries = 1;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT event_id AS late FROM tasker_checkpoint_claim('w') \gset
UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01', available_at = '2000-01-01';
SELECT count(*) FROM tasker_checkpoint_claim('another');
SELECT deliveries, parked FROM events;
SELECT tasker_checkpoint_release(:'late', interrupted => true);
SELECT deliveries, parked FROM events;
RESET tasker_checkpoint.max_deliveries;
SET ROLE regress_tckpt_worker;
-- nobody's event has no delivery to take back
RESET ROLE;
SELECT tasker_checkpoint_reset_for_retry(:'s1');
UPDATE tasker_checkpoint_events SET deliveries = 3;
SELECT tasker_checkpoint_release(event_id, '0', true) FROM tasker_checkpoint_events;
SET ROLE regress_tckpt_worker;
SELECT deliveries FROM events;
SELECT tasker_checkpoint_release(:'claimed', NULL, true); -- fail
SELECT tasker_checkpoint_release(:'claimed', '0', NULL); -- fail

-- 21 yields that stand still
SELECT event_id AS claimed FROM tasker_checkpoint_claim('w') \gset
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'claimed');
DO $$
DECLARE
	event uuid;
BEGIN
	FOR i IN 1..21 LOOP
		SELECT event_id INTO event FROM tasker_checkpoint_claim('w');
		EXIT WHEN NOT FOUND;
		PERFORM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '2', 2, to_jsonb(i), event);
	END LOOP;
END $$;
SELECT * FROM events;
SELECT sequence FROM tasker_checkpoint_load(:'s1');
-- saves likewise; other results are no progress, another cursor or more items are
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('w') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s2', '{"page": 1}', 5, NULL, :'claimed');
SELECT deliveries FROM events WHERE step = '2';
SELECT event_id AS claimed FROM tasker_checkpoint_yield(:'s2', '{"page": 1}', 5, '[1]', :'claimed') \gset
SELECT event_id AS claimed FROM tasker_checkpoint_claim('w') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s2', '{"page": 1}', 5, '[2]', :'claimed');
SELECT deliveries FROM events WHERE step = '2';
SELECT sequence FROM tasker_checkpoint_save(:'s2', '{"page": 1}', 6, '[2]', :'claimed');
SELECT deliveries FROM events WHERE step = '2';

RESET ROLE;
DROP VIEW events;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP ROLE regress_tckpt_worker;

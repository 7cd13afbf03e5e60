-- What many tests of dispatched steps begin with: two steps in a table with columns that
-- the extension knows, a worker, an operator, a view of the events, and leases that run
-- out by a call. They end with what drop_steps leads to.
\set ECHO none
\set drop_steps :abs_srcdir '/sql/include/drop_steps.sql'
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, in_process boolean, processed boolean, results jsonb, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps') \g /dev/null
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE ROLE regress_tckpt_operator;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_operator;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_operator;
CREATE VIEW events AS
SELECT right(step_uuid::text, 1) AS step, event_id IS NOT NULL AS event, directive, worker, lease_until > clock_timestamp() AS live,
	available_at <= clock_timestamp() AS available, deliveries, parked, sequence
FROM tasker_checkpoint_events ORDER BY step_uuid;
CREATE PROCEDURE lapse() LANGUAGE sql SECURITY DEFINER AS
'UPDATE tasker_checkpoint_events SET lease_until = ''2000-01-01'', available_at = ''2000-01-01'' WHERE worker IS NOT NULL';
GRANT SELECT ON events TO regress_tckpt_worker, regress_tckpt_operator;
RESET client_min_messages;
\set ECHO all

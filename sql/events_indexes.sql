-- The indexes of the table of events are found by what they are, whatever a DBA has built or dropped
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
RESET client_min_messages;

-- a step's life, by every way of finding its row
CREATE PROCEDURE live() LANGUAGE plpgsql AS $$
DECLARE
	step uuid := '00000000-0000-0000-0000-000000000001';
	event uuid;
	other uuid;
BEGIN
	UPDATE steps SET checkpoint = NULL WHERE workflow_step_uuid = step;
	SET LOCAL ROLE regress_tckpt_worker;
	ASSERT tasker_checkpoint_dispatch(step) IS NOT NULL, 'dispatch';
	ASSERT tasker_checkpoint_dispatch(step) IS NOT NULL, 'dispatch again';
	SELECT event_id INTO event FROM tasker_checkpoint_claim('one');
	ASSERT event IS NOT NULL, 'claim';
	ASSERT tasker_checkpoint_heartbeat(event), 'heartbeat';
	ASSERT (SELECT event_id = event FROM tasker_checkpoint_save(step, '1', 1, NULL, event)), 'save';
	SELECT event_id INTO event FROM tasker_checkpoint_yield(step, '2', 2, NULL, event);
	SELECT event_id INTO other FROM tasker_checkpoint_claim('one', step_uuid => step);
	ASSERT other IS NOT NULL, 'claim of one';
	ASSERT NOT tasker_checkpoint_complete(event), 'superseded';
	ASSERT (SELECT worker = 'one' FROM tasker_checkpoint_dispatched() WHERE step_uuid = step), 'dispatched';
	ASSERT tasker_checkpoint_pause(step), 'pause';
	ASSERT tasker_checkpoint_resume(step), 'resume';
	ASSERT tasker_checkpoint_release(other), 'release';
	SELECT event_id INTO other FROM tasker_checkpoint_claim('one');
	ASSERT tasker_checkpoint_complete(other), 'complete';
	ASSERT (SELECT count(*) = 0 FROM tasker_checkpoint_dispatched()), 'nothing is left';
	RESET ROLE;
	RAISE NOTICE 'lived';
END
$$;
CALL live();

-- more of them: of the same columns, of a part of the rows, of expressions, of other kinds
CREATE UNIQUE INDEX again ON tasker_checkpoint_events (event_id);
CREATE UNIQUE INDEX a_key ON tasker_checkpoint_events (step_uuid) INCLUDE (event_id);
CREATE INDEX partial ON tasker_checkpoint_events (step_uuid) WHERE deliveries > 5;
CREATE INDEX other_part ON tasker_checkpoint_events (available_at) WHERE parked;
CREATE INDEX expression ON tasker_checkpoint_events ((step_uuid::text), lower(worker));
CREATE INDEX hashed ON tasker_checkpoint_events USING hash (event_id);
CREATE INDEX brin ON tasker_checkpoint_events USING brin (available_at);
CREATE INDEX backwards ON tasker_checkpoint_events (queue, priority DESC, available_at DESC) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
CREATE INDEX upwards ON tasker_checkpoint_events (queue, priority, available_at) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
CREATE INDEX collated ON tasker_checkpoint_events (queue COLLATE "POSIX", priority DESC, available_at) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
CALL live();

-- one that summarizes what a heartbeat changes: from 16 on that stays HOT, and no other gets an entry
CREATE INDEX summary ON tasker_checkpoint_events USING brin (lease_until);
CALL live();
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS e FROM tasker_checkpoint_claim('one', '10 minutes') \gset
SELECT set_config('regress.event', :'e', false) IS NOT NULL AS set;
DO $$
BEGIN
	-- more than a page of an index has room for
	FOR i IN 1 .. 500 LOOP
		ASSERT tasker_checkpoint_heartbeat(current_setting('regress.event')::uuid), 'heartbeat';
		COMMIT;
	END LOOP;
END
$$;
SELECT tasker_checkpoint_complete(:'e');

-- without ours, these do
ALTER TABLE tasker_checkpoint_events DROP CONSTRAINT tasker_checkpoint_events_pkey;
DROP INDEX tasker_checkpoint_events_event_id;
DROP INDEX tasker_checkpoint_events_claimable;
CALL live(); -- fail
CREATE INDEX wider ON tasker_checkpoint_events (queue, priority DESC, available_at, deliveries) WHERE event_id IS NOT NULL;
CALL live();
-- they are renamed, and built again
ALTER INDEX a_key RENAME TO "a key";
ALTER INDEX wider RENAME TO tasker_checkpoint_events_claimable;
REINDEX TABLE tasker_checkpoint_events;
REINDEX INDEX CONCURRENTLY "a key";
CALL live();
CLUSTER tasker_checkpoint_events USING "a key";
VACUUM FULL tasker_checkpoint_events;
CALL live();
-- also in another collation
ALTER TABLE tasker_checkpoint_events ALTER directive TYPE text COLLATE "C";
DROP INDEX tasker_checkpoint_events_claimable;
CREATE INDEX tasker_checkpoint_events_claimable ON tasker_checkpoint_events (queue, priority DESC, available_at) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
CALL live();
-- another's name does not help
ALTER INDEX other_part RENAME TO tasker_checkpoint_events_event_id;
CALL live();

-- one that is built leads to rows by their first version, which was elsewhere then
SET statement_timeout = '20s';
SELECT tasker_checkpoint_dispatch(:'s1', 'first', 5) IS NOT NULL AS dispatched;
DROP INDEX tasker_checkpoint_events_claimable;
SELECT tasker_checkpoint_dispatch(:'s1', 'second', -5) IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_dispatch(:'s2', 'last', -10, '1 hour') IS NOT NULL AS dispatched;
CREATE INDEX tasker_checkpoint_events_claimable ON tasker_checkpoint_events (queue, priority DESC, available_at) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
SELECT right(step_uuid::text, 1) AS step, queue, tasker_checkpoint_release(event_id, '1 hour') FROM tasker_checkpoint_claim('one', max_steps => 10);
CALL tasker_checkpoint_wait(timeout => '10 ms');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT right(step_uuid::text, 1) AS step, queue, tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_claim('one', max_steps => 10);
DELETE FROM tasker_checkpoint_events;
RESET statement_timeout;

-- invalid ones are filled, but not trusted
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('again'::regclass, 'tasker_checkpoint_events_claimable'::regclass);
CALL live(); -- fail
REINDEX INDEX tasker_checkpoint_events_claimable;
CALL live();
UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"a key"'::regclass;
CALL live(); -- fail
REINDEX INDEX "a key";
CALL live();

-- missing ones: what can be found without them is found
DROP INDEX again, hashed;
CALL live();
DROP INDEX "a key";
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SELECT tasker_checkpoint_pause(:'s1'); -- fail
CREATE UNIQUE INDEX CONCURRENTLY ON public.tasker_checkpoint_events (step_uuid);
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
DROP INDEX tasker_checkpoint_events_step_uuid_idx;
DROP INDEX tasker_checkpoint_events_claimable;
SELECT tasker_checkpoint_claim('one'); -- fail
SELECT event_id AS e FROM tasker_checkpoint_claim('one', step_uuid => :'s1') \gset
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3, NULL, :'e');
SELECT right(step_uuid::text, 1) AS step, sequence FROM tasker_checkpoint_dispatched();
SELECT tasker_checkpoint_purge_events(dry_run => true);
CREATE INDEX CONCURRENTLY ON public.tasker_checkpoint_events (queue, priority DESC, available_at) WHERE event_id IS NOT NULL AND directive = 'continue' AND NOT parked;
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_claim('one');

-- a unique index over something else is its owner's to answer for
ALTER TABLE tasker_checkpoint_events ADD PRIMARY KEY (step_uuid);
CALL live();
CREATE UNIQUE INDEX one_worker ON tasker_checkpoint_events (worker);
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) FROM steps;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 2); -- fail
DROP INDEX one_worker;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 2);

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP PROCEDURE live;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

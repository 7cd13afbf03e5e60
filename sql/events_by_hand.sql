-- A row of the table of events that was edited by hand is refused if it is not whole; what is stored all the same harms nobody
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2'), (:'s3');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint, updated_at) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
RESET client_min_messages;

-- a claim that somebody wants to end
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'e');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'e');
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
\set VERBOSITY terse
UPDATE tasker_checkpoint_events SET lease = NULL, lease_until = NULL; -- fail
UPDATE tasker_checkpoint_events SET lease_until = NULL; -- fail
UPDATE tasker_checkpoint_events SET lease = '-1 s'; -- fail
UPDATE tasker_checkpoint_events SET lease = '1 month'; -- fail
UPDATE tasker_checkpoint_events SET worker = ''; -- fail
UPDATE tasker_checkpoint_events SET worker = repeat('x', 201); -- fail
UPDATE tasker_checkpoint_events SET event_id = NULL; -- fail
UPDATE tasker_checkpoint_events SET worker = NULL, lease = NULL, lease_until = NULL, event_id = NULL; -- fail
UPDATE tasker_checkpoint_events SET directive = 'stop'; -- fail
UPDATE tasker_checkpoint_events SET deliveries = -1; -- fail
UPDATE tasker_checkpoint_events SET sequence = -1; -- fail
UPDATE tasker_checkpoint_events SET yield_digest = NULL; -- fail
UPDATE tasker_checkpoint_events SET continuation_id = NULL; -- fail
UPDATE tasker_checkpoint_events SET save_digest = 1; -- fail
\set VERBOSITY default
-- what is whole is stored
UPDATE tasker_checkpoint_events SET save_digest = NULL, save_checkpointed_at = NULL, yield_event_id = NULL, yield_digest = NULL, yield_sequence = NULL, yield_checkpointed_at = NULL, continuation_id = NULL;
UPDATE tasker_checkpoint_events SET worker = repeat('x', 200), lease = '7 days';
UPDATE tasker_checkpoint_events SET worker = NULL, available_at = now();
SELECT tasker_checkpoint_heartbeat(:'e');
SELECT event_id AS e, deliveries FROM tasker_checkpoint_claim('two') \gset
SELECT :'deliveries' AS deliveries, tasker_checkpoint_complete(:'e');

-- rows that are taken away from workers
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
TRUNCATE tasker_checkpoint_events;
SELECT tasker_checkpoint_heartbeat(:'e'), tasker_checkpoint_release(:'e'), tasker_checkpoint_complete(:'e');
SELECT tasker_checkpoint_yield_step_event(:'e', jsonb_build_object('step_uuid', :'s1', 'cursor', 3, 'items_processed', 3));
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_save(:'s1', '3', 3, NULL, :'e'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '3', 3, NULL, :'e'); -- fail
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
DELETE FROM tasker_checkpoint_events;
SELECT tasker_checkpoint_heartbeat(:'e'), tasker_checkpoint_release(:'e'), tasker_checkpoint_complete(:'e');
SELECT tasker_checkpoint_save(:'s1', '3', 3, NULL, :'e'); -- fail
\set VERBOSITY default
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');

-- in a queue without a name, or with too long a one, while nothing else is missing
SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid, 'q' || right(workflow_step_uuid::text, 1))) FROM steps;
\set VERBOSITY terse
UPDATE tasker_checkpoint_events SET queue = '' WHERE queue = 'q1'; -- fail
\set VERBOSITY default
ALTER TABLE tasker_checkpoint_events DROP CONSTRAINT tasker_checkpoint_events_queue_check;
UPDATE tasker_checkpoint_events SET queue = '' WHERE queue = 'q1';
UPDATE tasker_checkpoint_events SET queue = repeat('q', 64) WHERE queue = 'q2';
SET statement_timeout = '60s';
CALL tasker_checkpoint_wait();
SELECT right(step_uuid::text, 1) AS step, queue FROM tasker_checkpoint_claim('one', max_steps => 3);
CALL tasker_checkpoint_wait(timeout => '10 ms');
RESET statement_timeout;
SELECT queue, waiting, claimed FROM tasker_checkpoint_queues ORDER BY 1;
SELECT count(*) FROM tasker_checkpoint_claim('one', step_uuid => :'s1');

-- at a time from which there is no interval
UPDATE tasker_checkpoint_events SET available_at = '-infinity' WHERE step_uuid = :'s2';
SELECT queue, waiting, oldest_wait > '50 years' AS waits FROM tasker_checkpoint_queues WHERE waiting > 0;
SELECT finding, figure < 'Infinity' AS is_known FROM tasker_checkpoint_health(unclaimed => '1 hour') WHERE step_uuid = :'s2';

-- without the constraints
DO $$
DECLARE
	name name;
BEGIN
	FOR name IN SELECT conname FROM pg_constraint WHERE conrelid = 'tasker_checkpoint_events'::regclass ORDER BY conname LOOP
		EXECUTE format('ALTER TABLE tasker_checkpoint_events DROP CONSTRAINT %I', name);
	END LOOP;
	FOR name IN SELECT attname FROM pg_attribute WHERE attrelid = 'tasker_checkpoint_events'::regclass AND attnum > 0 LOOP
		EXECUTE format('ALTER TABLE tasker_checkpoint_events ALTER %I DROP NOT NULL', name);
	END LOOP;
END
$$;
CREATE UNIQUE INDEX ON tasker_checkpoint_events (step_uuid);

-- what each function makes of a row of step 1 that was changed so, while step 2 waits behind it
CREATE PROCEDURE try(change text, claimed boolean DEFAULT true) LANGUAGE plpgsql AS $$
DECLARE
	e uuid;
	said text;
BEGIN
	DELETE FROM tasker_checkpoint_events;
	UPDATE steps SET checkpoint = NULL;
	PERFORM tasker_checkpoint_dispatch(workflow_step_uuid) FROM steps WHERE workflow_step_uuid::text ~ '[12]$';
	UPDATE tasker_checkpoint_events SET available_at = '2000-01-01' WHERE step_uuid::text ~ '1$';
	IF claimed THEN
		SELECT event_id INTO e FROM tasker_checkpoint_claim('one', '10 minutes', step_uuid => '00000000-0000-0000-0000-000000000001');
	END IF;
	EXECUTE 'UPDATE tasker_checkpoint_events SET ' || change || ' WHERE step_uuid::text ~ ''1$''';
	SET LOCAL ROLE regress_tckpt_worker;
	-- each in a transaction that is rolled back
	FOREACH said IN ARRAY ARRAY[
		'SELECT string_agg(right(step_uuid::text, 1), '', '' ORDER BY step_uuid) FROM tasker_checkpoint_claim(''two'', max_steps => 2)',
		'SELECT count(*) FROM tasker_checkpoint_claim(''two'', step_uuid => ''00000000-0000-0000-0000-000000000001'')',
		'SELECT concat_ws('' '', directive, parked, length(worker), deliveries, sequence, lease, lease_until < now()) FROM tasker_checkpoint_dispatched() WHERE step_uuid::text ~ ''1$''',
		'SELECT count(*) >= 0 FROM tasker_checkpoint_health() WHERE step_uuid::text ~ ''1$''',
		'SELECT tasker_checkpoint_dispatch(''00000000-0000-0000-0000-000000000001'') IS NOT NULL',
		'SELECT tasker_checkpoint_heartbeat($1)',
		'SELECT tasker_checkpoint_heartbeat($1, ''1 hour'')',
		'SELECT directive FROM tasker_checkpoint_save(''00000000-0000-0000-0000-000000000001'', ''1'', 1, NULL, $1)',
		'SELECT directive FROM tasker_checkpoint_yield(''00000000-0000-0000-0000-000000000001'', ''1'', 1, NULL, $1)',
		'SELECT directive FROM tasker_checkpoint_save(''00000000-0000-0000-0000-000000000001'', ''1'', 1)',
		'SELECT directive FROM tasker_checkpoint_yield(''00000000-0000-0000-0000-000000000001'', ''1'', 1)',
		'SELECT tasker_checkpoint_release($1)',
		'SELECT tasker_checkpoint_complete($1)',
		'SELECT tasker_checkpoint_pause(''00000000-0000-0000-0000-000000000001'')',
		'SELECT tasker_checkpoint_resume(''00000000-0000-0000-0000-000000000001'')',
		'SELECT tasker_checkpoint_cancel(''00000000-0000-0000-0000-000000000001'')',
		'SELECT tasker_checkpoint_clear(''00000000-0000-0000-0000-000000000001'')',
		'SELECT tasker_checkpoint_purge_events()'
	] LOOP
		DECLARE
			answer text;
		BEGIN
			EXECUTE said INTO answer USING e;
			RAISE SQLSTATE 'XXXXX' USING MESSAGE = coalesce(answer, 'null');
		EXCEPTION
			WHEN SQLSTATE 'XXXXX' THEN
				RAISE NOTICE '%: %', substring(said FROM 'tasker_checkpoint_\w+'), sqlerrm;
			WHEN SQLSTATE 'TC002' OR SQLSTATE '22004' THEN
				RAISE NOTICE '%: %', substring(said FROM 'tasker_checkpoint_\w+'), sqlstate;
		END;
	END LOOP;
	RESET ROLE;
END
$$;
CALL try('lease = NULL, lease_until = NULL');
CALL try('lease = NULL, lease_until = NULL, available_at = ''2000-01-01''');
CALL try('worker = NULL, available_at = ''2000-01-01''');
CALL try('worker = repeat(''xyzé'', 20000)');
CALL try('worker = (SELECT string_agg(md5(i::text), '''') FROM generate_series(1, 3200) i)');
CALL try('directive = NULL');
CALL try('directive = ''stop''');
CALL try('parked = NULL');
CALL try('event_id = NULL');
CALL try('step_uuid = NULL');
CALL try('deliveries = NULL, sequence = NULL');
CALL try('deliveries = -2147483648, sequence = -9223372036854775808, available_at = NULL', false);
CALL try('available_at = NULL, lease_until = ''infinity''');
CALL try('lease = ''-178000000 years'', lease_until = ''4714-11-24 00:00:00+00 BC'', available_at = ''4714-11-24 00:00:00+00 BC''');
CALL try('lease = ''178000000 years'', lease_until = ''294276-12-31''');
CALL try('yield_event_id = event_id, yield_digest = 1, save_digest = 1');
CALL try('directive = NULL, parked = NULL, event_id = NULL, worker = NULL, available_at = NULL, lease = NULL, lease_until = NULL, deliveries = NULL, sequence = NULL', false);

-- the next write stores a whole row
DELETE FROM tasker_checkpoint_events;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
UPDATE tasker_checkpoint_events SET directive = NULL, parked = NULL, available_at = NULL, deliveries = NULL, sequence = NULL, save_digest = 1, lease = '1 month';
SELECT tasker_checkpoint_resume(:'s1');
SELECT directive, parked, available_at <= now() AS available, deliveries, sequence, save_digest, lease FROM tasker_checkpoint_events;
-- two rows for a step: one of them is taken, both are gone in the end
DROP INDEX tasker_checkpoint_events_step_uuid_idx, tasker_checkpoint_events_event_id;
INSERT INTO tasker_checkpoint_events SELECT * FROM tasker_checkpoint_events;
SELECT count(*), count(DISTINCT step_uuid) FROM tasker_checkpoint_claim('one', max_steps => 3);
SELECT tasker_checkpoint_complete(event_id) FROM tasker_checkpoint_events;
INSERT INTO tasker_checkpoint_events (event_id) VALUES (:'s1');
SELECT tasker_checkpoint_complete(:'s1');
SET client_min_messages = notice;
SELECT tasker_checkpoint_detach();
SELECT count(*) FROM tasker_checkpoint_events;
SELECT tasker_checkpoint_attach('steps');

-- another table than it was
ALTER TABLE tasker_checkpoint_events ADD COLUMN note text;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
ALTER TABLE tasker_checkpoint_events DROP COLUMN note;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_attach('steps');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
BEGIN;
ALTER TABLE tasker_checkpoint_events DROP COLUMN worker, ADD COLUMN worker text;
SELECT count(*) FROM tasker_checkpoint_dispatched(); -- fail
ROLLBACK;
BEGIN;
ALTER TABLE tasker_checkpoint_events ALTER worker TYPE varchar(200);
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
ROLLBACK;
BEGIN;
ALTER TABLE tasker_checkpoint_events ALTER deliveries TYPE bigint;
SELECT tasker_checkpoint_dispatched(:'s1'); -- fail
ROLLBACK;
BEGIN;
ALTER TABLE tasker_checkpoint_events RENAME TO renamed;
SAVEPOINT renamed;
SELECT tasker_checkpoint_claim('one'); -- fail
ROLLBACK TO renamed;
CREATE VIEW tasker_checkpoint_events AS SELECT * FROM renamed;
SELECT tasker_checkpoint_claim('one'); -- fail
ROLLBACK;
BEGIN;
ALTER TABLE tasker_checkpoint_events RENAME TO renamed;
CREATE TABLE tasker_checkpoint_events (LIKE renamed) PARTITION BY HASH (step_uuid);
SELECT tasker_checkpoint_claim('one'); -- fail
ROLLBACK;
SELECT count(*) FROM tasker_checkpoint_claim('one');

DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP PROCEDURE try;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

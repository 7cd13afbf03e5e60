-- Every SQLSTATE of the dispatch, with the function that raises it (but 25000, which a test in one transaction cannot see)
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean DEFAULT false, checkpoint jsonb);
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', false), ('00000000-0000-0000-0000-000000000002', true);
-- those that are given a step, and those that are given an event
CREATE TEMPORARY TABLE of_steps (name text, arguments text);
INSERT INTO of_steps VALUES ('dispatch', '%L'), ('claim', '''one'', step_uuid => %L'), ('pause', '%L'), ('cancel', '%L'), ('resume', '%L'), ('rewind', '%L, 1');
CREATE TEMPORARY TABLE of_events (name text, arguments text);
INSERT INTO of_events VALUES ('heartbeat', '%L'), ('complete', '%L'), ('release', '%L');
CREATE FUNCTION pg_temp.call(name text, arguments text, id uuid) RETURNS text LANGUAGE sql
RETURN format('SELECT tasker_checkpoint_%s(' || arguments || ')', name, id);
CREATE FUNCTION pg_temp.data(id uuid) RETURNS jsonb LANGUAGE sql
RETURN jsonb_build_object('step_uuid', id, 'cursor', 1, 'items_processed', 1);

SELECT plan(7 + 7 + 5 + 3 + 2 + 2 + 3 + 15 + 1 + 11 + 10);

-- nothing attached
SELECT throws_ok(pg_temp.call(name, arguments, '00000000-0000-0000-0000-000000000001'), '55000', 'no steps table is attached', name || ' without a steps table')
FROM of_steps ORDER BY name COLLATE "C";
SELECT throws_ok(format('SELECT tasker_checkpoint_yield_step_event(gen_random_uuid(), %L)', pg_temp.data('00000000-0000-0000-0000-000000000001')), '55000',
	'no steps table is attached', 'yield_step_event without a steps table');
SELECT tasker_checkpoint_attach('steps') \gset

-- no such step
SELECT throws_ok(pg_temp.call(name, arguments, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), 'P0002', 'step "ffffffff-ffff-ffff-ffff-ffffffffffff" does not exist',
	name || ' of a step that is not there')
FROM of_steps ORDER BY name COLLATE "C";
SELECT throws_ok(format('SELECT tasker_checkpoint_yield_step_event(gen_random_uuid(), %L)', pg_temp.data('ffffffff-ffff-ffff-ffff-ffffffffffff')), 'P0002', NULL,
	'yield_step_event of a step that is not there');

-- no step given, no event given
SELECT throws_ok(pg_temp.call(name, arguments, NULL), '22004', 'step_uuid must not be null', name || ' without a step')
FROM of_steps WHERE name <> 'claim' ORDER BY name COLLATE "C";
SELECT throws_ok(pg_temp.call(name, arguments, NULL), '22004', 'event_id must not be null', name || ' without an event')
FROM of_events ORDER BY name COLLATE "C";
SELECT throws_ok($$SELECT tasker_checkpoint_yield_step_event(NULL, '{}')$$, '22004', 'event_id must not be null', 'yield_step_event without an event');
SELECT throws_ok($$SELECT tasker_checkpoint_yield_step_event(gen_random_uuid(), NULL)$$, '22004', 'checkpoint_data must not be null', 'yield_step_event without data');

-- already processed
SELECT throws_ok(pg_temp.call(name, arguments, '00000000-0000-0000-0000-000000000002'), '55000', 'step "00000000-0000-0000-0000-000000000002" is already processed',
	name || ' of a processed step')
FROM of_steps WHERE name IN ('dispatch', 'rewind') ORDER BY name COLLATE "C";
SELECT lives_ok(pg_temp.call(name, arguments, '00000000-0000-0000-0000-000000000002'), name || ' of a processed step')
FROM of_steps WHERE name IN ('pause', 'resume', 'claim') ORDER BY name COLLATE "C";

-- out of bounds
SELECT throws_ok('SELECT ' || call, '22023', NULL, call)
FROM unnest(ARRAY['tasker_checkpoint_claim('''')', 'tasker_checkpoint_claim(repeat(''x'', 201))', 'tasker_checkpoint_claim(''one'', ''0'')',
	'tasker_checkpoint_claim(''one'', ''1 hour 1 second'')', 'tasker_checkpoint_claim(''one'', max_steps => 0)', 'tasker_checkpoint_claim(''one'', max_steps => 1001)',
	'tasker_checkpoint_claim(''one'', queues => ''{}'')', 'tasker_checkpoint_claim(''one'', queues => ''{NULL}'')', 'tasker_checkpoint_claim(''one'', queues => ''{""}'')',
	'tasker_checkpoint_heartbeat(gen_random_uuid(), ''0'')', 'tasker_checkpoint_heartbeat(gen_random_uuid(), ''1 hour 1 second'')',
	'tasker_checkpoint_release(gen_random_uuid(), ''-1 second'')', 'tasker_checkpoint_release(gen_random_uuid(), ''1 day 1 second'')',
	'tasker_checkpoint_rewind(''00000000-0000-0000-0000-000000000001'', 1)', 'tasker_checkpoint_yield_step_event(gen_random_uuid(), ''{}'')']) call;
SELECT throws_ok($$SELECT tasker_checkpoint_release(gen_random_uuid(), NULL)$$, '22004', 'delay must not be null', 'release without a delay');

-- superseded, or a claim is required
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000001') AS event \gset
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', '1', 1, NULL, %L)$$, name, :'event'), 'TC002',
	'claim of step "00000000-0000-0000-0000-000000000001" was superseded', name || ' under an event that was claimed')
FROM (VALUES ('yield'), ('save')) f (name);
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', '1', 1)$$, name), 'TC002',
	'step "00000000-0000-0000-0000-000000000001" is claimed', name || ' of a claimed step without an event')
FROM (VALUES ('yield'), ('save')) f (name);
SELECT is(result, false, name || ' of an event that was claimed')
FROM (SELECT 'heartbeat', tasker_checkpoint_heartbeat(:'event') UNION ALL SELECT 'complete', tasker_checkpoint_complete(:'event')
	UNION ALL SELECT 'release', tasker_checkpoint_release(:'event')
	UNION ALL SELECT 'yield_step_event', tasker_checkpoint_yield_step_event(:'event', pg_temp.data('00000000-0000-0000-0000-000000000001'))) f (name, result);
SET LOCAL tasker_checkpoint.require_claim = on;
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', '1', 1)$$, name), 'TC002',
	'step "00000000-0000-0000-0000-000000000001" must be claimed before a checkpoint is written', name || ' without a claim, while one is required')
FROM (VALUES ('yield'), ('save')) f (name);
SELECT throws_ok($$UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1}'$$, 'TC002', NULL, 'UPDATE without a claim, while one is required');
SET LOCAL tasker_checkpoint.require_claim = off;

-- the key of a dispatched step; read-only transactions
SELECT throws_ok($$UPDATE steps SET workflow_step_uuid = gen_random_uuid() WHERE NOT processed$$, '55000', NULL, 'another key for a dispatched step');
SELECT throws_ok(format($$DO 'BEGIN
	SET LOCAL transaction_read_only = on;
	PERFORM %s;
END'$$, replace(replace(pg_temp.call(name, arguments, '00000000-0000-0000-0000-000000000001'), 'SELECT ', ''), '''', '''''')), '25006', NULL, name || ' in a read-only transaction')
FROM (SELECT * FROM of_steps UNION ALL SELECT * FROM of_events) f ORDER BY name COLLATE "C";

SELECT * FROM finish();
ROLLBACK;

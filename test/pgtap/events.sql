-- The dispatched steps' table and the type of a delivery: columns, indexes, rights, comments, part of a dump
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_nobody;

SELECT plan(27);

SELECT has_table('tasker_checkpoint_events'::name);
SELECT col_is_pk('tasker_checkpoint_events', 'step_uuid');
SELECT col_type_is('tasker_checkpoint_events', 'step_uuid', 'uuid');
SELECT col_type_is('tasker_checkpoint_events', 'event_id', 'uuid');
SELECT col_is_null('tasker_checkpoint_events', 'event_id', 'a row may hold a directive only');
SELECT ok(EXISTS (SELECT FROM pg_index WHERE indrelid = 'tasker_checkpoint_events'::regclass AND indisunique AND indnkeyatts = 1 AND indpred IS NULL
	AND pg_get_indexdef(indexrelid, 1, true) = 'event_id'), 'an event_id is found, and there once');
SELECT ok(EXISTS (SELECT FROM pg_index WHERE indrelid = 'tasker_checkpoint_events'::regclass AND pg_get_indexdef(indexrelid) LIKE '%(queue, priority DESC, available_at) WHERE%'),
	'claim finds what comes first in a queue');
SELECT ok(NOT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
	WHERE i.indrelid = 'tasker_checkpoint_events'::regclass AND attname IN ('lease', 'lease_until', 'worker')), 'no index keeps a heartbeat from being HOT');
SELECT is(relpersistence, 'p', 'the table is no unlogged one') FROM pg_class WHERE oid = 'tasker_checkpoint_events'::regclass;
SELECT is(relacl, NULL, 'nobody was granted anything on it') FROM pg_class WHERE oid = 'tasker_checkpoint_events'::regclass;
SELECT ok(NOT has_table_privilege('public', 'tasker_checkpoint_events', p), 'PUBLIC has no ' || p || ' on it')
FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p;
SELECT ok(NOT has_any_column_privilege('regress_tckpt_nobody', 'tasker_checkpoint_events', 'SELECT, UPDATE'), 'nor has anybody on a column');
SELECT ok(length(obj_description('tasker_checkpoint_events'::regclass, 'pg_class')) > 20, 'it is commented');
SELECT ok(bool_and(col_description(attrelid, attnum) IS NOT NULL), 'so is every column') FROM pg_attribute
WHERE attrelid = 'tasker_checkpoint_events'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT ok('tasker_checkpoint_events'::regclass = ANY (extconfig), 'a dump has its rows') FROM pg_extension WHERE extname = 'tasker_checkpoint';
SELECT is(array_remove(extcondition, ''), '{}', 'all of them') FROM pg_extension WHERE extname = 'tasker_checkpoint';
SELECT ok(NOT relrowsecurity, 'no row security of its own') FROM pg_class WHERE oid = 'tasker_checkpoint_events'::regclass;
SELECT throws_ok($$INSERT INTO tasker_checkpoint_events (step_uuid, directive, available_at, deliveries, parked, sequence)
	VALUES (gen_random_uuid(), 'stop', now(), 0, false, 0)$$, '23514', NULL, 'no other directives');

SELECT has_composite('tasker_checkpoint_delivery'::name);
SELECT is(string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum),
	'event_id uuid, step_uuid uuid, has_checkpoint boolean, cursor jsonb, items_processed bigint, accumulated_results jsonb, sequence bigint, deliveries integer, queue text',
	'attributes of a delivery')
FROM pg_attribute JOIN pg_type ON attrelid = typrelid WHERE typname = 'tasker_checkpoint_delivery' AND attnum > 0;
SELECT ok(obj_description('tasker_checkpoint_delivery'::regtype, 'pg_type') IS NOT NULL
	AND bool_and(col_description(attrelid, attnum) IS NOT NULL), 'type and attributes are commented')
FROM pg_attribute JOIN pg_type ON attrelid = typrelid WHERE typname = 'tasker_checkpoint_delivery' AND attnum > 0;

SELECT * FROM finish();
ROLLBACK;

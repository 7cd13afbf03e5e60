-- The composite types: attributes in order, comments
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;

CREATE TEMPORARY TABLE contract (name name, attributes text);
INSERT INTO contract VALUES
('tasker_checkpoint_delivery',
	'event_id uuid, step_uuid uuid, has_checkpoint boolean, cursor jsonb, items_processed bigint, accumulated_results jsonb, sequence bigint, deliveries integer, queue text'),
('tasker_checkpoint_receipt', 'sequence bigint, event_id uuid, directive text, replayed boolean'),
('tasker_checkpoint_state',
	'has_checkpoint boolean, cursor jsonb, items_processed bigint, accumulated_results jsonb, checkpointed_at timestamp with time zone, sequence bigint');

CREATE TEMPORARY TABLE views (name name, attributes text);
INSERT INTO views VALUES
('tasker_checkpoint_health',
	'finding text, severity text, step_uuid uuid, figure numeric, threshold numeric, unit text, detail text, statement text, queue text'),
('tasker_checkpoint_progress',
	'step_uuid uuid, step_name text, task_uuid uuid, task_name text, items_processed bigint, total bigint, percent numeric, rate numeric, eta interval, checkpointed_at timestamp with time zone, sequence bigint, state text, worker text, lease_until timestamp with time zone, deliveries integer, queue text'),
('tasker_checkpoint_queues',
	'queue text, waiting bigint, delayed bigint, claimed bigint, expired bigint, paused bigint, parked bigint, oldest_wait interval');

CREATE FUNCTION pg_temp.attributes(relation name) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = relation::text::regclass AND attnum > 0 AND NOT attisdropped
$$;

SELECT plan((SELECT count(*)::int FROM contract) * 3 + (SELECT count(*)::int FROM views) * 5 + 3);

SELECT set_eq($$SELECT relname FROM pg_class c JOIN pg_depend d ON classid = 'pg_type'::regclass AND objid = reltype AND deptype = 'e'
	JOIN pg_extension ON refobjid = pg_extension.oid AND extname = 'tasker_checkpoint' WHERE relkind = 'c'$$,
	'SELECT name FROM contract', 'these types and no others');
SELECT is(pg_temp.attributes(name), attributes, 'attributes of ' || name) FROM contract ORDER BY name COLLATE "C";
SELECT ok(obj_description(name::text::regtype, 'pg_type') IS NOT NULL, name || ' is commented') FROM contract ORDER BY name COLLATE "C";
SELECT ok(bool_and(col_description(attrelid, attnum) IS NOT NULL), name || ': every attribute is commented')
FROM contract JOIN pg_attribute ON attrelid = name::text::regclass AND attnum > 0 GROUP BY name ORDER BY name COLLATE "C";

SELECT set_eq($$SELECT relname FROM pg_class c JOIN pg_depend d ON classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e'
	JOIN pg_extension ON refobjid = pg_extension.oid AND extname = 'tasker_checkpoint' WHERE relkind = 'v'$$,
	'SELECT name FROM views', 'these views and no others');
SELECT has_view(name) FROM views ORDER BY name COLLATE "C";
SELECT is(pg_temp.attributes(name), attributes, 'columns of the view ' || name) FROM views ORDER BY name COLLATE "C";
SELECT ok(has_table_privilege('public', name::text, 'SELECT'), 'everybody may read ' || name) FROM views ORDER BY name COLLATE "C";
SELECT ok(obj_description(name::text::regclass, 'pg_class') IS NOT NULL, name || ' is commented') FROM views ORDER BY name COLLATE "C";
SELECT ok(bool_and(col_description(attrelid, attnum) IS NOT NULL), name || ': every column is commented')
FROM views JOIN pg_attribute ON attrelid = name::text::regclass AND attnum > 0 GROUP BY name ORDER BY name COLLATE "C";

SELECT is(extversion, default_version, 'the version is the default one')
FROM pg_extension JOIN pg_available_extensions ON name = extname WHERE extname = 'tasker_checkpoint';

SELECT * FROM finish();
ROLLBACK;

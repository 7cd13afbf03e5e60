-- The composite types: attributes in order, comments
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;

CREATE FUNCTION pg_temp.attributes(type text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	FROM pg_attribute JOIN pg_type ON attrelid = typrelid
	WHERE typname = type AND attnum > 0 AND NOT attisdropped
$$;

SELECT plan(29);

SELECT has_composite('tasker_checkpoint_receipt'::name);
SELECT has_composite('tasker_checkpoint_state'::name);
SELECT has_composite('tasker_checkpoint_statistics'::name);
SELECT has_composite('tasker_checkpoint_dispatched_step'::name);
SELECT has_composite('tasker_checkpoint_history_entry'::name);
SELECT has_composite('tasker_checkpoint_finding'::name);
SELECT is(pg_temp.attributes('tasker_checkpoint_receipt'), 'sequence bigint, event_id uuid, directive text', 'attributes of the receipt');
SELECT is(pg_temp.attributes('tasker_checkpoint_state'),
	'has_checkpoint boolean, cursor jsonb, items_processed bigint, accumulated_results jsonb, checkpointed_at timestamp with time zone, sequence bigint',
	'attributes of the state');
SELECT is(pg_temp.attributes('tasker_checkpoint_statistics'),
	'yields bigint, saves bigint, replays bigint, fenced bigint, refused_tc001 bigint, refused_54000 bigint, refused_23514 bigint, refused_55000 bigint, truncated_entries bigint, claims bigint, expired_claims bigint, parked bigint, notifications_sent bigint, notifications_batched bigint, notifications_lost bigint, stats_reset timestamp with time zone',
	'attributes of the statistics');
SELECT is(pg_temp.attributes('tasker_checkpoint_dispatched_step'),
	'step_uuid uuid, has_event boolean, directive text, parked boolean, available_at timestamp with time zone, worker text, lease interval, lease_until timestamp with time zone, deliveries integer, sequence bigint',
	'attributes of a dispatched step');
SELECT is(pg_temp.attributes('tasker_checkpoint_history_entry'),
	'generation integer, sequence bigint, cursor jsonb, items_processed bigint, checkpointed_at timestamp with time zone, accumulated_results jsonb, archived boolean, cleared_at timestamp with time zone, cleared_by text',
	'attributes of an entry of the trail');
SELECT is(pg_temp.attributes('tasker_checkpoint_finding'),
	'finding text, severity text, step_uuid uuid, figure numeric, threshold numeric, unit text, detail text, statement text',
	'attributes of a finding');
SELECT has_view('tasker_checkpoint_health'::name);
SELECT is(pg_temp.attributes('tasker_checkpoint_health'), pg_temp.attributes('tasker_checkpoint_finding'), 'columns of the view of findings');
SELECT ok(has_table_privilege('public', 'tasker_checkpoint_health', 'SELECT'), 'which everybody may read');
SELECT ok(obj_description(oid, 'pg_type') IS NOT NULL, typname || ' is commented')
FROM pg_type WHERE typname IN ('tasker_checkpoint_dispatched_step', 'tasker_checkpoint_finding', 'tasker_checkpoint_history_entry', 'tasker_checkpoint_receipt', 'tasker_checkpoint_state', 'tasker_checkpoint_statistics') ORDER BY typname;
SELECT ok(bool_and(col_description(attrelid, attnum) IS NOT NULL), typname || ': every attribute is commented')
FROM pg_attribute JOIN pg_type ON attrelid = typrelid
WHERE typname IN ('tasker_checkpoint_dispatched_step', 'tasker_checkpoint_finding', 'tasker_checkpoint_history_entry', 'tasker_checkpoint_receipt', 'tasker_checkpoint_state', 'tasker_checkpoint_statistics') AND attnum > 0 GROUP BY typname ORDER BY typname;
SELECT set_eq($$SELECT typname FROM pg_type JOIN pg_depend ON classid = 'pg_type'::regclass AND objid = pg_type.oid AND deptype = 'e'
	JOIN pg_extension ON refobjid = pg_extension.oid AND extname = 'tasker_checkpoint' WHERE typtype = 'c'
	AND typrelid IN (SELECT oid FROM pg_class WHERE relkind = 'c')$$,
	ARRAY['tasker_checkpoint_delivery', 'tasker_checkpoint_dispatched_step', 'tasker_checkpoint_finding', 'tasker_checkpoint_history_entry', 'tasker_checkpoint_receipt', 'tasker_checkpoint_state', 'tasker_checkpoint_statistics']::name[], 'these types and no others');
SELECT is(extversion, default_version, 'the version is the default one')
FROM pg_extension JOIN pg_available_extensions ON name = extname WHERE extname = 'tasker_checkpoint';

SELECT * FROM finish();
ROLLBACK;

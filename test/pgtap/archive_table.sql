-- The archive: columns, partitions, rights, comments, part of a dump
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;

CREATE TEMPORARY VIEW months AS
SELECT inhrelid::regclass AS month, c.* FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'tasker_checkpoint_archive'::regclass;

SELECT plan(13);

SELECT has_table('tasker_checkpoint_archive'::name);
SELECT is(string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum),
	'step_uuid uuid, generation integer, first_sequence bigint, last_sequence bigint, last_at timestamp with time zone, archived_at timestamp with time zone, cleared_by text, entries jsonb, accumulated_results jsonb',
	'columns') FROM pg_attribute WHERE attrelid = 'tasker_checkpoint_archive'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT set_eq('SELECT relname FROM months', $$SELECT 'tasker_checkpoint_archive_' || to_char(i, 'FM00') FROM generate_series(1, 12) i$$, 'a partition for each month');
SELECT ok(bool_and(pg_get_expr(relpartbound, oid) = format('FOR VALUES IN (''%s'')', right(relname, 2)::int)), 'named by it') FROM months;
SELECT ok(bool_and(relacl IS NULL AND relpersistence = 'p' AND NOT relrowsecurity), 'nobody was granted anything on them') FROM months;
SELECT is(relacl, NULL, 'nor on the table') FROM pg_class WHERE oid = 'tasker_checkpoint_archive'::regclass;
SELECT is(count(*) FILTER (WHERE relreplident = 'f'), 12::bigint, 'a publication of all tables does not keep them from being purged') FROM months;
SELECT ok(length(obj_description('tasker_checkpoint_archive'::regclass, 'pg_class')) > 20, 'the table is commented');
SELECT ok(bool_and(obj_description(oid, 'pg_class') IS NOT NULL), 'so is every partition') FROM months;
SELECT ok(bool_and(col_description(attrelid, attnum) IS NOT NULL), 'and every column') FROM pg_attribute
WHERE attrelid = 'tasker_checkpoint_archive'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT ok(bool_and(months.oid = ANY (extconfig)), 'a dump has their rows') FROM months, pg_extension WHERE extname = 'tasker_checkpoint';
SELECT ok(bool_and(EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid WHERE d.objid = months.oid AND d.deptype = 'e'
	AND e.extname = 'tasker_checkpoint')), 'they go with the extension') FROM months;
SELECT ok(bool_and((SELECT count(*) = 1 FROM pg_index WHERE indrelid = months.oid AND indkey::text = '1 2 3')), 'each has one index, by which a trail is found') FROM months;

SELECT * FROM finish();
ROLLBACK;

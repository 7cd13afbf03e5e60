-- The archive: columns, key, indexes, rights, comments, part of a dump
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;

SELECT plan(11);

SELECT has_table('tasker_checkpoint_archive'::name);
SELECT is(string_agg(format('%s %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum),
	'step_uuid uuid, generation integer, first_sequence bigint, last_sequence bigint, last_at timestamp with time zone, next_at timestamp with time zone, archived_at timestamp with time zone, cleared_by text, entries jsonb, accumulated_results jsonb',
	'columns') FROM pg_attribute WHERE attrelid = 'tasker_checkpoint_archive'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT col_is_pk('tasker_checkpoint_archive', ARRAY['step_uuid', 'generation', 'first_sequence']);
SELECT has_index('tasker_checkpoint_archive', 'tasker_checkpoint_archive_archived_at', 'archived_at', 'what is old is found by an index');
SELECT is(relacl, NULL, 'nobody was granted anything on it') FROM pg_class WHERE oid = 'tasker_checkpoint_archive'::regclass;
SELECT ok(relkind = 'r' AND relpersistence = 'p' AND NOT relrowsecurity, 'a plain table') FROM pg_class WHERE oid = 'tasker_checkpoint_archive'::regclass;
SELECT ok(length(obj_description('tasker_checkpoint_archive'::regclass, 'pg_class')) > 20, 'the table is commented');
SELECT ok(bool_and(col_description(attrelid, attnum) IS NOT NULL), 'so is every column') FROM pg_attribute
WHERE attrelid = 'tasker_checkpoint_archive'::regclass AND attnum > 0 AND NOT attisdropped;
SELECT ok('tasker_checkpoint_archive'::regclass = ANY (extconfig), 'a dump has its rows') FROM pg_extension WHERE extname = 'tasker_checkpoint';
SELECT ok(EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid WHERE d.objid = 'tasker_checkpoint_archive'::regclass AND d.deptype = 'e'
	AND e.extname = 'tasker_checkpoint'), 'it goes with the extension');
SELECT throws_ok($$INSERT INTO tasker_checkpoint_archive (step_uuid, generation, first_sequence, last_sequence, archived_at, entries)
	VALUES (gen_random_uuid(), 1, 2, 0, now(), '[]')$$, '23514', NULL, 'no row whose numbers run backwards');

SELECT * FROM finish();
ROLLBACK;

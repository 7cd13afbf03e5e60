-- The script means the same whether strings have escapes or not, and so do functions that are SQL; none warns
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, in_process boolean, inputs jsonb, updated_at timestamp, checkpoint jsonb);
SET client_min_messages = warning;
SET standard_conforming_strings = off;
SET escape_string_warning = on;
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_attach();
INSERT INTO tasker.workflow_steps (workflow_step_uuid, in_process, inputs)
SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid, true, '{"cursor": {"start_cursor": 0, "end_cursor": 50}}' FROM generate_series(1, 3) i;
SELECT count(tasker_checkpoint_yield(workflow_step_uuid, to_jsonb('quoted " and '' and ' || chr(92)), 10)) FROM tasker.workflow_steps;
SELECT tasker_checkpoint_pause('00000000-0000-0000-0000-000000000003');
SET tasker_checkpoint.enforce = warning;

-- all that was seen, without what grows by itself
CREATE FUNCTION seen() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT 'doctor ' || d::text FROM tasker_checkpoint_doctor() d
	UNION ALL SELECT 'health ' || h::text FROM tasker_checkpoint_health(near_limit => 1) h
	UNION ALL SELECT 'progress ' || concat_ws(' ', step_uuid, items_processed, total, state) FROM tasker_checkpoint_progress
	UNION ALL SELECT 'index ' || i::text FROM tasker_checkpoint_hot_indexes() i
	UNION ALL SELECT 'archive ' || tasker_checkpoint_purge_archive('1 day')
	ORDER BY 1
$$;
CREATE INDEX cursors ON tasker.workflow_steps ((checkpoint ->> 'cursor'));
SELECT count(*) > 15 AS looked FROM seen();
CREATE TEMPORARY TABLE with_escapes (line) AS SELECT * FROM seen();
SET standard_conforming_strings = on;
SELECT line AS with_escapes_only FROM with_escapes EXCEPT SELECT seen FROM seen();
SELECT seen AS without_only FROM seen() EXCEPT SELECT line FROM with_escapes;
DROP EXTENSION tasker_checkpoint;

-- the same objects
CREATE TEMPORARY TABLE objects (escapes boolean, object text);
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
INSERT INTO objects SELECT false, coalesce(pg_get_functiondef(p.oid), '') || coalesce(obj_description(d.objid, d.classid::regclass::name), '')
FROM pg_depend d LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
WHERE d.deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint');
DROP EXTENSION tasker_checkpoint;
SET standard_conforming_strings = off;
CREATE EXTENSION tasker_checkpoint;
INSERT INTO objects SELECT true, coalesce(pg_get_functiondef(p.oid), '') || coalesce(obj_description(d.objid, d.classid::regclass::name), '')
FROM pg_depend d LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
WHERE d.deptype = 'e' AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint');
RESET standard_conforming_strings;
SELECT count(*) > 30 AS many, count(*) FILTER (WHERE escapes) - count(*) FILTER (WHERE NOT escapes) AS difference FROM objects;
SELECT left(object, 60) FROM objects GROUP BY object HAVING count(*) FILTER (WHERE escapes) <> count(*) FILTER (WHERE NOT escapes);

DROP EXTENSION tasker_checkpoint;
DROP FUNCTION seen();
DROP SCHEMA tasker CASCADE;

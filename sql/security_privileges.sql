-- Who may execute which function, and use which table, view and type: all that the catalogs list
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_nobody;
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_worker;
CREATE ROLE regress_tckpt_operator;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT USAGE ON SCHEMA regress_tckpt TO PUBLIC;
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_tckpt.steps (id uuid PRIMARY KEY, processed boolean, updated_at timestamp, checkpoint jsonb);
RESET ROLE;
SELECT tasker_checkpoint_attach('regress_tckpt.steps', 'id');
GRANT SELECT ON regress_tckpt.steps TO regress_tckpt_reader, regress_tckpt_operator;
GRANT SELECT (id, checkpoint, processed), UPDATE (checkpoint, updated_at) ON regress_tckpt.steps TO regress_tckpt_worker;
GRANT UPDATE ON regress_tckpt.steps TO regress_tckpt_operator;

-- whose each function is, by its name; one that is not here belongs here
CREATE TEMPORARY TABLE classes AS
SELECT 'tasker_checkpoint_' || name AS name, class
FROM (VALUES
	('everybody', 'table get load exists cursor items_processed accumulated_results history dispatched progress health'),
	('everybody', 'hot_indexes drop_index set_columns missing_indexes sample version'),
	('everybody', 'survey unguarded old_snapshots cursor_indexes limits shown enough'),
	('everybody', 'registrations candidates trusts attach_call settings counted look'),
	('everybody', 'own_functions workers missing_rights needless_rights revoke leave'),
	('everybody', 'check_table check_guard check_trigger_order check_index check_fillfactor check_compression check_hot_share'),
	('everybody', 'check_bloat check_snapshots check_limits check_events check_grants check_settings check_notifier check_notify_queue'),
	('everybody', 'check_connections check_replication check_names check_version forget'),
	('worker', 'wait claim heartbeat complete release yield save yield_step_event'),
	('worker and operator', 'dispatch'),
	('operator', 'pause resume cancel rewind clear reset_for_retry attach create_table detach doctor stats stats_reset purge trim purge_events purge_archive'),
	('superuser', 'guard attach_table attach_indexes')
) c (class, names), string_to_table(names, ' ') name;
CREATE TEMPORARY VIEW functions AS
SELECT p.oid, p.oid::regprocedure::text AS function, p.prosecdef, p.prokind, p.proargtypes, c.class
FROM pg_depend d
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND extname = 'tasker_checkpoint'
JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
LEFT JOIN classes c ON c.name = p.proname;
SELECT function FROM functions WHERE class IS NULL ORDER BY 1;
SELECT name FROM classes EXCEPT SELECT proname FROM functions JOIN pg_proc USING (oid) ORDER BY 1;
SELECT format('GRANT EXECUTE ON ROUTINE %s TO regress_tckpt_%s', function, role)
FROM functions JOIN (VALUES ('worker'), ('operator')) r (role) ON class LIKE '%' || role || '%' ORDER BY 1
\gexec

-- What calling one does, all arguments NULL: 42501 comes before anything else. Nothing stays.
CREATE FUNCTION pg_temp.call(f functions, role text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	arguments text := (SELECT string_agg(format('NULL::%s', t::regtype), ', ') FROM unnest(f.proargtypes::oid[]) t);
	name text := (SELECT format('%I.%I', pronamespace::regnamespace, proname) FROM pg_proc WHERE oid = f.oid);
BEGIN
	EXECUTE format('SET LOCAL ROLE regress_tckpt_%s', role);
	EXECUTE format(CASE f.prokind WHEN 'p' THEN 'CALL %s(%s)' ELSE 'SELECT %s(%s)' END, name, arguments);
	RAISE EXCEPTION 'ran' USING ERRCODE = 'ZZ000';
EXCEPTION WHEN OTHERS THEN
	RETURN CASE SQLSTATE WHEN 'ZZ000' THEN 'runs' WHEN '42501' THEN
		CASE WHEN SQLERRM ~ '^permission denied for (function|procedure) ' THEN '' ELSE SQLERRM END ELSE SQLSTATE END;
END $$;
SELECT function, pg_temp.call(f, 'nobody') AS nobody, pg_temp.call(f, 'reader') AS reader, pg_temp.call(f, 'worker') AS worker,
	pg_temp.call(f, 'operator') AS operator, pg_temp.call(f, 'owner') AS owner
FROM functions f
ORDER BY class COLLATE "C", function COLLATE "C";

-- the right and what it does agree, but where a part of the doctor calls what is an operator's
SELECT function, role
FROM functions f, unnest('{nobody,reader,worker,operator,owner}'::text[]) role
WHERE has_function_privilege('regress_tckpt_' || role, f.oid, 'EXECUTE') <> (class = 'everybody' OR class LIKE '%' || role || ' %' OR class LIKE '%' || role)
OR has_function_privilege('regress_tckpt_' || role, f.oid, 'EXECUTE') = (pg_temp.call(f, role) = '')
EXCEPT SELECT 'tasker_checkpoint_' || part, role FROM unnest('{check_events(),counted(boolean)}'::text[]) part, unnest('{nobody,reader,worker,owner}'::text[]) role;

-- those that run with other rights than the caller's
SELECT function FROM functions WHERE prosecdef ORDER BY 1;

-- tables, views, sequences: nobody but their owner has any right, but to read views
SELECT c.relkind, regexp_replace(relname, '_\d\d$', '_NN') AS name, role, string_agg(DISTINCT privilege, ', ') AS privileges
FROM pg_depend d
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND extname = 'tasker_checkpoint'
JOIN pg_class c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND c.relkind NOT IN ('i', 'I', 'c')
CROSS JOIN unnest('{nobody,reader,worker,operator,owner}'::text[]) role
LEFT JOIN unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) privilege
	ON has_table_privilege('regress_tckpt_' || role, c.oid, privilege)
	OR (privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege('regress_tckpt_' || role, c.oid, privilege))
GROUP BY 1, 2, 3
HAVING relkind <> 'v' AND count(privilege) > 0 OR relkind = 'v' AND string_agg(DISTINCT privilege, ', ') IS DISTINCT FROM 'SELECT'
ORDER BY 1, 2, 3;
SELECT has_table_privilege('regress_tckpt_nobody', 'tasker_checkpoint_progress', 'SELECT') AS progress,
	has_table_privilege('regress_tckpt_nobody', 'tasker_checkpoint_health', 'SELECT') AS health;
SET ROLE regress_tckpt_operator;
SELECT FROM tasker_checkpoint_events; -- fail
SELECT FROM tasker_checkpoint_archive; -- fail
RESET ROLE;

-- types are everybody's
SELECT t.oid::regtype
FROM pg_depend d
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND extname = 'tasker_checkpoint'
JOIN pg_type t ON d.classid = 'pg_type'::regclass AND d.objid = t.oid
WHERE NOT has_type_privilege('regress_tckpt_nobody', t.oid, 'USAGE');

DROP EXTENSION tasker_checkpoint CASCADE;
DROP SCHEMA regress_tckpt CASCADE;
DROP ROLE regress_tckpt_nobody, regress_tckpt_reader, regress_tckpt_worker, regress_tckpt_operator, regress_tckpt_owner;

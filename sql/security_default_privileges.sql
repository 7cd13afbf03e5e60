-- What default privileges give away or withhold changes nothing of who may use the extension's objects
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE ROLE regress_tckpt_anon;
CREATE ROLE "regress_tckpt ""anon""; x";
CREATE DATABASE regress_tckpt_defaults;
\connect regress_tckpt_defaults
SET client_min_messages = error;

-- every privilege of every member, that of owners and PUBLIC included
CREATE FUNCTION privileges() RETURNS TABLE (object text, grantee text, privilege text, is_grantable boolean) LANGUAGE sql AS $$
	SELECT pg_describe_object(o.classid, o.objid, 0), CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
		a.privilege_type, a.is_grantable
	FROM pg_depend d
	JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND extname = 'tasker_checkpoint'
	JOIN (
		SELECT 'pg_proc'::regclass AS classid, oid AS objid, coalesce(proacl, acldefault('f', proowner)) AS acl FROM pg_proc
		UNION ALL SELECT 'pg_class', oid, coalesce(relacl, acldefault('r', relowner)) FROM pg_class
		UNION ALL SELECT 'pg_class', attrelid, attacl FROM pg_attribute
		UNION ALL SELECT 'pg_type', oid, coalesce(typacl, acldefault('T', typowner)) FROM pg_type
	) o USING (classid, objid)
	CROSS JOIN aclexplode(o.acl) a
$$;

CREATE EXTENSION tasker_checkpoint;
CREATE TABLE without AS SELECT * FROM privileges();
DROP EXTENSION tasker_checkpoint;
SELECT count(*) > 100 AS many, count(*) FILTER (WHERE grantee NOT IN ('PUBLIC', current_user::regrole::text)) AS others FROM without;

-- with these default privileges
CREATE FUNCTION differences(VARIADIC defaults text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	d text;
BEGIN
	FOREACH d IN ARRAY defaults LOOP
		EXECUTE 'ALTER DEFAULT PRIVILEGES ' || d;
	END LOOP;
	CREATE EXTENSION tasker_checkpoint;
	RETURN QUERY (SELECT 'too much: ' || p::text FROM privileges() p EXCEPT SELECT 'too much: ' || w::text FROM without w)
		UNION (SELECT 'missing: ' || w::text FROM without w EXCEPT SELECT 'missing: ' || p::text FROM privileges() p)
		ORDER BY 1;
	DROP EXTENSION tasker_checkpoint;
END $$;

BEGIN;
SELECT differences('IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO regress_tckpt_anon');
SELECT differences('IN SCHEMA public GRANT ALL ON TABLES TO regress_tckpt_anon', 'IN SCHEMA public GRANT ALL ON SEQUENCES TO PUBLIC',
	'IN SCHEMA public GRANT USAGE ON TYPES TO regress_tckpt_anon');
ROLLBACK;

-- of the whole database, with grant option, of a role that needs quotes
BEGIN;
SELECT differences('GRANT ALL ON ROUTINES TO regress_tckpt_anon, "regress_tckpt ""anon""; x" WITH GRANT OPTION',
	'FOR ROLE CURRENT_USER GRANT ALL ON TABLES TO regress_tckpt_anon, "regress_tckpt ""anon""; x" WITH GRANT OPTION',
	'GRANT USAGE ON TYPES TO "regress_tckpt ""anon""; x" WITH GRANT OPTION');
ROLLBACK;

-- to everybody
BEGIN;
SELECT differences('GRANT EXECUTE ON FUNCTIONS TO PUBLIC', 'GRANT SELECT, UPDATE ON TABLES TO PUBLIC',
	'IN SCHEMA public GRANT ALL ON FUNCTIONS TO PUBLIC', 'IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC');
ROLLBACK;

-- taken from everybody, as many sites do, and from the owner
BEGIN;
SELECT differences('REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC', 'REVOKE USAGE ON TYPES FROM PUBLIC');
SELECT differences('REVOKE ALL ON FUNCTIONS FROM CURRENT_USER', 'REVOKE ALL ON TABLES FROM CURRENT_USER', 'REVOKE ALL ON TYPES FROM CURRENT_USER');
ROLLBACK;

-- those of another role are not of what is created here
BEGIN;
SELECT differences('FOR ROLE regress_tckpt_anon GRANT ALL ON FUNCTIONS TO PUBLIC');
ROLLBACK;

\connect contrib_regression
SET client_min_messages = error;
DROP DATABASE regress_tckpt_defaults;
DROP ROLE regress_tckpt_anon, "regress_tckpt ""anon""; x";

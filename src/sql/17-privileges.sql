--
-- Privileges
--

-- nothing by default privileges: whoever can read an event's id can write its
-- step, and the archive has steps that the reader may not see
DO $revoke$
DECLARE
    own regclass;
    grantee text;
BEGIN
    FOR own, grantee IN
        SELECT c.oid, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
        FROM pg_class c
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
        JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
             AND e.extname = 'tasker_checkpoint'
        CROSS JOIN aclexplode(c.relacl) a
        WHERE c.relkind IN ('r', 'p') AND a.grantee <> c.relowner
        GROUP BY c.oid, a.grantee
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', own, grantee);
    END LOOP;
END
$revoke$;

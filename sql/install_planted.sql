-- The script runs no code of others, however many look-alikes of pg_catalog's are in its schema
-- Not in parallel workers: it takes long, and nothing in it is read by one
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = error;
CREATE ROLE regress_tckpt_planter;
CREATE DATABASE regress_tckpt_planted OWNER regress_tckpt_planter;
\connect regress_tckpt_planted
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/test/plant.sql'
\set ECHO none
\i :file
\set ECHO all
SELECT pg_read_file(setting || '/extension/' || script) AS script
FROM pg_config, pg_ls_dir(setting || '/extension') script
WHERE name = 'SHAREDIR' AND script LIKE 'tasker\_checkpoint--%.sql' \gset

-- by the database's owner, whose schema public is
SET ROLE regress_tckpt_planter;
SET search_path = pg_catalog;
SET client_min_messages = error;
SET check_function_bodies = off;
CALL pg_temp.plant('public', :'script', '{text,name,oid,regclass,int4,bool,anyelement}',
	'{regproc,regprocedure,regrole,int2,int8,"\"char\"",jsonb,real,float8,numeric,interval,timestamptz,uuid,text[],name[],int2[],oid[],int2vector,xid,aclitem[]}');
\connect
SET client_min_messages = warning;
SELECT count(*) > 1000 AS many FROM pg_catalog.pg_operator WHERE oprowner OPERATOR(pg_catalog.=) 'regress_tckpt_planter'::regrole;
-- they would run
SELECT public.format('x'::text, 'y'::name);
SELECT 1::oid OPERATOR(public.=) 1::regclass;

-- with Tasker's table
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp);
SET search_path = public, pg_catalog;
CREATE EXTENSION tasker_checkpoint;
RESET search_path;
SELECT tasker_checkpoint_table();
DROP EXTENSION tasker_checkpoint;
SET search_path = pg_catalog;
CREATE EXTENSION tasker_checkpoint SCHEMA public;

-- nor does anything that was stored call them
SELECT pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
FROM pg_depend d
JOIN pg_depend m ON m.deptype = 'e' AND m.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint')
LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid
LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid
LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
WHERE m.classid IN ('pg_class'::regclass, 'pg_proc'::regclass) AND m.objid IN (d.objid, r.ev_class, c.conrelid, a.adrelid, i.indrelid)
AND EXISTS (SELECT FROM pg_shdepend o
			WHERE o.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
			AND o.classid = d.refclassid AND o.objid = d.refobjid
			AND o.refobjid = 'regress_tckpt_planter'::regrole AND o.deptype = 'o');

-- nor the functions that are PL/pgSQL, whatever the caller's search_path
RESET search_path;
SET search_path = public, pg_catalog;
SELECT tasker_checkpoint_detach();
SELECT tasker_checkpoint_attach(create_indexes => true);
DROP INDEX tasker.idx_workflow_steps_checkpoint_cursor, tasker.idx_workflow_steps_checkpoint_exists;
SELECT tasker_checkpoint_attach();
SELECT tasker_checkpoint_purge_archive('1 day');
SELECT pg_catalog.count(1) OPERATOR(pg_catalog.>) 0 AS looked FROM tasker_checkpoint_doctor();
SELECT FROM tasker_checkpoint_health;
SELECT FROM tasker_checkpoint_progress;
SELECT FROM tasker_checkpoint_hot_indexes();

SET client_min_messages = error;
\connect contrib_regression
DROP DATABASE regress_tckpt_planted;
DROP ROLE regress_tckpt_planter;

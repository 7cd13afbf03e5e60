-- tasker_checkpoint_create_table() makes a table to begin with: the first claimed step, its columns, its name
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;

-- a table, a step that is offered, a claim
SELECT tasker_checkpoint_create_table('jobs');
INSERT INTO jobs (name, inputs) VALUES ('import', '{"cursor": {"start_cursor": 0, "end_cursor": 400}}')
RETURNING tasker_checkpoint_dispatch(id) IS NOT NULL AS dispatched;
SELECT event_id, step_uuid, has_checkpoint, queue FROM tasker_checkpoint_claim('one') \gset
SELECT :'has_checkpoint' AS has_checkpoint, :'queue' AS queue;
SELECT sequence FROM tasker_checkpoint_save(:'step_uuid', '100', 100, NULL, :'event_id');
SELECT step_name, items_processed, total, percent, state FROM tasker_checkpoint_progress;
BEGIN;
UPDATE jobs SET processed = true;
SELECT tasker_checkpoint_complete(:'event_id');
COMMIT;
SELECT count(*) FROM tasker_checkpoint_progress;
SELECT tasker_checkpoint_reset_for_retry(:'step_uuid');
SELECT processed, updated_at >= created_at AS stamped FROM jobs;
-- of several steps each is offered
WITH new AS (INSERT INTO jobs (name) VALUES ('one'), ('two') RETURNING id)
SELECT count(tasker_checkpoint_dispatch(id, 'imports')) FROM new;
SELECT queue, waiting FROM tasker_checkpoint_queues;

-- what it is made of
SELECT attname, format_type(atttypid, atttypmod) AS type, attnotnull AS not_null, pg_get_expr(adbin, adrelid) AS "default"
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = 'jobs'::regclass AND attnum > 0 ORDER BY attnum;
SELECT attstorage, attcompression = CASE WHEN 'lz4' = ANY (enumvals) THEN 'l' ELSE '' END AS lz4_if_there, col_description(attrelid, attnum) AS comment
FROM pg_attribute, pg_settings WHERE attrelid = 'jobs'::regclass AND attname = 'checkpoint' AND name = 'default_toast_compression';
SELECT pg_get_userbyid(relowner) AS owner, relkind, relpersistence, reloptions, relacl FROM pg_class WHERE oid = 'jobs'::regclass;
SELECT pg_get_indexdef(indexrelid), indisprimary FROM pg_index WHERE indrelid = 'jobs'::regclass;
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'jobs'::regclass ORDER BY tgname COLLATE "C";
RESET ROLE;
SELECT "check", status, found FROM tasker_checkpoint_doctor()
WHERE status <> 'ok' AND "check" IN ('table', 'guard', 'trigger_order', 'index', 'fillfactor', 'compression', 'limits', 'events');
SET ROLE regress_tckpt_owner;
-- attach finds it complete
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT tasker_checkpoint_detach();

-- a name is written as in SQL; each is taken back
CREATE FUNCTION created(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	made regclass;
BEGIN
	made := tasker_checkpoint_create_table(name);
	RAISE EXCEPTION '% in %, the table is %', made, (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = made), tasker_checkpoint_table()
		USING ERRCODE = 'ZZ000';
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
	RETURN SQLERRM;
END $$;
SELECT created('regress_tckpt.more');
SELECT created('Regress_TCKPT . More');
SELECT created('"My Jobs"');
SELECT created('regress_tckpt."odd"".'' %s $1"');
SELECT created(current_database() || '.regress_tckpt.more');
SELECT created(repeat('x', 70));
SELECT created('select');
SELECT created('1');
SELECT tasker_checkpoint_table(), to_regclass('more');
-- in the first schema there is
SET search_path = regress_tckpt_missing, regress_tckpt, public;
SELECT created('more');

-- in a transaction that is rolled back
BEGIN;
SELECT tasker_checkpoint_create_table('more');
INSERT INTO more (id) VALUES ('00000000-0000-0000-0000-000000000001');
SELECT sequence FROM tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1);
ROLLBACK;
SELECT tasker_checkpoint_table(), to_regclass('more');

-- by a superuser; what a worker needs is granted on it as on any other
RESET ROLE;
SELECT tasker_checkpoint_create_table('regress_tckpt.theirs');
SELECT pg_get_userbyid(relowner) = current_user AS own FROM pg_class WHERE oid = 'regress_tckpt.theirs'::regclass;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
SELECT count(*) AS columns FROM pg_attribute WHERE attrelid = 'regress_tckpt.theirs'::regclass AND attnum > 0;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

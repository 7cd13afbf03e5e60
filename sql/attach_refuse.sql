-- tasker_checkpoint_attach() refuses what cannot be a steps table, and leaves it as it was
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
CREATE FOREIGN DATA WRAPPER regress_tckpt_fdw;
CREATE SERVER regress_tckpt_server FOREIGN DATA WRAPPER regress_tckpt_fdw;
CREATE FOREIGN TABLE regress_tckpt.a_foreign_table (k uuid NOT NULL, checkpoint jsonb) SERVER regress_tckpt_server;
ALTER FOREIGN TABLE regress_tckpt.a_foreign_table OWNER TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;

-- what is no ordinary, partitioned, permanent or unlogged table
CREATE VIEW a_view AS SELECT gen_random_uuid() AS k, NULL::jsonb AS checkpoint;
SELECT tasker_checkpoint_attach('a_view', 'k'); -- fail
CREATE MATERIALIZED VIEW a_matview AS SELECT gen_random_uuid() AS k, NULL::jsonb AS checkpoint;
SELECT tasker_checkpoint_attach('a_matview', 'k'); -- fail
SELECT tasker_checkpoint_attach('a_foreign_table', 'k'); -- fail
CREATE SEQUENCE a_sequence;
SELECT tasker_checkpoint_attach('a_sequence', 'k'); -- fail
CREATE TEMPORARY TABLE a_temporary_table (k uuid PRIMARY KEY);
DO $$
DECLARE
	detail text;
BEGIN
	PERFORM tasker_checkpoint_attach('a_temporary_table', 'k');
EXCEPTION WHEN wrong_object_type THEN
	-- the schema of a temporary table has a number
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RAISE NOTICE '%', regexp_replace(SQLERRM, 'pg_temp_\d+', 'pg_temp_N') USING DETAIL = detail;
END
$$;
CREATE TABLE a_parent (k uuid PRIMARY KEY);
CREATE TABLE a_child () INHERITS (a_parent);
SELECT tasker_checkpoint_attach('a_parent', 'k'); -- fail
SELECT tasker_checkpoint_attach(0::regclass, 'k'); -- fail
-- nor the extension's own, though they have a key
RESET ROLE;
SELECT tasker_checkpoint_attach('tasker_checkpoint_events', 'step_uuid'); -- fail
SELECT tasker_checkpoint_attach('tasker_checkpoint_archive', 'step_uuid'); -- fail
SET ROLE regress_tckpt_owner;
\set VERBOSITY sqlstate
SELECT tasker_checkpoint_attach('a_missing_table', 'k'); -- fail
\set VERBOSITY default

-- the key
CREATE TABLE jobs (id bigint PRIMARY KEY, k uuid, "Not there" uuid);
SELECT tasker_checkpoint_attach('jobs'); -- fail
SELECT tasker_checkpoint_attach('jobs', 'ctid'); -- fail
SELECT tasker_checkpoint_attach('jobs', 'id'); -- fail
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
ALTER TABLE jobs ALTER COLUMN k SET NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
ALTER TABLE jobs ALTER COLUMN "Not there" SET NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'Not there'); -- fail
-- unique, but not alone, not for the whole table, not at once, not usable
\set VERBOSITY terse
CREATE UNIQUE INDEX jobs_index ON jobs (k, id);
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
DROP INDEX jobs_index;
CREATE INDEX jobs_index ON jobs (k);
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
DROP INDEX jobs_index;
CREATE UNIQUE INDEX jobs_index ON jobs (k) WHERE id > 0;
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
DROP INDEX jobs_index;
CREATE UNIQUE INDEX jobs_index ON jobs ((k::text));
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
DROP INDEX jobs_index;
ALTER TABLE jobs ADD CONSTRAINT jobs_key UNIQUE (k) DEFERRABLE;
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
ALTER TABLE jobs DROP CONSTRAINT jobs_key;
ALTER TABLE jobs ADD CONSTRAINT jobs_key EXCLUDE (k WITH =);
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
ALTER TABLE jobs DROP CONSTRAINT jobs_key;
CREATE UNIQUE INDEX jobs_index ON jobs (k);
RESET ROLE;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'jobs_index'::regclass;
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
DROP INDEX jobs_index;
\set VERBOSITY default
CREATE UNIQUE INDEX jobs_index ON jobs (k);
-- a partitioned table can have that index only if its key is all that it is partitioned by, at each level
CREATE TABLE parted (id uuid NOT NULL, k uuid NOT NULL, PRIMARY KEY (id, k)) PARTITION BY LIST (k);
SELECT tasker_checkpoint_attach('parted', 'id'); -- fail
\set VERBOSITY sqlstate
ALTER TABLE parted ADD UNIQUE (id); -- fail
\set VERBOSITY default
DROP TABLE parted;
CREATE TABLE parted (id uuid NOT NULL) PARTITION BY HASH ((id::text));
SELECT tasker_checkpoint_attach('parted', 'id'); -- fail
DROP TABLE parted;
CREATE TABLE parted ("Id" uuid NOT NULL, k uuid) PARTITION BY HASH ("Id");
CREATE TABLE part (k uuid, "Id" uuid NOT NULL) PARTITION BY LIST (k);
ALTER TABLE parted ATTACH PARTITION part FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT tasker_checkpoint_attach('parted', 'Id'); -- fail
DROP TABLE part;
CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0) PARTITION BY RANGE ("Id");
SELECT tasker_checkpoint_attach('parted', 'Id'); -- fail
ALTER TABLE parted ADD UNIQUE ("Id");
DROP TABLE parted;

-- a generated column must be one that has an index; the catalogs of servers without virtual ones are made to say it
CREATE TABLE virtual_jobs (id bigint PRIMARY KEY);
SELECT format('ALTER TABLE virtual_jobs ADD COLUMN k uuid GENERATED ALWAYS AS (lpad(to_hex(id), 32, ''0'')::uuid)%s',
	CASE WHEN current_setting('server_version_num')::integer < 180000 THEN ' STORED' END) AS add_column \gset
:add_column;
RESET ROLE;
UPDATE pg_attribute SET attgenerated = 'v' WHERE attrelid = 'regress_tckpt.virtual_jobs'::regclass AND attname = 'k';
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_attach('virtual_jobs', 'k'); -- fail
DROP TABLE virtual_jobs;
CREATE TABLE virtual_jobs (id bigint PRIMARY KEY, k uuid NOT NULL GENERATED ALWAYS AS (lpad(to_hex(id), 32, '0')::uuid) STORED UNIQUE);
BEGIN;
SELECT tasker_checkpoint_attach('virtual_jobs', 'k');
ROLLBACK;

-- a domain is another type
CREATE DOMAIN step_key AS uuid;
CREATE TABLE domain_jobs (k step_key PRIMARY KEY);
SELECT tasker_checkpoint_attach('domain_jobs', 'k'); -- fail

-- the checkpoint
ALTER TABLE jobs ADD COLUMN checkpoint json;
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
ALTER TABLE jobs ALTER COLUMN checkpoint TYPE jsonb, ALTER COLUMN checkpoint SET NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
ALTER TABLE jobs ALTER COLUMN checkpoint DROP NOT NULL, ALTER COLUMN checkpoint SET DEFAULT '{}';
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail
ALTER TABLE jobs DROP COLUMN checkpoint;
ALTER TABLE jobs ADD COLUMN checkpoint jsonb GENERATED ALWAYS AS ('{}'::jsonb) STORED;
SELECT tasker_checkpoint_attach('jobs', 'k'); -- fail

-- none of them was touched
SELECT tasker_checkpoint_table();
SELECT relname, count(*) FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'regress_tckpt'::regnamespace AND attname = 'checkpoint' GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
WHERE relnamespace = 'regress_tckpt'::regnamespace;

-- now it fits
ALTER TABLE jobs DROP COLUMN checkpoint;
SELECT tasker_checkpoint_attach('jobs', 'k');

-- the part of attach that is in PL/pgSQL is for nobody else to call
RESET ROLE;
SELECT tasker_checkpoint_attach_table('jobs', 'k', 'tasker_checkpoint_guard()'); -- fail
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP FOREIGN DATA WRAPPER regress_tckpt_fdw CASCADE;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

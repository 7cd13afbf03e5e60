-- Health proposes the key of a table that is not attached where an index tells which it is
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE VIEW unguarded AS SELECT severity, statement FROM tasker_checkpoint_health WHERE finding = 'unguarded';

-- a key that is a number, and a uuid that the server computes of it
CREATE TABLE jobs (id bigint PRIMARY KEY,
	step_uuid uuid NOT NULL GENERATED ALWAYS AS (lpad(to_hex(id), 32, '0')::uuid) STORED UNIQUE);
SELECT tasker_checkpoint_attach('jobs', 'step_uuid');
CREATE TABLE copy (LIKE jobs INCLUDING ALL);
DROP TABLE jobs;
SELECT * FROM unguarded;
\t
SELECT statement FROM unguarded \gexec
\t
SELECT * FROM unguarded;
SELECT tasker_checkpoint_detach();
-- nothing tells which of two it is; a primary key does
ALTER TABLE copy ADD COLUMN other uuid NOT NULL UNIQUE;
SELECT * FROM unguarded;
ALTER TABLE copy DROP CONSTRAINT copy_pkey, ADD PRIMARY KEY (other);
SELECT * FROM unguarded;
ALTER TABLE copy DROP COLUMN other, ADD PRIMARY KEY (id);
SELECT * FROM unguarded;
-- a table in parts
CREATE TABLE parts (id bigint, step_uuid uuid PRIMARY KEY, checkpoint jsonb) PARTITION BY HASH (step_uuid);
DO $$ BEGIN EXECUTE format('COMMENT ON COLUMN parts.checkpoint IS %L', col_description('copy'::regclass,
	(SELECT attnum FROM pg_attribute WHERE attrelid = 'copy'::regclass AND attname = 'checkpoint'))); END $$;
DROP TABLE copy;
SELECT * FROM unguarded;
DROP TABLE parts;
-- indexes that attach does not take
CREATE TABLE jobs (id bigint PRIMARY KEY, step_uuid uuid UNIQUE);
ALTER TABLE jobs ALTER step_uuid SET NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'step_uuid');
SELECT tasker_checkpoint_detach();
SELECT * FROM unguarded;
ALTER TABLE jobs ALTER step_uuid DROP NOT NULL;
SELECT * FROM unguarded;
ALTER TABLE jobs ALTER step_uuid SET NOT NULL, DROP CONSTRAINT jobs_step_uuid_key;
CREATE UNIQUE INDEX ON jobs (step_uuid) WHERE id > 0;
CREATE UNIQUE INDEX ON jobs (step_uuid, id);
CREATE UNIQUE INDEX ON jobs ((md5(step_uuid::text)::uuid));
CREATE INDEX ON jobs (step_uuid);
ALTER TABLE jobs ADD UNIQUE (step_uuid) DEFERRABLE;
SELECT * FROM unguarded;
CREATE UNIQUE INDEX ON jobs (step_uuid) INCLUDE (id);
SELECT * FROM unguarded;

DROP VIEW unguarded;
DROP EXTENSION tasker_checkpoint;
DROP TABLE jobs;

-- What mends an index that ends HOT, or bounds the cursor, leaves keys unique and is no error
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE jobs (
	id uuid PRIMARY KEY, processed boolean DEFAULT false, name text, n int, updated_at timestamptz(6) NOT NULL DEFAULT now(), checkpoint jsonb,
	c text GENERATED ALWAYS AS (checkpoint ->> 'cursor') STORED UNIQUE,
	UNIQUE (n, updated_at)
);
ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ADD PRIMARY KEY (id) INCLUDE (updated_at),
	ADD CONSTRAINT "A name" UNIQUE NULLS NOT DISTINCT (name) INCLUDE (updated_at),
	ADD CONSTRAINT later UNIQUE (n, id) INCLUDE (updated_at) DEFERRABLE INITIALLY DEFERRED,
	ADD CONSTRAINT apart EXCLUDE USING btree (updated_at WITH =, id WITH =);
CREATE UNIQUE INDEX "Also it" ON jobs (id) INCLUDE (c);
CREATE INDEX "not" ON jobs (n) INCLUDE (updated_at);
SELECT tasker_checkpoint_attach('jobs', 'id');
INSERT INTO jobs (id, name, n) VALUES ('00000000-0000-0000-0000-000000000001', 'one', 1);
CREATE VIEW findings AS
SELECT found, statement FROM tasker_checkpoint_doctor() WHERE "check" IN ('table', 'index') AND status <> 'ok';
RESET client_min_messages;
SELECT * FROM findings;

-- foreign keys and the replica identity need theirs
CREATE TABLE refers (id uuid REFERENCES jobs (id));
CREATE UNIQUE INDEX identity ON jobs (id, updated_at);
ALTER TABLE jobs REPLICA IDENTITY USING INDEX identity;
SELECT * FROM findings WHERE statement IS NULL;
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP TABLE refers;
ALTER TABLE jobs REPLICA IDENTITY DEFAULT;

-- health says so for each step
SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(string_agg(md5(i::text), '')), 1) FROM generate_series(1, 80) i;
INSERT INTO jobs (id, checkpoint)
SELECT '00000000-0000-0000-0000-000000000002', jsonb_build_object('cursor', string_agg(md5(i::text), ''), 'items_processed', 1) FROM generate_series(2, 80) i;
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'near_limit';
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'near_limit' \gexec
SELECT count(*) FROM tasker_checkpoint_health WHERE finding = 'near_limit';

SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND contype IN ('p', 'u', 'x') ORDER BY conname COLLATE "C";
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = 'jobs'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";

DROP VIEW findings;
DROP TABLE jobs;
DROP EXTENSION tasker_checkpoint;

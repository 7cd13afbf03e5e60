-- tasker_checkpoint_attach() warns of indexes that a checkpoint has to pay for, and makes two if asked to
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;
CREATE FUNCTION indexes(regclass) RETURNS SETOF text
LANGUAGE sql
RETURN (SELECT string_agg(pg_get_indexdef(indexrelid), E'\n' ORDER BY indexrelid::regclass::text COLLATE "C")
		FROM pg_index WHERE indrelid = $1);

-- indexes that have nothing to do with it
CREATE TABLE jobs (id uuid PRIMARY KEY, note text, updated_at timestamptz, checkpoint jsonb);
CREATE INDEX on_note ON jobs (note) INCLUDE (id);
CREATE INDEX on_lower ON jobs (lower(note)) WHERE note IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX on_note, on_lower;

-- in the key, in INCLUDE, in an expression, in the predicate, in a constraint
CREATE INDEX "In Key" ON jobs USING gin (checkpoint);
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX "In Key";
CREATE INDEX in_key ON jobs (checkpoint);
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX in_key;
CREATE INDEX in_include ON jobs (note) INCLUDE (checkpoint);
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX in_include;
CREATE INDEX in_expression ON jobs ((checkpoint ->> 'cursor'));
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX in_expression;
CREATE INDEX in_hash ON jobs USING hash ((checkpoint ->> 'cursor'));
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX in_hash;
CREATE INDEX in_predicate ON jobs (note) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX in_predicate;
CREATE INDEX in_predicate ON jobs (lower(note)) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX in_predicate;
ALTER TABLE jobs ADD CONSTRAINT "In Constraint" UNIQUE (note, checkpoint);
SELECT tasker_checkpoint_attach('jobs', 'id');
ALTER TABLE jobs DROP CONSTRAINT "In Constraint";
ALTER TABLE jobs ADD CONSTRAINT in_exclusion EXCLUDE USING btree ((checkpoint ->> 'cursor') WITH =);
SELECT tasker_checkpoint_attach('jobs', 'id');
ALTER TABLE jobs DROP CONSTRAINT in_exclusion;
-- a constraint that another one of the table refers to
ALTER TABLE jobs ADD CONSTRAINT with_time UNIQUE (id, updated_at), ADD COLUMN parent uuid, ADD COLUMN parent_updated_at timestamptz,
	ADD CONSTRAINT to_parent FOREIGN KEY (parent, parent_updated_at) REFERENCES jobs (id, updated_at);
SELECT tasker_checkpoint_attach('jobs', 'id');
ALTER TABLE jobs DROP COLUMN parent, DROP COLUMN parent_updated_at, DROP CONSTRAINT with_time;

-- the whole row, a column that is computed from the checkpoint, and one from updated_at
CREATE INDEX whole_row ON jobs ((jobs IS NOT NULL));
CREATE INDEX whole_predicate ON jobs (note) WHERE jobs IS NOT NULL;
ALTER TABLE jobs ADD COLUMN at text GENERATED ALWAYS AS (checkpoint ->> 'cursor') STORED,
	ADD COLUMN items bigint GENERATED ALWAYS AS ((checkpoint ->> 'items_processed')::bigint) STORED,
	ADD COLUMN year double precision GENERATED ALWAYS AS (extract(year FROM updated_at AT TIME ZONE 'UTC')) STORED,
	ADD COLUMN other text GENERATED ALWAYS AS (upper(note)) STORED;
CREATE INDEX computed_key ON jobs (at);
CREATE INDEX computed_include ON jobs (note) INCLUDE (items);
CREATE INDEX computed_expression ON jobs (lower(at));
CREATE INDEX computed_short ON jobs (md5(at));
CREATE INDEX computed_predicate ON jobs (note) WHERE items > 10;
CREATE INDEX computed_year ON jobs (year);
CREATE INDEX unrelated ON jobs (other) WHERE other IS NOT NULL;
SELECT name, detail FROM tasker_checkpoint_hot_indexes();
ALTER TABLE jobs DROP COLUMN at, DROP COLUMN items, DROP COLUMN year, DROP COLUMN other;
DROP INDEX whole_row, whole_predicate;

-- only what has the cursor's whole text, or more, refuses a long one
CREATE INDEX e1 ON jobs (md5(checkpoint ->> 'cursor'));
CREATE INDEX e2 ON jobs (left(checkpoint ->> 'cursor', 2000));
CREATE INDEX e3 ON jobs (substr(checkpoint ->> 'cursor', 1, 10));
CREATE INDEX e4 ON jobs (hashtext(checkpoint ->> 'cursor'));
CREATE INDEX e5 ON jobs (((checkpoint ->> 'items_processed')::bigint));
CREATE INDEX e6 ON jobs ((checkpoint ? 'cursor'));
CREATE INDEX e7 ON jobs (length(checkpoint::text));
CREATE INDEX e8 ON jobs ((checkpoint ->> 'timestamp'));
CREATE INDEX f1 ON jobs ((checkpoint -> 'cursor'));
CREATE INDEX f2 ON jobs ((checkpoint #>> '{cursor,after}'));
CREATE INDEX f3 ON jobs ((checkpoint -> 'cursor' ->> 'after'));
CREATE INDEX f4 ON jobs (lower(checkpoint ->> 'cursor'));
CREATE INDEX f5 ON jobs ((checkpoint::text));
CREATE INDEX f6 ON jobs ((checkpoint ->> 'cursor') COLLATE "C" DESC);
CREATE INDEX f7 ON jobs (note, (checkpoint ->> 'cursor'));
SELECT name, detail LIKE '%refuses a cursor%' AS bounds FROM tasker_checkpoint_hot_indexes();
DROP INDEX e1, e2, e3, e4, e5, e6, e7, e8, f1, f2, f3, f4, f5, f6, f7;
-- whatever the column is called
ALTER TABLE jobs RENAME COLUMN checkpoint TO "a.b (^c) é";
CREATE INDEX e1 ON jobs (md5("a.b (^c) é" ->> 'cursor'));
CREATE INDEX f1 ON jobs (("a.b (^c) é" ->> 'cursor'));
SELECT name, detail LIKE '%refuses a cursor%' AS bounds FROM tasker_checkpoint_hot_indexes();
DROP INDEX e1, f1;
ALTER TABLE jobs RENAME COLUMN "a.b (^c) é" TO "cursor";
CREATE INDEX e1 ON jobs ((cursor ->> 'history'));
CREATE INDEX f1 ON jobs ((cursor ->> 'cursor'));
SELECT name, detail LIKE '%refuses a cursor%' AS bounds FROM tasker_checkpoint_hot_indexes();
DROP INDEX e1, f1;
ALTER TABLE jobs RENAME COLUMN "cursor" TO checkpoint;

-- updated_at
CREATE INDEX on_updated_at ON jobs (note, updated_at DESC);
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX on_updated_at;
CREATE INDEX on_updated_at ON jobs (note) WHERE updated_at > '2026-01-01 00:00:00+00';
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX on_updated_at;
-- of a type that no checkpoint sets
ALTER TABLE jobs ALTER COLUMN updated_at TYPE date;
CREATE INDEX on_updated_at ON jobs (updated_at);
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX on_updated_at;

-- several at once, also after the column has been renamed
ALTER TABLE jobs RENAME COLUMN checkpoint TO "Progress";
CREATE INDEX b_index ON jobs (note) WHERE "Progress" IS NOT NULL;
CREATE INDEX a_index ON jobs (note) INCLUDE ("Progress");
SELECT tasker_checkpoint_attach('jobs', 'id');
DROP INDEX a_index, b_index;
ALTER TABLE jobs RENAME COLUMN "Progress" TO checkpoint;

-- indexes of a partitioned table can't be dropped concurrently
SELECT tasker_checkpoint_detach();
CREATE TABLE parted (id uuid PRIMARY KEY, checkpoint jsonb) PARTITION BY HASH (id);
CREATE TABLE part PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE INDEX on_parted ON parted ((checkpoint ->> 'cursor'));
SELECT tasker_checkpoint_attach('parted', 'id');
SET client_min_messages = error;
SELECT tasker_checkpoint_attach('parted', 'id', create_indexes => true);
SELECT indexes('parted');
SELECT tasker_checkpoint_attach('parted', 'id', create_indexes => true);
RESET client_min_messages;
SELECT tasker_checkpoint_detach();

-- none are made unless asked for; Tasker's cursor index bounds the cursor
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT indexes('jobs');
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true);
SELECT indexes('jobs');
INSERT INTO jobs (id) VALUES (:'s1');
SELECT sequence FROM tasker_checkpoint_yield(:'s1',
	(SELECT to_jsonb(string_agg(md5(n::text), '')) FROM generate_series(1, 1000) n), 1);
-- again: warns of its own, makes none
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true);
-- what has the name and is not that index is in the way, whatever it is
SET client_min_messages = error;
DELETE FROM jobs;
ALTER INDEX idx_jobs_checkpoint_cursor RENAME TO mine;
CREATE INDEX idx_jobs_checkpoint_cursor ON jobs ((checkpoint ->> 'cursor')) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true); -- fail
DROP INDEX idx_jobs_checkpoint_cursor;
CREATE INDEX idx_jobs_checkpoint_cursor ON jobs (left(checkpoint ->> 'cursor', 500)) WHERE note IS NULL;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true); -- fail
DROP INDEX idx_jobs_checkpoint_cursor;
CREATE TABLE other_jobs (LIKE jobs);
CREATE INDEX idx_jobs_checkpoint_cursor ON other_jobs (left(checkpoint ->> 'cursor', 500)) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true); -- fail
DROP TABLE other_jobs;
CREATE SEQUENCE idx_jobs_checkpoint_cursor;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true); -- fail
DROP SEQUENCE idx_jobs_checkpoint_cursor;
DROP INDEX idx_jobs_checkpoint_exists;
CREATE UNIQUE INDEX idx_jobs_checkpoint_exists ON jobs (id) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true); -- fail
DROP INDEX idx_jobs_checkpoint_exists;
CREATE INDEX idx_jobs_checkpoint_exists ON jobs (note) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true); -- fail
-- neither is one that was left invalid
DROP INDEX idx_jobs_checkpoint_exists;
CREATE INDEX idx_jobs_checkpoint_exists ON jobs (id) WHERE checkpoint IS NOT NULL;
RESET ROLE;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_jobs_checkpoint_exists'::regclass;
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true); -- fail
DROP INDEX idx_jobs_checkpoint_exists;
SELECT indexes('jobs');
-- one that is exactly it is taken
CREATE INDEX idx_jobs_checkpoint_exists ON jobs (id) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true);
SELECT indexes('jobs');
-- so it is where the server quotes all names that it prints
SET quote_all_identifiers = on;
SELECT tasker_checkpoint_attach('jobs', 'id', create_indexes => true);
RESET quote_all_identifiers;
SELECT indexes('jobs');
DROP INDEX mine;
RESET client_min_messages;
SELECT tasker_checkpoint_detach();

-- key and column of other names
CREATE TABLE "Jobs" ("Key" uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('"Jobs"', 'Key', true);
SELECT indexes('"Jobs"');
SELECT tasker_checkpoint_detach();

-- a name so long that those of the indexes have to be cut: there are still two
SET client_min_messages = warning;
CREATE TABLE jobs_of_a_name_that_is_almost_as_long_as_a_name_can_be_here (id uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('jobs_of_a_name_that_is_almost_as_long_as_a_name_can_be_here', 'id', true);
RESET client_min_messages;
SELECT count(*) FROM pg_index WHERE indrelid = 'jobs_of_a_name_that_is_almost_as_long_as_a_name_can_be_here'::regclass
AND indpred IS NOT NULL;

-- so it is with one whose characters take several bytes
SELECT tasker_checkpoint_detach();
SET client_min_messages = warning;
CREATE TABLE ééééééééééééééééééééééééééééééé (id uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('ééééééééééééééééééééééééééééééé', 'id', true) IS NOT NULL AS attached;
RESET client_min_messages;
SELECT count(*), min(octet_length(relname)), max(octet_length(relname)) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = tasker_checkpoint_table() AND indpred IS NOT NULL;

RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

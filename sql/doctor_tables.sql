-- The doctor's statements are good for odd names, partitions, an extension in a schema of its own, and whatever the caller's path is
\set SHOW_CONTEXT never
SET client_min_messages = error;
SET default_toast_compression = pglz;
CREATE SCHEMA "regress ""home""";
CREATE SCHEMA "regress ""steps""";
CREATE EXTENSION tasker_checkpoint SCHEMA "regress ""home""";
CREATE ROLE "regress ""Worker""";
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE VIEW findings AS
SELECT "check", status, found, statement FROM "regress ""home""".tasker_checkpoint_doctor() WHERE status <> 'ok' AND "check" NOT IN ('notifier', 'bloat')
ORDER BY statement COLLATE "C";

-- odd names, other columns
CREATE TABLE "regress ""steps"""."My ""Jobs" ("The ""key""" uuid PRIMARY KEY, processed text, updated_at date) WITH (fillfactor = 95);
SELECT "regress ""home""".tasker_checkpoint_attach('"regress ""steps"""."My ""Jobs"', 'The "key"');
ALTER TABLE "regress ""steps"""."My ""Jobs" RENAME checkpoint TO "pro-gress";
ALTER TRIGGER zz_tasker_checkpoint_guard ON "regress ""steps"""."My ""Jobs" RENAME TO "The ""guard""";
ALTER TRIGGER "The ""guard""" ON "regress ""steps"""."My ""Jobs" NO DEPENDS ON EXTENSION tasker_checkpoint;
ALTER TABLE "regress ""steps"""."My ""Jobs" DISABLE TRIGGER ALL;
CREATE TRIGGER "Zed ""1""" BEFORE UPDATE OF "pro-gress" ON "regress ""steps"""."My ""Jobs" FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE INDEX "the ""index" ON "regress ""steps"""."My ""Jobs" (("pro-gress" ->> 'cursor'));
CREATE INDEX on_processed ON "regress ""steps"""."My ""Jobs" (processed, updated_at);
ALTER TABLE "regress ""steps"""."My ""Jobs" ALTER "pro-gress" SET COMPRESSION pglz;
ALTER TABLE "regress ""steps"""."My ""Jobs" ALTER "pro-gress" SET DEFAULT '{}';
GRANT EXECUTE ON FUNCTION "regress ""home""".tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid), "regress ""home""".tasker_checkpoint_claim(text, interval, integer, uuid, text[]) TO "regress ""Worker""";
GRANT UPDATE, DELETE ON "regress ""steps"""."My ""Jobs" TO "regress ""Worker""";
GRANT UPDATE ("The ""key""") ON "regress ""steps"""."My ""Jobs" TO "regress ""Worker""";
GRANT SELECT ON "regress ""home""".tasker_checkpoint_events TO "regress ""Worker""";
SELECT * FROM findings;
-- with names of ours and of the catalog's in the way
SET search_path = pg_temp, "regress ""steps""";
CREATE TEMPORARY TABLE pg_settings (name text, setting text, source text, context text, pending_restart boolean);
CREATE TEMPORARY TABLE pg_trigger (oid oid);
CREATE FUNCTION pg_temp.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT NULL';
CREATE FUNCTION pg_temp.tasker_checkpoint_version() RETURNS text LANGUAGE sql AS 'SELECT NULL';
SELECT statement FROM public.findings \gexec
SELECT * FROM public.findings;
RESET search_path;
DROP TABLE pg_temp.pg_settings, pg_temp.pg_trigger;
SELECT "regress ""home""".tasker_checkpoint_detach();
DROP TABLE "regress ""steps"""."My ""Jobs";

-- partitions: one with columns in another order, an index and a trigger of its own
CREATE TABLE parts (id uuid PRIMARY KEY, processed boolean, updated_at timestamp) PARTITION BY HASH (id);
CREATE TABLE "Part 0" PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Part 1" (gone int, checkpoint jsonb, updated_at timestamp, processed boolean, id uuid NOT NULL) PARTITION BY HASH (id);
ALTER TABLE "Part 1" DROP COLUMN gone;
CREATE UNLOGGED TABLE "Part 1a" PARTITION OF "Part 1" FOR VALUES WITH (MODULUS 1, REMAINDER 0) WITH (fillfactor = 80);
SELECT "regress ""home""".tasker_checkpoint_attach('parts', 'id');
ALTER TABLE parts ATTACH PARTITION "Part 1" FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE "Part 1" ALTER checkpoint SET COMPRESSION lz4;
CREATE INDEX on_parts ON parts (updated_at);
CREATE INDEX "on Part 1a" ON "Part 1a" (processed) WHERE checkpoint IS NOT NULL;
CREATE TRIGGER zzz BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zzzz BEFORE UPDATE ON "Part 1a" FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE "Part 0" DISABLE TRIGGER zz_tasker_checkpoint_guard;
GRANT SELECT (id, checkpoint, processed), UPDATE (checkpoint, updated_at) ON parts TO "regress ""Worker""";
GRANT UPDATE, TRUNCATE ON "Part 1" TO "regress ""Worker""";
INSERT INTO parts SELECT md5(n::text)::uuid FROM generate_series(1, 50) n;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
ALTER TABLE parts DISABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT count(*) FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- what is near a limit, in any partition
SET tasker_checkpoint.results_warning = 0;
SET tasker_checkpoint.results_limit = '2kB';
SET tasker_checkpoint.cursor_limit = 1000;
SET tasker_checkpoint.history_size = 1000;
SELECT sum(sequence) FROM parts, "regress ""home""".tasker_checkpoint_save(id, to_jsonb(repeat('x', 790)), 1, to_jsonb(repeat('y', 1700)));
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
-- those of processed steps do not matter
SET tasker_checkpoint.results_limit = '2kB';
SELECT "check" FROM findings;
UPDATE parts SET processed = true;
SELECT "check" FROM findings;
-- what is stored without the guard can be anything
SET session_replication_role = replica;
UPDATE parts SET processed = NULL, checkpoint = CASE right(id::text, 1) WHEN '1' THEN '1' WHEN '2' THEN 'null' WHEN '3' THEN '"x"' WHEN '4' THEN '[1]' WHEN '5' THEN '{"history": 1}' END::jsonb;
RESET session_replication_role;
SELECT "check" FROM findings;

SET client_min_messages = error;
DROP VIEW findings;
DROP TABLE parts;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION nothing;
DROP SCHEMA "regress ""home""";
DROP SCHEMA "regress ""steps""";
DROP ROLE "regress ""Worker""";

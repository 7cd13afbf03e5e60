-- Health shows what the caller may see, on any table, and nothing that is stored makes it fail
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_reader;
CREATE ROLE regress_tckpt_tenant;
RESET client_min_messages;
SELECT count(*) FROM tasker_checkpoint_health;

-- odd names, no other columns; one with a column "processed" that means something else
CREATE TABLE "My ""Jobs" ("The ""key""" uuid PRIMARY KEY, processed text DEFAULT 'yes', in_process integer DEFAULT 1);
SELECT tasker_checkpoint_attach('"My ""Jobs"', 'The "key"');
ALTER TABLE "My ""Jobs" RENAME checkpoint TO "pro-gress";
INSERT INTO "My ""Jobs" ("The ""key""") SELECT format('00000000-0000-0000-0000-%s', lpad(i::text, 12, '0'))::uuid FROM generate_series(1, 4) i;
SELECT count(tasker_checkpoint_yield("The ""key""", '1', 1)) FROM "My ""Jobs", generate_series(1, 5) WHERE "The ""key"""::text ~ '[12]$';
UPDATE tasker_checkpoint_events SET available_at = '2000-01-01' WHERE step_uuid::text ~ '2$';
CREATE INDEX "the index" ON "My ""Jobs" (("pro-gress" ->> 'cursor'));
INSERT INTO "My ""Jobs" ("The ""key""", "pro-gress") VALUES ('00000000-0000-0000-0000-000000000005', jsonb_build_object('cursor', repeat('x', 2500), 'items_processed', 1));
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000005') IS NOT NULL AS dispatched;
CREATE VIEW health AS SELECT right(step_uuid::text, 2) AS step, finding, severity FROM tasker_checkpoint_health ORDER BY 1, finding COLLATE "C";
SELECT * FROM health;
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'near_limit';
-- the view and its statements are good wherever the extension is, and whatever the caller's path is
CREATE SCHEMA "regress ""quoted""";
ALTER EXTENSION tasker_checkpoint SET SCHEMA "regress ""quoted""";
SELECT * FROM health;
SET search_path = pg_temp;
CREATE TEMPORARY TABLE pg_settings (name text, setting text, vartype text);
CREATE FUNCTION pg_temp.concat(VARIADIC text[]) RETURNS text LANGUAGE sql AS 'SELECT NULL';
SELECT statement FROM "regress ""quoted""".tasker_checkpoint_health WHERE finding = 'unclaimed';
SELECT statement FROM "regress ""quoted""".tasker_checkpoint_health WHERE finding = 'unclaimed' \gexec
SELECT finding, detail IS NOT NULL AS detail FROM "regress ""quoted""".tasker_checkpoint_health ORDER BY step_uuid, finding COLLATE "C";
RESET search_path;
DROP TABLE pg_temp.pg_settings;
ALTER EXTENSION tasker_checkpoint SET SCHEMA public;
SELECT tasker_checkpoint_detach();
DROP TABLE "My ""Jobs";

-- partitions, one with its columns in another order, and an index of its own
CREATE TABLE parts (id uuid PRIMARY KEY, processed boolean, in_process boolean, tenant text) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 (in_process boolean, checkpoint jsonb, gone int, processed boolean, id uuid NOT NULL, tenant text);
ALTER TABLE parts_1 DROP COLUMN gone;
SELECT tasker_checkpoint_attach('parts', 'id');
ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid, n > 8, true, CASE n % 2 WHEN 0 THEN 'regress_tckpt_tenant' END FROM generate_series(1, 10) n;
SELECT count(tasker_checkpoint_save(id, to_jsonb(repeat('x', 2500)), 1)) FROM parts WHERE right(id::text, 2) IN ('01', '02');
CREATE INDEX parts_cursor ON parts ((checkpoint ->> 'cursor'));
CREATE INDEX parts_own ON parts_1 ((checkpoint ->> 'cursor'));
SELECT count(tasker_checkpoint_dispatch(id)) FROM parts WHERE processed IS NOT TRUE;
UPDATE tasker_checkpoint_events SET available_at = '2000-01-01';
SELECT * FROM health;
SELECT DISTINCT statement FROM tasker_checkpoint_health WHERE finding = 'near_limit' ORDER BY 1;
DROP INDEX parts_cursor, parts_own;

-- who cannot read the steps sees nothing of them
GRANT SELECT ON health TO PUBLIC;
SET ROLE regress_tckpt_reader;
SELECT * FROM tasker_checkpoint_health; -- fail
SELECT * FROM tasker_checkpoint_health(); -- fail
RESET ROLE;
-- key and checkpoint do not say what is processed
GRANT SELECT (id, checkpoint) ON parts TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT * FROM tasker_checkpoint_health; -- fail
RESET ROLE;
GRANT SELECT (processed, in_process) ON parts TO regress_tckpt_reader;
SET ROLE regress_tckpt_reader;
SELECT count(*) FROM tasker_checkpoint_health;
RESET ROLE;
-- nor of those that row security hides
GRANT SELECT ON parts TO regress_tckpt_tenant;
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenants ON parts FOR SELECT USING (tenant = current_user);
SET ROLE regress_tckpt_tenant;
SELECT right(step_uuid::text, 2) AS step, finding FROM tasker_checkpoint_health ORDER BY 1, 2;
SET ROLE regress_tckpt_reader;
SELECT count(*) FROM tasker_checkpoint_health;
RESET ROLE;
-- in a transaction that cannot write
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT count(*) FROM health;
COMMIT;
-- no event ids
SELECT count(*) FROM tasker_checkpoint_health h JOIN tasker_checkpoint_events e ON h::text LIKE '%' || e.event_id || '%';

-- whatever was stored without the guard
DELETE FROM tasker_checkpoint_events;
ALTER TABLE parts DISABLE ROW LEVEL SECURITY;
TRUNCATE parts;
SET session_replication_role = replica;
INSERT INTO parts (id, in_process, checkpoint)
SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid, true, doc::jsonb
FROM unnest(ARRAY['null', '1', '"x"', '[]', '[{"cursor": 1}, "cursor", null]', '{}', '{"cursor": null}', '{"cursor": 1, "items_processed": 1e400, "timestamp": "x"}',
	'{"cursor": {}, "items_processed": "x", "timestamp": "infinity", "history": 1}', '{"timestamp": "2026-02-30T25:61:61Z", "history": {"cursor": 1}}', '{"history": "x", "timestamp": {}}',
	'{"cursor": 1, "history": [1, 1, 1, 1, 1]}', '{"cursor": 1, "history": [null, null, null, null, null]}', '{"cursor": 1, "history": [[], [], [], [], []], "history_truncated": -1}',
	'{"cursor": 1, "history": [{"cursor": 1}, {}, {"cursor": 1}, {"cursor": 1}, {"cursor": 1}, {"cursor": 1}]}',
	'{"cursor": 1, "history": [1, {"cursor": 1}, {"cursor": 1}, {"cursor": 1}, {"cursor": 1}, {"cursor": 1.0}]}',
	'{"cursor": 1, "timestamp": "0001-01-01T00:00:00Z"}', '{"cursor": 1, "timestamp": "9999-12-31T23:59:59Z"}', '{"cursor": 1, "timestamp": "2020-01-01 00:00"}']) WITH ORDINALITY d (doc, n);
RESET session_replication_role;
SELECT * FROM health;
-- nor what an owner has done to the dispatch table
INSERT INTO tasker_checkpoint_events (step_uuid, directive, parked, event_id, worker, available_at, lease, lease_until, deliveries, sequence)
SELECT id, 'continue', false, gen_random_uuid(), CASE WHEN id::text ~ '[1]$' THEN 'one' END, CASE WHEN id::text ~ '[12]$' THEN '-infinity' ELSE 'infinity' END::timestamptz,
	CASE WHEN id::text ~ '[1]$' THEN interval '1 minute' END, CASE WHEN id::text ~ '[1]$' THEN timestamptz '-infinity' END, 0, 0
FROM parts WHERE id::text ~ '0[12]$' OR id::text ~ '03$';
SELECT step, finding, severity FROM health WHERE step IN ('01', '02', '03');

DROP VIEW health;
DROP TABLE parts;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA "regress ""quoted""";
DROP ROLE regress_tckpt_reader, regress_tckpt_tenant;

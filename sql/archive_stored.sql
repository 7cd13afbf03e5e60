-- The archive has what was stored, and nothing that only might have been
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, note text UNIQUE, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1', 'one');
RESET client_min_messages;
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 0;
CREATE VIEW trail AS SELECT generation AS gen, string_agg(format('%s:%s', sequence, cursor), ' ' ORDER BY sequence) AS trail,
	count(*) FILTER (WHERE archived) AS archived, bool_or(cleared_by IS NOT NULL) AS cleared
FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001') GROUP BY 1 ORDER BY 1;
SELECT max(sequence) FROM generate_series(1, 3) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
-- the present one is in the document only
SELECT * FROM trail;

-- rows that are not stored
INSERT INTO steps VALUES (:'s1', 'two', '{"cursor": 999, "items_processed": 999}') ON CONFLICT DO NOTHING;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '4', 4);
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000002', 'one', '{"cursor": 998, "items_processed": 998}') ON CONFLICT DO NOTHING;
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER zzz BEFORE UPDATE OR INSERT ON steps FOR EACH ROW EXECUTE FUNCTION suppress();
UPDATE steps SET checkpoint = '{"cursor": 997, "items_processed": 997}';
UPDATE steps SET checkpoint = NULL;
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000002', 'two', '{"cursor": 996, "items_processed": 996}');
DROP TRIGGER zzz ON steps;
SELECT * FROM trail;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '5', 5);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '6', 6);
SELECT * FROM trail;
SELECT count(*) FROM tasker_checkpoint_archive WHERE entries::text LIKE '%"cursor": 99%';
-- an upsert that is stored
INSERT INTO steps VALUES (:'s1', 'one', '{"cursor": 7, "items_processed": 7}') ON CONFLICT (workflow_step_uuid) DO UPDATE SET checkpoint = excluded.checkpoint;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '8', 8);
SELECT * FROM trail;
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 1);
SELECT cursor, items_processed FROM tasker_checkpoint_load(:'s1');
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 9);
SELECT cursor, items_processed FROM tasker_checkpoint_load(:'s1');

-- over history_size: the same
SET tasker_checkpoint.history_limit = 5;
SET tasker_checkpoint.history_size = 64;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"a cursor that is longer than the history may be"', 11);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '12', 12);
SELECT gen, right(trail, 70), archived FROM trail;
RESET tasker_checkpoint.history_size;

-- what is archived again is there once; a clear has the rest
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', '[]');
CREATE TRIGGER zzz BEFORE UPDATE OR INSERT ON steps FOR EACH ROW EXECUTE FUNCTION suppress();
UPDATE steps SET checkpoint = '{"cursor": 995, "items_processed": 995}';
UPDATE steps SET checkpoint = '{"cursor": 995, "items_processed": 995}';
UPDATE steps SET checkpoint = NULL;
UPDATE steps SET checkpoint = NULL;
DROP TRIGGER zzz ON steps;
UPDATE steps SET checkpoint = NULL;
SELECT gen, right(trail, 70), archived, cleared FROM trail;
SELECT count(*) = sum(n) FROM (SELECT count(*) AS n FROM tasker_checkpoint_archive, generate_series(first_sequence, last_sequence) s GROUP BY step_uuid, generation, s) c;
SET tasker_checkpoint.history_limit = 1;
SELECT max(sequence) FROM generate_series(1, 4) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT gen, right(trail, 70), archived, cleared FROM trail;

-- a row that was written without the guard: its document and the entry of it differ in time
RESET tasker_checkpoint.history_limit;
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000009', 'nine', jsonb_build_object('cursor', 9, 'items_processed', 9,
	'timestamp', '2026-01-01T00:00:09.123456Z', 'accumulated_results', null, 'history',
	(SELECT jsonb_agg(jsonb_build_object('cursor', i, 'timestamp', format('2026-01-01T00:00:0%s.5+00:00', i)) ORDER BY i) FROM generate_series(1, 9) i)));
SELECT tasker_checkpoint_trim(2);
SELECT tasker_checkpoint_trim(1);
SELECT tasker_checkpoint_trim(0);
SELECT generation, count(*), min(sequence), max(sequence) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000009') GROUP BY 1 ORDER BY 1;
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000009', '10', 10);
SELECT generation, count(*), min(sequence), max(sequence) FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000009') GROUP BY 1 ORDER BY 1;

-- a first checkpoint that is not stored leaves what was cleared to the next one
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000008', 'eight', '{"cursor": 20, "items_processed": 2}');
UPDATE steps SET checkpoint = NULL WHERE note = 'eight';
CREATE TRIGGER zzz BEFORE UPDATE OR INSERT ON steps FOR EACH ROW EXECUTE FUNCTION suppress();
UPDATE steps SET checkpoint = '{"cursor": 140, "items_processed": 14}' WHERE note = 'eight';
SELECT generation, sequence, cursor, cleared_by IS NOT NULL AS cleared FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000008');
UPDATE steps SET checkpoint = '{"cursor": 141, "items_processed": 14}' WHERE note = 'eight';
DROP TRIGGER zzz ON steps;
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000008', '30', 3);
SELECT generation, sequence, cursor, cleared_by IS NOT NULL AS cleared FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000008');
UPDATE steps SET checkpoint = NULL WHERE note = 'eight';
SELECT generation, sequence, cursor, cleared_by IS NOT NULL AS cleared FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000008');

DROP VIEW trail;
DROP TABLE steps;
DROP FUNCTION suppress;
DROP EXTENSION tasker_checkpoint;

-- the guard compresses what the server would store plain, in the column's own way
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY, inputs text);
SELECT tasker_checkpoint_attach('steps', 'id');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
-- attach makes a column that stays in its row
SELECT attstorage FROM pg_attribute WHERE attrelid = 'steps'::regclass AND attname = 'checkpoint';
ALTER TABLE steps ALTER COLUMN checkpoint SET COMPRESSION pglz;
-- how the checkpoint is stored after so many saves, and whether it is what core makes of its text
CREATE FUNCTION stored(saves int, OUT compression text, OUT smaller boolean, OUT entries int, OUT same boolean) LANGUAGE sql AS $$
	SELECT tasker_checkpoint_clear(id) FROM steps;
	SELECT count(tasker_checkpoint_save(id, to_jsonb(i), i)) FROM steps, generate_series(1, saves) i;
	SELECT pg_column_compression(checkpoint), pg_column_size(checkpoint) < pg_column_size(checkpoint::text::jsonb),
		jsonb_array_length(checkpoint -> 'history'), jsonb_send(checkpoint) = jsonb_send(checkpoint::text::jsonb)
	FROM steps;
$$;
-- one entry is too small to get smaller
SELECT * FROM stored(1);
SELECT * FROM stored(10);
-- a checkpoint that is only edited, one of others, and one that comes by INSERT
UPDATE steps SET checkpoint = checkpoint || '{"own": 1}';
SELECT pg_column_compression(checkpoint) FROM steps;
UPDATE steps SET checkpoint = '{"cursor": 11, "items_processed": 11}';
SELECT pg_column_compression(checkpoint) FROM steps;
INSERT INTO steps (id, checkpoint) VALUES ('00000000-0000-0000-0000-000000000002',
	jsonb_build_object('cursor', repeat('x', 600), 'items_processed', 1));
SELECT pg_column_compression(checkpoint) FROM steps WHERE id = '00000000-0000-0000-0000-000000000002';
DELETE FROM steps WHERE id = '00000000-0000-0000-0000-000000000002';
-- what does not get smaller stays as it is
SET tasker_checkpoint.history_limit = 0;
UPDATE steps SET checkpoint = jsonb_build_object('cursor', (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 20) i), 'items_processed', 1);
SELECT pg_column_compression(checkpoint) FROM steps;
RESET tasker_checkpoint.history_limit;
-- storage that says not to
ALTER TABLE steps ALTER COLUMN checkpoint SET STORAGE EXTERNAL;
SELECT * FROM stored(10);
ALTER TABLE steps ALTER COLUMN checkpoint SET STORAGE PLAIN;
SELECT * FROM stored(10);
ALTER TABLE steps ALTER COLUMN checkpoint SET STORAGE EXTENDED;
SELECT * FROM stored(10);
-- what the server compresses it does itself
SET tasker_checkpoint.history_limit = 100;
SELECT * FROM stored(100);
RESET tasker_checkpoint.history_limit;
-- the archive's rows, too
SET tasker_checkpoint.archive_history = on;
SELECT * FROM stored(25);
SELECT pg_column_compression(entries) IS NOT NULL AS compressed, jsonb_array_length(entries) AS entries FROM tasker_checkpoint_archive ORDER BY generation, first_sequence;
RESET tasker_checkpoint.archive_history;
-- large columns beside it push it out of its row, unless it is to stay there
SELECT reltoastrelid::regclass AS toast FROM pg_class WHERE oid = 'steps'::regclass \gset
ALTER TABLE steps ALTER COLUMN inputs SET STORAGE PLAIN;
UPDATE steps SET inputs = repeat('x', 1800);
VACUUM FULL steps;
SELECT * FROM stored(10);
SELECT reltoastrelid::regclass AS toast FROM pg_class WHERE oid = 'steps'::regclass \gset
SELECT count(*) > 0 AS out_of_line FROM :toast;
ALTER TABLE steps ALTER COLUMN checkpoint SET STORAGE MAIN;
SELECT * FROM stored(10);
VACUUM FULL steps;
SELECT count(*) > 0 AS out_of_line FROM :toast;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION stored;

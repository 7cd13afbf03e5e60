--
-- The archive
--

-- by the month of the year, in UTC: a partition can be emptied long before its
-- month comes again
CREATE TABLE tasker_checkpoint_archive (
    -- in the order of src/archive.c
    step_uuid uuid NOT NULL,
    generation integer NOT NULL,
    first_sequence bigint NOT NULL,
    last_sequence bigint NOT NULL,
    last_at timestamptz,
    archived_at timestamptz NOT NULL,
    cleared_by text,
    entries jsonb NOT NULL,
    accumulated_results jsonb
)
PARTITION BY LIST ((extract(month FROM archived_at AT TIME ZONE 'UTC')));
CREATE INDEX ON tasker_checkpoint_archive (step_uuid, generation, first_sequence);

CREATE TABLE tasker_checkpoint_archive_01 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (1) USING heap;
CREATE TABLE tasker_checkpoint_archive_02 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (2) USING heap;
CREATE TABLE tasker_checkpoint_archive_03 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (3) USING heap;
CREATE TABLE tasker_checkpoint_archive_04 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (4) USING heap;
CREATE TABLE tasker_checkpoint_archive_05 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (5) USING heap;
CREATE TABLE tasker_checkpoint_archive_06 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (6) USING heap;
CREATE TABLE tasker_checkpoint_archive_07 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (7) USING heap;
CREATE TABLE tasker_checkpoint_archive_08 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (8) USING heap;
CREATE TABLE tasker_checkpoint_archive_09 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (9) USING heap;
CREATE TABLE tasker_checkpoint_archive_10 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (10) USING heap;
CREATE TABLE tasker_checkpoint_archive_11 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (11) USING heap;
CREATE TABLE tasker_checkpoint_archive_12 PARTITION OF tasker_checkpoint_archive FOR VALUES IN (12) USING heap;

COMMENT ON TABLE tasker_checkpoint_archive IS
'history entries that were cut or cleared while tasker_checkpoint.archive_history was on; append-only, written by the guard, read by tasker_checkpoint_history(), emptied by tasker_checkpoint_purge_archive()';
COMMENT ON COLUMN tasker_checkpoint_archive.step_uuid IS 'the step';
COMMENT ON COLUMN tasker_checkpoint_archive.generation IS
'1, and one more after each clear of the step';
COMMENT ON COLUMN tasker_checkpoint_archive.first_sequence IS
'number of the first checkpoint in entries';
COMMENT ON COLUMN tasker_checkpoint_archive.last_sequence IS
'number of the last one; one less than first_sequence if there are no entries';
COMMENT ON COLUMN tasker_checkpoint_archive.last_at IS
'time of the last one, by which the history is known that goes on from it';
COMMENT ON COLUMN tasker_checkpoint_archive.archived_at IS
'when the row was written; of a clear, when it was cleared';
COMMENT ON COLUMN tasker_checkpoint_archive.cleared_by IS
'session user that cleared the checkpoint; NULL: entries were cut';
COMMENT ON COLUMN tasker_checkpoint_archive.entries IS
'checkpoints as the history had them, oldest first';
COMMENT ON COLUMN tasker_checkpoint_archive.accumulated_results IS
'results of the checkpoint that was cleared';

DO $partitions$
DECLARE
    script_path text := pg_catalog.current_setting('search_path');
    partition regclass;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    FOR partition IN
        SELECT i.inhrelid
        FROM pg_extension e
        JOIN pg_class c ON c.relnamespace = e.extnamespace AND c.relname = 'tasker_checkpoint_archive'
        JOIN pg_inherits i ON i.inhparent = c.oid
        WHERE e.extname = 'tasker_checkpoint'
        ORDER BY i.inhrelid
    LOOP
        EXECUTE format('COMMENT ON TABLE %s IS %L', partition, 'tasker_checkpoint_archive for a month of the year');

        -- so that a publication of all tables does not keep it from being purged
        EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', partition);
        PERFORM pg_extension_config_dump(partition, '');
    END LOOP;

    PERFORM set_config('search_path', script_path, true);
END
$partitions$;

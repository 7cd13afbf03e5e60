--
-- Maintenance
--

CREATE FUNCTION tasker_checkpoint_purge(
    older_than interval,
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_purge(interval, integer, boolean) IS
'removes the checkpoints of processed steps that are older than that, at most max_rows (1 to 1000000), but for those that are claimed or that others have locked; returns how many, 0 when there are no more; a dry run counts all and removes none; raises 22004, 22023, 25006, 55000';

CREATE FUNCTION tasker_checkpoint_trim(
    entries integer,
    older_than interval DEFAULT '0',
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_trim(integer, interval, integer, boolean) IS
'shortens longer histories to their newest so many entries, those of at most max_rows (1 to 1000000) steps, whose checkpoints are older than that, but for those that others have locked; returns how many, 0 when there are no more; a dry run counts all and changes none; raises 22004, 22023, 25006, 55000';

CREATE FUNCTION tasker_checkpoint_purge_events(
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_purge_events(integer, boolean) IS
'forgets the dispatch, pause and cancel of steps that are gone or processed, at most max_rows (1 to 1000000), but for those under a lease and those that others have locked; returns how many, 0 when there are no more; a dry run counts all and removes none; raises 22004, 22023, 25000, 25006, 55000';

CREATE FUNCTION tasker_checkpoint_purge_archive(
    older_than interval,
    max_rows integer DEFAULT 1000,
    dry_run boolean DEFAULT false
)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_purge_archive(interval, integer, boolean) IS
'removes what was archived longer ago than older_than, at most max_rows (1 to 1000000) rows of the archive, but for those that others have locked; returns how many, 0 when there are no more; a dry run counts all and removes none; raises 22004, 22023, 25006, 55000';

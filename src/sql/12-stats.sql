--
-- Statistics
--

CREATE TYPE tasker_checkpoint_statistics AS (
    yields bigint,
    saves bigint,
    hot_checkpoints bigint,
    replays bigint,
    fenced bigint,
    refused_tc001 bigint,
    refused_tc003 bigint,
    refused_54000 bigint,
    refused_23514 bigint,
    refused_55000 bigint,
    stale_writes bigint,
    truncated_entries bigint,
    claims bigint,
    expired_claims bigint,
    parked bigint,
    notifications_sent bigint,
    notifications_batched bigint,
    notifications_lost bigint,
    stats_reset timestamptz
);
COMMENT ON TYPE tasker_checkpoint_statistics IS
'what was done and refused in this database; all NULL if the library is not preloaded';
COMMENT ON COLUMN tasker_checkpoint_statistics.yields IS
'checkpoints that a yield has stored';
COMMENT ON COLUMN tasker_checkpoint_statistics.saves IS
'checkpoints that a save has stored';
COMMENT ON COLUMN tasker_checkpoint_statistics.hot_checkpoints IS
'those of them that were a HOT update of the step''s row';
COMMENT ON COLUMN tasker_checkpoint_statistics.replays IS
'yields and saves that were repeated after a lost reply, and only answered';
COMMENT ON COLUMN tasker_checkpoint_statistics.fenced IS
'writes refused because the claim was superseded, or one was required: TC002, or false';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_tc001 IS
'checkpoints refused because their items were fewer than the stored ones';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_tc003 IS
'checkpoints refused because they were stored before, with the rows of their transaction';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_54000 IS
'checkpoints refused because they were over a limit';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_23514 IS
'writes refused because they were no checkpoint';
COMMENT ON COLUMN tasker_checkpoint_statistics.refused_55000 IS
'calls refused because of the state of a step or table: processed, not attached, not guarded';
COMMENT ON COLUMN tasker_checkpoint_statistics.stale_writes IS
'rows written back with an earlier checkpoint, which was not stored';
COMMENT ON COLUMN tasker_checkpoint_statistics.truncated_entries IS
'history entries that were cut';
COMMENT ON COLUMN tasker_checkpoint_statistics.claims IS
'steps handed to a worker';
COMMENT ON COLUMN tasker_checkpoint_statistics.expired_claims IS
'those of them that were taken from a worker whose lease had run out';
COMMENT ON COLUMN tasker_checkpoint_statistics.parked IS
'steps parked because they were claimed too often without getting on, or their checkpoint breaks readers';
COMMENT ON COLUMN tasker_checkpoint_statistics.notifications_sent IS
'wake-ups sent';
COMMENT ON COLUMN tasker_checkpoint_statistics.notifications_batched IS
'those of them that the notifier has sent';
COMMENT ON COLUMN tasker_checkpoint_statistics.notifications_lost IS
'wake-ups that were not sent: left out while the NOTIFY queue was nearly full, or lost with a notifier that failed';
COMMENT ON COLUMN tasker_checkpoint_statistics.stats_reset IS
'since when all this was counted: the start of the server, or the last reset';

CREATE FUNCTION tasker_checkpoint_stats()
RETURNS tasker_checkpoint_statistics
LANGUAGE C VOLATILE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_stats() IS
'what was done and refused in this database since the server''s start or the last reset; one row, of NULLs and with a NOTICE if the library is not preloaded';

CREATE FUNCTION tasker_checkpoint_stats_reset()
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_stats_reset() IS
'sets the counters of tasker_checkpoint_stats() to 0, for this database; a NOTICE if the library is not preloaded';

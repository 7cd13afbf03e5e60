--
-- Statistics
--


CREATE FUNCTION tasker_checkpoint_stats(
    -- checkpoints that a yield has stored
    OUT yields bigint,
    -- checkpoints that a save has stored
    OUT saves bigint,
    -- those of them that were a HOT update of the step's row
    OUT hot_checkpoints bigint,
    -- yields and saves that were repeated after a lost reply, and only answered
    OUT replays bigint,
    -- writes refused because the claim was superseded, or one was required: TC002, or
    -- false
    OUT fenced bigint,
    -- checkpoints refused because their items were fewer than the stored ones
    OUT refused_tc001 bigint,
    -- checkpoints refused because they were stored before, with the rows of their
    -- transaction
    OUT refused_tc003 bigint,
    -- checkpoints refused because they were over a limit
    OUT refused_54000 bigint,
    -- writes refused because they were no checkpoint
    OUT refused_23514 bigint,
    -- calls refused because of the state of a step or table: processed, not attached,
    -- not guarded
    OUT refused_55000 bigint,
    -- rows written back with an earlier checkpoint, which was not stored
    OUT stale_writes bigint,
    -- history entries that were cut
    OUT truncated_entries bigint,
    -- steps handed to a worker
    OUT claims bigint,
    -- those of them that were taken from a worker whose lease had run out
    OUT expired_claims bigint,
    -- steps parked because they were claimed too often without getting on, or their
    -- checkpoint breaks readers
    OUT parked bigint,
    -- wake-ups sent
    OUT notifications_sent bigint,
    -- those of them that the notifier has sent
    OUT notifications_batched bigint,
    -- wake-ups that were not sent: left out while the NOTIFY queue was nearly full, or
    -- lost with a notifier that failed
    OUT notifications_lost bigint,
    -- since when all this was counted: the start of the server, or the last reset
    OUT stats_reset timestamptz
)
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

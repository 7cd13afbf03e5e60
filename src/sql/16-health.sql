--
-- Health
--

CREATE FUNCTION tasker_checkpoint_unguarded()
RETURNS TABLE (detail text, statement text)
LANGUAGE C STABLE PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_unguarded() IS
'whether the table that is in use is the one that is guarded, in words, by the catalogs alone; for tasker_checkpoint_health(); raises 55000';

-- the library is loaded for it, if it was not
CREATE FUNCTION tasker_checkpoint_limits()
RETURNS TABLE (cursor_limit bigint, results_limit bigint, max_lease interval, max_deliveries integer)
LANGUAGE C STABLE PARALLEL RESTRICTED ROWS 1
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_limits() IS
'settings, in bytes and claims; for tasker_checkpoint_health()';

-- also for the doctor
CREATE FUNCTION tasker_checkpoint_shown(value text, as_literal boolean)
RETURNS text
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_shown(text, boolean) IS
'a name that others have chosen, with its control characters escaped, or the literal that SQL reads as the name; for tasker_checkpoint_health() and tasker_checkpoint_doctor()';

-- more, as kilobytes, is more than the setting takes
CREATE FUNCTION tasker_checkpoint_enough(bytes bigint, near_limit bigint)
RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN e.kilobytes <= 262143::double precision THEN e.kilobytes::bigint::text || 'kB'::text ELSE '-1' END
    FROM (SELECT pg_catalog.ceil((bytes * 200)::double precision / near_limit::double precision / 1024::double precision)) e (kilobytes);
END;
COMMENT ON FUNCTION tasker_checkpoint_enough(bigint, bigint) IS
'the limit to which so many bytes are but half as near as the percentage says, as its setting takes it: -1 if it takes no such limit; for tasker_checkpoint_health() and tasker_checkpoint_doctor()';

-- A slot, and a standby that has none, do not tell since when: they count where there
-- are as many dead rows as tasker_checkpoint_check_bloat() minds.
CREATE FUNCTION tasker_checkpoint_old_snapshots()
RETURNS TABLE (since timestamptz, detail text, statement text)
LANGUAGE sql STABLE PARALLEL RESTRICTED
ROWS 1
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT h.since,
           pg_catalog.format('%s keeps dead rows of the dispatch table from being removed, %s by now, which claims, yields and saves '
               'have to pass. %s', h.holder, d.dead, h.advice),
           h.statement
    FROM (
        SELECT pg_catalog.pg_stat_get_dead_tuples(c.oid) AS dead, pg_catalog.pg_stat_get_live_tuples(c.oid) AS live
        FROM pg_catalog.pg_class c
        WHERE c.oid = 'tasker_checkpoint_events'::pg_catalog.regclass::pg_catalog.oid
    ) d
    CROSS JOIN (
        SELECT a.xact_start AS since, greatest(pg_catalog.age(a.backend_xmin), pg_catalog.age(a.backend_xid)) AS transactions,
               pg_catalog.format('Session %s (%s%s%s), in a transaction since %s,', a.pid, a.backend_type,
                   ' of role "'::text || tasker_checkpoint_shown(a.usename::text, false) || '"'::text,
                   ', application "'::text || tasker_checkpoint_shown(nullif(a.application_name, ''), false) || '"'::text, a.xact_start) AS holder,
               CASE WHEN w.is_idle THEN 'It is idle; the statement ends the session.'
                    ELSE 'Let what takes long be several transactions, or read from a standby without feedback; the statement cancels it.'
                    END AS advice,
               pg_catalog.format('SELECT pg_catalog.%s(%s);',
                   CASE WHEN w.is_idle OR a.backend_type NOT IN ('client backend', 'autovacuum worker')
                        THEN 'pg_terminate_backend' ELSE 'pg_cancel_backend' END, a.pid) AS statement
        FROM pg_catalog.pg_stat_activity a
        CROSS JOIN LATERAL (SELECT a.state LIKE 'idle in transaction%' AS is_idle) w
        WHERE coalesce(a.backend_xmin, a.backend_xid) IS NOT NULL AND a.datname = pg_catalog.current_database()
        AND a.leader_pid IS NULL AND a.pid <> pg_catalog.pg_backend_pid()
        -- what VACUUM sees keeps nothing
        AND a.pid NOT IN (SELECT v.pid FROM pg_catalog.pg_stat_progress_vacuum v)
        UNION ALL
        SELECT p.prepared, pg_catalog.age(p.transaction),
               pg_catalog.format('The prepared transaction %s of role "%s", prepared at %s,', tasker_checkpoint_shown(p.gid, true),
                   tasker_checkpoint_shown(p.owner::text, false), p.prepared),
               'COMMIT PREPARED or ROLLBACK PREPARED ends it. What is right for the work that it did, its coordinator knows; '
               'the statement gives it up.',
               pg_catalog.format('ROLLBACK PREPARED %s;', tasker_checkpoint_shown(p.gid, true))
        FROM pg_catalog.pg_prepared_xacts p
        WHERE p.database = pg_catalog.current_database()
        UNION ALL
        SELECT NULL, pg_catalog.age(s.xmin),
               pg_catalog.format('Replication slot "%s"%s', s.slot_name,
                   CASE WHEN s.active THEN ', by the feedback of its standby,' ELSE ', which nobody uses,' END),
               CASE WHEN s.active THEN 'Look there for the session with the oldest backend_xmin in pg_stat_activity, or turn '
                                       'hot_standby_feedback off.'
                    ELSE 'The statement drops it, if its standby does not come back.' END,
               CASE WHEN NOT s.active THEN pg_catalog.format('SELECT pg_catalog.pg_drop_replication_slot(%L);', s.slot_name) END
        FROM pg_catalog.pg_replication_slots s
        WHERE s.xmin IS NOT NULL
        UNION ALL
        SELECT NULL, pg_catalog.age(a.backend_xmin),
               pg_catalog.format('The standby "%s" of role "%s", by its feedback,', tasker_checkpoint_shown(a.application_name, false),
                   tasker_checkpoint_shown(a.usename::text, false)),
               'Look there for the session with the oldest backend_xmin in pg_stat_activity, or turn hot_standby_feedback off.', NULL
        FROM pg_catalog.pg_stat_activity a
        WHERE a.backend_xmin IS NOT NULL AND a.backend_type = 'walsender' AND a.datname IS NULL
    ) h
    WHERE d.dead > 0 AND (h.since IS NOT NULL OR d.dead >= greatest(10000, d.live))
    ORDER BY h.transactions DESC;
END;
COMMENT ON FUNCTION tasker_checkpoint_old_snapshots() IS
'who keeps dead rows of tasker_checkpoint_events from being removed, of those that the caller may see in pg_stat_activity, the oldest first: sessions, prepared transactions, replication slots, standbys; for tasker_checkpoint_health() and tasker_checkpoint_doctor()';

CREATE FUNCTION tasker_checkpoint_health(
    stale interval DEFAULT '15 minutes',
    stalled integer DEFAULT 5,
    expired interval DEFAULT '5 minutes',
    unclaimed interval DEFAULT '5 minutes',
    paused interval DEFAULT '1 day',
    near_limit integer DEFAULT 80,
    long_cursor integer DEFAULT 2048,
    old_snapshot interval DEFAULT '15 minutes'
)
RETURNS TABLE (
    finding text,
    severity text,
    step_uuid uuid,
    figure numeric,
    threshold numeric,
    unit text,
    detail text,
    statement text,
    queue text
)
LANGUAGE sql STABLE PARALLEL RESTRICTED
BEGIN ATOMIC
    WITH threshold AS (
        -- in seconds, claims, percent and bytes; NULL turns a finding off. Two thousand
        -- years are as good as more, which lead to no time that there is
        SELECT CASE WHEN stale > interval '0' THEN least(pg_catalog.date_part('epoch', stale), 63072000000::double precision) END AS stale,
               CASE WHEN stalled > 0 THEN stalled END AS stalled,
               CASE WHEN expired > interval '0' THEN least(pg_catalog.date_part('epoch', expired), 63072000000::double precision) END AS expired,
               CASE WHEN unclaimed > interval '0' THEN least(pg_catalog.date_part('epoch', unclaimed), 63072000000::double precision) END AS unclaimed,
               CASE WHEN paused > interval '0' THEN least(pg_catalog.date_part('epoch', paused), 63072000000::double precision) END AS paused,
               CASE WHEN near_limit > 0 THEN near_limit::bigint END AS near_limit,
               CASE WHEN long_cursor > 0 THEN long_cursor::bigint END AS long_cursor,
               CASE WHEN old_snapshot > interval '0' THEN least(pg_catalog.date_part('epoch', old_snapshot), 63072000000::double precision) END AS old_snapshot
    ), known AS (
        -- what is the same for all steps; what has been so since before these times
        -- is over its threshold
        SELECT t.*, n.now, n.epoch,
               pg_catalog.to_timestamp(n.epoch - t.stale) AS stale_since,
               pg_catalog.to_timestamp(n.epoch - t.expired) AS expired_since,
               pg_catalog.to_timestamp(n.epoch - t.unclaimed) AS unclaimed_since,
               pg_catalog.to_timestamp(n.epoch - t.paused) AS paused_since,
               pg_catalog.to_timestamp(n.epoch - t.old_snapshot) AS snapshot_since,
               -- -1 is no limit
               CASE WHEN l.cursor_limit >= 0 THEN greatest(l.cursor_limit, 1) END AS cursor_limit,
               CASE WHEN l.results_limit >= 0 THEN greatest(l.results_limit, 1) END AS results_limit,
               -- what a B-tree takes of an entry
               2704::bigint AS entry_limit,
               l.max_lease, l.max_deliveries,
               c.relnamespace::pg_catalog.regnamespace::text AS own
        FROM threshold t
        CROSS JOIN tasker_checkpoint_limits() l
        CROSS JOIN (SELECT pg_catalog.statement_timestamp() AS now,
                           pg_catalog.date_part('epoch', pg_catalog.statement_timestamp()) AS epoch) n
        JOIN pg_catalog.pg_class c ON c.oid = 'tasker_checkpoint_events'::pg_catalog.regclass::pg_catalog.oid
    ), met AS (
        SELECT s.*,
               -- nobody has told it to stop, or holds it
               s.found AND NOT s.processed AND s.gid IS NULL AND (s.directive = 'continue') IS NOT FALSE AS at_work,
               -- somebody resumed it after its worker's lease had run out
               s.available_at > s.lease_until AND s.available_at <= k.now AS resumed,
               -- a time that is far ahead of the clock says nothing
               CASE WHEN s.checkpointed_at <= k.now + interval '5 minutes' THEN s.checkpointed_at END AS written_at,
               -- no lease and no delay is longer
               CASE WHEN s.worker IS NULL THEN interval '24 hours' ELSE greatest(k.max_lease, s.lease) END AS longest
        FROM known k
        CROSS JOIN tasker_checkpoint_survey(NULL::uuid, true) s
    ), timed AS (
        SELECT s.*,
               s.at_work AND s.has_event AND NOT s.parked AS offered,
               -- since then it could be claimed, but for a directive
               CASE WHEN s.worker IS NULL OR s.resumed THEN s.available_at ELSE s.lease_until END AS idle_since,
               -- then it was claimed, or there was a heartbeat or a checkpoint
               greatest(CASE WHEN s.resumed THEN s.available_at ELSE s.leased_at END, s.written_at) AS silent_since,
               greatest(s.available_at, s.lease_until) AS held_until,
               -- an entry of a B-tree is the text and what stands before it
               s.cursor_length + 12 AS entry_size
        FROM met s
    ), judged AS MATERIALIZED (
        SELECT *
        FROM (
            SELECT s.step_uuid, s.found, s.processed, s.directive, s.has_event, s.worker, s.deliveries, s.queue, s.gid, s.prepared_at,
                   s.lease_until, s.idle_since, s.silent_since, s.held_until, s.longest, s.repeated, s.readable,
                   s.cursor_size, s.results_size, s.entry_size,
                   s.gid IS NOT NULL AS is_prepared,
                   -- on a step that is done or gone it will count again when that is
                   -- reset, or inserted again
                   s.gid IS NULL AND s.directive <> 'continue'
                   AND (s.directive = 'cancel' OR NOT s.found OR s.processed OR s.idle_since <= k.paused_since) AS is_told,
                   s.parked AND s.has_event AND s.at_work AS is_parked,
                   -- one whose lease ran out long enough ago is nobody's; so is one that
                   -- has an event and no worker
                   s.silent_since <= k.stale_since AND s.parked IS NOT TRUE AND s.at_work
                   AND CASE WHEN s.has_event THEN s.worker IS NOT NULL AND (s.idle_since <= k.expired_since) IS NOT TRUE
                            ELSE s.in_process END AS is_stale,
                   s.repeated >= k.stalled AND s.at_work AS is_stalled,
                   s.worker IS NOT NULL AND s.idle_since <= k.expired_since AND s.offered AS is_expired,
                   s.worker IS NULL AND s.idle_since <= k.unclaimed_since AND s.offered AS is_unclaimed,
                   s.held_until > k.now + s.longest AND s.offered AS is_ahead,
                   s.cursor_size * 100 >= k.near_limit * k.cursor_limit AS is_near_cursor,
                   s.results_size * 100 >= k.near_limit * k.results_limit AS is_near_results,
                   s.entry_size * 100 >= k.near_limit * k.entry_limit AS is_near_index,
                   s.cursor_size >= k.long_cursor AS is_long
            FROM known k
            CROSS JOIN timed s
        ) s
        WHERE s.is_prepared OR s.is_told OR s.is_parked OR s.is_stale OR s.is_stalled OR s.is_expired
           OR s.is_unclaimed OR s.is_ahead OR s.is_near_cursor OR s.is_near_results OR s.is_near_index OR s.is_long
    ), stuck AS MATERIALIZED (
        -- where no worker runs nearly all are but expired or unclaimed
        SELECT * FROM judged s
        WHERE s.is_prepared OR s.is_told OR s.is_parked OR s.is_stale OR s.is_stalled OR s.is_ahead
    ), large AS MATERIALIZED (
        SELECT * FROM judged s
        WHERE s.is_near_cursor OR s.is_near_results OR s.is_near_index OR s.is_long
    ), told (finding, place, severity, step_uuid, queue, since, figure, threshold, unit, detail, statement) AS (
        -- All have columns of the same types: so the planner looks into each, and a
        -- count by finding writes no words.
        SELECT 'unguarded', u.place::integer, 'critical', NULL::uuid, NULL::text, NULL::timestamptz, NULL::double precision,
               NULL::double precision, NULL::text, u.detail, u.statement
        FROM tasker_checkpoint_unguarded() WITH ORDINALITY u (detail, statement, place)
        UNION ALL
        SELECT 'old_snapshot', o.place::integer, 'warning', NULL, NULL, o.since, NULL, CASE WHEN o.since IS NOT NULL THEN k.old_snapshot END,
               CASE WHEN o.since IS NOT NULL THEN 'seconds' END, o.detail, o.statement
        FROM known k CROSS JOIN tasker_checkpoint_old_snapshots() WITH ORDINALITY o (since, detail, statement, place)
        WHERE o.since <= k.snapshot_since OR (o.since IS NULL AND k.old_snapshot IS NOT NULL)
        UNION ALL
        SELECT 'prepared', 0, CASE WHEN s.prepared_at <= k.expired_since THEN 'critical' ELSE 'warning' END,
               s.step_uuid, s.queue, s.prepared_at, NULL, 0::double precision, 'seconds',
               pg_catalog.format('The prepared transaction %s has the step: whoever wants to write it, or its dispatch, waits until '
                   'COMMIT PREPARED or ROLLBACK PREPARED ends that transaction. What is right for the work that it did, '
                   'its coordinator knows; the statement gives it up.', tasker_checkpoint_shown(s.gid, true)),
               pg_catalog.format('ROLLBACK PREPARED %s;', tasker_checkpoint_shown(s.gid, true))
        FROM known k CROSS JOIN stuck s
        WHERE s.is_prepared
        UNION ALL
        SELECT w.finding, 0, 'info', s.step_uuid, s.queue, s.idle_since, NULL,
               CASE WHEN s.directive = 'pause' AND s.found AND NOT s.processed THEN k.paused ELSE 0::double precision END, 'seconds',
               CASE WHEN s.processed
                    THEN pg_catalog.format('The step is processed, and still %s: if it is reset, nobody can claim it, '
                        'and tasker_checkpoint_dispatch() returns NULL.', w.finding)
                    WHEN NOT s.found
                    THEN pg_catalog.format('There is no such step any more, and it is still %s: if it is inserted again, nobody can '
                        'claim it, and tasker_checkpoint_dispatch() returns NULL. The statement forgets all that is left of steps '
                        'that are processed or gone.', w.finding)
                    WHEN s.directive = 'pause' THEN 'Resume the step, or cancel it if it is not to go on.'
                    ELSE 'Nobody can claim the step, and tasker_checkpoint_dispatch() returns NULL, also after a reset. '
                        'Resume it if it is to go on.' END,
               CASE WHEN s.found THEN pg_catalog.format('SELECT %s.tasker_checkpoint_resume(%L::pg_catalog.uuid);', k.own, s.step_uuid)
                    ELSE pg_catalog.format('SELECT %s.tasker_checkpoint_purge_events(1000, false);', k.own) END
        FROM known k CROSS JOIN stuck s
        CROSS JOIN LATERAL (SELECT CASE s.directive WHEN 'pause' THEN 'paused' ELSE 'cancelled' END AS finding) w
        WHERE s.is_told
        UNION ALL
        SELECT 'parked', 0, 'critical', s.step_uuid, s.queue, NULL, s.deliveries::double precision, k.max_deliveries::double precision,
               'deliveries',
               CASE WHEN s.readable IS FALSE
                    THEN 'Its checkpoint has a number or a nesting that readers fail at, so that it is given to nobody. '
                        'Rewind the step, clear its checkpoint, or write it anew without that; then resume the step.'
                    ELSE pg_catalog.format('Claimed %s times without a checkpoint%s. Find out why the handler fails before it reaches '
                        'one, then resume the step.', s.deliveries, ', last by worker "'::text || tasker_checkpoint_shown(s.worker, false) || '"'::text) END,
               pg_catalog.format('SELECT %s.tasker_checkpoint_resume(%L::pg_catalog.uuid);', k.own, s.step_uuid)
        FROM known k CROSS JOIN stuck s
        WHERE s.is_parked
        UNION ALL
        SELECT 'stale', 0, NULL, s.step_uuid, s.queue, s.silent_since, NULL, k.stale, 'seconds',
               CASE WHEN s.has_event
                    THEN pg_catalog.format('Worker "%s" has claimed the step, and gives no sign. The statement takes the step from it '
                        'and offers it to others.', tasker_checkpoint_shown(s.worker, false))
                    ELSE 'The step is in process, and nobody has claimed it. The statement makes it ready for another run, '
                        'by the orchestrator or tasker_checkpoint_dispatch().' END,
               pg_catalog.format('SELECT %s.tasker_checkpoint_reset_for_retry(%L::pg_catalog.uuid, false);', k.own, s.step_uuid)
        FROM known k CROSS JOIN stuck s
        WHERE s.is_stale
        UNION ALL
        SELECT 'stalled', 0, NULL, s.step_uuid, s.queue, NULL, s.repeated::double precision, k.stalled::double precision, 'checkpoints',
               pg_catalog.format('The last checkpoints have the same cursor and items: the handler runs and gets nowhere. '
                   'The statement stops it%s; mend the handler, then resume the step.',
                   CASE WHEN s.has_event IS NOT TRUE THEN ', if it minds the directive of its receipts' END),
               pg_catalog.format('SELECT %s.tasker_checkpoint_pause(%L::pg_catalog.uuid);', k.own, s.step_uuid)
        FROM known k CROSS JOIN stuck s
        WHERE s.is_stalled
        UNION ALL
        SELECT CASE WHEN s.is_expired THEN 'expired' ELSE 'unclaimed' END, 0, NULL, s.step_uuid, s.queue, s.idle_since, NULL,
               CASE WHEN s.is_expired THEN k.expired ELSE k.unclaimed END, 'seconds',
               CASE WHEN s.is_expired
                    THEN pg_catalog.format('The lease of worker "%s" has run out, and nobody has taken the step. Look whether workers '
                        'run, poll and see the step; the statement wakes them.', tasker_checkpoint_shown(s.worker, false))
                    ELSE 'Nobody takes the step. Look whether workers run, poll and see it, and are enough; '
                        'the statement wakes them.' END,
               pg_catalog.format('SELECT %1$s.tasker_checkpoint_resume(%2$L::pg_catalog.uuid) FROM %1$s.tasker_checkpoint_pause(%2$L::pg_catalog.uuid);',
                   k.own, s.step_uuid)
        FROM known k CROSS JOIN judged s
        WHERE s.is_expired OR s.is_unclaimed
        UNION ALL
        -- a worker that lives goes on all the same
        SELECT 'ahead', 0, CASE WHEN s.lease_until > k.now THEN 'warning' ELSE 'critical' END, s.step_uuid, s.queue, NULL,
               pg_catalog.ceil(pg_catalog.date_part('epoch', s.held_until) - k.epoch),
               pg_catalog.date_part('epoch', s.longest), 'seconds',
               CASE WHEN s.worker IS NOT NULL
                    THEN pg_catalog.format('The lease of worker "%s" ends later than any lease can: the clock of the server was ahead '
                        'when it was given, and has been set back. If the worker is gone, nobody else can claim the step until then. '
                        'The statement takes the step from it and offers it to others.', tasker_checkpoint_shown(s.worker, false))
                    ELSE 'The step can be claimed later than after any delay: the clock of the server was ahead when it was '
                        'dispatched, and has been set back. The statement offers it now.' END,
               pg_catalog.format('SELECT %s.tasker_checkpoint_reset_for_retry(%L::pg_catalog.uuid, false);', k.own, s.step_uuid)
        FROM known k CROSS JOIN stuck s
        WHERE s.is_ahead
        UNION ALL
        -- at least double, and over nobody's threshold
        SELECT 'near_limit', n.place, CASE WHEN n.size >= n.size_limit THEN 'critical' ELSE 'warning' END, n.step_uuid, n.queue, NULL,
               (n.size * 100 / n.size_limit)::double precision, n.near_limit::double precision, 'percent',
               pg_catalog.format('%s %s bytes of tasker_checkpoint.%s; what is over it is refused. Let the handler keep what is large '
                   'in a table of its own, or raise the limit, for sessions that begin after that.', n.what, n.size, n.setting),
               pg_catalog.format('ALTER DATABASE %I SET tasker_checkpoint.%s = %L;', pg_catalog.current_database(), n.setting,
                   tasker_checkpoint_enough(n.most, n.near_limit))
        FROM (
            SELECT l.*, pg_catalog.max(l.size) OVER (PARTITION BY l.place) AS most
            FROM (
                SELECT 1 AS place, s.step_uuid, s.queue, k.near_limit, 'The cursor takes' AS what, 'cursor_limit' AS setting,
                       s.cursor_size AS size, k.cursor_limit AS size_limit
                FROM known k CROSS JOIN large s
                WHERE s.is_near_cursor
                UNION ALL
                SELECT 2, s.step_uuid, s.queue, k.near_limit, 'The accumulated results take', 'results_limit',
                       s.results_size, k.results_limit
                FROM known k CROSS JOIN large s
                WHERE s.is_near_results
            ) l
        ) n
        UNION ALL
        SELECT 'near_limit', 2 + i.place::integer, CASE WHEN s.entry_size >= k.entry_limit THEN 'critical' ELSE 'warning' END, s.step_uuid, s.queue,
               NULL, (s.entry_size * 100 / k.entry_limit)::double precision, k.near_limit::double precision, 'percent',
               pg_catalog.format('The cursor takes %s bytes of an entry in index %s, which refuses one of more than %s bytes '
                   'unless it can be compressed.', s.entry_size, i.name, k.entry_limit),
               tasker_checkpoint_drop_index(i.relid, true)
        FROM known k CROSS JOIN large s
        CROSS JOIN tasker_checkpoint_cursor_indexes() WITH ORDINALITY i (relid, name, entire, place)
        WHERE s.is_near_index AND i.entire
        UNION ALL
        SELECT 'long_cursor', 0, 'info', s.step_uuid, s.queue, NULL, s.cursor_size::double precision, k.long_cursor::double precision, 'bytes',
               'Every checkpoint writes the cursor twice and the history keeps copies of it. Let the handler keep what is large in '
               'accumulated_results or a table of its own, or ask with another threshold: tasker_checkpoint_health(long_cursor => ...).',
               NULL
        FROM known k CROSS JOIN large s
        WHERE s.is_long
    )
    SELECT f.finding, f.severity, f.step_uuid, f.figure::numeric, f.threshold::numeric, f.unit, f.detail, f.statement, f.queue
    FROM (
        SELECT t.finding, t.place, t.step_uuid, t.queue, t.figure, t.threshold, t.unit, t.detail, t.statement,
               CASE WHEN t.severity IS NOT NULL THEN t.severity
                    -- far over it
                    WHEN t.figure >= t.threshold * 4::double precision THEN 'critical'
                    ELSE 'warning' END AS severity
        FROM (
            SELECT t.finding, t.place, t.severity, t.step_uuid, t.queue, t.threshold, t.unit, t.detail, t.statement,
                   CASE WHEN t.since IS NULL THEN t.figure
                        ELSE greatest(pg_catalog.floor(k.epoch - pg_catalog.date_part('epoch', t.since)), 0) END AS figure
            FROM known k CROSS JOIN told t
            -- computed once, and not wherever it is named
            OFFSET 0
        ) t
    ) f
    ORDER BY CASE f.severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END,
             f.step_uuid NULLS FIRST, f.finding COLLATE pg_catalog."C", f.place;
END;
COMMENT ON FUNCTION tasker_checkpoint_health(interval, integer, interval, interval, interval, integer, integer, interval) IS
'what is stuck or will be, of the steps that the caller can see, and whether the table in use is guarded, which everybody is told; the worst first; each threshold is an argument, and 0 turns its finding off; raises 42501, 55000';

-- with the thresholds that are the function's defaults
CREATE VIEW tasker_checkpoint_health WITH (security_invoker = true) AS
SELECT *
FROM tasker_checkpoint_health(
    stale => '15 minutes'::pg_catalog.interval,
    stalled => 5,
    expired => '5 minutes'::pg_catalog.interval,
    unclaimed => '5 minutes'::pg_catalog.interval,
    paused => '1 day'::pg_catalog.interval,
    near_limit => 80,
    long_cursor => 2048,
    old_snapshot => '15 minutes'::pg_catalog.interval
);
COMMENT ON VIEW tasker_checkpoint_health IS
'what is stuck or will be, the worst first: a row for each finding, with the statement that helps; other thresholds are arguments of tasker_checkpoint_health()';
COMMENT ON COLUMN tasker_checkpoint_health.finding IS
'what it is: unguarded, old_snapshot, prepared, parked, stale, stalled, expired, unclaimed, ahead, near_limit, long_cursor, paused or cancelled';
COMMENT ON COLUMN tasker_checkpoint_health.severity IS
'critical: the step does not go on by itself, or the table is not guarded; warning: it may not, or all go on slowly; info: worth knowing';
COMMENT ON COLUMN tasker_checkpoint_health.step_uuid IS
'the step; NULL where it is about a table';
COMMENT ON COLUMN tasker_checkpoint_health.figure IS
'how far it has come, in the unit; NULL, like threshold and unit, where that is not known or nothing to measure';
COMMENT ON COLUMN tasker_checkpoint_health.threshold IS
'from where on it is shown, in the unit';
COMMENT ON COLUMN tasker_checkpoint_health.unit IS
'of figure and threshold: seconds, checkpoints, deliveries, percent or bytes';
COMMENT ON COLUMN tasker_checkpoint_health.detail IS
'what is known, and what to do that no statement can';
COMMENT ON COLUMN tasker_checkpoint_health.statement IS
'SQL that makes the row go away; for the operator to read before it is run; NULL where nothing but a person can tell which';
COMMENT ON COLUMN tasker_checkpoint_health.queue IS
'queue from which the step is claimed; NULL if it is not dispatched';

--
-- Health
--

CREATE TYPE tasker_checkpoint_finding AS (
    finding text,
    severity text,
    step_uuid uuid,
    figure numeric,
    threshold numeric,
    unit text,
    detail text,
    statement text
);
COMMENT ON TYPE tasker_checkpoint_finding IS
'something about a step that somebody should look at, and what to do';
COMMENT ON COLUMN tasker_checkpoint_finding.finding IS
'what it is: parked, stale, stalled, expired, unclaimed, near_limit, long_cursor or paused';
COMMENT ON COLUMN tasker_checkpoint_finding.severity IS
'critical: the step does not go on by itself; warning: it may not; info: worth knowing';
COMMENT ON COLUMN tasker_checkpoint_finding.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_finding.figure IS
'how far it has come, in the unit';
COMMENT ON COLUMN tasker_checkpoint_finding.threshold IS
'from where on it is shown, in the unit';
COMMENT ON COLUMN tasker_checkpoint_finding.unit IS
'of figure and threshold: seconds, checkpoints, deliveries, percent or bytes';
COMMENT ON COLUMN tasker_checkpoint_finding.detail IS
'what is known, and what to do that no statement can';
COMMENT ON COLUMN tasker_checkpoint_finding.statement IS
'SQL that makes the row go away; for the operator to read before it is run';

CREATE FUNCTION tasker_checkpoint_health()
RETURNS SETOF tasker_checkpoint_finding
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $health$
DECLARE
    own_schema name := (SELECT n.nspname FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace
                        WHERE e.extname = 'tasker_checkpoint');
    steps regclass;
    col record;
    threshold record;
    btree record;
    source text;
BEGIN
    -- loads the library as well, so that its settings are known
    EXECUTE format('SELECT %I.tasker_checkpoint_table()', own_schema) INTO steps;
    IF steps IS NULL THEN
        RETURN;
    END IF;

    SELECT max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_stale') AS stale,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_stalled') AS stalled,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_expired') AS expired,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_unclaimed') AS unclaimed,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_paused') AS paused,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_near_limit') AS near_limit,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.health_long_cursor') AS long_cursor,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.cursor_limit') AS cursor_limit,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.results_limit') AS results_limit,
           max(s.setting::bigint) FILTER (WHERE s.name = 'tasker_checkpoint.max_deliveries') AS max_deliveries
    INTO threshold
    FROM pg_settings s
    WHERE s.name LIKE 'tasker\_checkpoint.%' AND s.vartype = 'integer';

    -- what the guard names, and what else the table may say of a step
    SELECT quote_ident(k.attname) AS key, quote_ident(c.attname) AS checkpoint,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = steps AND attname = 'processed'
                   AND atttypid = 'boolean'::regtype) AS processed,
           EXISTS (SELECT FROM pg_attribute WHERE attrelid = steps AND attname = 'in_process'
                   AND atttypid = 'boolean'::regtype) AS in_process
    INTO STRICT col
    FROM pg_trigger t
    JOIN pg_attribute k ON k.attrelid = steps AND k.attnum = t.tgattr[0]
    JOIN pg_attribute c ON c.attrelid = steps AND c.attnum = t.tgattr[1]
    WHERE t.tgrelid = steps AND t.tgparentid = 0
    AND t.tgfoid = format('%I.tasker_checkpoint_guard()', own_schema)::regprocedure;

    -- indexes that refuse a long cursor, partitions' own included
    SELECT array_agg(format('%I.%I', n.nspname, c.relname) ORDER BY c.oid) AS names,
           array_agg(format(CASE c.relkind WHEN 'I' THEN 'DROP INDEX IF EXISTS %I.%I;' ELSE 'DROP INDEX CONCURRENTLY IF EXISTS %I.%I;' END,
                            n.nspname, c.relname) ORDER BY c.oid) AS remedies
    INTO btree
    FROM (SELECT steps AS relid UNION SELECT relid FROM pg_partition_tree(steps)) t
    JOIN pg_index i ON i.indrelid = t.relid
    JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_am m ON m.oid = c.relam AND m.amname = 'btree'
    WHERE pg_get_expr(i.indexprs, i.indrelid) LIKE '%''cursor''%'
    AND pg_get_expr(i.indexprs, i.indrelid) NOT LIKE '%"left"(%';

    -- a step that is processed is out of danger. OFFSET 0 keeps a document from
    -- being read once for each use
    source := format(
        'SELECT s.%1$s AS step_uuid, s.%2$s #> ''{}'' AS doc, %3$s AS in_process, '
        'coalesce(d.has_event, false) AS has_event, coalesce(d.directive, ''continue'') AS directive, '
        'd.parked, d.worker, d.deliveries, d.available_at, d.lease, d.lease_until '
        'FROM %4$s s LEFT JOIN %5$I.tasker_checkpoint_dispatched() d ON d.step_uuid = s.%1$s '
        'WHERE %6$s AND (s.%2$s IS NOT NULL OR d.step_uuid IS NOT NULL) OFFSET 0',
        col.key, col.checkpoint, CASE WHEN col.in_process THEN 's.in_process' ELSE 'false' END,
        steps, own_schema,
        CASE WHEN col.processed THEN '(NOT s.processed OR s.processed IS NULL)' ELSE 'true' END);

    RETURN QUERY EXECUTE 'WITH steps AS (' || source || ')' || $query$,
    p AS (SELECT $1 AS own_schema, $2 AS stale, $3 AS stalled, $4 AS expired, $5 AS near_limit, $6 AS unclaimed,
                 $7 AS long_cursor, $8 AS paused, $9 AS cursor_limit, $10 AS results_limit,
                 $11 AS max_deliveries, $12 AS index_names, $13 AS index_remedies)
    SELECT f.finding, f.severity, f.step_uuid, f.figure, f.threshold, f.unit,
        CASE f.finding
            WHEN 'parked' THEN concat('Claimed ', f.deliveries, ' times without a checkpoint', ', last by worker "' || f.worker || '"',
                '. Find out why the handler fails before it reaches one, then resume the step.')
            WHEN 'stale' THEN CASE
                WHEN f.has_event THEN concat('Worker "', f.worker, '" has claimed the step, and gives no sign. The statement takes the step from it and offers it to others.')
                ELSE 'The step is in process, and nobody has claimed it. The statement makes it ready for another run, by the orchestrator or tasker_checkpoint_dispatch().' END
            WHEN 'stalled' THEN concat('The last checkpoints have the same cursor and items: the handler runs and gets nowhere. The statement stops it',
                CASE WHEN NOT f.has_event THEN ', if it minds the directive of its receipts' END,
                '; mend the handler, then resume the step.')
            WHEN 'expired' THEN concat('The lease of worker "', f.worker, '" has run out, and nobody has taken the step. Look whether workers run, poll and see the step; the statement wakes them.')
            WHEN 'unclaimed' THEN 'Nobody takes the step. Look whether workers run, poll and see it, and are enough; the statement wakes them.'
            WHEN 'near_limit' THEN CASE
                WHEN f.remedy IS NULL THEN concat(
                    CASE f.subject WHEN 'cursor_limit' THEN 'The cursor takes ' ELSE 'The accumulated results take ' END, f.bytes,
                    ' bytes of tasker_checkpoint.', f.subject, '; what is over it is refused. Let the handler keep what is large in a table of its own, or raise the limit, for sessions that begin after that.')
                ELSE concat('The cursor takes ', f.bytes, ' bytes of an entry in index ', f.subject, ', which refuses one of more than 2704 bytes unless it can be compressed.') END
            WHEN 'long_cursor' THEN 'Every checkpoint writes the cursor twice and the history keeps copies of it. Let the handler keep what is large in accumulated_results or a table of its own, or raise the threshold, for sessions that begin after that.'
            WHEN 'paused' THEN 'Resume the step, or cancel it if it is not to go on.'
        END,
        CASE
            WHEN f.finding IN ('parked', 'paused') THEN
                format('SELECT %I.tasker_checkpoint_resume(%L);', f.own_schema, f.step_uuid)
            WHEN f.finding IN ('expired', 'unclaimed') THEN
                format('SELECT %1$I.tasker_checkpoint_resume(%2$L) FROM %1$I.tasker_checkpoint_pause(%2$L);', f.own_schema, f.step_uuid)
            WHEN f.finding = 'stale' THEN
                format('SELECT %I.tasker_checkpoint_reset_for_retry(%L);', f.own_schema, f.step_uuid)
            WHEN f.finding = 'stalled' THEN
                format('SELECT %I.tasker_checkpoint_pause(%L);', f.own_schema, f.step_uuid)
            WHEN f.remedy IS NOT NULL THEN
                f.remedy
            -- enough for all that are shown, and at least double
            WHEN f.finding = 'near_limit' THEN
                format('ALTER DATABASE %I SET tasker_checkpoint.%I = %L;', current_database(), f.subject,
                       CASE WHEN f.most * 200 / f.threshold > 262143 * 1024 THEN '-1'
                            ELSE ceil(f.most * 200 / f.threshold / 1024) || 'kB' END)
            WHEN f.finding = 'long_cursor' THEN
                format('ALTER DATABASE %I SET tasker_checkpoint.health_long_cursor = %L;', current_database(),
                       CASE WHEN f.most > 262142 * 1024 THEN '0' ELSE ceil((f.most + 1) / 1024) || 'kB' END)
        END
    FROM (
        SELECT f.*, p.own_schema, s.step_uuid, s.has_event, s.worker, s.deliveries,
            max(f.bytes) OVER (PARTITION BY f.finding, f.subject) AS most,
            CASE
                WHEN f.finding = 'parked' THEN 'critical'
                WHEN f.finding IN ('paused', 'long_cursor') THEN 'info'
                WHEN f.figure >= CASE f.finding WHEN 'near_limit' THEN 100 ELSE 4 * f.threshold END THEN 'critical'
                ELSE 'warning'
            END AS severity
        FROM steps s
        CROSS JOIN p
        CROSS JOIN LATERAL (
            -- whether somebody resumed it after its worker's lease had run out
            SELECT s.available_at > s.lease_until AND s.available_at <= statement_timestamp() AS resumed
        ) r
        CROSS JOIN LATERAL (
            SELECT
                -- for how long it could be claimed, but for a directive; below 0 while it could not
                floor(extract(epoch FROM statement_timestamp())
                      - extract(epoch FROM CASE WHEN s.lease_until IS NULL OR r.resumed THEN s.available_at ELSE s.lease_until END)) AS idle,
                -- when its worker claimed it or last sent a heartbeat
                CASE WHEN r.resumed THEN s.available_at ELSE s.lease_until - s.lease END AS heard
        ) t
        CROSS JOIN LATERAL (
            SELECT
                s.has_event AND s.directive = 'continue' AND NOT s.parked AS claimable,
                -- for how long somebody who has it has not been heard of; a step whose lease
                -- ran out long enough ago is nobody's
                CASE
                    WHEN p.stale = 0 OR s.directive <> 'continue' OR s.parked THEN NULL
                    WHEN s.has_event AND (s.worker IS NULL OR t.idle >= nullif(p.expired, 0)) THEN NULL
                    WHEN s.has_event AND extract(epoch FROM statement_timestamp()) - extract(epoch FROM t.heard) < p.stale THEN NULL
                    WHEN s.has_event OR s.in_process THEN
                        floor(extract(epoch FROM statement_timestamp())
                              - extract(epoch FROM greatest(t.heard, (SELECT l.checkpointed_at FROM $query$
                              || quote_ident(own_schema) || $query$.tasker_checkpoint_load(s.step_uuid) l))))
                END AS silent,
                CASE
                    WHEN p.stalled = 0 OR s.directive <> 'continue' THEN NULL
                    -- the newest entry and the one that makes it too many
                    WHEN s.doc -> 'history' -> -1 -> 'cursor' = s.doc -> 'history' -> -(p.stalled::integer) -> 'cursor' THEN (
                        SELECT count(*) - coalesce(max(e.place) FILTER (
                            WHERE e.entry -> 'cursor' IS DISTINCT FROM s.doc -> 'history' -> -1 -> 'cursor'
                            OR e.entry -> 'items_processed' IS DISTINCT FROM s.doc -> 'history' -> -1 -> 'items_processed'), 0)
                        FROM jsonb_array_elements(s.doc -> 'history') WITH ORDINALITY AS e (entry, place))
                END AS repeated,
                pg_column_size(s.doc -> 'cursor') AS cursor_size,
                CASE WHEN p.near_limit > 0 THEN octet_length(s.doc ->> 'cursor') END AS cursor_length,
                CASE WHEN p.near_limit > 0 AND jsonb_typeof(s.doc) = 'object' THEN
                    coalesce(pg_column_size(s.doc -> 'accumulated_results'), 0)
                    + coalesce(pg_column_size(nullif(s.doc - '{cursor,items_processed,accumulated_results,timestamp,history,history_truncated}'::text[], '{}')), 0)
                END AS results_size
            OFFSET 0
        ) m
        CROSS JOIN LATERAL (
            VALUES
                ('parked', CASE WHEN s.has_event AND s.directive = 'continue' AND s.parked THEN s.deliveries::numeric END,
                 p.max_deliveries::numeric, 'deliveries', NULL, NULL::numeric, NULL),
                ('stale', m.silent, p.stale, 'seconds', NULL, NULL, NULL),
                ('stalled', m.repeated, p.stalled, 'checkpoints', NULL, NULL, NULL),
                ('expired', CASE WHEN m.claimable AND s.worker IS NOT NULL THEN t.idle END, p.expired, 'seconds', NULL, NULL, NULL),
                ('unclaimed', CASE WHEN m.claimable AND s.worker IS NULL THEN t.idle END, p.unclaimed, 'seconds', NULL, NULL, NULL),
                ('near_limit', CASE WHEN p.cursor_limit >= 0 THEN floor(100.0 * m.cursor_size / greatest(p.cursor_limit, 1)) END, p.near_limit, 'percent', 'cursor_limit', m.cursor_size, NULL),
                ('near_limit', CASE WHEN p.results_limit >= 0 THEN floor(100.0 * m.results_size / greatest(p.results_limit, 1)) END, p.near_limit, 'percent', 'results_limit', m.results_size, NULL),
                ('long_cursor', m.cursor_size, p.long_cursor, 'bytes', NULL, m.cursor_size, NULL),
                ('paused', CASE WHEN s.directive = 'pause' THEN t.idle END, p.paused, 'seconds', NULL, NULL, NULL)
            UNION ALL
            -- with the 12 bytes that an entry takes besides its text
            SELECT 'near_limit', floor(100.0 * (m.cursor_length + 12) / 2704), p.near_limit, 'percent', i.name, m.cursor_length + 12, i.remedy
            FROM unnest(p.index_names, p.index_remedies) AS i (name, remedy)
        ) AS f (finding, figure, threshold, unit, subject, bytes, remedy)
        WHERE f.figure >= CASE f.finding WHEN 'parked' THEN 0 ELSE nullif(f.threshold, 0) END
    ) f
    ORDER BY array_position('{critical,warning,info}'::text[], f.severity), f.step_uuid, f.finding, f.subject
    $query$
    USING own_schema, threshold.stale, threshold.stalled, threshold.expired, threshold.near_limit, threshold.unclaimed,
        threshold.long_cursor, threshold.paused, threshold.cursor_limit, threshold.results_limit, threshold.max_deliveries,
        btree.names, btree.remedies;
END
$health$;
COMMENT ON FUNCTION tasker_checkpoint_health() IS
'what is stuck or will be, of the steps that the caller can see and that are not processed: the rows of the view tasker_checkpoint_health; nothing without an attached table; raises 55000';

CREATE VIEW tasker_checkpoint_health AS
SELECT finding, severity, step_uuid, figure, threshold, unit, detail, statement
FROM tasker_checkpoint_health();
COMMENT ON VIEW tasker_checkpoint_health IS
'what is stuck or will be, the worst first: a row for each finding, with the statement that helps; thresholds are the settings tasker_checkpoint.health_...';

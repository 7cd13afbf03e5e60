--
-- Progress
--

CREATE TYPE tasker_checkpoint_measures AS (
    items_processed bigint,
    total_items bigint,
    rate numeric,
    checkpointed_at timestamptz,
    sequence bigint
);
COMMENT ON TYPE tasker_checkpoint_measures IS
'what a checkpoint says of progress';
COMMENT ON COLUMN tasker_checkpoint_measures.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_measures.total_items IS
'how many there are: total_items in accumulated_results; NULL if the handler does not give it';
COMMENT ON COLUMN tasker_checkpoint_measures.rate IS
'items per second, over the newest 21 entries of the history, pauses left out; NULL if they do not tell';
COMMENT ON COLUMN tasker_checkpoint_measures.checkpointed_at IS
'time of the checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_measures.sequence IS
'number of the checkpoint; 0 without one';

CREATE FUNCTION tasker_checkpoint_figures(checkpoint jsonb)
RETURNS tasker_checkpoint_measures
LANGUAGE C IMMUTABLE PARALLEL SAFE
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_figures(jsonb) IS
'items, total, rate, time and number of a checkpoint document, as far as they can be read';

CREATE TYPE tasker_checkpoint_step_progress AS (
    step_uuid uuid,
    step_name text,
    task_uuid uuid,
    task_name text,
    items_processed bigint,
    total bigint,
    percent numeric,
    bar text,
    rate numeric,
    eta interval,
    checkpointed_at timestamptz,
    sequence bigint,
    state text,
    worker text,
    lease_until timestamptz,
    deliveries integer
);
COMMENT ON TYPE tasker_checkpoint_step_progress IS
'how far a step is, how fast, and who has it';
COMMENT ON COLUMN tasker_checkpoint_step_progress.step_uuid IS
'the step';
COMMENT ON COLUMN tasker_checkpoint_step_progress.step_name IS
'its name, from Tasker''s named_steps; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.task_uuid IS
'its task; NULL where the steps table has none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.task_name IS
'the task''s name, from Tasker''s tasks and named_tasks; NULL where there is none that the caller may read';
COMMENT ON COLUMN tasker_checkpoint_step_progress.items_processed IS
'items that the step has processed since its beginning; 0 without a checkpoint';
COMMENT ON COLUMN tasker_checkpoint_step_progress.total IS
'how many there are: total_items in accumulated_results, or end_cursor - start_cursor of inputs.cursor; NULL if neither tells';
COMMENT ON COLUMN tasker_checkpoint_step_progress.percent IS
'done, to one decimal, cut off; 100 also if more than the total is done; NULL without a total';
COMMENT ON COLUMN tasker_checkpoint_step_progress.bar IS
'the same as 20 characters in brackets';
COMMENT ON COLUMN tasker_checkpoint_step_progress.rate IS
'items per second, over the newest 21 entries of the history, pauses left out; NULL if they do not tell';
COMMENT ON COLUMN tasker_checkpoint_step_progress.eta IS
'time that the rest takes at this rate, counted from the last checkpoint; 0 if all is done; NULL while parked, cancelled or paused, without a rate or a total, and over a hundred years';
COMMENT ON COLUMN tasker_checkpoint_step_progress.checkpointed_at IS
'time of the last checkpoint; NULL without one';
COMMENT ON COLUMN tasker_checkpoint_step_progress.sequence IS
'number of the last checkpoint; 0 without one';
COMMENT ON COLUMN tasker_checkpoint_step_progress.state IS
'parked, cancelled, paused; claimed; expired: its lease ran out and nobody has taken it; delayed, waiting: to be claimed later, now; idle: not dispatched';
COMMENT ON COLUMN tasker_checkpoint_step_progress.worker IS
'who has claimed it, also if the lease ran out; NULL if nobody has';
COMMENT ON COLUMN tasker_checkpoint_step_progress.lease_until IS
'when the claim runs out; NULL if nobody has it';
COMMENT ON COLUMN tasker_checkpoint_step_progress.deliveries IS
'claims since the last checkpoint under a claim; NULL if the step is not dispatched';

CREATE FUNCTION tasker_checkpoint_progress(step_uuid uuid DEFAULT NULL)
RETURNS SETOF tasker_checkpoint_step_progress
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $progress$
DECLARE
    -- looked up, so that renaming or moving the schema does no harm
    own_schema name := (SELECT n.nspname FROM pg_extension e
                        JOIN pg_namespace n ON n.oid = e.extnamespace
                        WHERE e.extname = 'tasker_checkpoint');
    attached regclass;
    steps record;
    -- of Tasker's tables; those beside an older steps table have its prefix
    prefix text;
    -- table and column of what the caller may read
    readable text[];
BEGIN
    EXECUTE format('SELECT %I.tasker_checkpoint_table()', own_schema) INTO attached;
    IF step_uuid IS NOT NULL THEN
        EXECUTE format('SELECT %I.tasker_checkpoint_exists($1)', own_schema) USING step_uuid;
    END IF;

    SELECT c.relname, c.relnamespace, c.relowner, n.nspname,
           quote_ident(k.attname) AS key, quote_ident(p.attname) AS checkpoint,
           (SELECT a.attnotnull FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attname = 'processed' AND a.atttypid = 'boolean'::regtype) AS processed_not_null
    INTO steps
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgparentid = 0
         AND t.tgfoid = format('%I.tasker_checkpoint_guard()', own_schema)::regprocedure
    JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = t.tgattr[0]
    JOIN pg_attribute p ON p.attrelid = c.oid AND p.attnum = t.tgattr[1]
    WHERE c.oid = attached;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    prefix := CASE WHEN starts_with(steps.relname, 'tasker_') THEN 'tasker_' ELSE '' END;

    -- names are read from tables of the same owner only: those of others could
    -- run code as whoever looks
    SELECT array_agg(w.relname || '.' || w.attname) INTO readable
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    JOIN (VALUES
        ('', 'inputs', '{jsonb}'::regtype[]),
        ('', 'task_uuid', '{uuid}'),
        ('', 'named_step_uuid', '{uuid}'),
        ('named_steps', 'named_step_uuid', '{uuid}'),
        ('named_steps', 'name', '{text,varchar,name}'),
        ('tasks', 'task_uuid', '{uuid}'),
        ('tasks', 'named_task_uuid', '{uuid}'),
        ('named_tasks', 'named_task_uuid', '{uuid}'),
        ('named_tasks', 'name', '{text,varchar,name}')
    ) AS w (relname, attname, types)
    ON a.attname = w.attname AND a.atttypid = ANY (w.types)
       AND CASE w.relname WHEN '' THEN c.oid = attached ELSE c.relname = prefix || w.relname END
    WHERE c.relnamespace = steps.relnamespace AND c.relowner = steps.relowner AND c.relkind IN ('r', 'p')
    AND has_column_privilege(c.oid, a.attnum, 'SELECT');

    -- OFFSET 0 has what is used several times computed once
    RETURN QUERY EXECUTE format(
        $query$
        SELECT step_uuid, step_name, task_uuid, task_name, items_processed, total, percent,
               '[' || rpad(repeat('#', trunc(percent / 5)::integer), 20, '.') || ']',
               rate,
               CASE WHEN state IN ('parked', 'cancelled', 'paused') THEN NULL
                    WHEN items_processed >= total THEN interval '0'
                    WHEN (total - items_processed) / rate < 3155760000
                    THEN make_interval(secs => ceil((total - items_processed) / rate)::double precision)
               END,
               checkpointed_at, sequence, state, worker, lease_until, deliveries
        FROM (
            SELECT s.%3$s AS step_uuid, %5$s AS step_name, %6$s AS task_uuid, %7$s AS task_name,
                   f.items_processed, t.total,
                   CASE WHEN f.items_processed >= t.total THEN 100.0
                        ELSE trunc(100.0 * f.items_processed / t.total, 1)
                   END AS percent,
                   f.rate, f.checkpointed_at, f.sequence,
                   CASE WHEN d.parked THEN 'parked'
                        WHEN d.directive = 'cancel' THEN 'cancelled'
                        WHEN d.directive = 'pause' THEN 'paused'
                        WHEN d.lease_until > $2 THEN 'claimed'
                        WHEN d.worker IS NOT NULL THEN 'expired'
                        WHEN d.available_at > $2 THEN 'delayed'
                        WHEN d.has_event THEN 'waiting'
                        ELSE 'idle'
                   END AS state,
                   d.worker, d.lease_until, d.deliveries
            FROM %2$s AS s
            LEFT JOIN %1$I.tasker_checkpoint_dispatched($1) AS d ON d.step_uuid = s.%3$s
            CROSS JOIN LATERAL %1$I.tasker_checkpoint_figures(s.%4$s) AS f
            CROSS JOIN LATERAL (SELECT coalesce(f.total_items, %8$s) AS total OFFSET 0) AS t
            WHERE (s.%4$s IS NOT NULL OR d.step_uuid IS NOT NULL)%9$s%10$s
            OFFSET 0
        ) AS steps
        $query$,
        own_schema,
        format('%I.%I', steps.nspname, steps.relname),
        steps.key,
        steps.checkpoint,
        CASE WHEN readable @> '{.named_step_uuid,named_steps.named_step_uuid,named_steps.name}' THEN
            format('(SELECT n.name::text FROM %I.%I AS n WHERE n.named_step_uuid = s.named_step_uuid LIMIT 1)',
                   steps.nspname, prefix || 'named_steps')
            ELSE 'NULL::text' END,
        CASE WHEN readable @> '{.task_uuid}' THEN 's.task_uuid' ELSE 'NULL::uuid' END,
        CASE WHEN readable @> '{.task_uuid,tasks.task_uuid,tasks.named_task_uuid,named_tasks.named_task_uuid,named_tasks.name}' THEN
            format('(SELECT n.name::text FROM %1$I.%2$I AS t JOIN %1$I.%3$I AS n ON n.named_task_uuid = t.named_task_uuid '
                   'WHERE t.task_uuid = s.task_uuid LIMIT 1)',
                   steps.nspname, prefix || 'tasks', prefix || 'named_tasks')
            ELSE 'NULL::text' END,
        CASE WHEN readable @> '{.inputs}' THEN
            -- as text, since a number can be any; 18 digits fit a bigint
            $total$(
                SELECT CASE WHEN c.start || '|' || c.stop ~ '^-?\d{1,18}(\.0*)?\|-?\d{1,18}(\.0*)?$' THEN
                       CASE WHEN c.start::numeric <= c.stop::numeric THEN (c.stop::numeric - c.start::numeric)::bigint END END
                FROM (SELECT (s.inputs #> '{cursor,start_cursor}')::text AS start,
                             (s.inputs #> '{cursor,end_cursor}')::text AS stop) AS c)$total$
            ELSE 'NULL::bigint' END,
        CASE steps.processed_not_null
            WHEN true THEN ' AND NOT s.processed'
            WHEN false THEN ' AND (s.processed = false OR s.processed IS NULL)'
            ELSE '' END,
        CASE WHEN step_uuid IS NOT NULL THEN format(' AND s.%s = $1', steps.key) ELSE '' END
    )
    USING step_uuid, clock_timestamp();
END
$progress$;
COMMENT ON FUNCTION tasker_checkpoint_progress(uuid) IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see, or the given one; nothing without an attached table; raises 55000, P0002';

-- the function runs as whoever reads the view
CREATE VIEW tasker_checkpoint_progress WITH (security_invoker = true) AS
SELECT * FROM tasker_checkpoint_progress();
COMMENT ON VIEW tasker_checkpoint_progress IS
'how far the steps are that are not processed and have a checkpoint or are dispatched, of those that the caller can see';

-- The progress of all steps as a live table, until ^C:
--
--     psql -f examples/watch.sql DATABASE
--
-- It fits the terminal that it is started in, of 80 columns or more; where there is
-- none, it fits COLUMNS and LINES, if they are set; there is a bar from 153 columns on.
-- -v interval=5 looks every 5
-- seconds, -v rows=50 shows more than a screenful, -v once=1 looks once and ends.
-- Whoever can read the steps table can watch it. What needs somebody is on top: parked
-- steps, those that a worker has lost, those that wait for one; then the others, those
-- with the oldest checkpoint first.

\set QUIET on
\set ON_ERROR_STOP on
SET search_path = pg_catalog, pg_temp;
\if :{?interval} \else \set interval 2 \endif
\pset footer off
-- on a terminal each table is drawn over the last one
\pset title `if test -t 2; then printf '\033[H\033[J'; fi`
\if :{?once} \pset title \endif

-- lines and columns: 0 0 is not known, and a terminal that does not know has 24 and 80
\set size `stty size <&2 2>/dev/null || echo "${LINES:-0} ${COLUMNS:-0}"`
\set terminal `if test -t 2; then echo 1; else echo 0; fi`
\set asked 0
\if :{?rows} \set asked :rows \endif

SELECT nspname AS schema
FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'tasker_checkpoint' \gset

-- Title, heading, rule and what is left free take seven lines. Without step and worker
-- the columns take 60 or 118; the step has 28 where there is room, and the worker 20.
SELECT CASE WHEN :asked > 0 THEN :asked WHEN lines > 0 THEN greatest(lines - 7, 1) ELSE 20 END AS rows,
	columns, narrow,
	CASE WHEN columns = 0 THEN 28 ELSE least(28, columns - CASE WHEN narrow THEN 68 ELSE 130 END) END AS step_width,
	CASE WHEN columns = 0 THEN 20 WHEN narrow THEN greatest(8, least(20, columns - 88)) ELSE greatest(12, least(20, columns - 146)) END AS worker_width
FROM (SELECT size[1] AS lines, size[2] AS columns, size[2] BETWEEN 1 AND 152 AS narrow
	FROM (SELECT CASE WHEN :terminal = 1 AND size[2] = 0 THEN '{24,80}'
			WHEN size[2] BETWEEN 1 AND 79 THEN ARRAY[size[1], 80] ELSE size END AS size
		FROM (SELECT string_to_array(:'size', ' ')::integer[] AS size) s) s) s \gset
-- what is wide all the same, like Chinese, is cut into lines
\pset columns :columns
SELECT CASE WHEN :columns > 0 THEN 'wrapped' ELSE 'aligned' END AS format \gset
\pset format :format

\if :narrow
SELECT concat_ws(' ', left(regexp_replace(step_name, '[[:cntrl:]]', ' ', 'g'), :step_width - 5), right(step_uuid::text, 4)) AS step,
	left(regexp_replace(queue, '[[:cntrl:]]', ' ', 'g'), 10) AS queue,
	percent AS "%",
	left(eta::text, 8) AS eta,
	state,
	left(regexp_replace(worker, '[[:cntrl:]]', ' ', 'g'), :worker_width) AS worker,
	left(date_trunc('second', clock_timestamp() - checkpointed_at)::text, 8) AS age
FROM :"schema".tasker_checkpoint_progress
ORDER BY array_position(ARRAY['parked', 'expired', 'delayed', 'waiting', 'claimed', 'paused', 'cancelled', 'idle'], state),
	checkpointed_at, step_uuid
LIMIT :rows
\else
SELECT concat_ws(' ', left(regexp_replace(step_name, '[[:cntrl:]]', ' ', 'g'), :step_width - 7), right(step_uuid::text, 6)) AS step,
	left(regexp_replace(queue, '[[:cntrl:]]', ' ', 'g'), 10) AS queue,
	'[' || rpad(repeat('#', trunc(percent / 10)::integer), 10, '.') || ']' AS progress,
	percent AS "%",
	left(concat_ws(' / ', items_processed, total), 21) AS items,
	round(rate, 1) AS "items/s",
	left(eta::text, 12) AS eta,
	state,
	left(regexp_replace(worker, '[[:cntrl:]]', ' ', 'g'), :worker_width) AS worker,
	left(date_trunc('second', clock_timestamp() - checkpointed_at)::text, 12) AS age
FROM :"schema".tasker_checkpoint_progress
ORDER BY array_position(ARRAY['parked', 'expired', 'delayed', 'waiting', 'claimed', 'paused', 'cancelled', 'idle'], state),
	checkpointed_at, step_uuid
LIMIT :rows
\endif
\if :{?once} \g \else \watch :interval \endif

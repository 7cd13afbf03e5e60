-- The progress of all steps as a live table, until ^C:
--
--     psql -f examples/watch.sql DATABASE
--
-- -v interval=5 looks every 5 seconds, -v rows=50 shows more than a screenful,
-- -v once=1 looks once and ends. Whoever can read the steps table can watch it. What
-- needs somebody is on top: parked steps, those that a worker has lost, those that
-- wait for one; then the others, those with the oldest checkpoint first.

\set QUIET on
SET search_path = pg_catalog, pg_temp;
\set ON_ERROR_STOP on
\if :{?interval} \else \set interval 2 \endif
\if :{?rows} \else \set rows 20 \endif
\pset footer off
-- on a terminal each table is drawn over the last one
\pset title `if test -t 2; then printf '\033[H\033[J'; fi`
\if :{?once} \pset title \endif

SELECT quote_ident(nspname) AS schema
FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'tasker_checkpoint' \gset

SELECT left(concat_ws(' ', step_name, right(step_uuid::text, 6)), 28) AS step,
	bar AS progress,
	percent AS "%",
	concat_ws(' / ', items_processed, total) AS items,
	round(rate, 1) AS "items/s",
	eta,
	state,
	left(worker, 20) AS worker,
	date_trunc('second', clock_timestamp() - checkpointed_at) AS age
FROM :schema.tasker_checkpoint_progress
ORDER BY array_position(ARRAY['parked', 'expired', 'delayed', 'waiting', 'claimed', 'paused', 'cancelled', 'idle'], state),
	checkpointed_at, step_uuid
LIMIT :rows
\if :{?once} \g \else \watch :interval \endif
RESET search_path;

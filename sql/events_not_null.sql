-- A column of the extension's own tables that somebody has made NOT NULL: no NULL gets into it
\set SHOW_CONTEXT never
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps

-- an index that is to be the replica identity wants this
ALTER TABLE tasker_checkpoint_events ALTER COLUMN event_id SET NOT NULL;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_pause(:'s2'); -- fail
\echo :SQLSTATE
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'e');
SELECT tasker_checkpoint_cancel(:'s1');
SELECT tasker_checkpoint_complete(:'e'); -- fail
SELECT tasker_checkpoint_resume(:'s1');
SELECT tasker_checkpoint_complete(:'e');
ALTER TABLE tasker_checkpoint_events ALTER COLUMN event_id DROP NOT NULL;
ALTER TABLE tasker_checkpoint_events ALTER COLUMN worker SET NOT NULL;
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '2', 2); -- fail
SELECT sequence FROM tasker_checkpoint_load(:'s1');
SELECT count(*) FROM tasker_checkpoint_events;
ALTER TABLE tasker_checkpoint_events ALTER COLUMN worker DROP NOT NULL;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2);

-- the archive
SET tasker_checkpoint.archive_history = on;
ALTER TABLE tasker_checkpoint_archive ALTER COLUMN accumulated_results SET NOT NULL;
SELECT tasker_checkpoint_clear(:'s1'); -- fail
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3, '"results"');
SELECT tasker_checkpoint_clear(:'s1');
SELECT count(*) FROM tasker_checkpoint_archive;

\i :drop_steps

-- What is published of the extension's own tables is changed only if it can be found on the other side
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
-- that nothing is published at this wal_level is told for each publication
SET client_min_messages = error;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
CREATE PUBLICATION regress_tckpt FOR TABLE tasker_checkpoint_events, tasker_checkpoint_archive;
RESET client_min_messages;

-- by the primary key
SELECT event_id AS e FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'e');

-- by nothing: an INSERT is published, an UPDATE and a DELETE would be missing there
ALTER TABLE tasker_checkpoint_events REPLICA IDENTITY NOTHING;
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT tasker_checkpoint_save(:'s1', '2', 2, NULL, :'e'); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_complete(:'e'); -- fail
SELECT tasker_checkpoint_claim('two'); -- fail
SELECT cursor, sequence FROM tasker_checkpoint_load(:'s1');
SET client_min_messages = error;
ALTER PUBLICATION regress_tckpt SET (publish = 'insert');
RESET client_min_messages;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2, NULL, :'e');
SET client_min_messages = error;
ALTER PUBLICATION regress_tckpt SET (publish = 'insert, update, delete');
RESET client_min_messages;
ALTER TABLE tasker_checkpoint_events REPLICA IDENTITY FULL;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3, NULL, :'e');

-- rows that are chosen by what the other side is not told of the old ones
ALTER TABLE tasker_checkpoint_events REPLICA IDENTITY DEFAULT;
SET client_min_messages = error;
ALTER PUBLICATION regress_tckpt SET TABLE tasker_checkpoint_events WHERE (queue = 'default');
RESET client_min_messages;
SELECT tasker_checkpoint_save(:'s1', '4', 4, NULL, :'e'); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_complete(:'e'); -- fail
DROP PUBLICATION regress_tckpt;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '4', 4, NULL, :'e');
SELECT tasker_checkpoint_complete(:'e');

\i :drop_steps

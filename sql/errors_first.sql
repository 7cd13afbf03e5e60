-- A number or a text as cursor, and a number of seconds as lease or delay, find no function; the right types do
\set VERBOSITY terse
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
RESET client_min_messages;

SELECT tasker_checkpoint_yield(:'s1'::uuid, 4711, 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_save(:'s1'::uuid, 'item'::text, 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s1', 'item', 1); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_claim('w', 60); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_heartbeat(gen_random_uuid(), 60); -- fail
SELECT tasker_checkpoint_release(gen_random_uuid(), 5); -- fail
\echo :SQLSTATE

SELECT sequence FROM tasker_checkpoint_save(:'s1', '4711', 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', to_jsonb(4711), 1);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"item"'::jsonb, 1);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', to_jsonb('item'::text), 1);
SELECT event_id FROM tasker_checkpoint_claim('w', interval '60 seconds') \gset
SELECT tasker_checkpoint_heartbeat(:'event_id', make_interval(secs => 60));
SELECT tasker_checkpoint_release(:'event_id', '5 s');

DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;

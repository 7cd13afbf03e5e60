-- rewind makes an earlier checkpoint the current one, and takes the step from whoever has it; so do clear and reset_for_retry
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
SET tasker_checkpoint.history_limit = 100;
-- cursor and items of every entry of the history
CREATE FUNCTION history(step uuid) RETURNS text LANGUAGE sql
RETURN (SELECT string_agg(format('%s:%s', e -> 'cursor', e -> 'items_processed'), ' ') FROM jsonb_array_elements(tasker_checkpoint_get(step) -> 'history') e);
SET ROLE regress_tckpt_operator;

-- refused: no checkpoint at all
SELECT tasker_checkpoint_rewind(:'s1', 1); -- fail
-- without an event: none is made
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"a"', 10, '[1]');
SELECT sequence FROM tasker_checkpoint_save(:'s1', 'null', 20, '[1, 2]');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '{"at": 30}', 30, '[1, 2, 3]');
SELECT * FROM tasker_checkpoint_rewind(:'s1', 1);
SELECT cursor, items_processed, accumulated_results, sequence FROM tasker_checkpoint_load(:'s1');
SELECT history(:'s1');
SELECT * FROM events;
-- results are what they are said to be
SELECT sequence FROM tasker_checkpoint_rewind(step_uuid => :'s1', to_sequence => 2, results => '[1, 2]');
SELECT cursor, items_processed, accumulated_results, sequence FROM tasker_checkpoint_load(:'s1');
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 3, 'null');
-- to the current one: a new checkpoint all the same
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 6, '[]');
SELECT history(:'s1');
-- from there on items count on
SELECT tasker_checkpoint_save(:'s1', '29', 29); -- fail
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 2);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '29', 29);
SELECT updated_at IS NOT NULL AS touched FROM steps WHERE workflow_step_uuid = :'s1';

-- a live claim is superseded: the step is to be had at once
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '40', 40, NULL, :'claimed');
SELECT sequence, event_id AS offered, event_id <> :'claimed' AS new, directive FROM tasker_checkpoint_rewind(:'s1', 1) \gset
SELECT :'sequence' AS sequence, :'new' AS new, :'directive' AS directive;
SELECT * FROM events;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_yield(:'s1', '50', 50, NULL, :'claimed'); -- fail
SELECT tasker_checkpoint_heartbeat(:'claimed'), tasker_checkpoint_release(:'claimed'), tasker_checkpoint_complete(:'claimed');
-- the id of the receipt is good until somebody claims
SELECT sequence FROM tasker_checkpoint_save(:'s1', '11', 11, NULL, :'offered');
SELECT event_id AS claimed, cursor, items_processed, deliveries FROM tasker_checkpoint_claim('two') \gset
SELECT :'cursor' AS cursor, :'items_processed' AS items_processed, :'deliveries' AS deliveries;
SELECT tasker_checkpoint_save(:'s1', '12', 12, NULL, :'offered'); -- fail

-- a delayed event, a parked one, one that was delivered often
SELECT tasker_checkpoint_release(:'claimed', '1 day');
RESET ROLE;
UPDATE tasker_checkpoint_events SET parked = true, deliveries = 20;
SET ROLE regress_tckpt_operator;
SELECT * FROM events;
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 1);
SELECT * FROM events;
-- a paused one stays paused
SELECT tasker_checkpoint_pause(:'s1');
SELECT sequence, event_id IS NOT NULL AS event, directive FROM tasker_checkpoint_rewind(:'s1', 2);
SELECT * FROM events;
SELECT tasker_checkpoint_resume(:'s1');

-- clear and reset_for_retry do the same
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SELECT * FROM events;
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT event_id AS claimed, cursor FROM tasker_checkpoint_claim('one') \gset
RESET ROLE;
UPDATE tasker_checkpoint_events SET parked = true, deliveries = 20;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_clear(:'s1');
SELECT * FROM events;
SELECT tasker_checkpoint_complete(:'claimed');
-- also a clear of nothing
SELECT event_id AS claimed, has_checkpoint FROM tasker_checkpoint_claim('one') \gset
SELECT :'has_checkpoint' AS has_checkpoint;
SELECT tasker_checkpoint_clear(:'s1');
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT tasker_checkpoint_release(:'claimed');
SELECT event_id AS claimed, has_checkpoint FROM tasker_checkpoint_claim('one') \gset
SELECT tasker_checkpoint_reset_for_retry(:'s1', true);
SELECT tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed'); -- fail
-- without an event none of them makes one
SELECT tasker_checkpoint_clear(:'s2');
SELECT tasker_checkpoint_reset_for_retry(:'s2', true);
SELECT * FROM events;
-- rolled back, the claim is what it was
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
BEGIN;
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 1);
ROLLBACK;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2, NULL, :'claimed');

-- only this generation's sequences, and only what history has kept
SELECT tasker_checkpoint_rewind(:'s1', 0); -- fail
SELECT tasker_checkpoint_rewind(:'s1', -1); -- fail
SELECT tasker_checkpoint_rewind(:'s1', 3); -- fail
SELECT tasker_checkpoint_rewind(:'s1', 9223372036854775807); -- fail
SELECT tasker_checkpoint_rewind(:'s1', -9223372036854775808); -- fail
RESET ROLE;
SET tasker_checkpoint.history_limit = 3;
SET ROLE regress_tckpt_operator;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '3', 3, NULL, :'claimed');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '4', 4, NULL, :'claimed');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '5', 5, NULL, :'claimed');
SELECT tasker_checkpoint_rewind(:'s1', 2); -- fail
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 3);
SELECT history(:'s1');
SELECT tasker_checkpoint_rewind(:'s1', 3); -- fail
RESET ROLE;
SET tasker_checkpoint.history_limit = 0;
SET ROLE regress_tckpt_operator;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '6', 6);
-- the present one is in the document, if not in its history
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 7);
RESET ROLE;
SET tasker_checkpoint.history_limit = 100;

-- the same of one that came with less in its history, as Tasker writes it
INSERT INTO steps (workflow_step_uuid, checkpoint) VALUES ('00000000-0000-0000-0000-00000000000a',
	'{"cursor": 10, "items_processed": 3, "timestamp": "2026-01-01T00:00:00Z", "history": [{"cursor": 5, "timestamp": "2025-01-01T00:00:00Z"}, {"cursor": 10, "timestamp": "2026-01-01T00:00:00Z"}]}');
SELECT sequence, cursor, items_processed FROM tasker_checkpoint_history('00000000-0000-0000-0000-00000000000a');
SELECT sequence FROM tasker_checkpoint_rewind('00000000-0000-0000-0000-00000000000a', 2);
SELECT tasker_checkpoint_rewind('00000000-0000-0000-0000-00000000000a', 1); -- fail
DELETE FROM steps WHERE workflow_step_uuid = '00000000-0000-0000-0000-00000000000a';

-- entries that older writers left: no items, no cursor, items that are no count
ALTER TABLE steps DISABLE TRIGGER USER;
UPDATE steps SET checkpoint = '{"cursor": 4, "items_processed": 4, "timestamp": "2026-01-01T00:00:00Z", "history_truncated": 7, "history": [
	{"cursor": 1, "timestamp": "2026-01-01T00:00:00Z"}, {"items_processed": 2}, {"cursor": 3, "items_processed": "three"},
	{"cursor": 4, "items_processed": 4, "timestamp": "2026-01-01T00:00:00Z"}]}' WHERE workflow_step_uuid = :'s1';
ALTER TABLE steps ENABLE TRIGGER USER;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_rewind(:'s1', 7); -- fail
SELECT tasker_checkpoint_rewind(:'s1', 8); -- fail
SELECT tasker_checkpoint_rewind(:'s1', 9); -- fail
SELECT tasker_checkpoint_rewind(:'s1', 10); -- fail
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 11);
SELECT cursor, items_processed FROM tasker_checkpoint_load(:'s1');

-- limits and whatever else may be wrong
SELECT tasker_checkpoint_rewind(:'s1', 11, to_jsonb(repeat('x', 1048576))); -- fail
SELECT tasker_checkpoint_rewind(NULL, 1); -- fail
SELECT tasker_checkpoint_rewind(:'s1', NULL); -- fail
SELECT tasker_checkpoint_rewind(:'missing', 1); -- fail
BEGIN READ ONLY;
SELECT tasker_checkpoint_rewind(:'s1', 11); -- fail
ROLLBACK;
UPDATE steps SET processed = true;
SELECT tasker_checkpoint_rewind(:'s1', 11); -- fail
SELECT tasker_checkpoint_rewind(:'s1', 99); -- fail
UPDATE steps SET processed = false;
RESET ROLE;
ALTER TABLE steps DISABLE TRIGGER USER;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_rewind(:'s1', 11); -- fail
RESET ROLE;
ALTER TABLE steps ENABLE TRIGGER USER;
SELECT tasker_checkpoint_detach();
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_rewind(:'s1', 11); -- fail

RESET ROLE;
DROP FUNCTION history;
\i :drop_steps

-- require_monotonic_items refuses fewer items than stored, of the writers that it covers
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, INSERT, UPDATE ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

-- in full
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 10);
SELECT tasker_checkpoint_yield(:'s1', '2', 9); -- fail
\echo :SQLSTATE
SELECT cursor, items_processed, sequence FROM tasker_checkpoint_load(:'s1');

-- each setting, each writer: one less, as many, one more
RESET ROLE;
CREATE FUNCTION attempt(covered text, statement text, items int) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('tasker_checkpoint.require_monotonic_items', 'off', true);
	UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 10}';
	PERFORM set_config('tasker_checkpoint.require_monotonic_items', covered, true);
	EXECUTE statement USING items;
	RETURN 'stored';
EXCEPTION WHEN SQLSTATE 'TC001' THEN
	RETURN SQLSTATE;
END
$$;
UPDATE steps SET checkpoint = NULL;
SELECT covered, writer, attempt(covered, statement, 0) AS "0", attempt(covered, statement, 9) AS "9", attempt(covered, statement, 10) AS "10",
	attempt(covered, statement, 11) AS "11"
FROM (VALUES (1, 'off'), (2, 'functions'), (3, 'all')) c (n, covered),
	(VALUES (1, 'yield', $$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', $1)$$),
	 (2, 'save', $$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', $1)$$),
	 (3, 'update', $$UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', $1)$$),
	 (4, 'upsert', $$INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', jsonb_build_object('cursor', 1, 'items_processed', $1))
					 ON CONFLICT (workflow_step_uuid) DO UPDATE SET checkpoint = EXCLUDED.checkpoint$$)) w (n, writer, statement)
ORDER BY c.n, w.n;

-- a clear is a new beginning, by function and by SQL; so is a first checkpoint
SET tasker_checkpoint.require_monotonic_items = 'all';
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = NULL;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 10);
SELECT tasker_checkpoint_clear(:'s1');
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 5);
UPDATE steps SET checkpoint = 'null';
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 0);
-- an edit changes no items
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 5);
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}';
UPDATE steps SET checkpoint = checkpoint || '{"note": 2, "items_processed": 4}'; -- fail
-- an INSERT has nothing to be compared with
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000002', '{"cursor": 1, "items_processed": 0}');
-- the greatest
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 9223372036854775807);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 9223372036854775807);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 9223372036854775806); -- fail

-- enforce = warning
RESET ROLE;
SET tasker_checkpoint.enforce = warning;
SET ROLE regress_tckpt_worker;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 7);
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 6}' WHERE workflow_step_uuid = :'s1';
SELECT items_processed FROM tasker_checkpoint_load(:'s1');

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP FUNCTION attempt;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

-- Ten thousand yields to one step: its document stays the same size
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean, updated_at timestamp(6));
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
CREATE FUNCTION described(step uuid) RETURNS TABLE (sequence bigint, entries int, truncated jsonb, oldest jsonb, newest jsonb)
LANGUAGE sql AS $$
	SELECT l.sequence, jsonb_array_length(checkpoint -> 'history'), checkpoint -> 'history_truncated',
		checkpoint #> '{history,0,items_processed}', checkpoint #> '{history,-1,items_processed}'
	FROM steps, tasker_checkpoint_load(workflow_step_uuid) l WHERE workflow_step_uuid = step
$$;
CREATE PROCEDURE yields(step uuid, first int, last int, cursor jsonb) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first .. last LOOP
		PERFORM tasker_checkpoint_yield(step, coalesce(cursor, to_jsonb(i)), i, '{"sum": 1}');
		IF i % 10 = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END
$$;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

-- small cursors: history_limit bounds it
CALL yields(:'s1', 1, 200, NULL);
SELECT * FROM described(:'s1');
SELECT pg_column_size(checkpoint || '{}') AS size FROM steps WHERE workflow_step_uuid = :'s1' \gset
CALL yields(:'s1', 201, 10000, NULL);
SELECT * FROM described(:'s1');
SELECT pg_column_size(checkpoint || '{}') = :size AS same_size, :size < 20000 AS small FROM steps WHERE workflow_step_uuid = :'s1';

-- 60 kB cursors: history_size bounds it
SELECT to_jsonb(left(string_agg(md5(n::text), ''), 60000)) AS cursor FROM generate_series(1, 2000) n \gset
CALL yields(:'s2', 1, 300, :'cursor');
SELECT * FROM described(:'s2');
SELECT pg_column_size(checkpoint || '{}') AS size, pg_column_size(checkpoint -> 'history') <= 65536 AS bounded FROM steps WHERE workflow_step_uuid = :'s2';

-- a 66 kB cursor is refused, and 2 MB of results are; the last checkpoint survives
CREATE TEMPORARY TABLE kept AS SELECT * FROM steps;
SELECT tasker_checkpoint_yield(:'s2', to_jsonb(repeat('x', 66000)), 301); -- fail
\echo :SQLSTATE
SELECT tasker_checkpoint_yield(:'s2', '301', 301, to_jsonb(repeat('x', 2 * 1024 * 1024))); -- fail
\echo :SQLSTATE
UPDATE steps SET checkpoint = jsonb_build_object('cursor', repeat('x', 66000), 'items_processed', 301) WHERE workflow_step_uuid = :'s2'; -- fail
SELECT count(*) FROM steps JOIN kept USING (workflow_step_uuid) WHERE steps.checkpoint = kept.checkpoint AND steps.updated_at = kept.updated_at;
-- left alone, where it lies out of line
UPDATE steps SET checkpoint = checkpoint;
UPDATE steps SET processed = false;
SELECT count(*) FROM steps JOIN kept USING (workflow_step_uuid) WHERE steps.checkpoint = kept.checkpoint;
-- the defaults to the byte
SELECT sequence FROM tasker_checkpoint_yield(:'s2', to_jsonb(repeat('x', 65536 - 12)), 301);
SELECT tasker_checkpoint_yield(:'s2', to_jsonb(repeat('x', 65536 - 11)), 302); -- fail
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 302, to_jsonb(repeat('x', 262144 - 12)));
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '1', 302, to_jsonb(repeat('x', 1048576 - 12)));
SELECT tasker_checkpoint_yield(:'s2', '1', 303, to_jsonb(repeat('x', 1048576 - 11))); -- fail
-- and a small one is small again
SELECT sequence FROM tasker_checkpoint_yield(:'s2', '303', 303);
SELECT entries FROM described(:'s2');
SELECT pg_column_size(checkpoint || '{}') < 1000 AS small FROM steps WHERE workflow_step_uuid = :'s2';

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, kept;
DROP PROCEDURE yields;
DROP FUNCTION described;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

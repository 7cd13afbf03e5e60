-- The guard refuses what is no checkpoint; the stored one survives
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1'), (:'s2');
CREATE ROLE regress_tckpt_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON steps TO regress_tckpt_writer;
RESET client_min_messages;
SET ROLE regress_tckpt_writer;

UPDATE steps SET checkpoint = '{"cursor": "kept", "items_processed": 5, "accumulated_results": [1]}' WHERE workflow_step_uuid = :'s1';
CREATE TEMPORARY TABLE kept AS SELECT * FROM steps;

-- in full
UPDATE steps SET checkpoint = '"not a checkpoint"' WHERE workflow_step_uuid = :'s1'; -- fail
\echo :SQLSTATE
UPDATE steps SET checkpoint = '{"items_processed": 1}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 1}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": "1"}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": -1}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 1.5}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 1, "items_processed": 9223372036854775808}' WHERE workflow_step_uuid = :'s1'; -- fail
UPDATE steps SET checkpoint = jsonb_set(checkpoint, '{history}', '{}') WHERE workflow_step_uuid = :'s1'; -- fail
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000003', '{"cursor": 1, "items_processed": 1, "history_truncated": -1}'); -- fail
-- a row without a key yet
INSERT INTO steps VALUES (NULL, '[]'); -- fail

-- each on a step that has a checkpoint, on one that has none, and as a new row
CREATE TEMPORARY TABLE malformed (n serial, document jsonb);
INSERT INTO malformed (document) VALUES
('[]'), ('[{"cursor": 1, "items_processed": 1}]'), ('""'), ('"x"'), ('0'), ('1.5'), ('true'), ('false'),
('{}'), ('{"Cursor": 1, "items_processed": 1}'), ('{"cursor": 1, "items_processe": 1, "items_processed_": 1}'),
('{"cursor ": 1, "items_processed": 1}'), ('{"checkpoint": {"cursor": 1, "items_processed": 1}}'),
('{"cursor": 1}'), ('{"items_processed": 1}'),
('{"cursor": 1, "items_processed": null}'), ('{"cursor": 1, "items_processed": "1"}'), ('{"cursor": 1, "items_processed": ""}'),
('{"cursor": 1, "items_processed": true}'), ('{"cursor": 1, "items_processed": false}'),
('{"cursor": 1, "items_processed": []}'), ('{"cursor": 1, "items_processed": [1]}'), ('{"cursor": 1, "items_processed": {}}'),
('{"cursor": 1, "items_processed": -1}'), ('{"cursor": 1, "items_processed": -0.5}'),
('{"cursor": 1, "items_processed": -9223372036854775809}'), ('{"cursor": 1, "items_processed": -1e400}'),
('{"cursor": 1, "items_processed": 1.0}'), ('{"cursor": 1, "items_processed": 0.0}'), ('{"cursor": 1, "items_processed": 1.5}'),
('{"cursor": 1, "items_processed": 1e-400}'),
('{"cursor": 1, "items_processed": 9223372036854775807.0}'),
('{"cursor": 1, "items_processed": 9223372036854775808}'), ('{"cursor": 1, "items_processed": 18446744073709551615}'),
('{"cursor": 1, "items_processed": 18446744073709551616}'), ('{"cursor": 1, "items_processed": 99999999999999999999}'),
('{"cursor": 1, "items_processed": 1e19}'), ('{"cursor": 1, "items_processed": 1e400}');
CREATE FUNCTION pg_temp.attempt(statement text, document jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE statement USING document;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN concat_ws(' ', SQLSTATE, regexp_replace(SQLERRM, 'step "[-0-9]*"', 'step'), nullif(detail, ''));
END
$$;
SELECT left(document::text, 60) AS document, a.result
FROM malformed, pg_temp.attempt($$UPDATE steps SET checkpoint = $1 WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001'$$, document) a (result)
ORDER BY n;
SELECT document FROM malformed,
	pg_temp.attempt($$UPDATE steps SET checkpoint = $1 WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001'$$, document) a (result),
	pg_temp.attempt($$UPDATE steps SET checkpoint = $1 WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000002'$$, document) b (result),
	pg_temp.attempt($$INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000003', $1)$$, document) c (result)
WHERE (b.result, c.result) IS DISTINCT FROM (a.result, a.result);

-- in an INSERT also a history that is none; in a new checkpoint it does not matter
SELECT document, a.result
FROM (VALUES ('{"history": null}'::jsonb), ('{"history": "x"}'), ('{"history": {}}'), ('{"history": 1}'),
('{"history_truncated": null}'), ('{"history_truncated": "1"}'), ('{"history_truncated": -1}'), ('{"history_truncated": 1.5}'),
('{"history_truncated": 9007199254740993}'), ('{"history_truncated": 9223372036854775807}'), ('{"history_truncated": 9223372036854775808}'),
('{"history_truncated": 1e30}'), ('{"history_truncated": 1e-10}'), ('{"history_truncated": []}'), ('{"history": [], "history_truncated": false}'))
v (document), pg_temp.attempt($$INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000003', '{"cursor": 1, "items_processed": 1}'::jsonb || $1)$$, document) a (result);

-- an edit that makes the document malformed is a malformed new checkpoint
SELECT a.result FROM (VALUES ($$checkpoint - 'cursor'$$), ($$checkpoint - 'items_processed'$$), ($$checkpoint || '{"items_processed": -1}'$$),
	($$checkpoint || '{"history": "x"}'$$), ($$checkpoint || '{"history": {}}'$$), ($$checkpoint || '{"history_truncated": 9007199254740993}'$$),
	($$checkpoint || '{"history_truncated": "x"}'$$), ($$checkpoint || '{"history_truncated": null}'$$), ($$checkpoint -> 'history'$$), ($$checkpoint || '[]'$$)) v (expression),
	pg_temp.attempt(format($$UPDATE steps SET checkpoint = %s WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000001'$$, expression), NULL) a (result);

-- one bad row refuses the statement
UPDATE steps SET checkpoint = CASE workflow_step_uuid WHEN :'s1' THEN '{"cursor": 1, "items_processed": 9}'::jsonb ELSE '[]' END; -- fail

SELECT count(*) AS unchanged FROM steps JOIN kept USING (workflow_step_uuid) WHERE steps.checkpoint IS NOT DISTINCT FROM kept.checkpoint;
SELECT count(*) FROM steps;

-- what looks odd but is an integer
SELECT document, a.result, (SELECT checkpoint ->> 'items_processed' FROM steps WHERE workflow_step_uuid = :'s2') AS before
FROM (VALUES ('{"cursor": null, "items_processed": 0}'::jsonb), ('{"cursor": 1, "items_processed": -0}'), ('{"cursor": 1, "items_processed": 1e3}'),
	('{"cursor": 1, "items_processed": 9223372036854775807}')) v (document),
	pg_temp.attempt($$UPDATE steps SET checkpoint = $1 WHERE workflow_step_uuid = '00000000-0000-0000-0000-000000000002'$$, document) a (result);
SELECT jsonb_path_query_array(checkpoint, '$.history[*].items_processed') AS items FROM steps WHERE workflow_step_uuid = :'s2';

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, kept, malformed;
DROP OWNED BY regress_tckpt_writer;
DROP ROLE regress_tckpt_writer;

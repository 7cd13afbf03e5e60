-- An INSERT makes a first checkpoint, or stores what was a checkpoint elsewhere as it is
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, label text);
SELECT tasker_checkpoint_attach('steps');
CREATE ROLE regress_tckpt_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON steps TO regress_tckpt_writer;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_writer;
CREATE FUNCTION shown(checkpoint jsonb) RETURNS text
LANGUAGE sql
RETURN regexp_replace(checkpoint::text, '"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"', '"(time)"', 'g');
RESET client_min_messages;
SET ROLE regress_tckpt_writer;
\pset null '(null)'

-- none
INSERT INTO steps (workflow_step_uuid) VALUES (:'s1');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000002', 'JSON null', 'null');
SELECT checkpoint FROM steps;
DELETE FROM steps;

-- a first one: no history, or an empty one; the time that is sent does not count
CREATE TEMPORARY TABLE sent (n int, document jsonb);
INSERT INTO sent VALUES
(1, '{"cursor": 1, "items_processed": 1}'),
(2, '{"cursor": 1, "items_processed": 1, "timestamp": "2001-01-01T00:00:00Z"}'),
(3, '{"cursor": 1, "items_processed": 1, "timestamp": "x", "history": [], "accumulated_results": [1]}'),
(4, '{"cursor": null, "items_processed": 0, "history": [], "note": "mine"}'),
-- was one elsewhere
(5, '{"cursor": 1, "items_processed": 1, "timestamp": "2001-01-01T00:00:00Z", "history": [{"cursor": 1}]}'),
(6, '{"cursor": 1, "items_processed": 1, "history": [], "history_truncated": 0}'),
(7, '{"cursor": 1, "items_processed": 1, "history_truncated": 12}'),
(8, '{"cursor": 1, "items_processed": 1, "timestamp": "x", "history": [1, "a", null], "history_truncated": 9007199254740992}'),
(9, '{"cursor": 9, "items_processed": 9, "timestamp": 1, "note": {}, "accumulated_results": null,
 "history": [{"cursor": 8, "timestamp": "2026-01-06 12:00:00+00"}, {"cursor": 9, "timestamp": "2026-01-06 12:00:01+00"}]}');
INSERT INTO steps SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, n, document FROM sent;
SELECT label, shown(checkpoint) FROM steps WHERE label <= '4' ORDER BY label;
SELECT label, checkpoint::text = document::text AS same FROM steps JOIN sent ON n::text = label WHERE n > 4 ORDER BY n;
-- all of them can be gone on with
SELECT label, l.sequence AS before, s.sequence
FROM (SELECT * FROM steps ORDER BY label) x, tasker_checkpoint_load(workflow_step_uuid) l,
	tasker_checkpoint_save(workflow_step_uuid, '10', 10) s;

-- COPY and INSERT ... SELECT of what was written elsewhere
CREATE TEMPORARY TABLE kept AS SELECT * FROM steps;
DELETE FROM steps;
INSERT INTO steps SELECT * FROM kept;
SELECT count(*) FILTER (WHERE steps.checkpoint = kept.checkpoint) AS same, count(*) FROM steps JOIN kept USING (workflow_step_uuid);
DELETE FROM steps;
COPY steps FROM stdin;
00000000-0000-0000-0000-000000000001	copied	{"cursor": 1, "items_processed": 1, "timestamp": "2001-01-01T00:00:00Z", "history": [{"cursor": 1}]}
00000000-0000-0000-0000-000000000002	new	{"cursor": 1, "items_processed": 1}
\.
SELECT label, shown(checkpoint) FROM steps ORDER BY label;
COPY steps FROM stdin; -- fail
00000000-0000-0000-0000-000000000003	refused	{"cursor": 1}
\.

-- over a limit it only warns: what is restored must not be lost
DELETE FROM steps;
RESET ROLE;
SET tasker_checkpoint.cursor_limit = 24;
SET tasker_checkpoint.results_limit = 24;
SET tasker_checkpoint.results_warning = 16;
SET tasker_checkpoint.history_limit = 1;
SET ROLE regress_tckpt_writer;
INSERT INTO steps VALUES (:'s1', 'history', '{"cursor": "a cursor too long", "items_processed": 1, "accumulated_results": "too long as well",
 "history": [{"cursor": 1}, {"cursor": 2}]}');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000002', 'none', '{"cursor": "a cursor too long", "items_processed": 1,
 "accumulated_results": 1, "note": ""}');
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000003', 'below', '{"cursor": 1, "items_processed": 1, "accumulated_results": 1}');
SELECT label, jsonb_array_length(checkpoint -> 'history') AS entries FROM steps ORDER BY label;
-- but the next checkpoint is held to it, and to the length of history
UPDATE steps SET checkpoint = checkpoint || '{"items_processed": 2}'; -- fail
UPDATE steps SET checkpoint = checkpoint || '{"cursor": 2, "items_processed": 2}'; -- fail
UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2}';
SELECT label, jsonb_array_length(checkpoint -> 'history') AS entries, checkpoint -> 'history_truncated' AS truncated FROM steps ORDER BY label;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps, kept, sent;
DROP FUNCTION shown;
DROP OWNED BY regress_tckpt_writer;
DROP ROLE regress_tckpt_writer;

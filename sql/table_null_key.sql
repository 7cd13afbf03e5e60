-- A row without a key, which a table may have got since it was attached, is no step
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid NOT NULL UNIQUE, processed boolean, n integer);
SELECT tasker_checkpoint_attach('steps', 'id');
ALTER TABLE steps ALTER id DROP NOT NULL;
RESET client_min_messages;

-- among others, and more of them than a walk fetches at a time
INSERT INTO steps SELECT NULL, true, n, '{"cursor": 1, "items_processed": 1}' FROM generate_series(1, 250) n;
INSERT INTO steps VALUES (:'s1', true, 251, '{"cursor": 1, "items_processed": 1}');
INSERT INTO steps SELECT NULL, true, n, '{"cursor": 1, "items_processed": 1}' FROM generate_series(252, 260) n;
SELECT tasker_checkpoint_trim(0, dry_run => true), tasker_checkpoint_purge(older_than => '0', dry_run => true);
SELECT tasker_checkpoint_trim(0);
SELECT tasker_checkpoint_purge(older_than => '0');
SELECT count(*), count(checkpoint), count(id) FROM steps;

-- the guard composes for it, and keeps its history
UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2}' WHERE n = 1;
SELECT checkpoint -> 'cursor' AS cursor, jsonb_array_length(checkpoint -> 'history') AS entries FROM steps WHERE n = 1;
UPDATE steps SET checkpoint = NULL WHERE n = 1;
UPDATE steps SET id = NULL, checkpoint = '{"cursor": 3, "items_processed": 3}' WHERE id = :'s1';
SELECT tasker_checkpoint_get(NULL); -- fail
SELECT tasker_checkpoint_get(:'s1'); -- fail
SELECT tasker_checkpoint_purge_events();

SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;

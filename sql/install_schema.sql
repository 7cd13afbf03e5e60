-- The extension works in any schema, also after it has been moved or renamed
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA "Regress Home";
CREATE SCHEMA regress_other;
CREATE EXTENSION tasker_checkpoint SCHEMA "Regress Home";
GRANT USAGE ON SCHEMA "Regress Home", regress_other TO regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "Regress Home" TO regress_tckpt_owner;
CREATE TABLE jobs (id uuid PRIMARY KEY, note text);
INSERT INTO jobs VALUES (:'s1');
ALTER TABLE jobs OWNER TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;

SELECT "Regress Home".tasker_checkpoint_attach('jobs', 'id');
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM "Regress Home".tasker_checkpoint_yield(:'s1', '1', 1);
SELECT sequence FROM "Regress Home".tasker_checkpoint_load(:'s1');

-- moved, in a session that has used it
RESET ROLE;
ALTER EXTENSION tasker_checkpoint SET SCHEMA regress_other;
SET ROLE regress_tckpt_owner;
\set VERBOSITY sqlstate
SELECT "Regress Home".tasker_checkpoint_yield(:'s1', '2', 2); -- fail
\set VERBOSITY default
SELECT sequence FROM regress_other.tasker_checkpoint_yield(:'s1', '2', 2);
SELECT regress_other.tasker_checkpoint_table();
SELECT regress_other.tasker_checkpoint_attach('jobs', 'id');

-- renamed
RESET ROLE;
ALTER SCHEMA regress_other RENAME TO "regress ""quoted""";
SET ROLE regress_tckpt_owner;
SELECT sequence FROM "regress ""quoted""".tasker_checkpoint_save(:'s1', '3', 3);
SELECT "regress ""quoted""".tasker_checkpoint_attach('jobs', 'id');
SELECT "regress ""quoted""".tasker_checkpoint_detach();
SELECT "regress ""quoted""".tasker_checkpoint_table();
SELECT "regress ""quoted""".tasker_checkpoint_save(:'s1', '4', 4); -- fail
SELECT "regress ""quoted""".tasker_checkpoint_attach('jobs', 'id');
SELECT sequence FROM "regress ""quoted""".tasker_checkpoint_save(:'s1', '4', 4);

-- a direct UPDATE needs the schema neither in the search_path nor by grant
RESET ROLE;
REVOKE ALL ON SCHEMA "regress ""quoted""" FROM regress_tckpt_owner;
SET ROLE regress_tckpt_owner;
UPDATE jobs SET checkpoint = '{"cursor": 5, "items_processed": 5}';
SELECT jsonb_array_length(checkpoint -> 'history') FROM jobs;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE jobs;
DROP SCHEMA "Regress Home", "regress ""quoted""";
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

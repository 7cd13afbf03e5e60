-- Who adds a partition to the steps table needs EXECUTE on the guard
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
CREATE TABLE regress_tckpt.steps (id uuid PRIMARY KEY) PARTITION BY HASH (id);
SELECT tasker_checkpoint_attach('regress_tckpt.steps', 'id');
ALTER TABLE regress_tckpt.steps OWNER TO regress_tckpt_owner;
RESET client_min_messages;

-- whose name PostgreSQL leaves out
\set VERBOSITY sqlstate
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_tckpt.part PARTITION OF regress_tckpt.steps FOR VALUES WITH (MODULUS 1, REMAINDER 0); -- fail
CREATE TABLE regress_tckpt.part (id uuid PRIMARY KEY, checkpoint jsonb);
ALTER TABLE regress_tckpt.steps ATTACH PARTITION regress_tckpt.part FOR VALUES WITH (MODULUS 1, REMAINDER 0); -- fail
\set VERBOSITY default
RESET ROLE;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_guard() TO regress_tckpt_owner;
SET ROLE regress_tckpt_owner;
ALTER TABLE regress_tckpt.steps ATTACH PARTITION regress_tckpt.part FOR VALUES WITH (MODULUS 1, REMAINDER 0);
-- what the partition has written is guarded, by whomever
INSERT INTO regress_tckpt.part VALUES (:'s1', '{"cursor": 1, "items_processed": 1}');
SELECT checkpoint ? 'history' AS composed FROM regress_tckpt.steps;

RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP ROLE regress_tckpt_owner;

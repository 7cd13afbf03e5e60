-- The doctor finds workers with too few rights and with too many, and rights that nobody should have
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE SCHEMA regress_home;
CREATE SCHEMA regress_steps;
CREATE EXTENSION tasker_checkpoint SCHEMA regress_home;
CREATE ROLE regress_tckpt_worker;
CREATE ROLE regress_tckpt_other;
CREATE ROLE regress_tckpt_group;
CREATE ROLE regress_tckpt_operator;
CREATE ROLE regress_tckpt_owner;
CREATE TABLE regress_steps.jobs (id uuid PRIMARY KEY, processed boolean, note text, updated_at timestamptz) WITH (fillfactor = 70);
SELECT regress_home.tasker_checkpoint_attach('regress_steps.jobs', 'id');
RESET client_min_messages;
CREATE VIEW findings AS
SELECT status, found, statement FROM regress_home.tasker_checkpoint_doctor() WHERE status <> 'ok' AND "check" = 'grants'
ORDER BY statement COLLATE "C", found COLLATE "C";

-- nobody is a worker
SELECT * FROM findings;
-- too few
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid) TO regress_tckpt_worker;
GRANT UPDATE (checkpoint) ON regress_steps.jobs TO regress_tckpt_worker;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_claim(text, interval, integer, uuid, text[]), regress_home.tasker_checkpoint_complete(uuid) TO regress_tckpt_worker;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
-- as a member of a group is enough
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) TO regress_tckpt_other;
GRANT regress_tckpt_worker TO regress_tckpt_other;
SELECT * FROM findings;
REVOKE regress_tckpt_worker FROM regress_tckpt_other;
REVOKE EXECUTE ON FUNCTION regress_home.tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) FROM regress_tckpt_other;
-- a table that has no other columns
BEGIN;
ALTER TABLE regress_steps.jobs DROP COLUMN processed, DROP COLUMN updated_at;
SELECT * FROM findings;
ROLLBACK;

-- too many: on columns, on the table, with the right to grant them on, as everybody, as a member of a group
GRANT UPDATE (note, id), INSERT, SELECT ON regress_steps.jobs TO regress_tckpt_worker;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
GRANT ALL ON regress_steps.jobs TO regress_tckpt_worker WITH GRANT OPTION;
SET ROLE regress_tckpt_worker;
GRANT UPDATE ON regress_steps.jobs TO regress_tckpt_other;
RESET ROLE;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT has_table_privilege('regress_tckpt_other', 'regress_steps.jobs', 'UPDATE') AS other_has_it;
GRANT UPDATE ON regress_steps.jobs TO PUBLIC;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
GRANT DELETE ON regress_steps.jobs TO regress_tckpt_group;
SELECT * FROM findings;
GRANT regress_tckpt_group TO regress_tckpt_worker;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
-- by somebody who is not the owner
GRANT TRUNCATE ON regress_steps.jobs TO regress_tckpt_group WITH GRANT OPTION;
GRANT USAGE ON SCHEMA regress_steps TO regress_tckpt_group;
SET ROLE regress_tckpt_group;
GRANT TRUNCATE ON regress_steps.jobs TO regress_tckpt_worker;
RESET ROLE;
SELECT * FROM findings;
REVOKE ALL ON regress_steps.jobs FROM regress_tckpt_group CASCADE;
-- as the owner, or one of its members
ALTER TABLE regress_steps.jobs OWNER TO regress_tckpt_owner;
GRANT regress_tckpt_owner TO regress_tckpt_worker;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
ALTER TABLE regress_steps.jobs OWNER TO regress_tckpt_worker;
SELECT * FROM findings;
ALTER TABLE regress_steps.jobs OWNER TO CURRENT_USER;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
-- an operator needs more
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA regress_home TO regress_tckpt_operator;
GRANT USAGE ON SCHEMA regress_home, regress_steps TO regress_tckpt_operator;
GRANT SELECT, UPDATE ON regress_steps.jobs TO regress_tckpt_operator;
SELECT * FROM findings;

-- whom no limit binds
ALTER ROLE regress_tckpt_worker SUPERUSER;
GRANT SET ON PARAMETER tasker_checkpoint.cursor_limit TO regress_tckpt_worker, regress_tckpt_group;
GRANT ALTER SYSTEM ON PARAMETER tasker_checkpoint.enforce TO PUBLIC;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- what nobody should have
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_purge_events(integer, boolean), regress_home.tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid) TO PUBLIC;
GRANT SELECT (event_id) ON regress_home.tasker_checkpoint_events TO PUBLIC;
GRANT SELECT ON regress_home.tasker_checkpoint_events, regress_home.tasker_checkpoint_archive TO regress_tckpt_group;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- what was granted on by whom the owner gave it, and what a group has
GRANT SELECT ON regress_home.tasker_checkpoint_events TO regress_tckpt_other WITH GRANT OPTION;
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_dispatch(uuid, text, integer, interval) TO regress_tckpt_other WITH GRANT OPTION;
GRANT SET ON PARAMETER tasker_checkpoint.cursor_limit TO regress_tckpt_other WITH GRANT OPTION;
GRANT USAGE ON SCHEMA regress_home TO regress_tckpt_other;
SET ROLE regress_tckpt_other;
GRANT SELECT ON regress_home.tasker_checkpoint_events TO regress_tckpt_worker;
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_dispatch(uuid, text, integer, interval) TO PUBLIC;
GRANT SET ON PARAMETER tasker_checkpoint.cursor_limit TO regress_tckpt_worker;
RESET ROLE;
GRANT EXECUTE ON FUNCTION regress_home.tasker_checkpoint_guard() TO regress_tckpt_group;
GRANT SET ON PARAMETER tasker_checkpoint.results_limit TO regress_tckpt_group;
GRANT regress_tckpt_group TO regress_tckpt_worker;
SELECT * FROM findings;
-- in the doctor's order: first what the owner did not grant. One of them stands for several.
SET client_min_messages = error;
SELECT statement FROM regress_home.tasker_checkpoint_doctor() WHERE "check" = 'grants' AND statement IS NOT NULL \gexec
RESET client_min_messages;
SELECT * FROM findings;
REVOKE ALL ON PARAMETER tasker_checkpoint.cursor_limit FROM regress_tckpt_other;
REVOKE ALL ON PARAMETER tasker_checkpoint.results_limit FROM regress_tckpt_group;

DROP VIEW findings;
DROP TABLE regress_steps.jobs;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_home, regress_steps;
REVOKE ALL ON PARAMETER tasker_checkpoint.cursor_limit FROM regress_tckpt_worker, regress_tckpt_group;
DROP ROLE regress_tckpt_worker, regress_tckpt_other, regress_tckpt_group, regress_tckpt_operator, regress_tckpt_owner;

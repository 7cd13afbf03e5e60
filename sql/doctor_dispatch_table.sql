-- The doctor sees what a DBA has done to the extension's own tables that refuses workers, or loses what is dispatched
\set SHOW_CONTEXT never
\set s 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_create_table('jobs');
INSERT INTO jobs (id) VALUES (:'s');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE VIEW findings AS SELECT status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" = 'events' ORDER BY found COLLATE "C";
RESET client_min_messages;

-- what harms nobody is not mentioned
CREATE TRIGGER after AFTER UPDATE ON tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER emptied BEFORE TRUNCATE ON tasker_checkpoint_events EXECUTE FUNCTION nothing();
CREATE TRIGGER off BEFORE INSERT ON tasker_checkpoint_events FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE tasker_checkpoint_events DISABLE TRIGGER off;
CREATE TABLE refers (step uuid REFERENCES tasker_checkpoint_events ON DELETE CASCADE);
CREATE INDEX ON tasker_checkpoint_events (worker);
SELECT * FROM findings;
SELECT tasker_checkpoint_dispatch(:'s') IS NOT NULL AS dispatched;
DROP TABLE refers;

-- neither index that claims and dispatches need
ALTER TABLE tasker_checkpoint_events DROP CONSTRAINT tasker_checkpoint_events_pkey;
DROP INDEX tasker_checkpoint_events_claimable;
CREATE INDEX other ON tasker_checkpoint_events (queue, priority, available_at);
SELECT tasker_checkpoint_claim('one'); -- fail
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT count(*) FROM tasker_checkpoint_claim('one');

-- triggers that can't fire, and constraints that are checked later
ALTER TABLE tasker_checkpoint_events ENABLE ALWAYS TRIGGER off;
CREATE TRIGGER "Of statements" AFTER DELETE ON tasker_checkpoint_events EXECUTE FUNCTION nothing();
CREATE TRIGGER moved AFTER UPDATE ON tasker_checkpoint_events REFERENCING NEW TABLE AS new FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON tasker_checkpoint_archive DEFERRABLE FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE tasker_checkpoint_archive ADD UNIQUE (archived_at, cleared_by) DEFERRABLE;
CREATE TABLE refers (step uuid REFERENCES tasker_checkpoint_events (step_uuid) DEFERRABLE);
SELECT tasker_checkpoint_claim('one', step_uuid => :'s'), tasker_checkpoint_pause(:'s'); -- fail
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT tasker_checkpoint_pause(:'s');
DROP TABLE refers;

-- a crash would empty them
ALTER TABLE tasker_checkpoint_events SET UNLOGGED;
ALTER TABLE tasker_checkpoint_archive SET UNLOGGED;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

DROP VIEW findings;
DROP TABLE jobs;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION nothing();

-- The doctor finds nothing on a table that is well, and what is wrong with one, with the statement that mends it
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
SET default_toast_compression = pglz;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_worker;
CREATE TABLE jobs (id uuid PRIMARY KEY, processed boolean, note text, updated_at timestamptz) WITH (fillfactor = 70);
INSERT INTO jobs VALUES (:'s1');
RESET client_min_messages;
SELECT tasker_checkpoint_attach('jobs', 'id');
GRANT SELECT (id, checkpoint, processed), UPDATE (checkpoint, updated_at) ON jobs TO regress_tckpt_worker;
GRANT EXECUTE ON FUNCTION tasker_checkpoint_claim(text, interval, integer, uuid, text[]), tasker_checkpoint_heartbeat(uuid, interval),
	tasker_checkpoint_yield(uuid, jsonb, bigint, jsonb, uuid), tasker_checkpoint_save(uuid, jsonb, bigint, jsonb, uuid),
	tasker_checkpoint_complete(uuid), tasker_checkpoint_release(uuid, interval, boolean) TO regress_tckpt_worker;

-- well; whether the library is preloaded, and autovacuum on, is the server's affair
SELECT count(*) AS checks, count(DISTINCT "check") FROM tasker_checkpoint_doctor();
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor() WHERE "check" NOT IN ('notifier', 'bloat', 'version');
SELECT "check", status, statement FROM tasker_checkpoint_doctor() WHERE "check" IN ('version');

CREATE VIEW findings AS
SELECT "check", status, found, statement FROM tasker_checkpoint_doctor() WHERE status <> 'ok' AND "check" NOT IN ('notifier', 'bloat')
ORDER BY statement COLLATE "C";

-- the guard
ALTER TABLE jobs DISABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
ALTER TABLE jobs ENABLE REPLICA TRIGGER zz_tasker_checkpoint_guard;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
ALTER TABLE jobs ENABLE ALWAYS TRIGGER zz_tasker_checkpoint_guard;
SELECT * FROM findings;
ALTER TRIGGER zz_tasker_checkpoint_guard ON jobs NO DEPENDS ON EXTENSION tasker_checkpoint;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- one that was made by hand, and runs at the wrong time, or not always
DROP TRIGGER zz_tasker_checkpoint_guard ON jobs;
CREATE TRIGGER guard AFTER UPDATE OF id, checkpoint ON jobs FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT * FROM findings;
SELECT statement FROM findings WHERE "check" = 'guard' \gexec
SELECT * FROM findings;
DROP TRIGGER zz_tasker_checkpoint_guard ON jobs;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF id, checkpoint ON jobs FOR EACH ROW WHEN (NEW.note IS NULL) EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT statement FROM findings WHERE "check" = 'guard' \gexec
SELECT * FROM findings;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
-- one that names other columns
DROP TRIGGER zz_tasker_checkpoint_guard ON jobs;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT * FROM findings;
DROP TRIGGER guard ON jobs;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF checkpoint, id ON jobs FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT * FROM findings;
SELECT "check", found FROM tasker_checkpoint_doctor() WHERE status = 'ok' AND "check" NOT IN ('notifier', 'bloat', 'version');
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SELECT tasker_checkpoint_attach('jobs', 'id');
SELECT * FROM findings;

-- what has become of key, checkpoint and table
ALTER TABLE jobs DROP CONSTRAINT jobs_pkey, ALTER id DROP NOT NULL;
UPDATE jobs SET checkpoint = '{"cursor": 1, "items_processed": 1}';
ALTER TABLE jobs ALTER checkpoint SET NOT NULL, ALTER checkpoint SET DEFAULT '{}', SET UNLOGGED;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
CREATE TABLE jobs_child () INHERITS (jobs);
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
DROP TABLE jobs_child;

-- triggers that run after the guard; not: AFTER, for statements, for DELETE, disabled, for other columns
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER zz_after AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zz_statement BEFORE UPDATE ON jobs EXECUTE FUNCTION nothing();
CREATE TRIGGER zz_zelete BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zz_znote BEFORE UPDATE OF note ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zzoff BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE jobs DISABLE TRIGGER zzoff;
SELECT * FROM findings;
CREATE TRIGGER "zz_zed ""insert""" BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zz_touch BEFORE UPDATE OF updated_at ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zzz BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zy_zzz BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER zz_zééééééééééééééééééééééééééééé BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
-- below a guard of another name
ALTER TRIGGER zz_tasker_checkpoint_guard ON jobs RENAME TO "Guard";
SELECT count(*) FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
SET client_min_messages = warning;
DROP FUNCTION nothing CASCADE;
RESET client_min_messages;

-- indexes, room, compression
CREATE INDEX "The Index" ON jobs ((checkpoint ->> 'cursor'));
ALTER TABLE jobs ADD CONSTRAINT on_time UNIQUE (note, updated_at);
-- what PostgreSQL takes for 70, too
ALTER TABLE jobs SET (fillfactor = '70.0');
SELECT "check", status FROM tasker_checkpoint_doctor() WHERE "check" IN ('fillfactor', 'hot_share');
ALTER TABLE jobs SET (fillfactor = '0x46');
SELECT "check", status FROM tasker_checkpoint_doctor() WHERE "check" IN ('fillfactor', 'hot_share');
ALTER TABLE jobs RESET (fillfactor);
ALTER TABLE jobs ALTER checkpoint SET COMPRESSION pglz;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;
ALTER TABLE jobs ALTER checkpoint SET COMPRESSION default;
SELECT count(*) FROM findings;
SET default_toast_compression = lz4;
SELECT count(*) FROM findings;
SET default_toast_compression = pglz;
ALTER TABLE jobs ALTER checkpoint SET STORAGE external, SET (fillfactor = 90);
SELECT * FROM findings;
ALTER TABLE jobs ALTER checkpoint SET STORAGE plain;
ALTER TABLE jobs ALTER checkpoint SET COMPRESSION lz4;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- a session without triggers
SET session_replication_role = replica;
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- events that nobody needs
INSERT INTO jobs SELECT md5(n::text)::uuid FROM generate_series(1, 101) n;
SELECT count(tasker_checkpoint_dispatch(id)) FROM jobs WHERE id <> :'s1';
UPDATE jobs SET processed = true WHERE id <> :'s1';
SELECT * FROM findings;
SELECT statement FROM findings \gexec
SELECT * FROM findings;

-- a second table that has the guard
CREATE TABLE "Other Jobs" (id uuid PRIMARY KEY, checkpoint jsonb);
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OF id, checkpoint ON "Other Jobs" FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT * FROM findings;
SELECT statement FROM findings WHERE "check" = 'table' \gexec
SELECT * FROM findings;
DROP TABLE "Other Jobs";

-- none
SELECT tasker_checkpoint_detach();
SELECT "check", status FROM tasker_checkpoint_doctor() WHERE "check" NOT IN ('notifier', 'bloat');
SELECT * FROM findings;
CREATE TABLE tasker_workflow_steps (workflow_step_uuid uuid PRIMARY KEY) WITH (fillfactor = 50);
SELECT statement FROM findings \gexec
SELECT "check" FROM findings;

DROP VIEW findings;
DROP TABLE jobs, tasker_workflow_steps;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_worker;

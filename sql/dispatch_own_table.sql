-- Dispatch works on a table of one's own: other names, no other columns, partitions; and wherever the extension is
\set SHOW_CONTEXT never
\pset null '(null)'
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
\set s3 00000000-0000-0000-0000-000000000003
\set missing ffffffff-ffff-ffff-ffff-ffffffffffff
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_other;
GRANT USAGE ON SCHEMA regress_other TO regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
GRANT CREATE ON SCHEMA public TO regress_tckpt_owner;
CREATE TABLE "My Jobs" ("The ""key""" uuid PRIMARY KEY);
ALTER TABLE "My Jobs" OWNER TO regress_tckpt_owner;
INSERT INTO "My Jobs" VALUES (:'s1'), (:'s2');
RESET client_min_messages;
SET ROLE regress_tckpt_owner;

-- a key and a checkpoint, and nothing else
SELECT tasker_checkpoint_attach('"My Jobs"', 'The "key"');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed, has_checkpoint FROM tasker_checkpoint_claim('one') \gset
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1, NULL, :'claimed');
SELECT event_id AS claimed, cursor FROM tasker_checkpoint_claim('one') \gset
SELECT :'cursor' AS cursor;
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 1);
SELECT tasker_checkpoint_complete(:'claimed'), tasker_checkpoint_complete(tasker_checkpoint_dispatch(:'s1'));
-- a column "processed" that is no boolean means nothing
ALTER TABLE "My Jobs" ADD COLUMN processed text DEFAULT 'true';
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed, sequence FROM tasker_checkpoint_claim('one') \gset
SELECT :'sequence' AS sequence;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2, NULL, :'claimed');
-- names that change in a session that has used them
ALTER TABLE "My Jobs" RENAME TO jobs;
ALTER TABLE jobs RENAME COLUMN "The ""key""" TO id;
ALTER TABLE jobs RENAME COLUMN checkpoint TO progress;
SELECT event_id AS claimed, cursor FROM tasker_checkpoint_claim('one') \gset
SELECT :'cursor' AS cursor;
-- a real "processed", from now on
ALTER TABLE jobs DROP COLUMN processed;
ALTER TABLE jobs ADD COLUMN processed boolean DEFAULT false;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3, NULL, :'claimed');
UPDATE jobs SET processed = true;
SELECT * FROM tasker_checkpoint_claim('one');
RESET ROLE;
SELECT count(*) FROM tasker_checkpoint_events;
SET ROLE regress_tckpt_owner;
UPDATE jobs SET processed = false;
SELECT tasker_checkpoint_detach();

-- partitions, one with its columns in another order
CREATE TABLE parts (id uuid PRIMARY KEY, processed boolean, updated_at timestamptz) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 (updated_at timestamptz, checkpoint jsonb, gone int, processed boolean, id uuid NOT NULL);
ALTER TABLE parts_1 DROP COLUMN gone;
SELECT tasker_checkpoint_attach('parts', 'id');
ALTER TABLE parts ATTACH PARTITION parts_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 20) n;
SELECT count(*) > 0 AS some, (SELECT count(*) FROM parts_1) > 0 AS others FROM parts_0;
SELECT count(tasker_checkpoint_dispatch(id)) FROM parts;
SELECT count(*) FROM tasker_checkpoint_claim('one', max_steps => 20) c, tasker_checkpoint_yield(c.step_uuid, '1', 1, NULL, c.event_id) y WHERE y.sequence = 1;
UPDATE parts SET processed = right(id::text, 2)::int <= 10;
SELECT count(*), min(right(step_uuid::text, 2)) FROM tasker_checkpoint_claim('one', max_steps => 20);
RESET ROLE;
SELECT count(*), min(right(step_uuid::text, 2)) FROM tasker_checkpoint_events;

-- the extension moves, and its schema is renamed, in a session that has used it
ALTER EXTENSION tasker_checkpoint SET SCHEMA regress_other;
SET ROLE regress_tckpt_owner;
UPDATE parts SET processed = NULL;
SELECT regress_other.tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT regress_other.tasker_checkpoint_pause(:'s1');
RESET ROLE;
ALTER SCHEMA regress_other RENAME TO "regress ""quoted""";
SET ROLE regress_tckpt_owner;
SELECT "regress ""quoted""".tasker_checkpoint_resume(:'s1');
SELECT cursor FROM "regress ""quoted""".tasker_checkpoint_claim('one');
-- made anew in the same place: nothing is known of what was before
RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
CREATE EXTENSION tasker_checkpoint SCHEMA "regress ""quoted""";
SELECT "regress ""quoted""".tasker_checkpoint_attach('parts', 'id');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "regress ""quoted""" TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SELECT * FROM "regress ""quoted""".tasker_checkpoint_claim('one');
SELECT "regress ""quoted""".tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT cursor FROM "regress ""quoted""".tasker_checkpoint_claim('one');

RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE jobs, parts;
DROP SCHEMA "regress ""quoted""";
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

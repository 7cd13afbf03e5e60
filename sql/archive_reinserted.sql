-- What was cleared is not shown to another row that gets the key of a deleted one
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, tenant name DEFAULT current_user, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
ALTER TABLE steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON steps USING (tenant = current_user);
CREATE ROLE regress_tckpt_a;
CREATE ROLE regress_tckpt_b;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON steps TO regress_tckpt_a, regress_tckpt_b;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_a, regress_tckpt_b;
RESET client_min_messages;
CREATE FUNCTION trail(uuid) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(format('%s.%s:%s', generation, sequence, cursor), ' ' ORDER BY generation, sequence), 'none')
	FROM tasker_checkpoint_history($1)
$$;

-- a secret of a's, cleared, and its step deleted; with and without the archive when b comes
CREATE PROCEDURE secret() LANGUAGE plpgsql AS $$
DECLARE
	s uuid := '00000000-0000-0000-0000-000000000001';
BEGIN
	TRUNCATE steps;
	DELETE FROM tasker_checkpoint_archive;
	SET LOCAL tasker_checkpoint.archive_history = on;
	INSERT INTO steps VALUES (s, 'regress_tckpt_a');
	PERFORM tasker_checkpoint_save(s, '"secret"', 1, '{"secret": "results"}');
	PERFORM tasker_checkpoint_clear(s);
END $$;
SET tasker_checkpoint.archive_history = on;
CALL secret();
SELECT trail(:'s1');
DELETE FROM steps;
SET ROLE regress_tckpt_b;
INSERT INTO steps VALUES (:'s1');
SELECT trail(:'s1');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"b 1"', 1);
SELECT trail(:'s1');
SELECT tasker_checkpoint_clear(:'s1');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"b 2"', 1);
SELECT trail(:'s1');
RESET ROLE;

SET tasker_checkpoint.archive_history = off;
CALL secret();
DELETE FROM steps;
SET ROLE regress_tckpt_b;
INSERT INTO steps VALUES (:'s1');
SELECT trail(:'s1');
RESET ROLE;
-- with a checkpoint, which is cleared while nothing is archived
CALL secret();
DELETE FROM steps;
SET ROLE regress_tckpt_b;
INSERT INTO steps VALUES (:'s1', DEFAULT, '{"cursor": "b", "items_processed": 1}');
SELECT trail(:'s1');
UPDATE steps SET checkpoint = NULL;
SELECT trail(:'s1');
RESET ROLE;
-- after its first checkpoint, and with the history of another row
SET tasker_checkpoint.archive_history = on;
CALL secret();
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"a 2"', 1);
SELECT trail(:'s1');
DELETE FROM steps;
SET ROLE regress_tckpt_b;
INSERT INTO steps VALUES (:'s1', DEFAULT, '{"cursor": "b", "items_processed": 1, "timestamp": "2026-01-01T00:00:00.000000Z", "history": [{"cursor": "b", "items_processed": 1, "timestamp": "2026-01-01T00:00:00.000000Z"}]}');
SELECT trail(:'s1');
SELECT tasker_checkpoint_clear(:'s1');
SELECT trail(:'s1');
RESET ROLE;
-- by an upsert, MERGE, COPY, after TRUNCATE, or as the new key of a row
CALL secret();
SET ROLE regress_tckpt_b;
TRUNCATE steps;
INSERT INTO steps VALUES (:'s1') ON CONFLICT (workflow_step_uuid) DO UPDATE SET checkpoint = NULL;
SELECT trail(:'s1');
RESET ROLE;
CALL secret();
DELETE FROM steps;
SET ROLE regress_tckpt_b;
MERGE INTO steps USING (VALUES (:'s1'::uuid)) v (id) ON workflow_step_uuid = id WHEN NOT MATCHED THEN INSERT VALUES (id);
SELECT trail(:'s1');
RESET ROLE;
CALL secret();
DELETE FROM steps;
COPY steps (workflow_step_uuid) FROM stdin;
00000000-0000-0000-0000-000000000001
\.
SELECT trail(:'s1');
CALL secret();
DELETE FROM steps;
SET ROLE regress_tckpt_b;
INSERT INTO steps VALUES (:'s2');
UPDATE steps SET workflow_step_uuid = :'s1';
SELECT trail(:'s1');
RESET ROLE;
-- deleted and inserted in one statement
CALL secret();
WITH gone AS (DELETE FROM steps RETURNING workflow_step_uuid) INSERT INTO steps SELECT * FROM gone;
SELECT trail(:'s1');

-- a step that is there keeps what was cleared, also where who tries does not see it
CALL secret();
SET ROLE regress_tckpt_b;
INSERT INTO steps VALUES (:'s1'); -- fail
INSERT INTO steps VALUES (:'s1') ON CONFLICT DO NOTHING;
INSERT INTO steps VALUES (:'s1') ON CONFLICT (workflow_step_uuid) DO UPDATE SET checkpoint = '{"cursor": 2, "items_processed": 2}'; -- fail
INSERT INTO steps VALUES (:'s2');
UPDATE steps SET workflow_step_uuid = :'s1'; -- fail
SET ROLE regress_tckpt_a;
SELECT trail(:'s1');
INSERT INTO steps VALUES (:'s1') ON CONFLICT (workflow_step_uuid) DO UPDATE SET checkpoint = NULL;
UPDATE steps SET workflow_step_uuid = :'s1';
SELECT trail(:'s1');
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"a 2"', 1);
SELECT trail(:'s1');
RESET ROLE;
-- also where no index has the key
CALL secret();
ALTER TABLE steps DROP CONSTRAINT steps_pkey;
BEGIN;
INSERT INTO steps VALUES (:'s2', 'regress_tckpt_a') ON CONFLICT DO NOTHING;
UPDATE steps SET workflow_step_uuid = :'s1' WHERE workflow_step_uuid = :'s2';
DELETE FROM steps WHERE ctid <> (SELECT min(ctid) FROM steps);
SELECT trail(:'s1');
ROLLBACK;
DELETE FROM steps;
INSERT INTO steps VALUES (:'s1');
SELECT trail(:'s1');
ALTER TABLE steps ADD PRIMARY KEY (workflow_step_uuid);

-- a row that is put back keeps all that its checkpoint goes on from
CALL secret();
SELECT sequence FROM tasker_checkpoint_save(:'s1', '"a 2"', 1);
CREATE TEMP TABLE kept AS SELECT * FROM steps;
DELETE FROM steps;
INSERT INTO steps SELECT * FROM kept;
SELECT trail(:'s1');
SELECT tasker_checkpoint_clear(:'s1');
SELECT trail(:'s1');

-- so it is under an access method of another name that stores as heap does
SET client_min_messages = error;
CREATE ACCESS METHOD regress_tckpt_heap TYPE TABLE HANDLER heap_tableam_handler;
ALTER TABLE steps SET ACCESS METHOD regress_tckpt_heap;
CALL secret();
INSERT INTO steps VALUES (:'s1') ON CONFLICT (workflow_step_uuid) DO UPDATE SET tenant = 'regress_tckpt_b';
SELECT trail(:'s1');
-- a row that is made anew by the statement that deletes it keeps its event
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
WITH gone AS (DELETE FROM steps RETURNING *) INSERT INTO steps SELECT * FROM gone;
SELECT count(*) FROM tasker_checkpoint_events;
DELETE FROM steps;
SELECT count(*) FROM tasker_checkpoint_events;
ALTER TABLE steps SET ACCESS METHOD heap;
DROP ACCESS METHOD regress_tckpt_heap;
RESET client_min_messages;

-- nothing of the archive is needed where it is not used, or not as it was
SET tasker_checkpoint.archive_history = off;
ALTER TABLE tasker_checkpoint_archive RENAME TO renamed;
INSERT INTO steps VALUES (:'s2');
ALTER TABLE renamed RENAME TO tasker_checkpoint_archive;

DROP TABLE steps;
DROP FUNCTION trail;
DROP PROCEDURE secret;
DROP EXTENSION tasker_checkpoint;
DROP ROLE regress_tckpt_a, regress_tckpt_b;

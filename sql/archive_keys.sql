-- A step that has another's key, since that was deleted, has nothing of its trail
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');
RESET client_min_messages;
SET tasker_checkpoint.archive_history = on;
SET tasker_checkpoint.history_limit = 2;
CREATE VIEW trail AS SELECT generation AS gen, string_agg(format('%s:%s', sequence, cursor), ' ' ORDER BY sequence) AS trail,
	bool_or(cleared_by IS NOT NULL) AS cleared
FROM tasker_checkpoint_history('00000000-0000-0000-0000-000000000001') GROUP BY 1 ORDER BY 1;

INSERT INTO steps VALUES (:'s1');
SELECT max(sequence) FROM generate_series(11, 17) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT * FROM trail;
DELETE FROM steps;
INSERT INTO steps VALUES (:'s1');
SELECT * FROM trail;
SELECT max(sequence) FROM generate_series(21, 22) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT * FROM trail;
-- when it gets as far as the other one's trail, and further; when it is rewound
SELECT max(sequence) FROM generate_series(23, 29) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT * FROM trail;
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 3);
SELECT cursor FROM tasker_checkpoint_load(:'s1');
-- cleared, then the other: its first checkpoint comes with the row
SELECT tasker_checkpoint_clear(:'s1');
SELECT max(sequence) FROM generate_series(31, 32) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT * FROM trail;
DELETE FROM steps;
INSERT INTO steps VALUES (:'s1', '{"cursor": 41, "items_processed": 41}');
SELECT * FROM trail;
SELECT max(sequence) FROM generate_series(42, 46) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT * FROM trail;
SELECT tasker_checkpoint_rewind(:'s1', 99); -- fail
-- cleared trails stay together
SELECT tasker_checkpoint_clear(:'s1');
SELECT max(sequence) FROM generate_series(51, 54) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT tasker_checkpoint_clear(:'s1');
SELECT * FROM trail;
SELECT max(sequence) FROM generate_series(61, 64) i, tasker_checkpoint_save(:'s1', to_jsonb(i), i);
SELECT * FROM trail;

-- a row that moves to another partition, or is restored, keeps its trail
BEGIN;
CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM steps;
DELETE FROM steps;
INSERT INTO steps SELECT * FROM kept;
COMMIT;
SELECT * FROM trail;

DROP VIEW trail;
DROP TABLE steps;
DROP EXTENSION tasker_checkpoint;

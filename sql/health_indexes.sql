-- Health tells which indexes refuse a long cursor, and accuses no others
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb, processed boolean);
SELECT tasker_checkpoint_attach('steps', 'id');
ALTER TABLE steps RENAME checkpoint TO "so far";
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001');
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(repeat('x', 2600)), 1);

-- those that have a part of it, a hash, or something else
CREATE INDEX steps_hash ON steps USING hash (("so far" ->> 'cursor'));
CREATE INDEX steps_gin ON steps USING gin ("so far");
CREATE INDEX steps_md5 ON steps (md5("so far" ->> 'cursor'));
CREATE INDEX steps_left ON steps (left("so far" ->> 'cursor', 500));
CREATE INDEX steps_substr ON steps (substr("so far" ->> 'cursor', 1, 100));
CREATE INDEX steps_length ON steps (length("so far" ->> 'cursor'));
CREATE INDEX steps_within ON steps (("so far" -> 'cursor' ->> 'page'));
CREATE INDEX steps_items ON steps (("so far" ->> 'items_processed'));
CREATE INDEX steps_where ON steps (id) WHERE "so far" ->> 'cursor' > 'x';
ALTER TABLE steps ADD COLUMN note text, ADD COLUMN hashed text GENERATED ALWAYS AS (md5("so far" ->> 'cursor')) STORED;
CREATE INDEX steps_hashed ON steps (hashed);
SELECT finding FROM tasker_checkpoint_health ORDER BY 1;

-- those that have it, however that is written
CREATE INDEX steps_text ON steps (("so far" ->> 'cursor'));
CREATE INDEX steps_json ON steps (("so far" -> 'cursor'));
CREATE INDEX steps_path ON steps (id, ("so far" #>> '{cursor}'));
CREATE INDEX steps_cast ON steps ((("so far" -> 'cursor')::text) COLLATE "C");
CREATE INDEX steps_subscript ON steps (("so far"['cursor']));
CREATE INDEX steps_lower ON steps (lower("so far" ->> 'cursor') text_pattern_ops) WHERE id IS NOT NULL;
CREATE INDEX steps_coalesce ON steps (coalesce("so far" ->> 'cursor', ''));
ALTER TABLE steps ADD COLUMN now_at text GENERATED ALWAYS AS ("so far" ->> 'cursor') STORED;
CREATE INDEX "steps now" ON steps (note, now_at);
SELECT severity, figure, threshold, detail, statement FROM tasker_checkpoint_health WHERE finding = 'near_limit' ORDER BY statement COLLATE "C";

-- one of partitions goes as a whole, one of a single partition by itself
DROP TABLE steps;
CREATE TABLE parts (id uuid PRIMARY KEY, checkpoint jsonb, processed boolean) PARTITION BY HASH (id);
CREATE TABLE part_0 (checkpoint jsonb, processed boolean, id uuid PRIMARY KEY);
ALTER TABLE parts ATTACH PARTITION part_0 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT tasker_checkpoint_attach('parts', 'id');
INSERT INTO parts VALUES ('00000000-0000-0000-0000-000000000001');
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', to_jsonb(repeat('x', 2600)), 1);
CREATE INDEX parts_cursor ON parts ((checkpoint ->> 'cursor'));
CREATE INDEX part_0_cursor ON part_0 ((checkpoint -> 'cursor'));
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'near_limit' ORDER BY 1;

-- another cursor's text
DROP INDEX part_0_cursor;
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', jsonb_build_array(repeat('x', 2600)), 2);
SELECT figure, detail FROM tasker_checkpoint_health WHERE finding = 'near_limit';
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', 'null', 3);
SELECT count(*) FROM tasker_checkpoint_health;

DROP TABLE parts;
DROP EXTENSION tasker_checkpoint;

-- The doctor and health propose the same limit
\set SHOW_CONTEXT never
\pset tuples_only on
\pset format unaligned
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE jobs (id uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('jobs', 'id');
CREATE VIEW proposed AS
SELECT * FROM (
SELECT 'health' AS who, regexp_replace(statement, '^ALTER DATABASE \S+ ', '') AS statement FROM tasker_checkpoint_health WHERE finding = 'near_limit'
UNION ALL SELECT 'doctor ' || status, regexp_replace(statement, '^ALTER DATABASE \S+ ', '') FROM tasker_checkpoint_doctor() WHERE "check" = 'limits' AND status = 'warning') p
ORDER BY who COLLATE "C", statement COLLATE "C";

-- a cursor of 70012 bytes
INSERT INTO jobs (id, checkpoint) VALUES ('00000000-0000-0000-0000-000000000001', jsonb_build_object('cursor', repeat('x', 70000), 'items_processed', 1));
SELECT * FROM proposed;
-- one of 52432 bytes is near the limit, of 52420 not
UPDATE jobs SET checkpoint = jsonb_build_object('cursor', repeat('x', 52420), 'items_processed', 1);
SELECT * FROM proposed;
UPDATE jobs SET checkpoint = jsonb_build_object('cursor', repeat('x', 52408), 'items_processed', 1);
SELECT * FROM proposed;
-- results
UPDATE jobs SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', repeat('x', 1000000));
SELECT * FROM proposed;
-- what is over what the setting takes has no limit
SELECT tasker_checkpoint_enough(107373363, 80), tasker_checkpoint_enough(107374182, 80), tasker_checkpoint_enough(9223372036854775, 1);
-- what was proposed is enough
SET tasker_checkpoint.results_limit = '2442kB';
SELECT * FROM proposed;

DROP VIEW proposed;
DROP EXTENSION tasker_checkpoint;
DROP TABLE jobs;

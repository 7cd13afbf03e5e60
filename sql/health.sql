-- What is stuck is shown for the step that is, and its own statement makes it go away
\set SHOW_CONTEXT never
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, name text UNIQUE, in_process boolean NOT NULL DEFAULT false, processed boolean NOT NULL DEFAULT false,
	processed_at timestamp, results jsonb, updated_at timestamp, checkpoint jsonb);
CREATE INDEX steps_cursor ON steps ((checkpoint ->> 'cursor')) WHERE checkpoint IS NOT NULL;
SELECT tasker_checkpoint_attach('steps');
RESET client_min_messages;

CREATE FUNCTION step(text) RETURNS uuid LANGUAGE sql STABLE AS 'SELECT workflow_step_uuid FROM steps WHERE name = $1';
CREATE FUNCTION age_of(text, age interval) RETURNS void LANGUAGE sql AS
'UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() - age, lease_until = clock_timestamp() - age + coalesce(nullif(lease, ''1 minute''), ''0'')
WHERE step_uuid = step($1)';
CREATE VIEW health AS
SELECT s.name, finding, severity, figure >= threshold AS over, threshold, unit FROM tasker_checkpoint_health JOIN steps s ON workflow_step_uuid = step_uuid;

INSERT INTO steps
SELECT format('00000000-0000-0000-0000-%s', lpad(place::text, 12, '0'))::uuid, name
FROM unnest(ARRAY['stale', 'silent', 'stalled', 'parked', 'expired', 'unclaimed', 'large results', 'large cursor', 'long cursor', 'paused', 'only paused',
	'well', 'new', 'busy', 'claimed', 'delayed', 'pausing', 'just paused', 'cancelled', 'processed', 'gone', 'never dispatched']) WITH ORDINALITY s (name, place);
-- sees nothing yet
SELECT * FROM tasker_checkpoint_health;

-- a worker has a long lease and is silent; one that never claimed is, too
SELECT tasker_checkpoint_dispatch(step('stale')) IS NOT NULL AS dispatched;
SELECT deliveries FROM tasker_checkpoint_claim('one', '1 hour', 1, step('stale'));
SELECT age_of('stale', '20 minutes');
DELETE FROM steps WHERE name = 'silent';
INSERT INTO steps (workflow_step_uuid, name, in_process, checkpoint) VALUES ('00000000-0000-0000-0000-000000000002', 'silent', true,
	jsonb_build_object('cursor', 1, 'items_processed', 1, 'history_truncated', 1, 'timestamp', clock_timestamp() - interval '20 minutes'));
-- a handler that yields where it was
SELECT count(tasker_checkpoint_yield(step('stalled'), '{"page": 7}', 700)) FROM generate_series(1, 6);
-- one that fails before its first checkpoint
SELECT tasker_checkpoint_dispatch(step('parked')) IS NOT NULL AS dispatched;
SELECT deliveries FROM tasker_checkpoint_claim('one', '1 minute', 1, step('parked'));
SELECT age_of('parked', '10 minutes');
SET tasker_checkpoint.max_deliveries = 1;
SELECT deliveries FROM tasker_checkpoint_claim('two', '1 minute', 1, step('parked'));
-- nobody takes over, or takes at all
SELECT tasker_checkpoint_dispatch(step('expired'), 'of the expired') IS NOT NULL AS dispatched;
SELECT deliveries FROM tasker_checkpoint_claim('one', '1 minute', 1, step('expired'));
SELECT age_of('expired', '10 minutes');
SELECT sequence FROM tasker_checkpoint_yield(step('unclaimed'), '1', 1);
SELECT age_of('unclaimed', '1 hour');
-- too much to carry
SELECT sequence FROM tasker_checkpoint_save(step('large results'), '1', 1, to_jsonb(repeat('x', 1000000)));
SELECT sequence FROM tasker_checkpoint_save(step('large cursor'), to_jsonb(repeat('x', 60000)), 1);
SELECT sequence FROM tasker_checkpoint_save(step('long cursor'), to_jsonb(repeat('x', 2100)), 1);
-- forgotten
SELECT sequence, tasker_checkpoint_pause(step('paused')) FROM tasker_checkpoint_yield(step('paused'), '1', 1);
SELECT age_of('paused', '2 days');
SELECT tasker_checkpoint_pause(step('only paused'));
SELECT age_of('only paused', '2 days');

-- and what is well: offered just now, at work, at work for long with heartbeats, told to wait
SELECT sequence FROM tasker_checkpoint_save(step('well'), '1', 1);
SELECT sequence FROM tasker_checkpoint_yield(step('new'), '1', 1);
UPDATE steps SET in_process = true WHERE name IN ('busy', 'claimed', 'never dispatched');
SELECT sequence FROM tasker_checkpoint_save(step('busy'), '1', 1);
SELECT tasker_checkpoint_dispatch(step('claimed')) IS NOT NULL AS dispatched;
SELECT event_id FROM tasker_checkpoint_claim('one', '1 hour', 1, step('claimed')) \gset
SELECT age_of('claimed', '59 minutes');
SELECT tasker_checkpoint_heartbeat(:'event_id');
SELECT tasker_checkpoint_release(tasker_checkpoint_dispatch(step('delayed')), '1 hour');
-- paused long ago while its lease still runs; paused just now, though it waited for long
SELECT tasker_checkpoint_dispatch(step('pausing')) IS NOT NULL AS dispatched;
SELECT deliveries FROM tasker_checkpoint_claim('one', '1 hour', 1, step('pausing'));
SELECT tasker_checkpoint_pause(step('pausing'));
UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() - interval '2 days' WHERE step_uuid = step('pausing');
SELECT tasker_checkpoint_dispatch(step('just paused')) IS NOT NULL AS dispatched;
SELECT age_of('just paused', '2 days');
SELECT tasker_checkpoint_pause(step('just paused'));
-- at rest: cancelled, processed, gone
SELECT count(tasker_checkpoint_yield(step('cancelled'), '1', 1)) FROM generate_series(1, 6);
SELECT tasker_checkpoint_cancel(step('cancelled'));
SELECT age_of('cancelled', '2 days');
SELECT count(tasker_checkpoint_yield(step('processed'), to_jsonb(repeat('x', 60000)), 1)) FROM generate_series(1, 6);
SELECT age_of('processed', '2 days');
UPDATE steps SET processed = true WHERE name = 'processed';
SELECT tasker_checkpoint_dispatch(step('gone')) IS NOT NULL AS dispatched;
SELECT age_of('gone', '2 days');
SET session_replication_role = replica;
DELETE FROM steps WHERE name = 'gone';
RESET session_replication_role;

SELECT * FROM health ORDER BY name COLLATE "C", finding COLLATE "C", unit COLLATE "C";
\x
SELECT name, finding, detail, replace(statement, quote_ident(current_database()), 'here') AS statement FROM tasker_checkpoint_health JOIN steps ON workflow_step_uuid = step_uuid
WHERE name <> 'long cursor' AND name <> 'only paused' ORDER BY finding COLLATE "C", detail COLLATE "C";
\x
-- by queue
SELECT finding, queue, count(*) FROM tasker_checkpoint_health GROUP BY 1, 2 ORDER BY finding COLLATE "C", queue COLLATE "C";
-- the worst first
SELECT array_agg(severity ORDER BY n) = array_agg(severity ORDER BY array_position('{critical,warning,info}'::text[], severity), n) AS sorted
FROM (SELECT severity, row_number() OVER () AS n FROM tasker_checkpoint_health) h;

-- each statement ends its own findings, and no others
\t
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'stale' ORDER BY step_uuid \gexec
SELECT string_agg(finding || ' ' || n, ', ' ORDER BY finding COLLATE "C") FROM (SELECT finding, count(*) AS n FROM health GROUP BY 1) h;
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'stalled' ORDER BY step_uuid \gexec
SELECT string_agg(finding || ' ' || n, ', ' ORDER BY finding COLLATE "C") FROM (SELECT finding, count(*) AS n FROM health GROUP BY 1) h;
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'parked' ORDER BY step_uuid \gexec
SELECT string_agg(finding || ' ' || n, ', ' ORDER BY finding COLLATE "C") FROM (SELECT finding, count(*) AS n FROM health GROUP BY 1) h;
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'expired' ORDER BY step_uuid \gexec
SELECT string_agg(finding || ' ' || n, ', ' ORDER BY finding COLLATE "C") FROM (SELECT finding, count(*) AS n FROM health GROUP BY 1) h;
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'unclaimed' ORDER BY step_uuid \gexec
SELECT string_agg(finding || ' ' || n, ', ' ORDER BY finding COLLATE "C") FROM (SELECT finding, count(*) AS n FROM health GROUP BY 1) h;
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'paused' ORDER BY step_uuid \gexec
SELECT string_agg(finding || ' ' || n, ', ' ORDER BY finding COLLATE "C") FROM (SELECT finding, count(*) AS n FROM health GROUP BY 1) h;
-- settings count for new sessions
SET client_min_messages = warning;
\set ECHO none
SELECT statement FROM tasker_checkpoint_health WHERE finding = 'near_limit' \gexec
\set ECHO all
\c
SELECT string_agg(finding || ' ' || n, ', ' ORDER BY finding COLLATE "C") FROM (SELECT finding, count(*) AS n FROM health GROUP BY 1) h;
\t
-- what is long has none: it is another threshold, or another handler
SELECT count(*), count(statement) FROM tasker_checkpoint_health WHERE finding = 'long_cursor';
SELECT * FROM tasker_checkpoint_health(long_cursor => 60100) WHERE finding <> 'cancelled';

-- and workers take what nobody took
SELECT s.name, c.deliveries FROM tasker_checkpoint_claim('three', max_steps => 100) c JOIN steps s ON s.workflow_step_uuid = c.step_uuid
ORDER BY s.name COLLATE "C";

SELECT quote_ident(current_database()) AS here \gset
-- as they were, also where that is not what the server has
ALTER DATABASE :here SET tasker_checkpoint.results_limit = '1MB';
ALTER DATABASE :here SET tasker_checkpoint.cursor_limit = '64kB';
DROP VIEW health;
DROP EXTENSION tasker_checkpoint;
DROP FUNCTION step(text), age_of(text, interval);
DROP TABLE steps;

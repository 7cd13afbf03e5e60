-- Names that others have chosen forge no line and steer no terminal in what health says; nor in what the doctor says
\set SHOW_CONTEXT never
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE jobs (id uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('jobs', 'id');
INSERT INTO jobs SELECT format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid FROM generate_series(1, 4) n;
SELECT count(tasker_checkpoint_dispatch(id)) FROM jobs;

-- the name is kept as it is
SELECT count(*) FROM tasker_checkpoint_claim(E'w". All is well.\n\x1b[2Junguarded|critical|\t\r\x7f', '1 hour', 4);
SELECT DISTINCT worker = E'w". All is well.\n\x1b[2Junguarded|critical|\t\r\x7f' FROM tasker_checkpoint_progress;
-- stale, expired, ahead; parked, by one more claim
UPDATE tasker_checkpoint_events SET lease_until = now() - CASE right(step_uuid::text, 1) WHEN '1' THEN interval '-30 minutes' WHEN '2' THEN interval '1 hour' ELSE interval '-9 hours' END;
SET tasker_checkpoint.max_deliveries = 1;
UPDATE tasker_checkpoint_events SET lease_until = now() - interval '1 minute', available_at = now() - interval '1 minute' WHERE step_uuid::text ~ '4$';
SELECT count(*) FROM tasker_checkpoint_claim('two', '1 hour', 1, '00000000-0000-0000-0000-000000000004');
SELECT DISTINCT ON (finding COLLATE "C") finding, detail FROM tasker_checkpoint_health(stale => '1 second') ORDER BY finding COLLATE "C";
SELECT count(*) FROM tasker_checkpoint_health(stale => '1 second') h WHERE h.detail || h.statement ~ '[\x01-\x1f\x7f]';

-- every control character; what is none stays
SELECT tasker_checkpoint_shown(string_agg(chr(n), '' ORDER BY n), false) FROM generate_series(1, 127) n;
SELECT tasker_checkpoint_shown(E'it''s \\ "so"', false), tasker_checkpoint_shown(E'it''s \\ "so"', true);
SELECT tasker_checkpoint_shown('', false) = '', tasker_checkpoint_shown('', true), tasker_checkpoint_shown(NULL, true) IS NULL;
SELECT getdatabaseencoding() = 'UTF8' AS is_utf8 \gset
\if :is_utf8
SELECT tasker_checkpoint_shown(E'\u00E9\u0085\u009B\u00A0\u200E\u2028\u202E\u2066\u2013\u20AC', false) = E'\u00E9\\u0085\\u009b\u00A0\\u200e\\u2028\\u202e\\u2066\u2013\u20AC';
SELECT tasker_checkpoint_shown(E'\u00E9\u0085\u2028', true) = E'E\'\u00E9\\u0085\\u2028\'';
\else
\echo t
\echo t
\endif
-- a literal is read as the name
SELECT tasker_checkpoint_shown(E'a\n''b\\x1b\x1b0', true);
SELECT format('SELECT bool_and(l = n) FROM (VALUES (%s, %L)) v (l, n)', tasker_checkpoint_shown(n, true), n)
FROM (SELECT string_agg(chr(n), '' ORDER BY n) AS n FROM generate_series(1, 127) n) s \gexec
-- from 19 on it can't be off
DO $$ BEGIN SET standard_conforming_strings = off; EXCEPTION WHEN OTHERS THEN END $$;
SELECT format('SELECT bool_and(l = n) FROM (VALUES (%s, %L)) v (l, n)', tasker_checkpoint_shown(n, true), n)
FROM (SELECT string_agg(chr(n), '' ORDER BY n) AS n FROM generate_series(1, 127) n) s \gexec
RESET standard_conforming_strings;

-- a role that owns a table of Tasker's name
CREATE SCHEMA tasker;
SELECT tasker_checkpoint_detach();
DO $$ BEGIN EXECUTE format('CREATE ROLE %I', E'regress_tckpt_a\x1berror|b'); END $$;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
DO $$ BEGIN EXECUTE format('ALTER TABLE tasker.workflow_steps OWNER TO %I', E'regress_tckpt_a\x1berror|b'); END $$;
SELECT found FROM tasker_checkpoint_doctor() WHERE "check" = 'table' AND status = 'notice';

DROP EXTENSION tasker_checkpoint;
DROP TABLE jobs, tasker.workflow_steps;
DROP SCHEMA tasker;
DO $$ BEGIN EXECUTE format('DROP ROLE %I', E'regress_tckpt_a\x1berror|b'); END $$;

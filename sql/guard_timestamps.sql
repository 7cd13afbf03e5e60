-- The server stamps each checkpoint, in one form, and never backwards
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps');
INSERT INTO steps VALUES (:'s1');
CREATE ROLE regress_tckpt_worker;
GRANT SELECT, UPDATE (checkpoint) ON steps TO regress_tckpt_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_worker;
RESET client_min_messages;
SET ROLE regress_tckpt_worker;

-- the form, whatever the session's own are; the clock's time, not the transaction's
SET TimeZone = 'Pacific/Chatham';
SET DateStyle = 'German, DMY';
BEGIN;
SELECT clock_timestamp() AS earlier \gset
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT checkpoint ->> 'timestamp' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$' AS form,
	checkpoint ->> 'timestamp' BETWEEN to_char(:'earlier'::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
		AND to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS clock,
	(checkpoint ->> 'timestamp')::timestamptz > now() AS after_begin,
	checkpoint -> 'timestamp' = checkpoint #> '{history,0,timestamp}' AS in_history
FROM steps;
SELECT checkpointed_at BETWEEN :'earlier' AND clock_timestamp() AS clock, pg_typeof(checkpointed_at) FROM tasker_checkpoint_load(:'s1');
COMMIT;
RESET TimeZone;
RESET DateStyle;

-- whatever is sent
SELECT clock_timestamp() AS earlier \gset
UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2, "timestamp": "2001-01-01T00:00:00Z"}';
UPDATE steps SET checkpoint = '{"cursor": 3, "items_processed": 3, "timestamp": "9999-01-01T00:00:00Z"}';
UPDATE steps SET checkpoint = '{"cursor": 4, "items_processed": 4, "timestamp": [1]}';
SELECT jsonb_array_length(checkpoint -> 'history') AS entries,
	bool_and((entry ->> 'timestamp')::timestamptz BETWEEN :'earlier' AND clock_timestamp()) FILTER (WHERE n > 1) AS clock
FROM steps, jsonb_array_elements(checkpoint -> 'history') WITH ORDINALITY h (entry, n) GROUP BY 1;

-- many in one transaction: each later than the one before
SELECT tasker_checkpoint_clear(:'s1');
SELECT max(y.sequence) FROM generate_series(1, 100) n, tasker_checkpoint_save(:'s1', '1', n) y;
SELECT count(*), bool_and(stamp > before) AS ascending
FROM (SELECT entry ->> 'timestamp' AS stamp, lag(entry ->> 'timestamp') OVER (ORDER BY n) AS before
	FROM steps, jsonb_array_elements(checkpoint -> 'history') WITH ORDINALITY h (entry, n)) e;

-- a stored time ahead of the clock
RESET ROLE;
CREATE FUNCTION stamp(stored text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
	UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'timestamp', stored);
	ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
	UPDATE steps SET checkpoint = '{"cursor": 2, "items_processed": 2}';
	RETURN (SELECT checkpoint ->> 'timestamp' FROM steps);
END
$$;
CREATE FUNCTION utc(at timestamptz) RETURNS text LANGUAGE sql
RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
-- by up to five minutes: a microsecond is added
SELECT ahead, stamp(utc(now() + ahead::interval)) = utc(now() + ahead::interval + '1 microsecond') AS next
FROM unnest(ARRAY['4 minutes', '4 minutes 59 seconds', '1 minute']::text[]) ahead;
-- by more: not believed
SELECT ahead, stamp(utc(now() + ahead::interval)) BETWEEN utc(now()) AND utc(clock_timestamp()) AS clock
FROM unnest(ARRAY['6 minutes', '5 minutes 10 seconds', '1 year', '7000 years']::text[]) ahead;
-- behind: the clock
SELECT ahead, stamp(utc(now() + ahead::interval)) BETWEEN utc(now()) AND utc(clock_timestamp()) AS clock
FROM unnest(ARRAY['-1 microsecond', '-1 minute', '-1 year']::text[]) ahead;
-- with an offset, in nanoseconds, in other forms that RFC 3339 has
SELECT form, stamp(to_char((now() + '4 minutes') AT TIME ZONE 'UTC' + shift, 'YYYY-MM-DD') || separator
	|| to_char((now() + '4 minutes') AT TIME ZONE 'UTC' + shift, 'HH24:MI:SS.US') || form)
	= utc(now() + '4 minutes 0.000001 seconds') AS next
FROM (VALUES ('Z', 'T', '0'::interval), ('z', 't', '0'), ('+00:00', ' ', '0'), ('-00:00', 'T', '0'), ('+02:00', 'T', '2 hours'),
	('-08:30', 'T', '-8 hours -30 minutes'), ('000Z', 'T', '0'), ('999Z', 'T', '0'), ('123456789012345+14:00', 'T', '14 hours')) v (form, separator, shift);
-- not in RFC 3339's
SELECT form, stamp(to_char((now() + '4 minutes') AT TIME ZONE 'UTC', form)) BETWEEN utc(now()) AND utc(clock_timestamp()) AS clock
FROM unnest(ARRAY['YYYY-MM-DD"T"HH24:MI:SS.US', 'YYYY-MM-DD"T"HH24:MI"Z"', 'YYYY-MM-DD', 'YYYYMMDD"T"HH24MISS"Z"', 'DD.MM.YYYY HH24:MI:SS"Z"',
	'YYYY-MM-DD"T"HH24:MI:SS.US"+0000"']) form;
-- an edit keeps the time as it is stored
SELECT stamp(utc(now() + '4 minutes')) AS ahead \gset
SET ROLE regress_tckpt_worker;
UPDATE steps SET checkpoint = checkpoint || '{"note": 1}';
SELECT checkpoint ->> 'timestamp' = :'ahead' AS kept FROM steps;

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;
DROP FUNCTION stamp, utc;
DROP OWNED BY regress_tckpt_worker;
DROP ROLE regress_tckpt_worker;

-- In each state of a step's dispatch each function does what the guide's tables say, and returns it
\set VERBOSITY terse
\pset null '(null)'
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean DEFAULT false, updated_at timestamp, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps');

-- the state that a reader sees
CREATE FUNCTION state() RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT concat_ws(', ',
		CASE WHEN NOT has_event THEN 'directive only'
			WHEN parked THEN 'parked'
			WHEN worker IS NOT NULL AND lease_until > clock_timestamp() THEN 'claimed'
			WHEN worker IS NOT NULL THEN 'expired'
			WHEN available_at > clock_timestamp() THEN 'delayed'
			ELSE 'offered' END,
		CASE WHEN directive <> 'continue' THEN directive END)
		FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000001')), 'none')
$$;

-- makes a state; returns the step's current id, an unknown one if it has none
CREATE FUNCTION make(wanted text) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
	s CONSTANT uuid := '00000000-0000-0000-0000-000000000001';
	event uuid;
BEGIN
	DELETE FROM tasker_checkpoint_events;
	DELETE FROM steps;
	INSERT INTO steps VALUES (s);
	IF wanted NOT IN ('none', 'directive only, pause') THEN
		event := tasker_checkpoint_dispatch(s);
	END IF;
	IF wanted ~ '^(claimed|expired|delayed|parked)' THEN
		event := (SELECT event_id FROM tasker_checkpoint_claim('w'));
	END IF;
	IF wanted ~ '^expired|^parked' THEN
		UPDATE tasker_checkpoint_events SET lease_until = '2000-01-01', available_at = '2000-01-01';
	END IF;
	IF wanted ~ '^parked' THEN
		PERFORM tasker_checkpoint_claim('other');
	END IF;
	IF wanted ~ '^delayed' THEN
		PERFORM tasker_checkpoint_release(event, '1 hour');
		event := (SELECT event_id FROM tasker_checkpoint_events);
	END IF;
	IF wanted ~ 'pause$' THEN
		PERFORM tasker_checkpoint_pause(s);
	ELSIF wanted ~ 'cancel$' THEN
		PERFORM tasker_checkpoint_cancel(s);
	END IF;
	IF state() <> wanted THEN
		RAISE '% is not %', state(), wanted;
	END IF;
	RETURN coalesce(event, gen_random_uuid());
END $$;

-- calls a function in a state: what it returns, the state after it, and whether the id is still current
CREATE FUNCTION try(call text, state text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	event CONSTANT uuid := make(state);
	answer text;
BEGIN
	BEGIN
		EXECUTE CASE call
			WHEN 'dispatch' THEN 'SELECT CASE tasker_checkpoint_dispatch($2) WHEN $1 THEN ''its id'' ELSE ''a new id'' END WHERE tasker_checkpoint_dispatch($2) IS NOT NULL'
			WHEN 'claim' THEN 'SELECT ''a new id'' FROM tasker_checkpoint_claim(''w'') WHERE event_id <> $1'
			WHEN 'yield' THEN 'SELECT directive FROM tasker_checkpoint_yield($2, ''1'', 1, NULL, $1)'
			WHEN 'save' THEN 'SELECT directive FROM tasker_checkpoint_save($2, ''1'', 1, NULL, $1)'
			WHEN 'unfenced yield' THEN 'SELECT directive FROM tasker_checkpoint_yield($2, ''1'', 1)'
			WHEN 'unfenced save' THEN 'SELECT directive FROM tasker_checkpoint_save($2, ''1'', 1)'
			WHEN 'rewind' THEN 'SELECT directive FROM tasker_checkpoint_rewind($2, (SELECT sequence FROM tasker_checkpoint_load($2)))'
			WHEN 'clear' THEN 'SELECT tasker_checkpoint_clear($2)'
			WHEN 'reset_for_retry' THEN 'SELECT tasker_checkpoint_reset_for_retry($2)'
			WHEN 'heartbeat' THEN 'SELECT tasker_checkpoint_heartbeat($1)'
			WHEN 'complete' THEN 'SELECT tasker_checkpoint_complete($1)'
			WHEN 'release' THEN 'SELECT tasker_checkpoint_release($1)'
			WHEN 'release, 1 hour' THEN 'SELECT tasker_checkpoint_release($1, ''1 hour'')'
			WHEN 'interrupted' THEN 'SELECT tasker_checkpoint_release($1, interrupted => true)'
			ELSE format('SELECT tasker_checkpoint_%s($2)', call) END
		INTO answer USING event, '00000000-0000-0000-0000-000000000001'::uuid;
	EXCEPTION WHEN OTHERS THEN
		answer := SQLSTATE;
	END;
	RETURN concat(coalesce(answer, '-'), ': ', state(),
		CASE WHEN EXISTS (SELECT FROM tasker_checkpoint_events WHERE event_id = event) THEN ', same id' END);
END $$;
RESET client_min_messages;

-- one delivery is enough to be parked, once the lease is over
SET tasker_checkpoint.max_deliveries = 1;
SELECT call, state, try(call, state) AS answer
FROM unnest('{dispatch,claim,pause,cancel,resume}'::text[]) WITH ORDINALITY AS c (call, i),
	unnest('{none,offered,delayed,claimed,expired,"offered, pause","offered, cancel","delayed, pause","claimed, pause",parked,"parked, pause","directive only, pause"}'::text[])
		WITH ORDINALITY AS s (state, j)
ORDER BY i, j;

-- with the current id
SELECT call, state, try(call, state) AS answer
FROM unnest('{yield,save,heartbeat,release,"release, 1 hour",interrupted,complete}'::text[]) WITH ORDINALITY AS c (call, i),
	unnest('{none,offered,delayed,claimed,expired,"offered, pause","claimed, pause",parked,"parked, pause","directive only, pause"}'::text[])
		WITH ORDINALITY AS s (state, j)
ORDER BY i, j;

-- without one
SELECT call, state, try(call, state) AS answer
FROM unnest('{"unfenced yield","unfenced save",clear,reset_for_retry}'::text[]) WITH ORDINALITY AS c (call, i),
	unnest('{none,offered,delayed,claimed,expired,"offered, pause","claimed, pause",parked,"parked, pause","directive only, pause"}'::text[])
		WITH ORDINALITY AS s (state, j)
ORDER BY i, j;

-- past max_deliveries a claim parks; resume begins the count anew
SET tasker_checkpoint.max_deliveries = 2;
SELECT try('claim', 'expired') AS again;
SELECT make('parked') IS NULL AS parked; -- fail
SET tasker_checkpoint.max_deliveries = 1;
SELECT make('parked') IS NULL AS parked;
SELECT tasker_checkpoint_resume('00000000-0000-0000-0000-000000000001');
SELECT deliveries, state() FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000001');

-- of a late worker whose heartbeat has begun another lease, the step is its own again
SELECT tasker_checkpoint_heartbeat(make('parked'));
SELECT tasker_checkpoint_resume('00000000-0000-0000-0000-000000000001');
SELECT deliveries, state() FROM tasker_checkpoint_dispatched('00000000-0000-0000-0000-000000000001');

-- a processed step is offered to nobody, and its row goes with the next claim
SELECT make('offered') IS NULL AS made;
UPDATE steps SET processed = true;
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000001'); -- fail
SELECT count(*) AS claimed FROM tasker_checkpoint_claim('w');
SELECT state();

DROP FUNCTION try, make, state;
DROP EXTENSION tasker_checkpoint;
DROP TABLE steps;

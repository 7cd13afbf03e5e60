-- The proxy, a database without steps that knows where they are:
--
--     psql -v shard0='host=a dbname=app' -v shard1='host=b dbname=app' \
--         -f examples/sharding/proxy.sql DATABASE
--
-- as a superuser. Functions have the names and arguments that they have on a shard, so
-- that who calls them need not know of it. Three take the step in front, since an event
-- does not tell where it is: heartbeat, complete, release. Each call is a transaction
-- of its own on its shard, as the role that calls: README.md says what that means.

\set ON_ERROR_STOP on
\ir route.sql

CREATE EXTENSION plproxy;
CREATE EXTENSION dblink;

CREATE SERVER steps FOREIGN DATA WRAPPER plproxy OPTIONS (p0 :'shard0', p1 :'shard1');
CREATE USER MAPPING FOR PUBLIC SERVER steps;
GRANT USAGE ON FOREIGN SERVER steps TO PUBLIC;

-- The application's own

CREATE FUNCTION add_job(name text, inputs jsonb DEFAULT NULL, id uuid DEFAULT gen_random_uuid()) RETURNS uuid
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(id); $$;

-- What has a step is asked of that step's shard

CREATE TYPE tasker_checkpoint_receipt AS (
	sequence bigint, event_id uuid, directive text, replayed boolean);
CREATE TYPE tasker_checkpoint_state AS (
	has_checkpoint boolean, cursor jsonb, items_processed bigint, accumulated_results jsonb,
	checkpointed_at timestamptz, sequence bigint);
CREATE TYPE tasker_checkpoint_delivery AS (
	event_id uuid, step_uuid uuid, has_checkpoint boolean, cursor jsonb, items_processed bigint,
	accumulated_results jsonb, sequence bigint, deliveries integer, queue text);

CREATE FUNCTION tasker_checkpoint_dispatch(
	step_uuid uuid, queue text DEFAULT NULL, priority integer DEFAULT NULL, delay interval DEFAULT '0') RETURNS uuid
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_yield(
	step_uuid uuid, cursor jsonb, items bigint, results jsonb DEFAULT NULL, event_id uuid DEFAULT NULL) RETURNS tasker_checkpoint_receipt
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_save(
	step_uuid uuid, cursor jsonb, items bigint, results jsonb DEFAULT NULL, event_id uuid DEFAULT NULL) RETURNS tasker_checkpoint_receipt
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION sharding.hash_of(checkpoint_data jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE
RETURN sharding.hash((checkpoint_data ->> 'step_uuid')::uuid);

CREATE FUNCTION tasker_checkpoint_yield_step_event(event_id uuid, checkpoint_data jsonb) RETURNS boolean
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash_of(checkpoint_data); $$;

CREATE FUNCTION tasker_checkpoint_heartbeat(step_uuid uuid, event_id uuid, lease interval DEFAULT NULL) RETURNS boolean
LANGUAGE plproxy AS $$
	CLUSTER 'steps'; RUN ON sharding.hash(step_uuid);
	SELECT * FROM tasker_checkpoint_heartbeat(event_id, lease);
$$;

CREATE FUNCTION tasker_checkpoint_complete(step_uuid uuid, event_id uuid) RETURNS boolean
LANGUAGE plproxy AS $$
	CLUSTER 'steps'; RUN ON sharding.hash(step_uuid);
	SELECT * FROM tasker_checkpoint_complete(event_id);
$$;

CREATE FUNCTION tasker_checkpoint_release(
	step_uuid uuid, event_id uuid, delay interval DEFAULT '0', interrupted boolean DEFAULT false) RETURNS boolean
LANGUAGE plproxy AS $$
	CLUSTER 'steps'; RUN ON sharding.hash(step_uuid);
	SELECT * FROM tasker_checkpoint_release(event_id, delay, interrupted);
$$;

CREATE FUNCTION tasker_checkpoint_load(step_uuid uuid) RETURNS tasker_checkpoint_state
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_get(step_uuid uuid) RETURNS jsonb
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_exists(step_uuid uuid) RETURNS boolean
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_cursor(step_uuid uuid) RETURNS jsonb
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_items_processed(step_uuid uuid) RETURNS bigint
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_accumulated_results(step_uuid uuid) RETURNS jsonb
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_history(step_uuid uuid) RETURNS TABLE (
	generation integer, sequence bigint, cursor jsonb, items_processed bigint, checkpointed_at timestamptz,
	accumulated_results jsonb, archived boolean, cleared_at timestamptz, cleared_by text)
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_pause(step_uuid uuid) RETURNS boolean
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_cancel(step_uuid uuid) RETURNS boolean
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_resume(step_uuid uuid) RETURNS boolean
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_rewind(step_uuid uuid, to_sequence bigint, results jsonb DEFAULT NULL) RETURNS tasker_checkpoint_receipt
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_clear(step_uuid uuid) RETURNS boolean
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

CREATE FUNCTION tasker_checkpoint_reset_for_retry(step_uuid uuid, reset_checkpoint boolean DEFAULT false) RETURNS void
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON sharding.hash(step_uuid); $$;

-- What has none: the shards in turn. A session has a home, drawn by lot, with which it
-- begins, and where it waits: who is woken by a step takes that one. SET sharding.home
-- = 1 chooses.

-- All shards, this one first and the others after it
CREATE FUNCTION sharding.turn(home integer) RETURNS SETOF integer
LANGUAGE sql STABLE
BEGIN ATOMIC
	SELECT substr(option_name, 2)::integer AS shard
	FROM pg_foreign_server, pg_options_to_table(srvoptions)
	WHERE srvname = 'steps' AND option_name ~ '^p[0-9]+$'
	ORDER BY substr(option_name, 2)::integer < turn.home, shard;
END;

CREATE FUNCTION sharding.home() RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
	home text := nullif(current_setting('sharding.home', true), '');
BEGIN
	IF home IS NULL THEN
		SELECT shard::text INTO home FROM sharding.turn(0) AS shard ORDER BY random() LIMIT 1;
		PERFORM set_config('sharding.home', home, false);
	END IF;
	RETURN home::integer;
END
$$;

CREATE FUNCTION sharding.claim(
	shard integer, worker text, lease interval, max_steps integer, step_uuid uuid, queues text[]) RETURNS SETOF tasker_checkpoint_delivery
LANGUAGE plproxy AS $$
	CLUSTER 'steps'; RUN ON shard;
	SELECT * FROM tasker_checkpoint_claim(worker, lease, max_steps, step_uuid, queues);
$$;

-- Steps of one shard, the first that has any. One that is down is passed over with a
-- WARNING: PL/Proxy raises XX000 then, and the shard's own SQLSTATE for its errors.
CREATE FUNCTION tasker_checkpoint_claim(
	worker text, lease interval DEFAULT '1 minute', max_steps integer DEFAULT 1, step_uuid uuid DEFAULT NULL,
	queues text[] DEFAULT NULL) RETURNS SETOF tasker_checkpoint_delivery
LANGUAGE plpgsql AS $$
DECLARE
	shard integer;
	answered boolean := false;
BEGIN
	IF step_uuid IS NOT NULL THEN
		RETURN QUERY SELECT * FROM sharding.claim(sharding.hash(step_uuid), worker, lease, max_steps, step_uuid, queues);
		RETURN;
	END IF;
	FOR shard IN SELECT * FROM sharding.turn(sharding.home()) LOOP
		BEGIN
			RETURN QUERY SELECT * FROM sharding.claim(shard, worker, lease, max_steps, NULL, queues);
			IF FOUND THEN
				RETURN;
			END IF;
			answered := true;
		EXCEPTION WHEN internal_error THEN
			RAISE WARNING 'shard % does not answer', shard USING DETAIL = SQLERRM;
		END;
	END LOOP;
	IF NOT answered THEN
		RAISE 'no shard answers' USING ERRCODE = 'connection_failure';
	END IF;
END
$$;

-- PL/Proxy knows no CALL, so dblink waits, at home, or at the next that answers. What
-- is offered elsewhere wakes who is at home there; two seconds later all have looked.
CREATE PROCEDURE tasker_checkpoint_wait(queues text[] DEFAULT NULL, timeout interval DEFAULT '30 seconds')
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	shard integer;
	connection text;
BEGIN
	FOR shard IN SELECT * FROM sharding.turn(sharding.home()) LOOP
		connection := format('shard %s', shard);
		BEGIN
			IF array_position(public.dblink_get_connections(), connection) IS NULL THEN
				PERFORM public.dblink_connect(connection, format('%s user=%L', option_value, session_user))
				FROM pg_foreign_server, pg_options_to_table(srvoptions)
				WHERE srvname = 'steps' AND option_name = 'p' || shard;
			END IF;
			PERFORM public.dblink_exec(connection,
				format('CALL tasker_checkpoint_wait(%L, %L)', queues, least(timeout, interval '2 seconds')));
			RETURN;
		EXCEPTION WHEN sqlclient_unable_to_establish_sqlconnection OR connection_failure THEN
			RAISE WARNING 'shard % does not answer', shard USING DETAIL = SQLERRM;
			IF array_position(public.dblink_get_connections(), connection) IS NOT NULL THEN
				PERFORM public.dblink_disconnect(connection);
			END IF;
		END;
	END LOOP;
	RAISE 'no shard answers' USING ERRCODE = 'connection_failure';
END
$$;

-- What is asked of all: rows of those that answer, with a WARNING for each that does not

CREATE FUNCTION sharding.answers(shard integer) RETURNS boolean
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON shard; SELECT true; $$;

CREATE FUNCTION sharding.answering() RETURNS SETOF integer
LANGUAGE plpgsql AS $$
DECLARE
	shard integer;
BEGIN
	FOR shard IN SELECT * FROM sharding.turn(0) LOOP
		BEGIN
			PERFORM sharding.answers(shard);
			RETURN NEXT shard;
		EXCEPTION WHEN internal_error THEN
			RAISE WARNING 'shard % does not answer', shard USING DETAIL = SQLERRM;
		END;
	END LOOP;
END
$$;

CREATE FUNCTION sharding.progress(shard integer) RETURNS TABLE (
	step_uuid uuid, step_name text, task_uuid uuid, task_name text, items_processed bigint, total bigint, percent numeric,
	rate numeric, eta interval, checkpointed_at timestamptz, sequence bigint, state text, worker text,
	lease_until timestamptz, deliveries integer, queue text)
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON shard; SELECT * FROM tasker_checkpoint_progress; $$;

CREATE FUNCTION sharding.health(shard integer) RETURNS TABLE (
	finding text, severity text, step_uuid uuid, figure numeric, threshold numeric, unit text, detail text,
	statement text, queue text)
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON shard; SELECT * FROM tasker_checkpoint_health; $$;

CREATE FUNCTION sharding.queues(shard integer) RETURNS TABLE (
	queue text, waiting bigint, delayed bigint, claimed bigint, expired bigint, paused bigint, parked bigint,
	oldest_wait interval)
LANGUAGE plproxy AS $$ CLUSTER 'steps'; RUN ON shard; SELECT * FROM tasker_checkpoint_queues; $$;

CREATE VIEW tasker_checkpoint_progress AS
	SELECT shard, p.* FROM sharding.answering() AS shard, sharding.progress(shard) AS p;
CREATE VIEW tasker_checkpoint_health AS
	SELECT shard, h.* FROM sharding.answering() AS shard, sharding.health(shard) AS h;
CREATE VIEW tasker_checkpoint_queues AS
	SELECT shard, q.* FROM sharding.answering() AS shard, sharding.queues(shard) AS q;
GRANT SELECT ON tasker_checkpoint_progress, tasker_checkpoint_health, tasker_checkpoint_queues TO PUBLIC;

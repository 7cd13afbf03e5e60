-- What is said of an index is what it does to a long cursor, however its expression gets at that
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;
CREATE DOMAIN token AS text;
CREATE TABLE jobs (id uuid PRIMARY KEY, note text, checkpoint jsonb, processed boolean,
	at text GENERATED ALWAYS AS (checkpoint ->> 'cursor') STORED,
	at_json jsonb GENERATED ALWAYS AS (checkpoint -> 'cursor') STORED,
	document jsonb GENERATED ALWAYS AS (checkpoint) STORED,
	hash text GENERATED ALWAYS AS (md5(checkpoint ->> 'cursor')) STORED);
SELECT tasker_checkpoint_attach('jobs', 'id');
INSERT INTO jobs (id) VALUES (:'s1');

-- so many bytes that it can hardly be compressed
CREATE FUNCTION cursor_of(bytes integer) RETURNS jsonb LANGUAGE sql
RETURN (SELECT to_jsonb(string_agg(md5(n::text), '')) FROM generate_series(1, bytes / 32) n);
SELECT sequence FROM tasker_checkpoint_save(:'s1', cursor_of(2560), 1);

-- of an index: whether attach and the doctor say so, whether health does, and whether it is so
CREATE FUNCTION look(definition text, OUT hot boolean, OUT bounds boolean, OUT near_limit boolean, OUT refused boolean) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE INDEX looked_at ON jobs %s', definition);
	SELECT count(*) > 0, coalesce(bool_or(detail LIKE '%refuses a cursor%'), false) INTO hot, bounds FROM tasker_checkpoint_hot_indexes();
	near_limit := EXISTS (SELECT FROM tasker_checkpoint_health h WHERE h.finding = 'near_limit');
	BEGIN
		PERFORM tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', cursor_of(4800), 2);
		RAISE no_data_found;
	EXCEPTION
		WHEN program_limit_exceeded THEN refused := true;
		WHEN no_data_found THEN refused := false;
	END;
	DROP INDEX looked_at;
END
$$;

-- those that have it as it is, or about as long
SELECT definition, look.* FROM (VALUES
	($$((checkpoint ->> 'cursor'))$$),
	($$((checkpoint -> 'cursor'))$$),
	($$((checkpoint #>> '{cursor}'))$$),
	($$((checkpoint #> ARRAY['cursor']))$$),
	($$((checkpoint['cursor']))$$),
	($$(jsonb_object_field_text(checkpoint, 'cursor'))$$),
	($$(jsonb_extract_path(checkpoint, 'cursor'))$$),
	($$(jsonb_extract_path_text(checkpoint, 'cursor'))$$),
	($$(jsonb_extract_path_text(checkpoint, VARIADIC '{cursor}'))$$),
	($$(jsonb_extract_path_text(checkpoint, VARIADIC ARRAY['cursor'::varchar]))$$),
	($$((checkpoint::json ->> 'cursor'))$$),
	($$((checkpoint -> 'cursor' #>> '{}'))$$),
	($$(((checkpoint -> 'cursor')::text))$$),
	($$(((checkpoint ->> 'cursor')::varchar))$$),
	($$(((checkpoint ->> 'cursor')::token))$$),
	($$(((checkpoint ->> 'cursor') COLLATE "C") DESC)$$),
	($$(upper(btrim(jsonb_extract_path_text(checkpoint, 'cursor'))))$$),
	($$(lower(ltrim(rtrim(checkpoint ->> 'cursor', '-'))))$$),
	($$(((checkpoint ->> 'cursor') || ''))$$),
	($$(coalesce(checkpoint ->> 'cursor', ''))$$),
	($$(coalesce(note, checkpoint ->> 'cursor'))$$),
	($$(nullif(checkpoint ->> 'cursor', ''))$$),
	($$((CASE WHEN note IS NULL THEN checkpoint ->> 'cursor' END))$$),
	($$(substr(checkpoint ->> 'cursor', 2))$$),
	($$((ARRAY[checkpoint ->> 'cursor']))$$),
	($$(id, (checkpoint ->> 'cursor'))$$),
	($$(id) INCLUDE (at)$$),
	($$(at_json)$$),
	($$(lower(at))$$),
	($$((document ->> 'cursor'))$$)
) AS d (definition), look(definition);

-- those that have what may be within one that is an object or an array
SELECT definition, look.* FROM (VALUES
	($$((checkpoint #>> '{cursor,after}'))$$),
	($$((checkpoint -> 'cursor' ->> 1))$$),
	($$((checkpoint['cursor']['after']))$$),
	($$(jsonb_extract_path_text(checkpoint, 'cursor', note))$$),
	($$((at_json ->> 'after'))$$)
) AS d (definition), look(definition);

-- those that have something of a few bytes, or nothing of it
SELECT definition, look.* FROM (VALUES
	($$(md5(jsonb_extract_path_text(checkpoint, 'cursor')))$$),
	($$(left(checkpoint ->> 'cursor', 500))$$),
	($$(substr(checkpoint ->> 'cursor', 1, 500))$$),
	($$(hashtext(checkpoint ->> 'cursor'))$$),
	($$(length(checkpoint::text))$$),
	($$(((checkpoint ->> 'cursor')::uuid)) WHERE note IS NOT NULL$$),
	($$(((checkpoint ->> 'cursor')::bigint)) WHERE note IS NOT NULL$$),
	($$(((checkpoint ->> 'cursor')::varchar(40)))$$),
	($$((CASE WHEN checkpoint ->> 'cursor' = 'x' THEN note END))$$),
	($$((checkpoint ? 'cursor'))$$),
	($$((checkpoint #>> '{cursors}'))$$),
	($$((checkpoint #>> '{accumulated_results,cursor}'))$$),
	($$(jsonb_extract_path_text(checkpoint, note))$$),
	($$(jsonb_extract_path_text(checkpoint, 'items_processed'))$$),
	($$((checkpoint['items_processed']))$$),
	($$(hash)$$),
	($$(note) WHERE checkpoint ->> 'cursor' > ''$$),
	($$USING hash ((checkpoint ->> 'cursor'))$$)
) AS d (definition), look(definition);
-- and some that have nothing of the checkpoint
SELECT definition, look.* FROM (VALUES
	($$(lower(note))$$),
	($$(((string_to_array(note, ','))[:1]))$$),
	($$(((string_to_array(note, ','))[1:]))$$),
	($$(((string_to_array(note, ','))[:]))$$)
) AS d (definition), look(definition);

RESET ROLE;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

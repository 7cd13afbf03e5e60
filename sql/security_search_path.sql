-- Nothing in the caller's search_path or among the temporary objects gets in between
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE SCHEMA tckpt_home;
CREATE SCHEMA evil;
CREATE EXTENSION tasker_checkpoint SCHEMA tckpt_home;
CREATE TABLE public.steps (id uuid PRIMARY KEY, processed boolean, in_process boolean, results jsonb, updated_at timestamp);
INSERT INTO steps VALUES (:'s1');

-- each of these would show
CREATE FUNCTION evil.shout(what text) RETURNS void LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: %', what; END$$;
CREATE FUNCTION evil.eq(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: uuid = uuid'; END$$;
CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.eq);
CREATE FUNCTION evil.eq(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: oid = oid'; END$$;
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.eq);
CREATE FUNCTION evil.eq(name, name) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: name = name'; END$$;
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.eq);
CREATE FUNCTION evil.ne(name, name) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: name <> name'; END$$;
CREATE OPERATOR evil.<> (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.ne);
CREATE FUNCTION evil.cat(text, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: text || text'; END$$;
CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.cat);
CREATE FUNCTION evil.arrow(jsonb, text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'evil: jsonb ->> text'; END$$;
CREATE OPERATOR evil.->> (LEFTARG = jsonb, RIGHTARG = text, FUNCTION = evil.arrow);
CREATE FUNCTION evil.format(text, VARIADIC "any") RETURNS text LANGUAGE internal AS 'text_format';
CREATE FUNCTION evil.format(text, text) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: format'; END$$;
CREATE FUNCTION evil.format(text, name) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: format'; END$$;
CREATE FUNCTION evil."left"(text, int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN RAISE EXCEPTION 'evil: left'; END$$;
CREATE FUNCTION evil.col_description(oid, int) RETURNS text LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: col_description'; END$$;
CREATE FUNCTION evil.tasker_checkpoint_table() RETURNS regclass LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: table'; END$$;
CREATE FUNCTION evil.tasker_checkpoint_guard() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'evil: guard'; END$$;
CREATE DOMAIN evil.uuid AS text CHECK (false);
CREATE DOMAIN evil.jsonb AS text CHECK (false);
CREATE DOMAIN evil.regclass AS text CHECK (false);
CREATE DOMAIN evil.regprocedure AS text CHECK (false);
CREATE TABLE evil.steps (id pg_catalog.uuid PRIMARY KEY, checkpoint pg_catalog.jsonb);
CREATE TABLE evil.pg_class (LIKE pg_catalog.pg_class);
CREATE TABLE evil.pg_extension (LIKE pg_catalog.pg_extension);
CREATE TABLE evil.pg_trigger (LIKE pg_catalog.pg_trigger INCLUDING DEFAULTS);
CREATE TABLE evil.pg_attribute AS SELECT attrelid, attname, attnum FROM pg_catalog.pg_attribute WHERE false;
CREATE TEMPORARY TABLE steps (id pg_catalog.uuid, checkpoint pg_catalog.jsonb);
CREATE TEMPORARY TABLE pg_index (indrelid oid);
CREATE TEMPORARY TABLE pg_namespace (oid oid, nspname name);
CREATE TEMPORARY TABLE pg_depend (objid oid);
CREATE ROLE regress_tckpt_owner;
GRANT USAGE ON SCHEMA tckpt_home, evil TO regress_tckpt_owner;
GRANT CREATE ON SCHEMA public TO regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tckpt_home TO regress_tckpt_owner;
GRANT ALL ON ALL TABLES IN SCHEMA evil TO regress_tckpt_owner;
GRANT ALL ON pg_temp.steps, pg_temp.pg_index, pg_temp.pg_namespace, pg_temp.pg_depend TO regress_tckpt_owner;
ALTER TABLE public.steps OWNER TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = pg_temp, evil, public, pg_catalog;
SELECT '00000000-0000-0000-0000-000000000001'::pg_catalog.uuid = '00000000-0000-0000-0000-000000000001'::pg_catalog.uuid; -- fail

SELECT tckpt_home.tasker_checkpoint_attach('public.steps', 'id', true);
SELECT tckpt_home.tasker_checkpoint_attach('public.steps', 'id');
SELECT tckpt_home.tasker_checkpoint_table();
SELECT sequence, event_id IS NOT NULL AS dispatched, directive FROM tckpt_home.tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1, '{"sum": 1}');
SELECT sequence FROM tckpt_home.tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '2', 2);
SELECT has_checkpoint, cursor, items_processed, accumulated_results, sequence
FROM tckpt_home.tasker_checkpoint_load('00000000-0000-0000-0000-000000000001');
SELECT tckpt_home.tasker_checkpoint_get('00000000-0000-0000-0000-000000000001') IS NOT NULL AS got,
	tckpt_home.tasker_checkpoint_exists('00000000-0000-0000-0000-000000000001'),
	tckpt_home.tasker_checkpoint_cursor('00000000-0000-0000-0000-000000000001'),
	tckpt_home.tasker_checkpoint_items_processed('00000000-0000-0000-0000-000000000001'),
	tckpt_home.tasker_checkpoint_accumulated_results('00000000-0000-0000-0000-000000000001');
UPDATE public.steps SET checkpoint = '{"cursor": 3, "items_processed": 3}';
SELECT tckpt_home.tasker_checkpoint_reset_for_retry('00000000-0000-0000-0000-000000000001');
SELECT tckpt_home.tasker_checkpoint_clear('00000000-0000-0000-0000-000000000001');
SELECT tckpt_home.tasker_checkpoint_yield('00000000-0000-0000-0000-000000000002', '1', 1); -- fail
SELECT tckpt_home.tasker_checkpoint_detach();
SELECT tckpt_home.tasker_checkpoint_attach(); -- fail
SELECT count(*) FROM evil.steps;
SELECT count(*) FROM pg_temp.steps;

-- an empty one, too
SET search_path = '';
SELECT tckpt_home.tasker_checkpoint_attach('public.steps', 'id');
SELECT sequence FROM tckpt_home.tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1);

RESET ROLE;
SET search_path = public;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP TABLE public.steps, pg_temp.steps, pg_temp.pg_index, pg_temp.pg_namespace, pg_temp.pg_depend;
DROP SCHEMA evil, tckpt_home CASCADE;
DROP OWNED BY regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

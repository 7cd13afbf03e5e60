-- Which trigger marks the steps table: one as attach makes it, on a permanent table, whose
-- columns are a uuid and a jsonb; every other is left alone, and crashes nothing
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_other;
CREATE SCHEMA regress_tckpt;
GRANT ALL ON SCHEMA regress_tckpt TO regress_tckpt_owner, regress_tckpt_other;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner, regress_tckpt_other;
SET search_path = regress_tckpt, public;
CREATE DOMAIN a_uuid AS uuid;
CREATE DOMAIN a_jsonb AS jsonb;

-- creates a trigger, and says what the table then is to the functions that everybody calls
CREATE FUNCTION planted(definition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	said text := '';
BEGIN
	EXECUTE replace(definition, 'GUARD', 'EXECUTE FUNCTION public.tasker_checkpoint_guard()');
	said := coalesce(tasker_checkpoint_table()::text, 'none');
	BEGIN
		PERFORM tasker_checkpoint_get('00000000-0000-0000-0000-000000000001');
	EXCEPTION WHEN OTHERS THEN said := said || ', ' || SQLERRM;
	END;
	EXECUTE 'DROP TRIGGER g ON ' || substring(definition FROM ' ON (\w+)');
	RETURN said;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;

CREATE TABLE t (id uuid, id2 uuid, n bigint, b bytea, x text, a uuid[], d a_uuid, j jsonb, j2 a_jsonb, js json, checkpoint jsonb);
INSERT INTO t VALUES (:'s1', :'s1', 1, 'secret', 'text', ARRAY[:'s1']::uuid[], :'s1', '{}', '{}', '{}', '{"cursor": 1, "items_processed": 1}');
-- the columns
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, ' || c || ' ON t FOR EACH ROW GUARD')
FROM unnest('{n,b,x,a,id2,j2,js,d}'::text[]) c;
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF ' || c || ', checkpoint ON t FOR EACH ROW GUARD')
FROM unnest('{n,b,x,a,j,js,d}'::text[]) c;
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF checkpoint, id ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint, j ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, id ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE ON t FOR EACH ROW GUARD');
-- when it runs, and with what
SELECT planted('CREATE TRIGGER g BEFORE UPDATE OF id, checkpoint ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint OR DELETE ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g AFTER INSERT OR UPDATE OF id, checkpoint ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON t FOR EACH STATEMENT GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON t FOR EACH ROW WHEN (NEW.n = 1) GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON t FOR EACH ROW EXECUTE FUNCTION public.tasker_checkpoint_guard(''x'')');
SELECT planted('CREATE CONSTRAINT TRIGGER g AFTER INSERT OR UPDATE OF id, checkpoint ON t FOR EACH ROW GUARD');
-- a temporary table, a view
CREATE TEMPORARY TABLE tt (id uuid, checkpoint jsonb);
CREATE VIEW v AS SELECT id, checkpoint FROM t;
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON tt FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g INSTEAD OF INSERT OR UPDATE ON v FOR EACH ROW GUARD');
-- these count: whatever it is called, an unlogged table, one that is switched off
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON t FOR EACH ROW GUARD');
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, j ON t FOR EACH ROW GUARD');
CREATE UNLOGGED TABLE u (id uuid, checkpoint jsonb);
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON u FOR EACH ROW GUARD');
CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON t FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
ALTER TABLE t DISABLE TRIGGER g;
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_yield(:'s1', '2', 2); -- fail
DROP TABLE t, u, tt CASCADE;

-- a foreign table, which may have such a trigger
RESET ROLE;
SET client_min_messages = error;
CREATE FOREIGN DATA WRAPPER regress_tckpt;
CREATE SERVER regress_tckpt FOREIGN DATA WRAPPER regress_tckpt;
CREATE FOREIGN TABLE f (id uuid, checkpoint jsonb) SERVER regress_tckpt;
SELECT planted('CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON f FOR EACH ROW GUARD');
DROP FOREIGN DATA WRAPPER regress_tckpt CASCADE;
RESET client_min_messages;

-- strays beside the steps table change nothing
SET ROLE regress_tckpt_owner;
CREATE TABLE steps (id uuid PRIMARY KEY);
SELECT tasker_checkpoint_attach('steps', 'id');
INSERT INTO steps VALUES (:'s1');
SET ROLE regress_tckpt_other;
CREATE TEMPORARY TABLE steps (id uuid PRIMARY KEY, checkpoint jsonb);
CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON pg_temp.steps FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
ALTER TRIGGER g ON pg_temp.steps DEPENDS ON EXTENSION tasker_checkpoint;
CREATE TABLE stray (id uuid PRIMARY KEY, checkpoint jsonb);
CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON stray FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT tasker_checkpoint_table() = 'regress_tckpt.steps'::regclass AS attached;
INSERT INTO stray VALUES (:'s1', '{"cursor": 1, "items_processed": 1}');
SELECT checkpoint ? 'history' AS composed FROM stray;
SET ROLE regress_tckpt_owner;
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '1', 1);
SELECT tasker_checkpoint_cursor(:'s1');
-- both marked, and neither: nobody can tell
SET ROLE regress_tckpt_other;
ALTER TRIGGER g ON stray DEPENDS ON EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table(); -- fail
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
SELECT tasker_checkpoint_yield(:'s1', '2', 2); -- fail
SELECT tasker_checkpoint_dispatch(:'s1'); -- fail
SELECT tasker_checkpoint_claim('w'); -- fail
SELECT tasker_checkpoint_detach(); -- fail
SELECT tasker_checkpoint_attach('regress_tckpt.steps', 'id'); -- fail
ALTER TRIGGER zz_tasker_checkpoint_guard ON regress_tckpt.steps NO DEPENDS ON EXTENSION tasker_checkpoint;
SET ROLE regress_tckpt_other;
SELECT tasker_checkpoint_table();
ALTER TRIGGER g ON stray NO DEPENDS ON EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_table(); -- fail
SET ROLE regress_tckpt_owner;
ALTER TRIGGER zz_tasker_checkpoint_guard ON regress_tckpt.steps DEPENDS ON EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_cursor(:'s1');
-- two of one owner, marked or not
RESET ROLE;
ALTER TABLE stray OWNER TO regress_tckpt_owner;
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
SET ROLE regress_tckpt_other;
DROP TABLE pg_temp.steps;
CREATE TABLE stray2 (id uuid PRIMARY KEY, checkpoint jsonb);
CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON stray2 FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SET ROLE regress_tckpt_owner;
SELECT tasker_checkpoint_table();
DROP TABLE stray;
-- two triggers of one table
CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON steps FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
ALTER TRIGGER g ON steps DEPENDS ON EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
DROP TRIGGER g ON steps;

-- partitions have clones; the table that becomes one keeps its own trigger
SELECT tasker_checkpoint_detach();
SET ROLE regress_tckpt_other;
DROP TABLE stray2;
SET ROLE regress_tckpt_owner;
CREATE TABLE parts (id uuid PRIMARY KEY, checkpoint jsonb) PARTITION BY HASH (id);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT tasker_checkpoint_attach('parts', 'id');
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_detach();
DROP TABLE parts_0;
SELECT tasker_checkpoint_attach('steps', 'id');
ALTER TABLE parts ATTACH PARTITION steps FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT tasker_checkpoint_table();
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '2', 2);
SELECT checkpoint -> 'cursor' AS cursor FROM parts;
CREATE TRIGGER g BEFORE INSERT OR UPDATE OF id, checkpoint ON parts FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
DROP TRIGGER g ON parts;
ALTER TABLE parts DETACH PARTITION steps;
SELECT tasker_checkpoint_cursor(:'s1');

-- a table that goes with its schema
RESET ROLE;
SET client_min_messages = error;
BEGIN;
DROP SCHEMA regress_tckpt CASCADE;
SELECT tasker_checkpoint_table();
SELECT tasker_checkpoint_cursor(:'s1'); -- fail
ROLLBACK;
SELECT tasker_checkpoint_cursor(:'s1');
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP OWNED BY regress_tckpt_owner, regress_tckpt_other;
DROP ROLE regress_tckpt_owner, regress_tckpt_other;

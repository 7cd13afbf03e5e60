-- FORCE ROW LEVEL SECURITY of the steps table hides nothing from a superuser, and that of other
-- tables counts as ever in the code that reading the steps table runs
-- Not in parallel workers: what is planted writes when it is read
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_victim;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
CREATE SCHEMA regress_tckpt2 AUTHORIZATION regress_tckpt_victim;
GRANT USAGE ON SCHEMA regress_tckpt2 TO PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
CREATE TABLE seen (n integer GENERATED ALWAYS AS IDENTITY, who name, rows text);
GRANT INSERT, SELECT ON seen TO PUBLIC;
RESET client_min_messages;

-- a table that shows everybody, its owner too, their own rows, and a function by which all read it
SET ROLE regress_tckpt_victim;
CREATE TABLE regress_tckpt2.secrets (owner text, secret text);
INSERT INTO regress_tckpt2.secrets VALUES ('own', 'mine'), ('other', 'SECRET');
ALTER TABLE regress_tckpt2.secrets ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON regress_tckpt2.secrets USING (owner = current_setting('regress_tckpt.tenant', true));
CREATE FUNCTION regress_tckpt2.rows() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS 'SELECT secret FROM regress_tckpt2.secrets';

-- the owner's own such table, and code of the owner's that planning calls
SET ROLE regress_tckpt_owner;
CREATE TABLE regress_tckpt.hidden (secret text);
INSERT INTO regress_tckpt.hidden VALUES ('hidden');
ALTER TABLE regress_tckpt.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE FUNCTION regress_tckpt.spy(id uuid) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE TABLE regress_tckpt.steps (id uuid PRIMARY KEY, processed boolean, named_step_uuid uuid);
CREATE TABLE regress_tckpt.named_steps (named_step_uuid uuid PRIMARY KEY, name text);
CREATE INDEX ON regress_tckpt.steps (id) WHERE regress_tckpt.spy('00000000-0000-0000-0000-000000000001');
SELECT tasker_checkpoint_attach('regress_tckpt.steps', 'id', false);
INSERT INTO regress_tckpt.named_steps VALUES (:'s1', 'a name');
INSERT INTO regress_tckpt.steps (id, named_step_uuid, checkpoint)
SELECT id, :'s1', '{"cursor": 7, "items_processed": 7}' FROM unnest(ARRAY[:'s1', :'s2']::uuid[]) id;
SELECT count(tasker_checkpoint_dispatch(id)) FROM regress_tckpt.steps;
CREATE FUNCTION regress_tckpt.note() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO public.seen (who, rows) VALUES (current_user, concat_ws(',',
		(SELECT string_agg(secret, ',' ORDER BY secret) FROM regress_tckpt2.rows() AS secret),
		(SELECT string_agg(secret, ',' ORDER BY secret) FROM regress_tckpt.hidden)));
	RETURN true;
END
$$;
CREATE OR REPLACE FUNCTION regress_tckpt.spy(id uuid) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN regress_tckpt.note(); END';
SET regress_tckpt.tenant = 'own';
SELECT regress_tckpt2.rows();
RESET ROLE;

-- what a superuser reads, and what the owner's code has seen meanwhile
CREATE FUNCTION look(OUT call text, OUT result text, OUT code_saw text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
	FOREACH call IN ARRAY ARRAY['string_agg(step_uuid::text || step_name, '','') FROM tasker_checkpoint_progress', 'count(*) FROM tasker_checkpoint_health',
		'tasker_checkpoint_get(id) -> ''cursor''', 'tasker_checkpoint_pause(id)', 'tasker_checkpoint_resume(id)',
		'tasker_checkpoint_trim(0, dry_run => true)', 'count(*) FROM tasker_checkpoint_sample(100)', 'count(*) > 0 FROM tasker_checkpoint_doctor()']
	LOOP
		DELETE FROM public.seen;
		DISCARD PLANS;
		EXECUTE 'SELECT ' || call || CASE WHEN call ~ 'FROM' THEN '' ELSE ' FROM (VALUES (uuid ''00000000-0000-0000-0000-000000000002'')) v (id)' END INTO result;
		SELECT string_agg(DISTINCT who || ': ' || rows, '; ') INTO code_saw FROM public.seen;
		call := substring(call FROM 'tasker_checkpoint_\w+');
		RETURN NEXT;
	END LOOP;
END
$$;
SELECT * FROM look();

-- the steps table under FORCE, too: its owner sees one step, a superuser both
CREATE POLICY one ON regress_tckpt.steps USING (id = '00000000-0000-0000-0000-000000000001');
ALTER TABLE regress_tckpt.steps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT * FROM look();
SET ROLE regress_tckpt_owner;
SELECT step_uuid, step_name FROM tasker_checkpoint_progress;
SELECT tasker_checkpoint_get(:'s2'); -- fail
RESET ROLE;
SELECT * FROM look();
-- and with it Tasker's table of names
ALTER TABLE regress_tckpt.steps NO FORCE ROW LEVEL SECURITY;
ALTER TABLE regress_tckpt.named_steps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT * FROM look();

DROP EXTENSION tasker_checkpoint;
DROP FUNCTION look;
DROP TABLE seen;
SET client_min_messages = error;
DROP SCHEMA regress_tckpt, regress_tckpt2 CASCADE;
DROP OWNED BY regress_tckpt_owner, regress_tckpt_victim;
DROP ROLE regress_tckpt_owner, regress_tckpt_victim;

-- A superuser who has taken another role by SET ROLE, or reads: code of the table's
-- owner does not take the superuser's role, and its settings do not stay
-- Not in parallel workers: what is planted catches errors when it is read
\set SHOW_CONTEXT never
\set VERBOSITY terse
\set s1 00000000-0000-0000-0000-000000000001
\set s2 00000000-0000-0000-0000-000000000002
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
CREATE ROLE regress_tckpt_operator;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner, regress_tckpt_operator;
GRANT USAGE ON SCHEMA regress_tckpt TO regress_tckpt_operator;
RESET client_min_messages;

-- what the owner's code tries wherever it runs, and what came of it
CREATE TABLE tried (place text, as_superuser boolean, took text);
GRANT INSERT, SELECT ON tried TO PUBLIC;
SET ROLE regress_tckpt_owner;
CREATE FUNCTION regress_tckpt.try(place text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	took text := '';
	statement text;
BEGIN
	FOREACH statement IN ARRAY ARRAY['SET ROLE NONE', 'RESET ROLE', 'SET SESSION AUTHORIZATION DEFAULT',
		'RESET SESSION AUTHORIZATION', 'RESET ALL', 'DISCARD ALL']
	LOOP
		BEGIN
			EXECUTE statement;
			IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
				took := took || statement || ';';
			END IF;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	PERFORM set_config('search_path', 'regress_tckpt, pg_catalog', false);
	INSERT INTO public.tried SELECT place, rolsuper, took FROM pg_roles WHERE rolname = current_user;
	RETURN true;
END
$$;
CREATE FUNCTION regress_tckpt.fired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM regress_tckpt.try('trigger ' || tg_when);
	RETURN NEW;
END
$$;
CREATE TABLE regress_tckpt.steps (id uuid PRIMARY KEY, processed boolean, checkpoint jsonb);
ALTER TABLE regress_tckpt.steps ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON regress_tckpt.steps USING (regress_tckpt.try('policy'));
CREATE TRIGGER before BEFORE UPDATE ON regress_tckpt.steps FOR EACH ROW EXECUTE FUNCTION regress_tckpt.fired();
CREATE TRIGGER after AFTER UPDATE ON regress_tckpt.steps FOR EACH ROW EXECUTE FUNCTION regress_tckpt.fired();
GRANT SELECT, UPDATE ON regress_tckpt.steps TO regress_tckpt_operator;
RESET ROLE;
RESET search_path;
SELECT tasker_checkpoint_attach('regress_tckpt.steps', 'id');
INSERT INTO regress_tckpt.steps VALUES (:'s1', false, '{"cursor": 1, "items_processed": 1}'), (:'s2', false, NULL);
SET search_path = public;
TRUNCATE tried;

-- every kind of function, in the role of an operator
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_get(:'s1') -> 'cursor' AS cursor;
SELECT count(*) FROM tasker_checkpoint_progress;
SELECT count(*) FROM tasker_checkpoint_health;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2);
SELECT sequence FROM tasker_checkpoint_yield(:'s1', '3', 3);
SELECT has_checkpoint FROM tasker_checkpoint_claim('w');
SELECT tasker_checkpoint_dispatch(:'s2') IS NOT NULL AS dispatched;
SELECT sequence FROM tasker_checkpoint_rewind(:'s1', 2);
SELECT tasker_checkpoint_clear(:'s1');
SELECT tasker_checkpoint_reset_for_retry(:'s1');
SHOW search_path;
RESET ROLE;
SELECT place, as_superuser, took FROM tried GROUP BY 1, 2, 3 ORDER BY place COLLATE "C";
UPDATE regress_tckpt.steps SET checkpoint = '{"cursor": 4, "items_processed": 4}', processed = true WHERE id = :'s1';
SET search_path = public;
TRUNCATE tried;
SET ROLE regress_tckpt_operator;
SELECT tasker_checkpoint_trim(1);
SELECT tasker_checkpoint_purge(older_than => '0', max_rows => 10);
SHOW search_path;
RESET ROLE;
SELECT place, as_superuser, took FROM tried GROUP BY 1, 2, 3 ORDER BY place COLLATE "C";
TRUNCATE tried;

-- the same in a session that has given itself another user
SET SESSION AUTHORIZATION regress_tckpt_operator;
SELECT tasker_checkpoint_exists(:'s1');
SELECT sequence FROM tasker_checkpoint_save(:'s2', '2', 2);
SHOW search_path;
RESET SESSION AUTHORIZATION;
SELECT place, as_superuser, took FROM tried GROUP BY 1, 2, 3 ORDER BY place COLLATE "C";

-- nor is anything put off until the session is the superuser's again
SET ROLE regress_tckpt_owner;
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON regress_tckpt.steps DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION regress_tckpt.fired();
RESET ROLE;
SET search_path = public;
TRUNCATE tried;
SET ROLE regress_tckpt_operator;
SELECT sequence FROM tasker_checkpoint_save(:'s2', '3', 3); -- fail
SET ROLE regress_tckpt_owner;
DROP TRIGGER later ON regress_tckpt.steps;
CREATE OR REPLACE FUNCTION regress_tckpt.fired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'DECLARE later CURSOR WITH HOLD FOR SELECT regress_tckpt.try(''cursor'')';
	RETURN NEW;
END
$$;
SET ROLE regress_tckpt_operator;
SELECT sequence FROM tasker_checkpoint_save(:'s2', '3', 3); -- fail
RESET ROLE;
SELECT place, as_superuser, took FROM tried GROUP BY 1, 2, 3 ORDER BY place COLLATE "C";

SET client_min_messages = error;
DROP TABLE regress_tckpt.steps;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
DROP TABLE tried;
DROP ROLE regress_tckpt_owner, regress_tckpt_operator;

-- What is known of the steps table is replaced while a function goes on with what it began with:
-- policies and triggers of the table call functions of ours, with DDL in between
-- Not in parallel workers: what is planted writes when it is read
\set SHOW_CONTEXT never
\set s1 00000000-0000-0000-0000-000000000001
SET client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_owner;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_tckpt_owner;
CREATE SCHEMA regress_tckpt AUTHORIZATION regress_tckpt_owner;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO regress_tckpt_owner;
RESET client_min_messages;
SET ROLE regress_tckpt_owner;
SET search_path = regress_tckpt, public;

CREATE TABLE steps (id uuid PRIMARY KEY, processed boolean, in_process boolean, checkpoint jsonb);
SELECT tasker_checkpoint_attach('steps', 'id');
INSERT INTO steps SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, true, false, '{"cursor": 1, "items_processed": 1}'
FROM generate_series(1, 110) n;

-- each changes the names of the table, and then looks for it anew
CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF current_setting('regress.looking', true) = 'on' THEN
		RETURN true;
	END IF;
	PERFORM set_config('regress.looking', 'on', true);
	EXECUTE 'CREATE SCHEMA regress_tckpt_more; ALTER SCHEMA regress_tckpt RENAME TO regress_tckpt_other';
	PERFORM tasker_checkpoint_exists('00000000-0000-0000-0000-000000000001');
	EXECUTE 'ALTER SCHEMA regress_tckpt_other RENAME TO regress_tckpt; DROP SCHEMA regress_tckpt_more';
	PERFORM tasker_checkpoint_exists('00000000-0000-0000-0000-000000000002');
	PERFORM set_config('regress.looking', 'off', true);
	RETURN true;
END
$$;
CREATE FUNCTION look_too() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM regress_tckpt.look(); RETURN NEW; END';
CREATE TRIGGER look BEFORE UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION look_too();
CREATE POLICY look ON steps USING (regress_tckpt.look());
ALTER TABLE steps ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

-- a walk, dry and not; and what looks at many steps
SELECT tasker_checkpoint_trim(0, dry_run => true);
SELECT tasker_checkpoint_trim(0, max_rows => 5);
SELECT tasker_checkpoint_purge('0', max_rows => 5);
SELECT tasker_checkpoint_purge('0', dry_run => true);
UPDATE steps SET processed = false WHERE id IN (:'s1', '00000000-0000-0000-0000-000000000002');
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT count(*) FROM tasker_checkpoint_dispatched();
SELECT step_uuid FROM tasker_checkpoint_claim('w', max_steps => 10);
SELECT sequence FROM tasker_checkpoint_save('00000000-0000-0000-0000-000000000002', '2', 2);
SELECT tasker_checkpoint_reset_for_retry('00000000-0000-0000-0000-000000000002', true);
SELECT tasker_checkpoint_get('00000000-0000-0000-0000-000000000999'); -- fail
-- many times in one transaction
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		PERFORM tasker_checkpoint_exists('00000000-0000-0000-0000-000000000001');
	END LOOP;
END
$$;

RESET ROLE;
SET client_min_messages = error;
DROP EXTENSION tasker_checkpoint;
DROP SCHEMA regress_tckpt CASCADE;
REVOKE ALL ON DATABASE :"DBNAME" FROM regress_tckpt_owner;
DROP ROLE regress_tckpt_owner;

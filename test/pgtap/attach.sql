-- What attach makes of a table, and detach leaves
BEGIN;
SET LOCAL client_min_messages = error;
CREATE SCHEMA tasker;
CREATE TABLE tasker.workflow_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE EXTENSION tasker_checkpoint;

SELECT plan(25);

SELECT is(tasker_checkpoint_table(), 'tasker.workflow_steps'::regclass, 'attached by CREATE EXTENSION');
SELECT has_column('tasker', 'workflow_steps', 'checkpoint', 'the column');
SELECT col_type_is('tasker', 'workflow_steps', 'checkpoint', 'jsonb', 'is jsonb');
SELECT col_is_null('tasker', 'workflow_steps', 'checkpoint', 'is nullable');
SELECT col_hasnt_default('tasker', 'workflow_steps', 'checkpoint', 'has no default');
SELECT isnt(col_description('tasker.workflow_steps'::regclass, 2), NULL, 'is commented');
SELECT is(attcompression, (CASE WHEN 'lz4' = ANY (enumvals) THEN 'l' ELSE '' END)::"char", 'is compressed by lz4 where the server has it')
FROM pg_attribute, pg_settings WHERE attrelid = 'tasker.workflow_steps'::regclass AND attname = 'checkpoint' AND name = 'default_toast_compression';
SELECT triggers_are('tasker', 'workflow_steps', ARRAY['zz_tasker_checkpoint_forget', 'zz_tasker_checkpoint_guard']);
SELECT trigger_is('tasker', 'workflow_steps', 'zz_tasker_checkpoint_guard', 'public', 'tasker_checkpoint_guard');
SELECT trigger_is('tasker', 'workflow_steps', 'zz_tasker_checkpoint_forget', 'public', 'tasker_checkpoint_forget');
SELECT is(pg_get_triggerdef(oid), 'CREATE TRIGGER zz_tasker_checkpoint_guard BEFORE INSERT OR UPDATE OF workflow_step_uuid, checkpoint'
	' ON tasker.workflow_steps FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard()', 'the guard')
FROM pg_trigger WHERE tgname = 'zz_tasker_checkpoint_guard';
SELECT is(pg_get_triggerdef(oid), 'CREATE TRIGGER zz_tasker_checkpoint_forget AFTER DELETE ON tasker.workflow_steps'
	' FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_forget()', 'what is beside it')
FROM pg_trigger WHERE tgname = 'zz_tasker_checkpoint_forget';
SELECT is(array_agg(deptype), '{x,x}', 'both go with the extension, without CASCADE')
FROM pg_depend WHERE classid = 'pg_trigger'::regclass AND refclassid = 'pg_extension'::regclass
AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_checkpoint');
SELECT indexes_are('tasker', 'workflow_steps', ARRAY['workflow_steps_pkey']);

SELECT is(tasker_checkpoint_attach(), 'tasker.workflow_steps'::regclass, 'attach again');
SELECT is(tasker_checkpoint_attach(create_indexes => true), 'tasker.workflow_steps'::regclass, 'with the indexes of Tasker''s migration');
SELECT indexes_are('tasker', 'workflow_steps', ARRAY['workflow_steps_pkey', 'idx_workflow_steps_checkpoint_cursor', 'idx_workflow_steps_checkpoint_exists']);
SELECT triggers_are('tasker', 'workflow_steps', ARRAY['zz_tasker_checkpoint_forget', 'zz_tasker_checkpoint_guard']);

SELECT is(tasker_checkpoint_detach(), 'tasker.workflow_steps'::regclass, 'detach');
SELECT is(tasker_checkpoint_table(), NULL, 'no table');
SELECT triggers_are('tasker', 'workflow_steps', '{}'::name[], 'no triggers');
SELECT has_column('tasker', 'workflow_steps', 'checkpoint', 'the column stays');

SELECT is(tasker_checkpoint_attach(), 'tasker.workflow_steps'::regclass, 'attach once more');
DROP EXTENSION tasker_checkpoint;
SELECT has_column('tasker', 'workflow_steps', 'checkpoint', 'the column survives DROP EXTENSION');
SELECT triggers_are('tasker', 'workflow_steps', '{}'::name[], 'the triggers do not');

SELECT * FROM finish();
ROLLBACK;

-- Every SQLSTATE of the contract, with the function that raises it
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (workflow_step_uuid uuid PRIMARY KEY, processed boolean DEFAULT false, checkpoint jsonb);
CREATE TABLE other_steps (workflow_step_uuid uuid PRIMARY KEY);
CREATE VIEW a_view AS SELECT * FROM steps;
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000001', false), ('00000000-0000-0000-0000-000000000002', true);
CREATE TEMPORARY TABLE functions (name text, arguments text);
INSERT INTO functions VALUES ('yield', '%L, ''1'', 1'), ('save', '%L, ''1'', 1'), ('get', '%L'), ('load', '%L'), ('exists', '%L'), ('cursor', '%L'),
('items_processed', '%L'), ('accumulated_results', '%L'), ('clear', '%L'), ('reset_for_retry', '%L');
CREATE FUNCTION pg_temp.call(name text, arguments text, step uuid) RETURNS text LANGUAGE sql
RETURN format('SELECT tasker_checkpoint_%s(' || arguments || ')', name, step);

SELECT plan(11 + 10 + 10 + 10 + 8 + 4 + 6 + 9 + 12 + 10);

-- nothing attached
SELECT throws_ok(pg_temp.call(name, arguments, '00000000-0000-0000-0000-000000000001'), '55000', 'no steps table is attached', name || ' without a steps table')
FROM functions ORDER BY name COLLATE "C";
SELECT throws_ok('SELECT tasker_checkpoint_detach()', '55000', 'no steps table is attached', 'detach without a steps table');
SELECT tasker_checkpoint_attach('steps') \gset

-- no such step
SELECT throws_ok(pg_temp.call(name, arguments, 'ffffffff-ffff-ffff-ffff-ffffffffffff'), 'P0002', 'step "ffffffff-ffff-ffff-ffff-ffffffffffff" does not exist',
	name || ' of a step that is not there')
FROM functions ORDER BY name COLLATE "C";

-- no step given
SELECT throws_ok(pg_temp.call(name, arguments, NULL), '22004', 'step_uuid must not be null', name || ' without a step')
FROM functions ORDER BY name COLLATE "C";

-- arguments of yield and save
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', %s)$$, name, arguments), state, message, name || ': ' || message)
FROM (VALUES ('yield'), ('save')) f (name),
	(VALUES ('NULL, 1', '22004', 'cursor must not be null'), ('''1'', NULL', '22004', 'items must not be null'),
	('''1'', -1', '22023', 'items must not be negative')) a (arguments, state, message);
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000002', '1', 1)$$, name), '55000',
	'step "00000000-0000-0000-0000-000000000002" is already processed', name || ' of a processed step')
FROM (VALUES ('yield'), ('save')) f (name);
SELECT throws_ok($$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 1, NULL, gen_random_uuid())$$, 'TC002', NULL, 'yield under an event that is not the step''s');
SELECT throws_ok($$SELECT tasker_checkpoint_reset_for_retry('00000000-0000-0000-0000-000000000001', NULL)$$, '22004', 'reset_checkpoint must not be null', 'reset_for_retry');

-- limits
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', to_jsonb(repeat('x', 65525)), 1)$$, name), '54000', NULL, name || ' of a cursor over the limit')
FROM (VALUES ('yield'), ('save')) f (name);
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', '1', 1, to_jsonb(repeat('x', 1048565)))$$, name), '54000', NULL, name || ' of results over the limit')
FROM (VALUES ('yield'), ('save')) f (name);
SELECT lives_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', to_jsonb(repeat('x', 65524)), 1, to_jsonb(repeat('x', 1048564)))$$, name), name || ' at the limits')
FROM (VALUES ('yield'), ('save')) f (name);
SELECT throws_ok($$UPDATE steps SET checkpoint = jsonb_build_object('cursor', repeat('x', 65525), 'items_processed', 1)$$, '54000', NULL, 'UPDATE of a cursor over the limit');
SELECT throws_ok($$UPDATE steps SET checkpoint = jsonb_build_object('cursor', 1, 'items_processed', 1, 'accumulated_results', repeat('x', 1048565))$$, '54000', NULL, 'UPDATE of results over the limit');

-- items
SELECT lives_ok($$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 10)$$, 'ten items');
SELECT throws_ok($$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 9)$$, 'TC001', 'items_processed of step "00000000-0000-0000-0000-000000000001" must not fall', 'yield of nine');
SELECT throws_ok($$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', 9)$$, 'TC001', NULL, 'save of nine');
SELECT lives_ok($$SELECT tasker_checkpoint_save('00000000-0000-0000-0000-000000000001', '1', 10)$$, 'save of ten');

-- shape
SELECT throws_ok(format('UPDATE steps SET checkpoint = %L', document), '23514', NULL, document)
FROM unnest(ARRAY['[]', '"x"', '{}', '{"cursor": 1}', '{"items_processed": 1}', '{"cursor": 1, "items_processed": -1}']) document;

-- tables
SELECT throws_ok($$SELECT tasker_checkpoint_attach('other_steps')$$, '55000', NULL, 'another table while one is attached');
SELECT throws_ok($$SELECT tasker_checkpoint_attach('steps', 'processed')$$, '55000', NULL, 'another key');
SELECT throws_ok($$SELECT tasker_checkpoint_attach(NULL, NULL)$$, '22004', NULL, 'no key');
SELECT throws_ok($$SELECT tasker_checkpoint_attach()$$, '55000', 'no steps table found', 'none of Tasker''s names');
SELECT throws_ok($$SELECT tasker_checkpoint_create_table('new_steps')$$, '55000', 'table public.steps is attached already', 'a new table while one is attached');
SELECT tasker_checkpoint_detach() \gset
SELECT throws_ok(format('SELECT tasker_checkpoint_create_table(%L)', name), state, NULL, 'a new table ' || coalesce(quote_ident(name), 'without a name'))
FROM (VALUES (NULL, '22004'), ('', '42602'), ('a.b.c.d', '42601'), ('elsewhere.public.new_steps', '0A000'), ('nowhere.new_steps', '3F000'), ('pg_temp.new_steps', '42809'), ('steps', '42P07')) n (name, state);
SELECT throws_ok($$SELECT tasker_checkpoint_attach('a_view')$$, '42809', NULL, 'a view');
SELECT throws_ok($$SELECT tasker_checkpoint_attach('steps', 'no_such_column')$$, '42703', NULL, 'no such key');
SELECT throws_ok($$SELECT tasker_checkpoint_attach('steps', 'processed')$$, '42804', NULL, 'a key of another type');
SELECT lives_ok($$SELECT tasker_checkpoint_attach('steps')$$, 'steps again');

-- the guard does not run, two guards, read-only, privileges
SELECT throws_ok($$SELECT tasker_checkpoint_guard()$$, '39P01', NULL, 'the guard is called otherwise');
SELECT throws_ok($$SELECT tasker_checkpoint_forget()$$, '39P01', NULL, 'so is what is beside it');
SELECT throws_ok(format($$DO 'BEGIN
	SET LOCAL transaction_read_only = on;
	PERFORM tasker_checkpoint_%s(''00000000-0000-0000-0000-000000000001''%s);
END'$$, name, arguments), '25006', NULL, name || ' in a read-only transaction')
FROM (VALUES ('yield', ', ''''1'''', 10'), ('save', ', ''''1'''', 10'), ('clear', ''), ('reset_for_retry', '')) f (name, arguments);
SELECT throws_ok($$DO 'BEGIN SET LOCAL transaction_read_only = on; PERFORM tasker_checkpoint_create_table(''new_steps''); END'$$, '25006', NULL, 'create_table in a read-only transaction');
ALTER TABLE steps DISABLE TRIGGER zz_tasker_checkpoint_guard;
SELECT throws_ok(format($$SELECT tasker_checkpoint_%s('00000000-0000-0000-0000-000000000001', '1', 10)$$, name), '55000', NULL, name || ' with the guard disabled')
FROM (VALUES ('yield'), ('save')) f (name);
ALTER TABLE steps ENABLE TRIGGER zz_tasker_checkpoint_guard;
ALTER TABLE other_steps ADD COLUMN checkpoint jsonb;
CREATE TRIGGER second BEFORE INSERT OR UPDATE OF workflow_step_uuid, checkpoint ON other_steps FOR EACH ROW EXECUTE FUNCTION tasker_checkpoint_guard();
SELECT throws_ok($$SELECT tasker_checkpoint_table()$$, '55000', 'two steps tables are attached', 'two guards');
SELECT throws_ok($$SELECT tasker_checkpoint_load('00000000-0000-0000-0000-000000000001')$$, '55000', 'two steps tables are attached', 'load with two guards');
DROP TRIGGER second ON other_steps;
CREATE ROLE regress_tckpt_tap;
SET LOCAL ROLE regress_tckpt_tap;
SELECT throws_ok($$SELECT tasker_checkpoint_yield('00000000-0000-0000-0000-000000000001', '1', 10)$$, '42501', 'permission denied for function tasker_checkpoint_yield', 'yield without EXECUTE');
SELECT throws_ok($$SELECT tasker_checkpoint_create_table('new_steps')$$, '42501', 'permission denied for function tasker_checkpoint_create_table', 'create_table without EXECUTE');
SELECT throws_ok($$SELECT tasker_checkpoint_load('00000000-0000-0000-0000-000000000001')$$, '42501', 'permission denied for table steps', 'load without SELECT');
SELECT throws_ok($$SET tasker_checkpoint.cursor_limit = -1$$, '42501', NULL, 'SET by anybody');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

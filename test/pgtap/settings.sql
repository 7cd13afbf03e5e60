-- Every setting: default, unit, bounds, context
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;
CREATE ROLE regress_tckpt_nobody;

CREATE TEMPORARY TABLE contract (name text, boot_val text, unit text, min_val text, max_val text, vartype text, enumvals text[]);
INSERT INTO contract VALUES
('history_limit', '10', NULL, '-1', '268435455', 'integer', NULL),
('history_size', '65536', 'B', '-1', '268435455', 'integer', NULL),
('cursor_limit', '65536', 'B', '-1', '268435455', 'integer', NULL),
('results_limit', '1048576', 'B', '-1', '268435455', 'integer', NULL),
('results_warning', '262144', 'B', '0', '268435455', 'integer', NULL),
('enforce', 'error', NULL, NULL, NULL, 'enum', '{warning,error}'),
('require_monotonic_items', 'functions', NULL, NULL, NULL, 'enum', '{off,functions,all}'),
('require_claim', 'off', NULL, NULL, NULL, 'bool', NULL),
('max_deliveries', '20', NULL, '0', '2147483647', 'integer', NULL),
('max_lease', '3600', 's', '1', '604800', 'integer', NULL),
('archive_history', 'off', NULL, NULL, NULL, 'bool', NULL),
('max_notifiers', '2', NULL, '0', '64', 'integer', NULL),
('notify', 'on', NULL, NULL, NULL, 'bool', NULL),
('notify_channel', 'tasker_checkpoint', NULL, NULL, NULL, 'string', NULL);
UPDATE contract SET name = 'tasker_checkpoint.' || name;

SELECT plan(14 * 7 + 12);

SELECT set_eq($$SELECT name FROM pg_settings WHERE name LIKE 'tasker\_checkpoint.%'$$, 'SELECT name FROM contract', 'these settings and no others');
SELECT is(s.boot_val, c.boot_val, 'default of ' || name) FROM contract c LEFT JOIN pg_settings s USING (name) ORDER BY name COLLATE "C";
SELECT is(s.unit, c.unit, 'unit of ' || name) FROM contract c LEFT JOIN pg_settings s USING (name) ORDER BY name COLLATE "C";
SELECT is(s.min_val || ' to ' || s.max_val, c.min_val || ' to ' || c.max_val, 'bounds of ' || name)
FROM contract c LEFT JOIN pg_settings s USING (name) ORDER BY name COLLATE "C";
SELECT is(s.vartype, c.vartype, 'type of ' || name) FROM contract c LEFT JOIN pg_settings s USING (name) ORDER BY name COLLATE "C";
SELECT is(s.enumvals, c.enumvals, 'values of ' || name) FROM contract c LEFT JOIN pg_settings s USING (name) ORDER BY name COLLATE "C";
SELECT is(s.context, CASE WHEN name = 'tasker_checkpoint.max_notifiers' THEN 'sighup' ELSE 'superuser' END, 'context of ' || name) FROM contract c LEFT JOIN pg_settings s USING (name) ORDER BY name COLLATE "C";
SELECT ok(s.short_desc ~ '^[A-Z].*\.$', name || ' has a description') FROM contract c LEFT JOIN pg_settings s USING (name) ORDER BY name COLLATE "C";

SELECT throws_ok($$SET tasker_checkpoint.history_limit = -2$$, '22023', NULL, 'below the bounds');
SELECT throws_ok($$SET tasker_checkpoint.cursor_limit = '1GB'$$, '22023', NULL, 'above the bounds');
SELECT throws_ok($$SET tasker_checkpoint.no_such_setting = 1$$, '42602', NULL, 'the prefix is reserved');

SELECT throws_ok($$SET tasker_checkpoint.max_lease = 0$$, '22023', NULL, 'no lease at all');
SELECT throws_ok($$SET tasker_checkpoint.max_deliveries = -1$$, '22023', NULL, 'fewer deliveries than none');
SELECT throws_ok($$SET tasker_checkpoint.require_claim = 'maybe'$$, '22023', NULL, 'neither on nor off');
SELECT lives_ok($$SET LOCAL tasker_checkpoint.max_lease = '90min'$$, 'a lease in minutes');
SELECT is(current_setting('tasker_checkpoint.max_lease'), '90min', 'is shown in minutes');
SET LOCAL ROLE regress_tckpt_nobody;
SELECT throws_ok(format('SET %s = 1', name), '42501', NULL, format('not everybody sets %s', name))
FROM unnest(ARRAY['tasker_checkpoint.max_deliveries', 'tasker_checkpoint.max_lease', 'tasker_checkpoint.require_claim']) name;
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;

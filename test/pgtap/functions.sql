-- Every function: name, arguments, result, attributes, who may call it, comment
BEGIN;
SET LOCAL client_min_messages = error;
CREATE EXTENSION tasker_checkpoint;

CREATE TEMPORARY TABLE contract (name name, arguments text, result text, language name, volatility text, parallel "char", public boolean, raises text[]);
INSERT INTO contract VALUES
('tasker_checkpoint_accumulated_results', 'step_uuid uuid', 'jsonb', 'c', 'stable', 's', true, '{22004,55000,P0002}'),
('tasker_checkpoint_attach', 'steps regclass DEFAULT NULL::regclass, key_column name DEFAULT ''workflow_step_uuid''::name, create_indexes boolean DEFAULT false',
	'regclass', 'c', 'volatile', 'u', false, '{22004,25006,42501,42703,42804,42809,42P01,42P07,42P16,55000}'),
('tasker_checkpoint_attach_call', 'relid oid, key_column name', 'text', 'c', 'stable', 's', true, '{22004}'),
('tasker_checkpoint_attach_indexes', 'steps regclass, key_column name, checkpoint_column name', 'void', 'plpgsql', 'volatile', 'u', false, '{42P07}'),
('tasker_checkpoint_attach_table', 'steps regclass, key_column name, guard regprocedure', 'void', 'plpgsql', 'volatile', 'u', false, '{55000}'),
('tasker_checkpoint_cancel', 'step_uuid uuid', 'boolean', 'c', 'volatile', 'u', false, '{22004,25006,55000,P0002}'),
('tasker_checkpoint_candidates', '', 'TABLE(relid oid, trusted boolean, alike boolean)', 'c', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_bloat', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_compression', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_connections', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 'r', true, '{}'),
('tasker_checkpoint_check_events', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 'u', true, '{}'),
('tasker_checkpoint_check_fillfactor', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_grants', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_guard', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_hot_share', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_index', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_limits', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 'r', true, '{}'),
('tasker_checkpoint_check_names', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_notifier', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_notify_queue', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 'r', true, '{}'),
('tasker_checkpoint_check_replication', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_settings', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_snapshots', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 'r', true, '{}'),
('tasker_checkpoint_check_table', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_trigger_order', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_check_version', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_claim', 'worker text, lease interval DEFAULT ''00:01:00''::interval, max_steps integer DEFAULT 1, step_uuid uuid DEFAULT NULL::uuid, queues text[] DEFAULT NULL::text[]',
	'SETOF tasker_checkpoint_delivery', 'c', 'volatile', 'u', false, '{22004,22023,25000,25006,55000,P0002}'),
('tasker_checkpoint_clear', 'step_uuid uuid', 'boolean', 'c', 'volatile', 'u', false, '{22004,25006,55000,P0002}'),
('tasker_checkpoint_complete', 'event_id uuid', 'boolean', 'c', 'volatile', 'u', false, '{22004,25006}'),
('tasker_checkpoint_counted', 'preloaded boolean', 'TABLE(yields bigint, saves bigint, hot_checkpoints bigint, notifications_sent bigint, notifications_batched bigint, stats_reset timestamp with time zone)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_create_table', 'name text', 'regclass', 'c', 'volatile', 'u', false, '{0A000,22004,25006,3F000,42501,42601,42602,42809,42P07,55000}'),
('tasker_checkpoint_cursor', 'step_uuid uuid', 'jsonb', 'c', 'stable', 's', true, '{22004,55000,P0002}'),
('tasker_checkpoint_cursor_indexes', '', 'TABLE(relid oid, name text, entire boolean)', 'c', 'stable', 's', true, '{}'),
('tasker_checkpoint_detach', '', 'regclass', 'c', 'volatile', 'u', false, '{25006,42501,55000}'),
('tasker_checkpoint_dispatch', 'step_uuid uuid, queue text DEFAULT NULL::text, priority integer DEFAULT NULL::integer, delay interval DEFAULT ''00:00:00''::interval',
	'uuid', 'c', 'volatile', 'u', false, '{22004,22023,25006,55000,P0002}'),
('tasker_checkpoint_dispatched', 'step_uuid uuid DEFAULT NULL::uuid',
	'TABLE(step_uuid uuid, has_event boolean, directive text, parked boolean, available_at timestamp with time zone, worker text, lease interval, lease_until timestamp with time zone, deliveries integer, sequence bigint, queue text, priority integer)', 'c', 'stable', 's', true, '{55000,P0002}'),
('tasker_checkpoint_doctor', '', 'TABLE("check" text, status text, found text, statement text)', 'sql', 'volatile', 'u', false, '{}'),
('tasker_checkpoint_drop_index', 'relid oid, again boolean', 'text', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_enough', 'bytes bigint, near_limit bigint', 'text', 'sql', 'immutable', 's', true, '{}'),
('tasker_checkpoint_exists', 'step_uuid uuid', 'boolean', 'c', 'stable', 's', true, '{22004,55000,P0002}'),
('tasker_checkpoint_forget', '', 'trigger', 'c', 'volatile', 'u', true, '{39P01}'),
('tasker_checkpoint_get', 'step_uuid uuid', 'jsonb', 'c', 'stable', 's', true, '{22004,55000,P0002}'),
('tasker_checkpoint_guard', '', 'trigger', 'c', 'volatile', 'u', false, '{23514,39P01,54000,55000,TC001,TC002,TC003}'),
('tasker_checkpoint_health', 'stale interval DEFAULT ''00:15:00''::interval, stalled integer DEFAULT 5, expired interval DEFAULT ''00:05:00''::interval, '
	'unclaimed interval DEFAULT ''00:05:00''::interval, paused interval DEFAULT ''1 day''::interval, near_limit integer DEFAULT 80, long_cursor integer DEFAULT 2048, '
	'old_snapshot interval DEFAULT ''00:15:00''::interval',
	'TABLE(finding text, severity text, step_uuid uuid, figure numeric, threshold numeric, unit text, detail text, statement text, queue text)',
	'sql', 'stable', 'r', true, '{42501,55000}'),
('tasker_checkpoint_heartbeat', 'event_id uuid, lease interval DEFAULT NULL::interval', 'boolean', 'c', 'volatile', 'u', false, '{22004,22023,25006}'),
('tasker_checkpoint_history', 'step_uuid uuid',
	'TABLE(generation integer, sequence bigint, cursor jsonb, items_processed bigint, checkpointed_at timestamp with time zone, accumulated_results jsonb, archived boolean, cleared_at timestamp with time zone, cleared_by text)', 'c', 'stable', 's', true, '{22004,55000,P0002}'),
('tasker_checkpoint_hot_indexes', '', 'TABLE(name text, detail text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_items_processed', 'step_uuid uuid', 'bigint', 'c', 'stable', 's', true, '{22004,55000,P0002}'),
('tasker_checkpoint_leave', 'role oid, member oid', 'text', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_limits', '', 'TABLE(cursor_limit bigint, results_limit bigint, max_lease interval, max_deliveries integer)', 'c', 'stable', 'r', true, '{}'),
('tasker_checkpoint_load', 'step_uuid uuid', 'tasker_checkpoint_state', 'c', 'stable', 's', true, '{22004,55000,P0002}'),
('tasker_checkpoint_look', 'look_at regprocedure', 'TABLE("check" text, status text, found text, statement text)', 'c', 'stable', 'u', true, '{22004,22023}'),
('tasker_checkpoint_missing_indexes', '', 'TABLE(is_unique boolean, definition text)', 'c', 'stable', 's', true, '{55000}'),
('tasker_checkpoint_missing_rights', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_needless_rights', '', 'TABLE(status text, found text, statement text)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_old_snapshots', '', 'TABLE(since timestamp with time zone, detail text, statement text)', 'sql', 'stable', 'r', true, '{}'),
('tasker_checkpoint_own_functions', '', 'TABLE(oid oid, name text, volatility "char", owner oid, acl aclitem[])', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_pause', 'step_uuid uuid', 'boolean', 'c', 'volatile', 'u', false, '{22004,25006,55000,P0002}'),
('tasker_checkpoint_progress', 'step_uuid uuid DEFAULT NULL::uuid',
	'TABLE(step_uuid uuid, step_name text, task_uuid uuid, task_name text, items_processed bigint, total bigint, percent numeric, rate numeric, eta interval, '
	'checkpointed_at timestamp with time zone, sequence bigint, state text, worker text, lease_until timestamp with time zone, deliveries integer, queue text)',
	'sql', 'stable', 's', true, '{42501,55000,P0002}'),
('tasker_checkpoint_purge', 'older_than interval, max_rows integer DEFAULT 1000, dry_run boolean DEFAULT false',
	'bigint', 'c', 'volatile', 'u', false, '{22004,22023,25006,55000}'),
('tasker_checkpoint_purge_archive', 'older_than interval, max_rows integer DEFAULT 1000, dry_run boolean DEFAULT false', 'bigint', 'c', 'volatile', 'u', false, '{22004,22023,25006,55000}'),
('tasker_checkpoint_purge_events', 'max_rows integer DEFAULT 1000, dry_run boolean DEFAULT false',
	'bigint', 'c', 'volatile', 'u', false, '{22004,22023,25000,25006,55000}'),
('tasker_checkpoint_registrations', '', 'TABLE(steps oid, relid oid, attached boolean, counts boolean, is_marked boolean, trigger_name name, enabled "char", '
	'key_column name, checkpoint_column name, processed_column name, updated_at_column name, retry_columns name[])', 'c', 'stable', 's', true, '{}'),
('tasker_checkpoint_release', 'event_id uuid, delay interval DEFAULT ''00:00:00''::interval, interrupted boolean DEFAULT false',
	'boolean', 'c', 'volatile', 'u', false, '{22004,22023,25006}'),
('tasker_checkpoint_reset_for_retry', 'step_uuid uuid, reset_checkpoint boolean DEFAULT false', 'void', 'c', 'volatile', 'u', false, '{22004,25006,55000,P0002}'),
('tasker_checkpoint_resume', 'step_uuid uuid', 'boolean', 'c', 'volatile', 'u', false, '{22004,25006,55000,P0002}'),
('tasker_checkpoint_revoke', 'rights text, grantee text, owner oid, grantor oid, grantable boolean', 'text', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_rewind', 'step_uuid uuid, to_sequence bigint, results jsonb DEFAULT NULL::jsonb',
	'tasker_checkpoint_receipt', 'c', 'volatile', 'u', false, '{22004,22023,25006,54000,55000,P0002}'),
('tasker_checkpoint_sample', 'percent real', 'TABLE(cursor_size bigint, results_size bigint, history_size bigint)', 'c', 'stable', 'r', true, '{22004,55000}'),
('tasker_checkpoint_save', 'step_uuid uuid, cursor jsonb, items bigint, results jsonb DEFAULT NULL::jsonb, event_id uuid DEFAULT NULL::uuid',
	'tasker_checkpoint_receipt', 'c', 'volatile', 'u', false, '{22004,22023,25006,54000,55000,P0002,TC001,TC002,TC003}'),
('tasker_checkpoint_set_columns', '', 'TABLE(relid oid, attnum smallint, attname name, on_checkpoint boolean, computed boolean)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_settings', '', 'TABLE(value jsonb, setter jsonb, preloaded boolean)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_shown', 'value text, as_literal boolean', 'text', 'c', 'immutable', 's', true, '{}'),
('tasker_checkpoint_stats',
	'OUT yields bigint, OUT saves bigint, OUT hot_checkpoints bigint, OUT replays bigint, OUT fenced bigint, OUT refused_tc001 bigint, OUT refused_tc003 bigint, OUT refused_54000 bigint, OUT refused_23514 bigint, OUT refused_55000 bigint, OUT stale_writes bigint, OUT truncated_entries bigint, OUT claims bigint, OUT expired_claims bigint, OUT parked bigint, OUT notifications_sent bigint, OUT notifications_batched bigint, OUT notifications_lost bigint, OUT stats_reset timestamp with time zone', 'record', 'c', 'volatile', 's', false, '{}'),
('tasker_checkpoint_stats_reset', '', 'void', 'c', 'volatile', 'u', false, '{}'),
('tasker_checkpoint_survey', 'step_uuid uuid, health boolean',
	'TABLE(step_uuid uuid, found boolean, processed boolean, checkpointed_at timestamp with time zone, step_name text, task_uuid uuid, task_name text, items_processed bigint, total bigint, '
	'rate double precision, sequence bigint, seen_at timestamp with time zone, in_process boolean, repeated integer, cursor_size bigint, results_size bigint, '
	'cursor_length bigint, readable boolean, gid text, prepared_at timestamp with time zone, has_event boolean, '
	'directive text, parked boolean, worker text, available_at timestamp with time zone, lease interval, leased_at timestamp with time zone, '
	'lease_until timestamp with time zone, deliveries integer, queue text)',
	'c', 'stable', 's', true, '{42501,55000,P0002}'),
('tasker_checkpoint_table', '', 'regclass', 'c', 'stable', 's', true, '{55000}'),
('tasker_checkpoint_trim', 'entries integer, older_than interval DEFAULT ''00:00:00''::interval, max_rows integer DEFAULT 1000, dry_run boolean DEFAULT false',
	'bigint', 'c', 'volatile', 'u', false, '{22004,22023,25006,55000}'),
('tasker_checkpoint_trusts', 'relid oid', 'boolean', 'c', 'stable', 's', true, '{22004}'),
('tasker_checkpoint_unguarded', '', 'TABLE(detail text, statement text)', 'c', 'stable', 's', true, '{55000}'),
('tasker_checkpoint_version', '', 'text', 'c', 'stable', 's', true, '{}'),
('tasker_checkpoint_wait', 'IN queues text[] DEFAULT NULL::text[], IN timeout interval DEFAULT ''00:00:30''::interval', NULL, 'c', 'volatile', 'u', false, '{22004,22023,25001,25006,42704,55000}'),
('tasker_checkpoint_workers', '', 'TABLE(oid oid, name text, is_super boolean, is_operator boolean)', 'sql', 'stable', 's', true, '{}'),
('tasker_checkpoint_yield', 'step_uuid uuid, cursor jsonb, items bigint, results jsonb DEFAULT NULL::jsonb, event_id uuid DEFAULT NULL::uuid',
	'tasker_checkpoint_receipt', 'c', 'volatile', 'u', false, '{22004,22023,25006,54000,55000,P0002,TC001,TC002,TC003}'),
('tasker_checkpoint_yield_step_event', 'event_id uuid, checkpoint_data jsonb', 'boolean', 'c', 'volatile', 'u', false, '{22004,22023,25006,54000,55000,P0002,TC001,TC003}');

CREATE TEMPORARY VIEW actual AS
SELECT p.oid, proname AS name, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result, lanname AS language,
	CASE provolatile WHEN 's' THEN 'stable' WHEN 'v' THEN 'volatile' ELSE 'immutable' END AS volatility, proparallel AS parallel,
	has_function_privilege('public', p.oid, 'EXECUTE') AS public, proisstrict AS strict, prosecdef AS definer, proretset AS set, proconfig AS config, obj_description(p.oid, 'pg_proc') AS comment
FROM pg_proc p
JOIN pg_language l ON l.oid = prolang
JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND extname = 'tasker_checkpoint';

SELECT plan((SELECT count(*)::int FROM contract) * 12 + 1);

SELECT set_eq('SELECT name FROM actual', 'SELECT name FROM contract', 'these functions and no others');
SELECT has_function(name) FROM contract ORDER BY name COLLATE "C";
SELECT is(a.arguments, c.arguments, format('arguments of %s', name)) FROM contract c LEFT JOIN actual a USING (name) ORDER BY name COLLATE "C";
SELECT is(a.result, c.result, format('result of %s', name)) FROM contract c LEFT JOIN actual a USING (name) ORDER BY name COLLATE "C";
SELECT function_lang_is(name, language) FROM contract ORDER BY name COLLATE "C";
SELECT volatility_is(name, volatility) FROM contract ORDER BY name COLLATE "C";
SELECT is(a.parallel, c.parallel, format('parallel safety of %s', name)) FROM contract c LEFT JOIN actual a USING (name) ORDER BY name COLLATE "C";
SELECT isnt_strict(name) FROM contract ORDER BY name COLLATE "C";
SELECT isnt_definer(name) FROM contract ORDER BY name COLLATE "C";
SELECT is(a.public, c.public, format('whether PUBLIC may execute %s', name)) FROM contract c LEFT JOIN actual a USING (name) ORDER BY name COLLATE "C";
-- two are bound when they are created, print no names, and are put into the query that calls them
SELECT is(config, CASE WHEN language IN ('plpgsql', 'sql') AND name NOT IN ('tasker_checkpoint_health', 'tasker_checkpoint_progress') THEN ARRAY['search_path=pg_catalog, pg_temp']
	-- these compare what the server prints
	|| CASE WHEN name IN ('tasker_checkpoint_attach_indexes', 'tasker_checkpoint_drop_index', 'tasker_checkpoint_hot_indexes') THEN ARRAY['quote_all_identifiers=off'] ELSE '{}' END END, format('settings of %s', name))
FROM actual ORDER BY name COLLATE "C";
SELECT ok(length(comment) > 20, format('%s is commented', name)) FROM actual ORDER BY name COLLATE "C";
SELECT is((SELECT array_agg(m[1] ORDER BY m[1] COLLATE "C") FROM regexp_matches(comment, '\m([0-9A-Z]{5})\M', 'g') m WHERE m[1] ~ '\d'),
	(SELECT array_agg(s ORDER BY s COLLATE "C") FROM unnest(raises) s), format('the comment of %s says what it raises', name))
FROM actual JOIN contract USING (name) ORDER BY name COLLATE "C";

SELECT * FROM finish();
ROLLBACK;

-- wait: its arguments, where it can be called, and what it returns for at once
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
GRANT EXECUTE ON PROCEDURE tasker_checkpoint_wait TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;

-- queues as claim has them
CALL tasker_checkpoint_wait('{}', '0'); -- fail
CALL tasker_checkpoint_wait('{one,NULL}', '0'); -- fail
CALL tasker_checkpoint_wait('{""}', '0'); -- fail
CALL tasker_checkpoint_wait(ARRAY[repeat('x', 64)], '0'); -- fail
CALL tasker_checkpoint_wait(ARRAY[repeat('x', 63)], '0');
SELECT array_agg('q' || n) AS many FROM generate_series(1, 40) n \gset
CALL tasker_checkpoint_wait(:'many', '0');

-- timeout: 0 to 1 day
CALL tasker_checkpoint_wait(NULL, NULL); -- fail
CALL tasker_checkpoint_wait(NULL, '-1 microsecond'); -- fail
CALL tasker_checkpoint_wait(NULL, '1 day 1 microsecond'); -- fail
CALL tasker_checkpoint_wait(NULL, '178000000 years'); -- fail
CALL tasker_checkpoint_wait(NULL, '0');
CALL tasker_checkpoint_wait(timeout => '1 microsecond');

-- with nothing to claim it returns when the time is over
SELECT clock_timestamp() AS began \gset
CALL tasker_checkpoint_wait(timeout => '0.25 s');
SELECT clock_timestamp() >= timestamptz :'began' + interval '0.25 s' AS over;

-- what a claim would deliver
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
CALL tasker_checkpoint_wait(timeout => '1 day');
CALL tasker_checkpoint_wait('{default}', '1 day');
CALL tasker_checkpoint_wait('{other,default,other}', '1 day');
SELECT clock_timestamp() AS began \gset
CALL tasker_checkpoint_wait('{other}', '0.25 s');
SELECT clock_timestamp() >= timestamptz :'began' + interval '0.25 s' AS over;

-- what a claim would remove or park; it is not counted as long as it is not claimed
RESET ROLE;
UPDATE tasker_checkpoint_events SET deliveries = 1000;
SET ROLE regress_tckpt_worker;
CALL tasker_checkpoint_wait(timeout => '1 day');
SELECT * FROM events;
SELECT * FROM tasker_checkpoint_claim('one');
SELECT * FROM events;
RESET ROLE;
SELECT tasker_checkpoint_resume(:'s1');
UPDATE steps SET processed = true WHERE workflow_step_uuid = :'s1';
SET ROLE regress_tckpt_worker;
CALL tasker_checkpoint_wait(timeout => '1 day');
SELECT * FROM tasker_checkpoint_claim('one');
SELECT * FROM events;

-- a delay that ends and a lease that runs out
SELECT tasker_checkpoint_dispatch(:'s2', delay => '0.25 s') IS NOT NULL AS dispatched;
CALL tasker_checkpoint_wait(timeout => '1 day');
SELECT right(step_uuid::text, 1) AS step, deliveries FROM tasker_checkpoint_claim('one', '0.25 s');
CALL tasker_checkpoint_wait(timeout => '1 day');
SELECT right(step_uuid::text, 1) AS step, deliveries FROM tasker_checkpoint_claim('one', '1 hour');

-- what is claimed, paused or parked is not waited for
SELECT clock_timestamp() AS began \gset
CALL tasker_checkpoint_wait(timeout => '0.25 s');
SELECT clock_timestamp() >= timestamptz :'began' + interval '0.25 s' AS over;

-- not in a transaction that it can't end
BEGIN;
CALL tasker_checkpoint_wait(timeout => '0'); -- fail
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
CALL tasker_checkpoint_wait(timeout => '0') \; SELECT 1; -- fail
RESET ROLE;
CREATE FUNCTION in_function() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL tasker_checkpoint_wait(timeout => ''0''); END';
SELECT in_function(); -- fail
\echo :LAST_ERROR_SQLSTATE
CREATE PROCEDURE with_set() LANGUAGE plpgsql SET work_mem = '1MB' AS 'BEGIN CALL tasker_checkpoint_wait(timeout => ''0''); END';
CALL with_set(); -- fail
CREATE PROCEDURE as_definer() LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN CALL tasker_checkpoint_wait(timeout => ''0''); END';
CALL as_definer(); -- fail
CREATE PROCEDURE in_sql() LANGUAGE sql AS 'CALL tasker_checkpoint_wait(timeout => ''0'')';
CALL in_sql(); -- fail
DO $$BEGIN
	BEGIN
		CALL tasker_checkpoint_wait(timeout => '0');
	EXCEPTION WHEN active_sql_transaction THEN
		RAISE NOTICE 'in an EXCEPTION block: %', SQLSTATE;
	END;
END$$;
-- but where one can be
DO $$BEGIN
	FOR i IN 1..3 LOOP
		CALL tasker_checkpoint_wait(timeout => '20 ms');
	END LOOP;
	RAISE NOTICE 'in a DO block';
END$$;
CREATE PROCEDURE in_procedure() LANGUAGE plpgsql AS
'DECLARE r record; BEGIN FOR r IN SELECT n FROM generate_series(1, 2) n LOOP CALL tasker_checkpoint_wait(timeout => ''20 ms''); END LOOP; END';
CALL in_procedure();

-- nor where nothing can be written, as claim
SET default_transaction_read_only = on;
CALL tasker_checkpoint_wait(timeout => '0'); -- fail
\echo :LAST_ERROR_SQLSTATE
RESET default_transaction_read_only;

-- statement_timeout ends it
SET statement_timeout = '100 ms';
CALL tasker_checkpoint_wait(timeout => '1 day'); -- fail
RESET statement_timeout;

-- what is left of the caller's transaction ends before it waits, with what that leaves
-- to the end of the session
DO $$BEGIN CREATE TEMPORARY TABLE made (n integer); CALL tasker_checkpoint_wait('{other}', '0.05 s'); END$$;
DO $$BEGIN LISTEN regress_tckpt; CALL tasker_checkpoint_wait('{other}', '0.05 s'); END$$;
CALL tasker_checkpoint_wait('{other}', '0.05 s');
UNLISTEN *;
DROP TABLE made;

-- who could not claim does not wait
SELECT array_agg('q' || n) AS many FROM generate_series(1, 1001) n \gset
CALL tasker_checkpoint_wait(:'many', '0'); -- fail
CREATE ROLE regress_tckpt_nobody;
GRANT EXECUTE ON PROCEDURE tasker_checkpoint_wait TO regress_tckpt_nobody;
INSERT INTO steps VALUES ('00000000-0000-0000-0000-000000000003');
SELECT tasker_checkpoint_dispatch('00000000-0000-0000-0000-000000000003', 'third') IS NOT NULL AS dispatched;
SET ROLE regress_tckpt_nobody;
CALL tasker_checkpoint_wait('{third}', '1 day'); -- fail
RESET ROLE;
DROP OWNED BY regress_tckpt_nobody;
DROP ROLE regress_tckpt_nobody;

-- it holds no lock that would be in the way of anybody afterwards, and is nobody's unless granted
REVOKE EXECUTE ON PROCEDURE tasker_checkpoint_wait FROM regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
CALL tasker_checkpoint_wait(timeout => '0'); -- fail
RESET ROLE;
SELECT tasker_checkpoint_detach();
CALL tasker_checkpoint_wait(timeout => '0'); -- fail
\echo :LAST_ERROR_SQLSTATE

DROP FUNCTION in_function;
DROP PROCEDURE with_set, as_definer, in_sql, in_procedure;
\i :drop_steps

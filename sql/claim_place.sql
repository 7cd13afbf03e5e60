-- Where claims look for a claimed event: heartbeat and save leave that alone while at least half of the lease is left to it, and then move it to the end
\getenv abs_srcdir PG_ABS_SRCDIR
\set steps :abs_srcdir '/sql/include/steps.sql'
\i :steps
CREATE VIEW places AS SELECT round(extract(epoch FROM available_at - clock_timestamp()) / 60) AS minutes, available_at = lease_until AS at_end
FROM tasker_checkpoint_events;
CREATE PROCEDURE place(minutes integer) LANGUAGE sql SECURITY DEFINER AS
$$UPDATE tasker_checkpoint_events SET available_at = clock_timestamp() + minutes * interval '1 minute'$$;
GRANT SELECT ON places TO regress_tckpt_worker;
SET ROLE regress_tckpt_worker;
SELECT tasker_checkpoint_dispatch(:'s1') IS NOT NULL AS dispatched;
SELECT event_id AS claimed FROM tasker_checkpoint_claim('one', '40 minutes') \gset
SELECT * FROM places;

-- a minute more than half of it
CALL place(21);
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT * FROM places;
SELECT sequence FROM tasker_checkpoint_save(:'s1', '1', 1, NULL, :'claimed');
SELECT * FROM places;
-- a minute less
CALL place(19);
SELECT tasker_checkpoint_heartbeat(:'claimed');
SELECT * FROM places;
CALL place(19);
SELECT sequence FROM tasker_checkpoint_save(:'s1', '2', 2, NULL, :'claimed');
SELECT * FROM places;
-- also if the save is repeated
CALL place(19);
SELECT sequence, replayed FROM tasker_checkpoint_save(:'s1', '2', 2, NULL, :'claimed');
SELECT * FROM places;
-- of another lease
CALL place(19);
SELECT tasker_checkpoint_heartbeat(:'claimed', '10 minutes');
SELECT * FROM places;
SELECT tasker_checkpoint_heartbeat(:'claimed', '1 hour');
SELECT * FROM places;
RESET ROLE;
DROP VIEW places;
DROP PROCEDURE place;
\i :drop_steps

--
-- Health
--

CREATE TYPE tasker_checkpoint_finding AS (
    finding text,
    severity text,
    step_uuid uuid,
    figure numeric,
    threshold numeric,
    unit text,
    detail text,
    statement text
);
COMMENT ON TYPE tasker_checkpoint_finding IS
'something about a step, or the table, that somebody should look at, and what to do';
COMMENT ON COLUMN tasker_checkpoint_finding.finding IS
'what it is: unguarded, prepared, parked, stale, stalled, expired, unclaimed, ahead, near_limit, long_cursor, paused or cancelled';
COMMENT ON COLUMN tasker_checkpoint_finding.severity IS
'critical: the step does not go on by itself, or the table is not guarded; warning: it may not; info: worth knowing';
COMMENT ON COLUMN tasker_checkpoint_finding.step_uuid IS
'the step; NULL where it is about the table, and so are figure, threshold and unit';
COMMENT ON COLUMN tasker_checkpoint_finding.figure IS
'how far it has come, in the unit';
COMMENT ON COLUMN tasker_checkpoint_finding.threshold IS
'from where on it is shown, in the unit';
COMMENT ON COLUMN tasker_checkpoint_finding.unit IS
'of figure and threshold: seconds, checkpoints, deliveries, percent or bytes';
COMMENT ON COLUMN tasker_checkpoint_finding.detail IS
'what is known, and what to do that no statement can';
COMMENT ON COLUMN tasker_checkpoint_finding.statement IS
'SQL that makes the row go away; for the operator to read before it is run; NULL where nothing but a person can tell which';

CREATE FUNCTION tasker_checkpoint_health()
RETURNS SETOF tasker_checkpoint_finding
LANGUAGE C STABLE PARALLEL RESTRICTED
AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION tasker_checkpoint_health() IS
'what is stuck or will be, of the steps that the caller can see, and whether the table in use is guarded, which everybody is told: the rows of the view tasker_checkpoint_health; raises 55000';

CREATE VIEW tasker_checkpoint_health AS
SELECT finding, severity, step_uuid, figure, threshold, unit, detail, statement
FROM tasker_checkpoint_health();
COMMENT ON VIEW tasker_checkpoint_health IS
'what is stuck or will be, the worst first: a row for each finding, with the statement that helps; thresholds are the settings tasker_checkpoint.health_...';

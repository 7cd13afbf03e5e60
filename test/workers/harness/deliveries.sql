-- Every claim of a step, by whichever way it was offered, and every release.
-- Beside the tables of ../schema.sql, where a test wants to know.

CREATE TABLE delivered (
    step_uuid uuid NOT NULL,
    worker text NOT NULL,
    queue text NOT NULL,
    priority integer NOT NULL,
    offered_by text NOT NULL,
    late interval NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION record_delivered() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO delivered VALUES (
        NEW.step_uuid, NEW.worker, NEW.queue, NEW.priority,
        CASE WHEN OLD.worker IS NOT NULL THEN 'lease'
             WHEN OLD.event_id = OLD.continuation_id THEN 'yield'
             WHEN OLD.sequence = 0 AND OLD.deliveries = 0 THEN 'dispatch'
             ELSE 'release' END,
        clock_timestamp()
            - CASE WHEN OLD.worker IS NULL THEN OLD.available_at
                   ELSE greatest(OLD.available_at, OLD.lease_until) END);
    RETURN NULL;
END
$$;
CREATE TRIGGER record_delivered AFTER UPDATE ON tasker_checkpoint_events
    FOR EACH ROW WHEN (NEW.worker IS NOT NULL AND NEW.event_id <> OLD.event_id)
    EXECUTE FUNCTION record_delivered();

CREATE TABLE released (
    n bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    step_uuid uuid NOT NULL,
    delay interval NOT NULL
);
CREATE FUNCTION record_released() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO released (step_uuid, delay)
        VALUES (NEW.step_uuid, NEW.available_at - clock_timestamp());
    RETURN NULL;
END
$$;
CREATE TRIGGER record_released AFTER UPDATE ON tasker_checkpoint_events
    FOR EACH ROW WHEN (OLD.worker IS NOT NULL AND NEW.worker IS NULL
                       AND NEW.continuation_id IS NOT DISTINCT FROM OLD.continuation_id)
    EXECUTE FUNCTION record_released();

-- What the worker tests need beside examples/steps.sql, which is loaded before.

-- A step's state is the transition that is most_recent.
CREATE TABLE tasker.workflow_step_transitions (
    workflow_step_transition_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workflow_step_uuid uuid NOT NULL REFERENCES tasker.workflow_steps,
    to_state text NOT NULL,
    from_state text,
    metadata jsonb NOT NULL DEFAULT '{}',
    sort_key integer NOT NULL,
    most_recent boolean NOT NULL DEFAULT true,
    created_at timestamp(6) NOT NULL DEFAULT now(),
    updated_at timestamp(6) NOT NULL DEFAULT now(),
    UNIQUE (workflow_step_uuid, sort_key)
);
CREATE UNIQUE INDEX ON tasker.workflow_step_transitions (workflow_step_uuid)
    WHERE most_recent;

-- A worker inserts workflow_step_uuid and to_state; the rest follows.
CREATE FUNCTION tasker.follow_transition() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE tasker.workflow_step_transitions SET most_recent = false, updated_at = now()
    WHERE workflow_step_uuid = NEW.workflow_step_uuid AND most_recent;
    SELECT to_state, sort_key + 10 INTO NEW.from_state, NEW.sort_key
    FROM tasker.workflow_step_transitions
    WHERE workflow_step_uuid = NEW.workflow_step_uuid
    ORDER BY sort_key DESC LIMIT 1;
    NEW.sort_key := coalesce(NEW.sort_key, 10);
    NEW.most_recent := true;
    RETURN NEW;
END
$$;
CREATE TRIGGER follow BEFORE INSERT ON tasker.workflow_step_transitions
    FOR EACH ROW EXECUTE FUNCTION tasker.follow_transition();

-- What workers did. Not unique, so that an item done twice is there twice.
CREATE TABLE applied (
    step_uuid uuid NOT NULL,
    item bigint NOT NULL,
    worker text NOT NULL
);
CREATE INDEX ON applied (step_uuid);

-- Every checkpoint that was accepted, recorded in its own transaction.
CREATE TABLE accepted (
    step_uuid uuid NOT NULL,
    sequence bigint NOT NULL,
    items bigint NOT NULL
);
CREATE INDEX ON accepted (step_uuid);

CREATE FUNCTION record_accepted() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO accepted VALUES (
        NEW.workflow_step_uuid,
        jsonb_array_length(NEW.checkpoint -> 'history')
            + coalesce((NEW.checkpoint ->> 'history_truncated')::bigint, 0),
        (NEW.checkpoint ->> 'items_processed')::bigint);
    RETURN NULL;
END
$$;
CREATE TRIGGER record_accepted AFTER UPDATE OF checkpoint ON tasker.workflow_steps
    FOR EACH ROW
    WHEN (NEW.checkpoint IS NOT NULL AND OLD.checkpoint IS DISTINCT FROM NEW.checkpoint)
    EXECUTE FUNCTION record_accepted();

INSERT INTO tasker.named_steps (name) VALUES ('batch');

CREATE FUNCTION add_step(inputs jsonb) RETURNS uuid LANGUAGE sql AS
$$
    WITH task AS (
        INSERT INTO tasker.tasks (context) VALUES ('{}') RETURNING task_uuid
    ), step AS (
        INSERT INTO tasker.workflow_steps (task_uuid, named_step_uuid, inputs, created_at, updated_at)
        SELECT task_uuid, named_step_uuid, add_step.inputs, now(), now()
        FROM task, tasker.named_steps WHERE name = 'batch'
        RETURNING workflow_step_uuid
    )
    SELECT workflow_step_uuid FROM step
$$;

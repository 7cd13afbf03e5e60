-- Tasker's steps table as of its current schema, with as much of the tables
-- around it as its foreign keys need and a worker reads.

SET search_path = pg_catalog, pg_temp;
CREATE SCHEMA tasker;

CREATE TABLE tasker.named_steps (
	named_step_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	name text NOT NULL UNIQUE
);

CREATE TABLE tasker.tasks (
	task_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	context jsonb,
	complete boolean NOT NULL DEFAULT false
);

-- Tasker's own default for the key is a UUID v7 function.
CREATE TABLE tasker.workflow_steps (
	workflow_step_uuid uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	task_uuid uuid NOT NULL REFERENCES tasker.tasks,
	named_step_uuid uuid NOT NULL REFERENCES tasker.named_steps,
	retryable boolean NOT NULL DEFAULT true,
	max_attempts integer DEFAULT 3,
	in_process boolean NOT NULL DEFAULT false,
	processed boolean NOT NULL DEFAULT false,
	processed_at timestamp,
	attempts integer,
	last_attempted_at timestamp,
	backoff_request_seconds integer,
	inputs jsonb,
	results jsonb,
	created_at timestamp(6) NOT NULL,
	updated_at timestamp(6) NOT NULL,
	priority integer NOT NULL DEFAULT 0,
	checkpoint jsonb,
	UNIQUE (task_uuid, named_step_uuid)
);

CREATE INDEX ON tasker.workflow_steps (named_step_uuid);
CREATE INDEX ON tasker.workflow_steps (task_uuid);
CREATE INDEX ON tasker.workflow_steps (processed_at);
CREATE INDEX ON tasker.workflow_steps (workflow_step_uuid, task_uuid)
	WHERE processed = false OR processed IS NULL;
CREATE INDEX ON tasker.workflow_steps (task_uuid, processed, in_process);
CREATE INDEX ON tasker.workflow_steps (task_uuid, processed, in_process)
	INCLUDE (workflow_step_uuid, attempts, max_attempts, retryable)
	WHERE NOT processed;
CREATE INDEX ON tasker.workflow_steps (attempts, max_attempts, retryable);
CREATE INDEX ON tasker.workflow_steps (attempts, max_attempts);
CREATE INDEX ON tasker.workflow_steps (task_uuid)
	INCLUDE (workflow_step_uuid, processed, in_process, attempts, max_attempts);
CREATE INDEX ON tasker.workflow_steps (task_uuid, workflow_step_uuid)
	WHERE processed = false OR processed IS NULL;
CREATE INDEX ON tasker.workflow_steps (task_uuid, processed, workflow_step_uuid)
	WHERE NOT processed;
CREATE INDEX ON tasker.workflow_steps (workflow_step_uuid, named_step_uuid)
	INCLUDE (task_uuid, processed);

-- These two came with Tasker's checkpoint migration.
CREATE INDEX idx_workflow_steps_checkpoint_cursor
	ON tasker.workflow_steps ((checkpoint ->> 'cursor'))
	WHERE checkpoint IS NOT NULL;
CREATE INDEX idx_workflow_steps_checkpoint_exists
	ON tasker.workflow_steps (workflow_step_uuid)
	WHERE checkpoint IS NOT NULL;

RESET search_path;

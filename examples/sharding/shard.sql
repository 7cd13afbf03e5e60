-- One of the servers that have the steps:
--
--     psql -v shard=0 -v shards=2 -f examples/sharding/shard.sql DATABASE
--
-- as a superuser. shards is a power of two; shard counts from 0, in the order in which
-- the proxy has the servers. Roles and grants are as on a server that is alone
-- (examples/grants.sql), with the same names on all of them and on the proxy.

\set ON_ERROR_STOP on
\ir route.sql

CREATE EXTENSION tasker_checkpoint;
SELECT tasker_checkpoint_create_table('jobs');

-- A step that is not where the proxy looks for it would be lost. Rows come here by a
-- dump or by hand, too.
ALTER TABLE jobs ADD CONSTRAINT jobs_are_on_their_shard
	CHECK (sharding.hash(id) & (:shards - 1) = :shard);

-- The job and its dispatch in one transaction, which at the proxy they would not be. Who
-- has had no answer calls again with the same id.
CREATE FUNCTION add_job(name text, inputs jsonb, id uuid) RETURNS uuid
LANGUAGE sql
BEGIN ATOMIC
	INSERT INTO jobs (id, name, inputs) VALUES (add_job.id, add_job.name, add_job.inputs)
	ON CONFLICT DO NOTHING;
	SELECT tasker_checkpoint_dispatch(add_job.id);
	SELECT add_job.id;
END;

-- Which server a step is on: PL/Proxy takes as many of the lowest bits of this as it
-- needs. Proxy and shards have the same function, and on each shard a CHECK calls it.

CREATE SCHEMA sharding;
GRANT USAGE ON SCHEMA sharding TO PUBLIC;

-- NULL leads somewhere as well, so that a shard says what is wrong with it
CREATE FUNCTION sharding.hash(step_uuid uuid) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(uuid_hash(step_uuid), 0);

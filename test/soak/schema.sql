-- Steps in partitions by their key, which begins with the time as a UUID v7 does

CREATE EXTENSION tasker_checkpoint;
CREATE TABLE steps (
    id uuid PRIMARY KEY,
    processed boolean NOT NULL DEFAULT false,
    updated_at timestamptz
) PARTITION BY RANGE (id);
SELECT tasker_checkpoint_attach('steps', 'id');

-- A row is written with each checkpoint, and one when a step is done.
CREATE TABLE ledger (step uuid, first bigint, last bigint);
CREATE TABLE done (step uuid, items bigint);

CREATE FUNCTION key(at timestamptz, random boolean) RETURNS uuid
LANGUAGE sql
RETURN (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0')
    || CASE WHEN random THEN substr(md5(random()::text), 1, 20) ELSE repeat('0', 20) END)::uuid;

-- A partition for so many seconds, made as a DBA makes one: next to the others, and
-- then attached, which locks nobody out.
CREATE PROCEDURE add_partition(name text, starts timestamptz, ends timestamptz)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE steps INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 70)', name);
    COMMIT;
    EXECUTE format('ALTER TABLE steps ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, key(starts, false), key(ends, false));
END
$$;

-- One more step, in one of three queues. Few have priority, so that none waits for long and
-- its partition can go.
CREATE FUNCTION add_step() RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    step uuid := key(clock_timestamp(), true);
BEGIN
    INSERT INTO steps (id) VALUES (step);
    PERFORM tasker_checkpoint_dispatch(step, 'queue ' || 1 + (random() * 2)::integer,
        floor(3 * random() ^ 4)::integer, random() * interval '50 ms');
    RETURN step;
END
$$;

-- What does not compress, of up to 4 kB
CREATE FUNCTION results() RETURNS jsonb
LANGUAGE sql
RETURN (SELECT to_jsonb(string_agg(md5(random()::text), '')) FROM generate_series(1, 1 + (random() * 127)::integer));

CREATE ROLE worker LOGIN;
GRANT SELECT, INSERT, UPDATE ON steps, ledger, done TO worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO worker;

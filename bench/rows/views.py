"""What monitoring costs: progress, health and doctor over a large table."""

import time

from harness.measure import figure
from harness.results import QUICK, Row
from harness.server import NOTIFIER

DATABASE = "bench_views"
STEPS = 10_000 if QUICK else 1_000_000
ROUNDS = 2 if QUICK else 11
# one in ten is live, with a history of a hundred entries, ten times what is kept
# by default
FILL = """
    CREATE TABLE steps (
        id uuid PRIMARY KEY, processed boolean NOT NULL,
        in_process boolean NOT NULL DEFAULT false, inputs jsonb,
        updated_at timestamptz
    );
    SELECT tasker_checkpoint_attach('steps', 'id');
    WITH entry AS (
        SELECT step, n, jsonb_build_object(
            'cursor', (step + n) * 1000, 'items_processed', (step + n) * 1000,
            'timestamp', to_char(
                now() AT TIME ZONE 'UTC' - (100 - n) * interval '7 s',
                'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) AS entry
        FROM generate_series(0, 199) step, generate_series(1, 100) n
    ), full_history AS (
        SELECT step, (array_agg(entry ORDER BY n DESC))[1]
            || '{"accumulated_results": {"total_items": 1000000}}'
            || jsonb_build_object('history', jsonb_agg(entry ORDER BY n)) AS doc
        FROM entry GROUP BY step
    )
    INSERT INTO steps (id, processed, inputs, updated_at, checkpoint)
    SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid,
        n % 10 <> 0, '{"cursor": {"start_cursor": 0, "end_cursor": 9}}', now(),
        CASE WHEN n % 10 = 0 THEN doc
            ELSE '{"cursor": 9, "items_processed": 9, "history": [],'
                ' "history_truncated": 1}' END
    FROM generate_series(1, :steps) n JOIN full_history ON step = n % 200;
    SELECT count(tasker_checkpoint_dispatch(id)) FROM steps WHERE NOT processed;
    """
WAITING = """
    UPDATE tasker_checkpoint_events SET available_at = now() - CASE
        WHEN step_uuid::text LIKE '%%' || %s THEN interval '1 hour' ELSE '0' END
    """


def views(row: Row) -> None:
    """Health, progress and doctor: 1,000,000 steps, a tenth of them live."""
    with NOTIFIER.session("postgres") as session:
        session.sql(f'DROP DATABASE IF EXISTS "{DATABASE}" WITH (FORCE)')
        session.sql(f'CREATE DATABASE "{DATABASE}"')
    seconds: dict[str, list[float]] = {}
    with NOTIFIER.session(
        DATABASE, client_min_messages="error", synchronous_commit="off"
    ) as session:
        session.sql("CREATE EXTENSION tasker_checkpoint")
        for statement in FILL.replace(":steps", str(STEPS)).split(";\n")[:-1]:
            session.sql(statement)
        session.sql("VACUUM ANALYZE")
        session.sql("CHECKPOINT")
        # one in a hundred of the live waits for too long, and all of them do
        for suffix, names in (
            ("500", ("health", "progress", "doctor")),
            ("", ("health, all wait too long",)),
        ):
            for turn in range(ROUNDS + 1):
                # what waits is as old each time
                session.sql(WAITING, suffix)
                session.sql("VACUUM tasker_checkpoint_events")
                for name in names:
                    source = f"tasker_checkpoint_{name.split(',')[0]}"
                    if name == "doctor":
                        source += "()"
                    start = time.perf_counter()
                    session.sql(f"SELECT count(v) FROM {source} v")
                    if turn > 0:
                        taken = time.perf_counter() - start
                        seconds.setdefault(name, []).append(taken)
                        row.sample(name, "", turn, "seconds", taken)
    NOTIFIER.drop(DATABASE)
    for name, most in (
        ("health", 1.6),
        ("progress", 0.6),
        ("doctor", 0.4),
        ("health, all wait too long", None),
    ):
        row.figure(name, figure(seconds[name]), "s", most=most)

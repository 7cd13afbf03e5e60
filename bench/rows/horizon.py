"""A pool while a transaction stays open that still sees what it leaves behind."""

import os
import statistics
import subprocess
import time
from contextlib import AbstractContextManager
from types import TracebackType

from harness.load import STEP, number_steps, pgbench_progress
from harness.measure import Figure, figure
from harness.results import QUICK, Row
from harness.server import NOTIFIER
from harness.writers import Plain, Save, fill_documents

DATABASE = "bench_horizon"
STEPS = 500
CLIENTS = 8
OFFERED = 800
MINUTES = 1 if QUICK else 10
MINUTE = 10 if QUICK else 60  # seconds
PERIOD = 5
CYCLE = """SELECT count(*) AS n, min(event_id::text) AS event,
    min(step_uuid::text) AS step, min(items_processed) + 1 AS items
FROM tasker_checkpoint_claim('bench') \\gset
\\if :n > 0
SELECT * FROM tasker_checkpoint_yield(:step::uuid, :items::jsonb, :items,
    '{"running_total": 5050}', :event::uuid);
\\endif
"""
PLAIN = f"""\\set n random(0, 199)
\\set step random(0, {STEPS - 1})
UPDATE plain.steps SET checkpoint = (SELECT doc FROM docs WHERE n = :n),
updated_at = now() WHERE id = {STEP.replace("client_id", "step")};
"""
# a table of the application's own, and one like it without a guard
OWN_TABLES = """
    SELECT tasker_checkpoint_detach();
    CREATE TABLE steps (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, inputs jsonb,
        processed boolean NOT NULL DEFAULT false,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(), checkpoint jsonb
    );
    CREATE TABLE plain.steps (LIKE steps INCLUDING ALL);
    SELECT tasker_checkpoint_attach('steps', 'id');
    INSERT INTO steps (id) SELECT workflow_step_uuid FROM tasker.workflow_steps;
    INSERT INTO plain.steps SELECT * FROM steps;
    SELECT count(tasker_checkpoint_dispatch(id)) FROM steps;
    """


class Snapshot(AbstractContextManager["Snapshot"]):
    """A reader that has begun, and does not end."""

    def __enter__(self) -> "Snapshot":
        self._session = NOTIFIER.session(DATABASE)
        self._session.sql("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._session.sql("SELECT count(*) FROM steps")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.connection.close()


class Dump(AbstractContextManager["Dump"]):
    """A pg_dump that writes faster than it is read."""

    def __enter__(self) -> "Dump":
        self._process = subprocess.Popen(
            ["pg_dump", "-h", os.environ["PGHOST"], "-p", str(NOTIFIER.port),
             "-U", "postgres", DATABASE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        self._process.stdout.read(1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.poll() is not None:
            raise RuntimeError("pg_dump has ended before the load")
        self._process.kill()
        self._process.wait()


def _prepare() -> None:
    """Make a database of 500 dispatched steps, and documents with full histories."""
    NOTIFIER.create(DATABASE)
    keys = NOTIFIER.add_steps(DATABASE, STEPS)
    number_steps(NOTIFIER, DATABASE, keys)
    keys = [f"00000000-0000-0000-0000-{n:012}" for n in range(STEPS)]
    save = Save(NOTIFIER, DATABASE, keys[0], synchronous_commit="off")
    plain = Plain(NOTIFIER, DATABASE, keys[0])
    for _ in range(20):
        save.write()
    fill_documents(save, plain)
    save.session.sql("SELECT tasker_checkpoint_clear(%s)", keys[0])
    save.session.sql(
        "CREATE TABLE ballast AS SELECT repeat(md5(n::text), 100) AS t"
        " FROM generate_series(1, 2000) n"
    )
    save.close()
    plain.close()
    with NOTIFIER.session(DATABASE, client_min_messages="error") as session:
        for statement in OWN_TABLES.split(";\n")[:-1]:
            session.sql(statement)
        session.sql("VACUUM ANALYZE")


def horizon(row: Row) -> None:
    """800 cycles a second while a snapshot or a pg_dump stays open."""
    NOTIFIER.set(autovacuum="on")
    for name, script, open_one in (
        ("cycle, a snapshot open", CYCLE, Snapshot),
        ("cycle, beside pg_dump", CYCLE, Dump),
        ("plain UPDATE, a snapshot open", PLAIN, Snapshot),
    ):
        _prepare()
        with open_one():
            periods = pgbench_progress(
                NOTIFIER, DATABASE, script, CLIENTS, OFFERED,
                MINUTE * MINUTES, PERIOD, "-c synchronous_commit=off",
            )  # fmt: skip
        NOTIFIER.drop(DATABASE)
        for second, rate, latency, lag in periods:
            row.sample(name, second, 1, "per second", rate)
            row.sample(name, second, 1, "latency", latency)
            row.sample(name, second, 1, "lag", lag)
        for minute in range(1, MINUTES + 1):
            rates = [p[1] for p in periods if MINUTE * (minute - 1) < p[0] <= MINUTE * minute]
            row.figure(
                f"{name}, minute {minute}", figure(rates), "per second",
                least=740 if name.startswith("cycle") and minute == MINUTES else None,
            )  # fmt: skip
        last = [p for p in periods if p[0] > MINUTE * (MINUTES - 1)]
        for what, column in (("takes", 2), ("waits", 3)):
            row.figure(
                f"{name}, {what} in the last minute",
                figure([p[column] for p in last]), "ms",
            )  # fmt: skip
    NOTIFIER.set(autovacuum="off")

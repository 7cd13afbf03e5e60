"""Many claimers on many events, and what that leaves of the dispatch table."""

import re
from bisect import bisect_left, insort
from functools import partial

from .instance import Instance
from .report import Failed, Report, expect, wait_until
from .steps import Steps

CLIENTS = 16
EVENTS = 10_000
FEW_EVENTS = 200
CYCLES = 8_000
MAX_DEAD = 100
MAX_GROWTH = 2
SAVES = 250
MIN_HOT = 0.95

FILL = """
    CREATE TABLE dispatched AS
        SELECT n, gen_random_uuid() AS uuid FROM generate_series(1, {0}) n;
    INSERT INTO tasker.tasks (task_uuid) SELECT uuid FROM dispatched;
    INSERT INTO tasker.workflow_steps
            (workflow_step_uuid, task_uuid, named_step_uuid,
             created_at, updated_at)
        SELECT uuid, uuid, named_step_uuid, now(), now()
        FROM dispatched, tasker.named_steps;
    SELECT count(tasker_checkpoint_dispatch(uuid))
        FROM (SELECT uuid FROM dispatched ORDER BY n) d;
    CREATE TABLE delivered (
        n bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        uuid uuid NOT NULL,
        event_id uuid NOT NULL
    );
"""

CLAIM = """
INSERT INTO delivered (uuid, event_id)
    SELECT step_uuid, event_id
    FROM tasker_checkpoint_claim(format('claimer %s', :client_id), '10 min');
"""

CLAIM_AND_YIELD = """
SELECT tasker_checkpoint_yield(step_uuid, to_jsonb(items_processed + 1),
                               items_processed + 1, NULL, event_id)
    FROM tasker_checkpoint_claim(format('claimer %s', :client_id), '10 min');
"""

# the claim that the client number has; a step of its own for each
CLAIM_ALL = """
CREATE TABLE claims AS
    SELECT row_number() OVER () - 1 AS n, event_id, step_uuid
    FROM tasker_checkpoint_claim('claimer', '10 min', {0});
"""

SAVE_AND_HEARTBEAT = """
SELECT tasker_checkpoint_save(step_uuid, '0', 1, NULL, event_id)
    FROM claims WHERE n = :client_id;
SELECT tasker_checkpoint_heartbeat(event_id) FROM claims WHERE n = :client_id;
"""


class Bench:
    """A database with dispatched steps, and pgbench on it."""

    def __init__(self, instance: Instance, name: str, events: int) -> None:
        self._instance = instance
        self._name = name
        self.steps = Steps(instance.create_database(name))
        self.steps.connection.execute(FILL.format(events))

    def counts(self) -> dict[str, int]:
        """Return what the server counts of the dispatch table."""
        return self.steps.row(
            "SELECT n_dead_tup, n_tup_upd, n_tup_hot_upd,"
            " pg_total_relation_size(relid) AS size"
            " FROM pg_stat_user_tables"
            " WHERE relname = 'tasker_checkpoint_events'"
        )

    def pgbench(self, script: str, transactions: int) -> str:
        """Run a script so many times for each client; return the rate."""
        file = self._instance.directory / f"{self._name}.sql"
        file.write_text(script)
        said = self._instance.run(
            "pgbench", "-n", "-c", str(CLIENTS), "-j", "2",
            "-t", str(transactions), "-f", str(file),
            "-h", str(self._instance.directory), "-U", "postgres", self._name,
        )  # fmt: skip
        if match := re.search(r"^tps = (\d+)", said, re.MULTILINE):
            return match[1]
        raise Failed(said)


def each_event_is_delivered_once(instance: Instance, report: Report) -> None:
    """16 claimers on 10,000 events: none lost, none twice, oldest first."""
    bench = Bench(instance, "claims", EVENTS)
    rate = bench.pgbench(CLAIM, EVENTS // CLIENTS + CLIENTS)
    rows = bench.steps.connection.execute(
        "SELECT d.n FROM delivered JOIN dispatched d USING (uuid)"
        " ORDER BY delivered.n"
    ).fetchall()
    order = [row["n"] for row in rows]
    expect(len(order), EVENTS, "deliveries")
    expect(len(set(order)), EVENTS, "events delivered")
    expect(
        bench.steps.value("SELECT count(DISTINCT event_id) FROM delivered"),
        EVENTS,
        "event ids",
    )
    # at most what the others have locked can be older than one's own
    passed_over = overtaken(order)
    expect(passed_over < CLIENTS, True, "few were passed over")
    report.note(
        f"{rate} claims a second by {CLIENTS} claimers;"
        f" at most {passed_over} older events passed over"
    )


def overtaken(order: list[int]) -> int:
    """Return how many smaller numbers come after a number, at most."""
    seen: list[int] = []
    most = 0
    for number in order:
        before = bisect_left(seen, number)
        most = max(most, number - 1 - before)
        insort(seen, number)
    return most


def the_table_stays_small(instance: Instance, report: Report) -> None:
    """Autovacuum keeps up with claims and yields, and its space is reused."""
    bench = Bench(instance, "bloat", FEW_EVENTS)
    sizes = []
    for _ in range(2):
        rate = bench.pgbench(CLAIM_AND_YIELD, CYCLES // CLIENTS)
        wait_until(
            lambda: bench.counts()["n_dead_tup"] <= MAX_DEAD,
            "autovacuum leaves few dead rows",
            60,
        )
        sizes.append(bench.counts()["size"])
        report.note(
            f"{rate} claims and yields a second, {CYCLES} of {FEW_EVENTS}"
            f" steps; table and indexes have {sizes[-1] >> 10} kB"
        )
    expect(sizes[1] <= sizes[0] * MAX_GROWTH, True, "the table stops growing")


def saves_and_heartbeats_are_hot(instance: Instance, report: Report) -> None:
    """They change no indexed column, so they leave the indexes alone."""
    bench = Bench(instance, "hot", CLIENTS)
    bench.steps.connection.execute(CLAIM_ALL.format(CLIENTS))
    wait_until(
        lambda: bench.counts()["n_tup_upd"] >= CLIENTS, "claims are counted"
    )
    before = bench.counts()
    bench.pgbench(SAVE_AND_HEARTBEAT, SAVES)
    updates = 2 * CLIENTS * SAVES
    wait_until(
        lambda: bench.counts()["n_tup_upd"] >= before["n_tup_upd"] + updates,
        "saves and heartbeats are counted",
    )
    after = bench.counts()
    hot = (after["n_tup_hot_upd"] - before["n_tup_hot_upd"]) / updates
    report.note(f"{hot:.1%} of {updates} updates are HOT")
    expect(hot >= MIN_HOT, True, "HOT updates")


CHECKS = (
    each_event_is_delivered_once,
    the_table_stays_small,
    saves_and_heartbeats_are_hot,
)


def run(instance: Instance, report: Report, only: str) -> None:
    """Run the checks."""
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        if only in name:
            report.attempt(f"load: {name}", partial(check, instance, report))

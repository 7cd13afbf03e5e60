"""Works for so many minutes, looks at each period, and compares.

    run.py MINUTES

A run is from a worker's claim to its last call; cpu is what the backend had to compute for
it. Memory is what the largest of the workers' backends has in use in its memory contexts,
and what of its process is its own. The last line counts checks.
"""

import re
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psycopg
from load import Worker
from upkeep import Upkeep

WORKERS = 8
RATE = 15.0  # runs a second that each begins
STEPS = 200

# What the last periods may have in place of the second, times and more: what backends
# keep of partitions that come, and what a machine does that gets other work meanwhile
MEMORY = (1.25, 300_000)
PRIVATE = (1.25, 1_000_000)
SIZE = (2, 1_000_000)
CPU = (2.5, 0)
LATENCY = (5, 0.25)
# and in place of what it needs, 200 bytes a row, 64 kB a partition, and what is in the
# checkpoints of steps that are not done
BLOAT = (2, 3_000_000)


@dataclass
class Period:
    """What was seen of one."""

    runs: int
    p50: float
    p99: float
    cpu: float
    contexts: int
    private: int
    steps: int
    needed: int
    events: int
    archive: int


class Checks:
    """Counts, and says what is not so."""

    def __init__(self) -> None:
        self.passed = self.failed = 0

    def check(self, what: str, ok: bool, found: object = "") -> None:
        """Count one."""
        if ok:
            self.passed += 1
        else:
            self.failed += 1
        said = f": {found}" if found != "" else ""
        print(f"{'ok' if ok else 'not ok'} - {what}{said}", flush=True)


class Observer:
    """Looks at the server from outside of the load."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers
        self.connection = psycopg.connect("dbname=postgres user=postgres", autocommit=True)
        self.log = Path.home() / "server.log"
        self._cpu = self.cpu()

    def row(self, sql: str) -> tuple[int, ...]:
        """Return the one row of a query."""
        row = self.connection.execute(sql).fetchone()
        assert row is not None
        return row

    def contexts(self) -> int:
        """Return what the largest backend has in use; each says so in the log."""
        start = self.log.stat().st_size
        for worker in self.workers:
            self.row(f"SELECT pg_log_backend_memory_contexts({worker.pid})")
        pattern = re.compile(r"\[(\d+)\] LOG:  Grand total: .* (\d+) used")
        end = time.monotonic() + 60
        found: dict[int, int] = {}
        while len(found) < len(self.workers) and time.monotonic() < end:
            with open(self.log, "rb") as log:
                log.seek(start)
                text = log.read().decode()
            found = {int(pid): int(used) for pid, used in pattern.findall(text)}
        return max(found.values(), default=0)

    def cpu(self) -> float:
        """Return the seconds that the workers' backends have computed."""
        paths = [Path(f"/proc/{worker.pid}/schedstat") for worker in self.workers]
        return sum(int(path.read_text().split()[0]) for path in paths) / 1e9

    def private(self) -> int:
        """Return what the largest process has for itself."""
        sizes = []
        for worker in self.workers:
            text = Path(f"/proc/{worker.pid}/smaps_rollup").read_text()
            kib = re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.M)
            sizes.append(1024 * sum(int(k) for k in kib))
        return max(sizes)

    def period(self) -> Period:
        """Return what a period has come to."""
        taken = sorted(t for worker in self.workers for t in worker.taken())
        cut = statistics.quantiles(taken, n=100) if len(taken) > 1 else [0.0] * 99
        before, self._cpu = self._cpu, self.cpu()
        sizes = self.row("""
            SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('steps')),
                (SELECT 200 * count(*) FROM steps)
                    + (SELECT coalesce(sum(pg_column_size(checkpoint)), 0) FROM steps WHERE NOT processed)
                    + (SELECT 65536 * count(*) FROM pg_partition_tree('steps')),
                pg_total_relation_size('tasker_checkpoint_events'),
                pg_total_relation_size('tasker_checkpoint_archive')
            """)
        return Period(
            len(taken), cut[49], cut[98], (self._cpu - before) / max(len(taken), 1),
            self.contexts(), self.private(), *map(int, sizes),
        )  # fmt: skip


def bounded(
    checks: Checks,
    periods: list[Period],
    name: str,
    what: str,
    bound: tuple[float, float],
    base: str = "",
) -> None:
    """Compare the last periods with the second, or with another figure of theirs."""
    last = statistics.median(getattr(period, name) for period in periods[-3:])
    first = getattr(periods[1], name)
    if base:
        first = statistics.median(getattr(period, base) for period in periods[-3:])
    limit = first * bound[0] + bound[1]
    checks.check(f"{name}: {what}", last <= limit, f"{last:.6g}, of {limit:.6g}")


def summary(periods: list[Period]) -> str:
    """Return what docs/reliability.md has: the second period, and the last ones."""
    last = {
        name: statistics.median(getattr(period, name) for period in periods[-3:])
        for name in vars(periods[0])
    }

    def change(what: str, name: str, unit: float, digits: int) -> str:
        first, then = (value / unit for value in (getattr(periods[1], name), last[name]))
        return f"{what} {first:.{digits}f} to {then:.{digits}f}"

    return (
        f"{sum(period.runs for period in periods)} runs."
        " In the second period and in the last three:"
        f" {change('memory in use by a backend', 'contexts', 1000, 0)} kB,"
        f" {change('its own pages', 'private', 1e6, 1)} MB;"
        f" {change('steps', 'steps', 1e6, 1)} MB, of which"
        f" {change('needed', 'needed', 1e6, 1)};"
        f" {change('events', 'events', 1e6, 2)} MB, {change('archive', 'archive', 1e6, 1)} MB;"
        f" {change('a run, p50', 'p50', 0.001, 1)} ms, {change('p99', 'p99', 0.001, 1)} ms,"
        f" {change('CPU', 'cpu', 0.001, 2)} ms"
    )


def ledger(checks: Checks, observer: Observer) -> None:
    """Each item is written once, up to where the checkpoint is, and no further."""
    (wrong,) = observer.row("""
        SELECT count(*) FROM (
            SELECT FROM ledger GROUP BY step
            HAVING min(first) <> 1 OR sum(last - first + 1) <> max(last)
                OR count(DISTINCT first) <> count(*)
        ) AS broken""")
    checks.check("no item is missing from a ledger, none is there twice", wrong == 0, wrong)
    (wrong,) = observer.row("""
        WITH ledgers AS (SELECT step, max(last) AS items FROM ledger GROUP BY step)
        SELECT count(*) FROM ledgers FULL JOIN (
            SELECT id AS step, (checkpoint ->> 'items_processed')::bigint AS items FROM steps
            WHERE NOT processed AND checkpoint IS NOT NULL
            UNION ALL SELECT step, items FROM done) AS kept USING (step)
        WHERE ledgers.items IS DISTINCT FROM kept.items""")
    checks.check("each checkpoint is where its ledger ends", wrong == 0, wrong)
    live, offered, twice = observer.row("""
        SELECT (SELECT count(*) FROM steps WHERE NOT processed),
            (SELECT count(*) FROM tasker_checkpoint_dispatched() WHERE has_event AND NOT parked),
            (SELECT count(*) - count(DISTINCT step) FROM done)""")
    checks.check(
        "each step that is not done is dispatched", live == offered == STEPS, f"{live}, {offered}"
    )
    checks.check("none was done twice", twice == 0, twice)


def main(minutes: float) -> int:
    """Run, and say what was seen."""
    length = max(15.0, min(60.0, minutes * 60 / 8))
    with psycopg.connect("dbname=postgres user=postgres", autocommit=True) as connection:
        connection.execute(Path(__file__).with_name("schema.sql").read_text())
        upkeep = Upkeep(length)
        connection.execute("SELECT add_step() FROM generate_series(1, %s)", [STEPS])
    workers = [Worker(n, RATE) for n in range(1, WORKERS + 1)]
    observer = Observer(workers)
    upkeep.start()
    for worker in workers:
        worker.start()

    print(f"{WORKERS} workers, {WORKERS * RATE:g} runs offered a second, periods of {length:g} s")
    print("        runs     p50     p99     cpu  contexts private   steps  needed  events archive")
    print("                  ms      ms      ms        kB      kB      kB      kB      kB      kB")
    periods: list[Period] = []
    start = time.monotonic()
    while (len(periods) + 1) * length <= minutes * 60 + 1:
        end = start + (len(periods) + 1) * length
        upkeep.stopped.wait(max(0, end - time.monotonic()))
        p = observer.period()
        periods.append(p)
        print(
            f"{len(periods):>4} {p.runs:>7}"
            + "".join(f"{1000 * value:>8.1f}" for value in (p.p50, p.p99, p.cpu))
            + f"{p.contexts / 1000:>10.0f}"
            + "".join(
                f"{value / 1000:>8.0f}"
                for value in (p.private, p.steps, p.needed, p.events, p.archive)
            ),
            flush=True,
        )
    for thread in [*workers, upkeep]:
        thread.stopped.set()
    for thread in [*workers, upkeep]:
        thread.join()
    ends = sum((worker.ends for worker in workers), Counter())
    print("runs by their end:", ", ".join(f"{n} {end}" for end, n in ends.most_common()))
    print("beside them:", ", ".join(f"{n} {what}" for what, n in upkeep.done.most_common()))

    checks = Checks()
    for error in [e for thread in [*workers, upkeep] for e in thread.errors][:20]:
        print(error)
    checks.check("no worker met an error", not any(w.errors for w in workers))
    checks.check("nor did what was done to the tables", not upkeep.errors)
    checks.check(
        "tables were vacuumed, and indexes made anew",
        upkeep.done["reindexes"] >= 3 and upkeep.done["vacuums"] > 0,
    )
    ledger(checks, observer)
    bounded(checks, periods, "contexts", "what a backend has in use does not grow", MEMORY)
    bounded(checks, periods, "private", "nor what its process has", PRIVATE)
    bounded(checks, periods, "steps", "the steps take little more than they need", BLOAT, "needed")
    bounded(checks, periods, "events", "the events' size is bounded", SIZE)
    bounded(checks, periods, "archive", "and the archive's", SIZE)
    bounded(checks, periods, "cpu", "a run takes the backend what it took", CPU)
    bounded(checks, periods, "p50", "half of the runs take no longer", LATENCY)
    bounded(checks, periods, "p99", "nor do the longest", (LATENCY[0], 4 * LATENCY[1]))
    # test/reliability.sh looks for it
    print(f"figure soak: {minutes:g} minutes, {summary(periods)}")
    print(f"{checks.passed} passed, {checks.failed} failed")
    return min(checks.failed, 1)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))

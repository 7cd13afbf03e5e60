"""Every pair of operations from every state of a step.

A state is reached once, kept in tables beside, and put back before each pair.
A pair is done in a row, and also by two sessions: the second operation while
the first one's transaction is open, which then commits or rolls back.
"""

import random
from collections.abc import Iterator
from typing import Any

from comparison import Mismatch
from documents import ABSENT
from operations import F, TABLE
from server import Run, Server, SkipRun
from writes import COPY_CHANGES

S = "00000000-0000-4000-8000-000000000001"
CURRENT = ("event", S, 1)
SETTINGS = {"history_limit": 2, "max_deliveries": 2, "archive_history": True}
Operations = list[tuple[Any, ...]]

DOCUMENT = {"cursor": 9, "items_processed": 9}

OPERATIONS: Operations = [
    ("save", S, 9, 9, 1, CURRENT), ("save", S, 9, 9, ABSENT, None), ("save", S, 2, 2, ABSENT, CURRENT),
    ("save", S, 9, 0, ABSENT, CURRENT), ("save", S, 8, 8, ABSENT, ("event", S, 2)),
    ("yield_", S, 9, 9, 1, CURRENT), ("yield_", S, 9, 9, ABSENT, None),
    ("yield_", S, 2, 2, ABSENT, CURRENT), ("yield_", S, 8, 8, ABSENT, ("event", S, 2)),
    ("repeat", 0), ("repeat", 1), ("step_event", CURRENT, S, 9, 9, 1),
    ("heartbeat", CURRENT, None), ("heartbeat", CURRENT, "1 hour"), ("complete", CURRENT),
    ("release", CURRENT, "0", False), ("release", CURRENT, "1 hour", False),
    ("release", CURRENT, "0", True), ("dispatch", S), ("claim", "v", "1 hour", 1, None),
    ("claim", "v", "1 microsecond", 1, S), ("pause", S), ("resume", S), ("cancel", S),
    ("rewind", S, 1, ABSENT), ("clear", S), ("reset", S, False), ("reset", S, True),
    ("update", S, DOCUMENT), ("update", S, ABSENT), ("suppressed", S, DOCUMENT),
    ("suppressed", S, ABSENT), ("tasker", S, {**DOCUMENT, "history": []}),
    ("upsert", S, DOCUMENT), ("insert_nothing", S, DOCUMENT), ("merge", S, DOCUMENT),
    *(("write_back", ("copy", 0), how) for how in COPY_CHANGES),
    ("write_back", ("copy", 1), "as it was"), ("delete", S), ("insert", S, DOCUMENT),
    ("insert", S, ABSENT),
    ("finish", S), ("annotate", S, 1), ("rekey", S), ("purge",), ("trim", 1), ("purge_events",),
]  # fmt: skip

SAVED: Operations = [
    (a, *op)
    for op in [
        ("copy", S), ("save", S, 1, 1, 1, None), ("save", S, 2, 2, ABSENT, None), ("copy", S),
        ("save", S, 2, 2, ABSENT, None), ("save", S, 3, 3, ABSENT, None),
    ]
    for a in "A"
]  # fmt: skip
CLAIM = ("A", "claim", "w", "1 hour", 1, S)
EXPIRED = ("A", "claim", "w", "1 microsecond", 1, S)
OFFERED: Operations = [("A", "dispatch", S)]

CHECKPOINTS: dict[str, Operations] = {
    "no checkpoint": [],
    "a checkpoint": SAVED,
    "cleared": [*SAVED, ("A", "clear", S)],
}
DISPATCHES: dict[str, Operations] = {
    "undispatched": [],
    "offered": OFFERED,
    "delayed": [*OFFERED, ("A", "release", CURRENT, "1 hour", False)],
    "claimed": [*OFFERED, CLAIM],
    "saved": [*OFFERED, CLAIM, ("A", "save", S, 4, 4, ABSENT, CURRENT)],
    "saved, written since": [
        *OFFERED, CLAIM, ("A", "save", S, 4, 4, ABSENT, CURRENT),
        ("A", "update", S, {"cursor": 5, "items_processed": 5}),
    ],
    "yielded": [*OFFERED, CLAIM, ("A", "yield_", S, 4, 4, ABSENT, CURRENT)],
    "yielded and claimed": [*OFFERED, CLAIM, ("A", "yield_", S, 4, 4, ABSENT, CURRENT), CLAIM],
    "expired": [*OFFERED, EXPIRED],
    "paused": [*OFFERED, CLAIM, ("A", "pause", S)],
    "cancelled": [*OFFERED, ("A", "cancel", S)],
    "parked": [*OFFERED, EXPIRED, EXPIRED, EXPIRED],
    "directive only": [("A", "pause", S)],
    "processed": [*OFFERED, CLAIM, ("A", "finish", S)],
    "deleted": [*OFFERED, CLAIM, ("A", "delete", S)],
    "gone": [*OFFERED, CLAIM, ("A", "truncate")],
    "gone, with an event": [*OFFERED, ("A", "truncate")],
}  # fmt: skip

TABLES = (TABLE, f"{F}events", f"{F}archive")


class Kept:
    """A state that can be put back, in the server and in the model."""

    def __init__(self, run: Run, level: int) -> None:
        self.run = run
        self.level = level
        sql = ""
        for i, table in enumerate(TABLES):
            sql += (
                f"TRUNCATE kept.t{i}_{level}; INSERT INTO kept.t{i}_{level} SELECT * FROM {table};"
            )
        run.observer.connection.execute(sql)
        self.committed = run.world.committed
        self.ids = {s: list(ids) for s, ids in run.ids.items()}
        self.copies = list(run.copies)
        self.written = list(run.written)

    def put_back(self) -> None:
        sql = "BEGIN; SET LOCAL session_replication_role = replica;"
        for i, table in enumerate(TABLES):
            sql += (
                f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept.t{i}_{self.level};"
            )
        run = self.run
        run.observer.connection.execute(sql + "COMMIT")
        run.server.notifications.clear()
        run.world.committed = self.committed
        run.ids = {s: list(ids) for s, ids in self.ids.items()}
        run.copies = list(self.copies)
        run.written = list(self.written)
        run.script = []


def prepare(server: Server) -> None:
    """Make the tables that keep states."""
    sql = "DROP SCHEMA IF EXISTS kept CASCADE; CREATE SCHEMA kept;"
    for i, table in enumerate(TABLES):
        for level in (0, 1):
            sql += f"CREATE UNLOGGED TABLE kept.t{i}_{level} AS TABLE {table};"
    server.observer.connection.execute(sql)


def attempt(run: Run, operations: Operations) -> str | None:
    try:
        for operation in operations:
            run.perform(*operation)
        return None
    except Mismatch as mismatch:
        problem = f"{run.current}: {mismatch}"
    except SkipRun:
        problem = None
    run.close()
    run.pending = None
    run.world.transactions.clear()
    return problem


def pairs(
    server: Server, seed: int, percent: float
) -> Iterator[tuple[str, Operations, str | None]]:
    """Each pair: its name, how to reach it, and what differs if anything does."""
    prepare(server)
    chance = random.Random(seed)
    for checkpoint, first in CHECKPOINTS.items():
        for dispatch, second in DISPATCHES.items():
            prefix: Operations = [("A", "insert", S, ABSENT), *first, *second]
            state = f"{checkpoint}, {dispatch}"
            run = Run(server, SETTINGS)
            problem = attempt(run, prefix)
            if problem:
                yield state, prefix, problem
                continue
            base = Kept(run, 0)
            for one in OPERATIONS:
                for pair in from_state(run, base, state, prefix, one, chance, percent):
                    yield pair
                    if pair[2]:
                        # whoever looked into it had settings of its own
                        run.configure()
            run.close()


def from_state(
    run: Run, base: Kept, state: str, prefix: Operations, one: Any,
    chance: random.Random, percent: float,
) -> Iterator[tuple[str, Operations, str | None]]:  # fmt: skip
    """All that begins with this operation."""
    base.put_back()
    operations: Operations = [("A", *one)]
    problem = attempt(run, operations)
    yield f"{state}: {one[0]}", prefix + operations, problem
    if problem:
        return
    if run.world.committed != base.committed:
        kept = Kept(run, 1)
        for two in OPERATIONS:
            if chance.random() * 100 < percent:
                kept.put_back()
                second: Operations = [("A", *two)]
                yield (
                    f"{state}: {one[0]}, {two[0]}",
                    prefix + operations + second,
                    attempt(run, second),
                )
    for two in OPERATIONS:
        for end in ("commit", "rollback"):
            if chance.random() * 100 < percent / 4:
                base.put_back()
                together: Operations = [
                    ("A", "begin", "READ COMMITTED"), ("A", *one), ("B", *two), ("A", end),
                ]  # fmt: skip
                yield (
                    f"{state}: {one[0]} while {two[0]}, {end}",
                    prefix + together,
                    attempt(run, together),
                )

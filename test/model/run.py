"""Random sequences of all that can be done, on the server and in the model.

    run.py [--seed N] [--seconds S] [--pairs PERCENT] [--sequence SEED]

README.md says more.  The last line counts sequences and pairs.
"""

import argparse
import itertools
import random
import re
import sys
import time
import traceback
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pairs
from comparison import Mismatch
from documents import ABSENT
from server import DEFAULTS, Run, Server, SkipRun
from world import KNOWN
from writes import COPY_CHANGES

S1, S2 = ("00000000-0000-4000-8000-00000000000%d" % i for i in (1, 2))
ISOLATIONS = ["READ COMMITTED"] * 4 + ["REPEATABLE READ"] * 2 + ["SERIALIZABLE"]
Operations = list[tuple[Any, ...]]

# Differences after which nobody reads on
MANY = 30

SETTINGS: dict[str, list[Any]] = {
    "history_limit": [10, 10, 3, 2, 1, 0, -1],
    "history_size": [65536, 65536, -1, 250],
    "cursor_limit": [65536, 100, -1],
    "results_limit": [1048576, 200, -1],
    "results_warning": [262144, 100, 0],
    "enforce": ["error", "error", "warning"],
    "require_monotonic_items": ["functions", "off", "all"],
    "require_claim": [False, False, True],
    "max_deliveries": [20, 1, 2, 0],
    "archive_history": [False, True],
    "notify": [True, True, True, False],
}


class Generator:
    """Chooses operations, most of which make sense."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.items = 0

    def settings(self) -> dict[str, Any]:
        if self.random.random() < 0.2:
            return {}
        return {k: self.random.choice(v) for k, v in SETTINGS.items()}

    def sequence(self, names: str, length: int) -> Operations:
        operations: Operations = [("A", "insert", S1, ABSENT), ("A", "dispatch", S1)]
        for _ in range(length):
            name = self.random.choice(names)
            if self.chance(6):
                special = self.random.choice([self.lost_reply, self.nested])
                operations += [(name, *operation) for operation in special()]
            else:
                operations.append((name, *self.operation()))
        return operations

    def nested(self) -> Operations:
        """A savepoint that something was done after."""
        return [
            ("begin", self.random.choice(ISOLATIONS)),
            self.operation(),
            ("savepoint", "a"),
            self.operation(),
            ("savepoint", "b"),
            self.operation(),
            self.random.choice([("rollback_to", "b"), ("release_savepoint", "b")]),
            self.random.choice([("rollback_to", "a"), ("release_savepoint", "a")]),
            self.operation(),
            ("commit",),
        ]

    def lost_reply(self) -> Operations:
        """A checkpoint, and the same again in another transaction."""
        between: list[Operations] = [
            [("work",)],
            [("heartbeat", ("event", S1, 1), None)],
            [("pause", S1)],
            [("resume", S1)],
            [("savepoint", "a"), ("save", S1, 0, -1, ABSENT, None), ("rollback_to", "a")],
            [("savepoint", "a"), ("save", S1, 0, 0, ABSENT, None), ("rollback_to", "a")],
            [("savepoint", "a"), ("yield_", S1, 0, 0, ABSENT, None), ("release_savepoint", "a")],
            [("annotate", S1, 7)],
            [("update", S1, {"cursor": "since", "items_processed": self.items})],
            [("update", S1, ABSENT)],
        ]
        return [
            ("rollback",),
            ("claim", "w", "1 hour", 1, S1),
            (
                self.random.choice(["save", "save", "yield_"]),
                *self.arguments(S1),
                ("event", S1, 1),
            ),
            *self.random.choice([[], [], *between]),
            ("begin", self.random.choice(ISOLATIONS)),
            *self.random.choice([[], *between]),
            ("repeat", self.random.choice([0, 0, 0, 1])),
            ("commit",),
        ]

    def chance(self, percent: float) -> bool:
        return self.random.random() * 100 < percent

    def step(self) -> str:
        return S2 if self.chance(15) else S1

    def event(self, s: str) -> Any:
        if self.chance(10):
            return None
        if self.chance(4):
            s = S2 if s == S1 else S1
        return ("event", s, self.random.choice([1, 1, 1, 1, 1, 1, 2, 2, 3]))

    def cursor(self) -> Any:
        if self.chance(60):
            return self.items
        if self.chance(3):
            return ABSENT
        if self.chance(5):
            return self.wild()
        return self.random.choice([
            None, 0, "a", {"after": "b", "shard": [1, None]}, [], True,
            *("x" * n for n in (87, 88, 89)),
        ])  # fmt: skip

    def wild(self) -> Any:
        from decimal import Decimal

        value: Any = self.random.choice([
            10**308, -(10**309), 2 * 10**308, Decimal("0." + "1" * 900),
            Decimal("0." + "1" * 1001), 1,
        ])  # fmt: skip
        for _ in range(self.random.choice([0, 0, 40, 80])):
            value = [value]
        return value

    def results(self) -> Any:
        if self.chance(2):
            return self.wild()
        return self.random.choice([
            ABSENT, None, {"total": self.items}, 1, {}, *("r" * n for n in (87, 89, 187, 188, 189)),
        ])  # fmt: skip

    def number(self) -> Any:
        if self.chance(70):
            self.items += self.random.choice([0, 1, 1, 2])
            return self.items
        return self.random.choice(
            [0, self.items, self.items, 1, 2**63 - 1 if self.chance(5) else 3]
        )

    def arguments(self, s: str) -> Any:
        items = self.number()
        if self.chance(2):
            items = self.random.choice([None, -1])
        return (s, self.cursor(), items, self.results())

    def time(self) -> str:
        """What a clock says that is ahead or behind."""
        skew = self.random.choice([-366 * 86400, -3600, -30, 0, 0, 1, 30, 3600, 366 * 86400])
        at = datetime.now(UTC) + timedelta(seconds=skew)
        return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def document(self, insert: bool) -> Any:
        """One that a client might send."""
        doc: dict[str, Any] = {"cursor": self.cursor(), "items_processed": self.number()}
        if doc["cursor"] is ABSENT:
            del doc["cursor"]
        if self.chance(70):
            doc["accumulated_results"] = self.results()
            if doc["accumulated_results"] is ABSENT:
                del doc["accumulated_results"]
        if self.chance(50):
            doc["timestamp"] = self.random.choice([
                "2026-01-06T12:00:00Z", "2026-01-06T12:00:00.123456789Z", "yesterday", 5, None,
            ])  # fmt: skip
        if self.chance(30):
            doc[self.random.choice(["mark", "k"])] = self.random.choice([1, "y" * 20, "y" * 150])
        if self.chance(50):
            doc["history"] = []
        if insert and self.chance(30):
            doc["history"] = self.random.choice([
                [{"cursor": 1, "timestamp": "2026-01-06T11:00:00Z"}],
                [{"cursor": i, "items_processed": i, "timestamp": f"2026-01-06T1{i}:00:00Z"} for i in range(5)],
                [1, {"cursor": 2, "items_processed": 1, "timestamp": "2026-01-06T11:00:00Z"}],
                {}, 1,
            ])  # fmt: skip
            ahead = datetime.now(UTC) + timedelta(minutes=self.random.choice([2, 60]))
            doc["timestamp"] = self.random.choice(
                ["2026-01-06T14:00:00Z", ahead.isoformat().replace("+00:00", "Z")]
            )
            if isinstance(doc["history"], list):
                newest = doc["history"][-1]
                doc["cursor"] = newest["cursor"]
                doc["items_processed"] = newest.get("items_processed", doc["items_processed"])
        if insert and self.chance(10):
            doc["history_truncated"] = self.random.choice(
                [0, 7, 2**53, 2**53 + 1, -1, "1", 2**63]
            )
            doc["timestamp"] = "2026-01-06T14:00:00Z"
        if self.chance(5):
            bad = self.random.choice(["items_processed", "cursor", "object"])
            if bad == "object":
                return self.random.choice([[], 1, "text", {}])
            doc[bad] = self.random.choice([-1, "1", None, 2**63, True])
        return ABSENT if self.chance(5) else None if self.chance(5) else doc

    def operation(self) -> tuple[Any, ...]:
        s = self.step()
        lease = "1 hour" if self.chance(60) else "1 microsecond"
        pick = self.random.choices
        names = {
            "save": 14, "yield_": 9, "repeat": 7, "step_event": 2, "claim": 14, "heartbeat": 3,
            "complete": 2, "release": 4, "dispatch": 5, "pause": 3, "resume": 4, "cancel": 1,
            "rewind": 4, "clear": 2, "reset": 2, "insert": 2, "insert_nothing": 2, "upsert": 3,
            "merge": 3, "update": 5, "suppressed": 2, "tasker": 4, "copy": 5, "write_back": 8,
            "compose": 4, "delete": 2, "finish": 1, "annotate": 2, "work": 3, "hold": 1, "rekey": 1,
            "purge": 1, "trim": 1, "purge_events": 1, "begin": 7, "commit": 6, "rollback": 2, "savepoint": 3,
            "rollback_to": 3, "release_savepoint": 1,
        }  # fmt: skip
        name = pick(list(names), list(names.values()))[0]
        arguments: Any = {
            "save": lambda: (*self.arguments(s), self.event(s)),
            "yield_": lambda: (*self.arguments(s), self.event(s)),
            "step_event": lambda: (self.event(s), *self.arguments(s)),
            "repeat": lambda: (self.random.choice([0, 0, 0, 1, 2]),),
            "claim": lambda: (
                "w", None if self.chance(2) else "2 hours" if self.chance(2) else lease,
                self.random.choice([1, 1, 2, 0 if self.chance(10) else 5]),
                self.random.choice([None, s]),
            ),
            "heartbeat": lambda: (self.event(s), self.random.choice([None, None, lease])),
            "complete": lambda: (self.event(s),),
            "release": lambda: (
                self.event(s), self.random.choice(["0", "0", "0", "1 hour", "2 days"]),
                self.chance(30),
            ),
            "rewind": lambda: (s, self.random.choice([0, 1, 1, 2, 3, 4, None]), self.results()),
            "reset": lambda: (s, self.random.choice([True, False])),
            "insert": lambda: (s, self.document(True)),
            "insert_nothing": lambda: (s, self.document(True)),
            "upsert": lambda: (s, self.document(False)),
            "merge": lambda: (s, self.document(False)),
            "update": lambda: (s, self.document(False)),
            "suppressed": lambda: (s, self.document(False)),
            "tasker": lambda: (s, {
                "cursor": self.items, "items_processed": self.number(), "history": [],
                "timestamp": "2026-01-06T12:00:00.123456789Z", "accumulated_results": None,
            }),
            "write_back": lambda: (
                ("copy", self.random.choice([0, 0, 0, 1, 2])),
                self.random.choice([*COPY_CHANGES, *["as it was"] * len(COPY_CHANGES)]),
            ),
            "compose": lambda: (
                ("copy", self.random.choice([0, 0, 1])), self.number(), self.time(),
                self.random.choice(["as it was", "as it was", "counted", "counted", "alone"]),
            ),
            "annotate": lambda: (s, self.items),
            "trim": lambda: (self.random.choice([0, 1, 2]),),
            "begin": lambda: (self.random.choice(ISOLATIONS),),
            "savepoint": lambda: (self.random.choice("ab"),),
            "rollback_to": lambda: (self.random.choice("ab"),),
            "release_savepoint": lambda: (self.random.choice("ab"),),
        }.get(name)  # fmt: skip
        if arguments:
            return (name, *arguments())
        return (
            (name,)
            if name in ("work", "purge", "purge_events", "commit", "rollback")
            else (name, s)
        )


def play(
    server: Server, settings: dict[str, Any], operations: Operations
) -> tuple[Run, str | None]:
    """Run a sequence; what differs, if anything does."""
    run = Run(server, settings)
    problem = None
    try:
        for operation in operations:
            run.perform(*operation)
    except Mismatch as mismatch:
        problem = f"{run.current}: {mismatch}"
    except SkipRun:
        pass
    finally:
        run.close()
    return run, problem


def kind(problem: str | None) -> str | None:
    """What it is about: the operation, and which part differs."""
    if problem and " it waits for" in problem:
        return "waits"
    return problem and " ".join(
        re.findall(r"^\w+|: (?:step|event)|\w+\(?\)?(?=:)|waits|, not", problem)
    )


def shrink(
    server: Server, settings: dict[str, Any], operations: Operations, problem: str, seconds: float
) -> tuple[dict[str, Any], Operations]:
    """A shorter sequence, with fewer settings, that differs as well."""
    end = time.monotonic() + seconds

    def differs(settings: dict[str, Any], operations: Operations) -> bool:
        if time.monotonic() > end:
            return False
        return kind(play(server, settings, operations)[1]) == kind(problem)

    size = len(operations) // 2
    while size:
        at = 0
        while at < len(operations):
            fewer = operations[:at] + operations[at + size :]
            if differs(settings, fewer):
                operations = fewer
            else:
                at += size
        size = min(size // 2, len(operations))
        if size == 0 and time.monotonic() < end:
            break
    for key in list(settings):
        fewer_settings = {k: v for k, v in settings.items() if k != key}
        if differs(fewer_settings, operations):
            settings = fewer_settings
    return settings, operations


def script(run: Run, problem: str, settings: dict[str, Any]) -> list[str]:
    """What a human can run to see it."""
    lines = [
        f"SET tasker_checkpoint.{k} = '{v}';" for k, v in settings.items() if DEFAULTS[k] != v
    ]
    text = "\n".join(sql for _, sql in run.script)
    several = len({name for name, sql in run.script if "\\gset" not in sql}) > 1
    for name, sql in run.script:
        if sql.endswith("\\gset"):
            if f":'{sql.split(' AS ')[1].split()[0]}'" in text:
                lines.append(sql)
        else:
            comment = f"  -- session {name}" if several else ""
            lines.append(f"{sql}{'' if sql.startswith('--') else ';'}{comment}")
    return [*lines, f"-- {problem}"]


class Report:
    """Counts, and prints what differs."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.calls: Counter[str] = Counter()
        self.kinds: Counter[str | None] = Counter()

    def check(
        self, server: Server, name: str, settings: dict[str, Any], operations: Operations
    ) -> None:
        run, problem = play(server, settings, operations)
        self.calls.update(run.calls)
        self.count(server, name, settings, operations, problem)

    def count(
        self, server: Server, name: str, settings: dict[str, Any], operations: Operations,
        problem: str | None,
    ) -> None:  # fmt: skip
        """Count one; show what differs, once for each kind."""
        if problem is None:
            self.passed += 1
            return
        self.failed += 1
        if self.kinds[kind(problem)] >= 2:
            return
        self.kinds[kind(problem)] += 1
        print(f"not ok - {name}: {problem}")
        settings, operations = shrink(server, settings, operations, problem, 20)
        run, again = play(server, settings, operations)
        for line in script(run, again or problem + " (not seen again)", settings):
            print(f"    {line}")
        sys.stdout.flush()


def sequences(server: Server, report: Report, seed: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() >= end or report.failed > MANY:
            break
        sequence(server, report, f"{seed}.{number}")


def sequence(server: Server, report: Report, seed: str) -> None:
    generator = Generator(seed)
    names = generator.random.choice(["A", "A", "AB", "ABC"])
    settings = generator.settings()
    operations = generator.sequence(names, 40)
    report.check(server, f"sequence {seed}", settings, operations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--pairs", type=float, default=10, help="percent of the pairs")
    parser.add_argument("--strict", action="store_true", help="follow no known difference")
    parser.add_argument("--sequence", help="run this one only, as 1.17")
    arguments = parser.parse_args()
    report = Report()
    if arguments.strict:
        KNOWN.clear()
    try:
        server = Server()
        if arguments.sequence:
            sequence(server, report, arguments.sequence)
        else:
            sequences(server, report, arguments.seed, arguments.seconds)
            for name, operations, problem in pairs.pairs(server, arguments.seed, arguments.pairs):
                report.count(server, name, pairs.SETTINGS, operations, problem)
                if report.failed > MANY:
                    break
    except Exception:
        traceback.print_exc()
        report.failed += 1
    print("# " + ", ".join(f"{v} {k}" for k, v in report.calls.most_common()))
    print(f"{report.passed} passed, {report.failed} failed")
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()

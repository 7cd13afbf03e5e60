"""A pool of workers that are killed, frozen and disconnected.

The seed decides on the steps and on the schedule: what happens when, and to
which of the workers that have a step.  How far they have got by then it can't
decide.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from .instance import Instance
from .programs import Language, Program
from .report import Report, rest, wait_until
from .scenarios import applied_problems, await_workers, history_problems
from .steps import Step, Steps

WORKERS_PER_LANGUAGE = 2
MIN_WORKERS = 6
STEPS_PER_SECOND = 5.0
# steps and disturbances end before, so that all of them meet
STEPS_END = 0.8
DISTURBANCES_PER_SECOND = 2.0
CRASH_INTERVAL = (12.0, 18.0)
SETTLE_SECONDS = 60.0
HISTORY_LIMIT = 5
SHOWN = 5
TICK = 0.05
MAX_FROZEN = 10.0
# of them, some try to write
MANY_ZOMBIES = 10

DISTURBANCES = {
    "kill": 30,
    "freeze": 40,
    "terminate a backend": 20,
    "drop a listener": 20,
}

SETTINGS = {
    # a frozen worker's locks are let go
    "idle_in_transaction_session_timeout": "'4s'",
    "tasker_checkpoint.history_limit": str(HISTORY_LIMIT),
}

LISTENERS = (
    "AND (query ILIKE 'listen%' OR query ILIKE '%heartbeat%')"
    " AND state = 'idle'"
)


@dataclass(order=True)
class Event:
    """Something that is to happen, seconds after the start."""

    at: float
    what: str
    choice: int = 0
    delay: float = 0.0


def plan(
    seed: int, seconds: float
) -> tuple[list[Event], list[dict[str, Any]]]:
    """Return the schedule, and the steps to be made in their order."""
    chance = random.Random(seed)
    events = []
    steps: list[dict[str, Any]] = []
    at = 0.0
    while at < seconds * STEPS_END:
        events.append(Event(at, "step"))
        steps.append(plan_step(chance, len(steps)))
        at += 1 / STEPS_PER_SECOND
    at = 1.0
    while at < seconds:
        (what,) = chance.choices(
            list(DISTURBANCES), weights=list(DISTURBANCES.values())
        )
        choice = chance.randrange(1000)
        events.append(Event(at, what, choice, chance.uniform(0.0, 1.0)))
        at += chance.expovariate(DISTURBANCES_PER_SECOND)
    at = chance.uniform(*CRASH_INTERVAL) / 2
    while at < seconds:
        events.append(Event(at, "crash"))
        at += chance.uniform(*CRASH_INTERVAL)
    return sorted(events), steps


def plan_step(chance: random.Random, number: int) -> dict[str, Any]:
    """Return what Steps.add() makes a step of."""
    start = chance.choice((0, 1, 1000))
    items = chance.randint(10, 80)
    step = {
        "start": start,
        "end": start + items,
        "mode": ("save", "yield")[number % 2],
        "items_per_checkpoint": chance.randint(2, 10),
        "cursor_kind": chance.choice(
            ("integer", "token", "object", "null", "big")
        ),
        "item_delay_ms": chance.randint(5, 40),
    }
    if chance.random() < 0.15:
        step |= {
            "fail_after": chance.randrange(items),
            "fail_on_attempt": 1,
            "fail_permanently": False,
        }
    return step


@dataclass
class Frozen:
    """A stopped worker, its claims, and how long to wait for more."""

    number: int
    claims: list[UUID]
    delay: float
    since: float
    thaw_at: float | None = None


# makes a worker of a generation
Start = Callable[[int], Program]


def starts(
    instance: Instance, languages: list[Language], conninfo: str
) -> list[Start]:
    """Return how the workers are started, several of each language."""

    def start(number: int, generation: int) -> Program:
        language = languages[number % len(languages)]
        return Program(
            language,
            conninfo,
            f"{language.name} {number}.{generation}",
            instance.directory / f"chaos_{number}.log",
            lease=1.0 + number % 3 / 2,
            # one of three only polls
            poll_only=number % 3 == 2,
        )

    size = max(MIN_WORKERS, WORKERS_PER_LANGUAGE * len(languages))
    return [partial(start, number) for number in range(size)]


class Pool:
    """The workers, each replaced when it is killed."""

    def __init__(self, starts: list[Start]) -> None:
        self._starts = starts
        self._generations = [0] * len(starts)
        self.frozen: dict[int, Frozen] = {}
        self.programs = [start(0) for start in starts]

    def __len__(self) -> int:
        return len(self.programs)

    def kill(self, number: int) -> None:
        """Kill -9, and start another one in its place."""
        self.programs[number].kill()
        self._generations[number] += 1
        self.programs[number] = self._starts[number](self._generations[number])

    def freeze(self, frozen: Frozen) -> None:
        """Stop a worker."""
        self.programs[frozen.number].freeze()
        self.frozen[frozen.number] = frozen

    def thaw(self, number: int) -> None:
        """Let a stopped worker go on."""
        self.programs[number].thaw()
        del self.frozen[number]


class Chaos:
    """One run."""

    def __init__(
        self,
        instance: Instance,
        languages: list[Language],
        seed: int,
        seconds: float,
    ) -> None:
        self._instance = instance
        self._events, self._plans = plan(seed, seconds)
        conninfo = instance.create_database("chaos")
        self.steps = Steps(conninfo)
        for name, value in SETTINGS.items():
            self.steps.connection.execute(
                f"ALTER DATABASE chaos SET {name} = {value}"
            )
        self.pool = Pool(starts(instance, languages, conninfo))
        self.made: list[Step] = []
        self.happened: Counter[str] = Counter()

    def play(self) -> None:
        """Let everything happen, then let the workers finish."""
        began = time.monotonic()
        for event in self._events:
            while (early := began + event.at - time.monotonic()) > 0:
                rest(min(early, TICK))
                self._thaw()
            if self._happen(event):
                self.happened[event.what] += 1
        for number in list(self.pool.frozen):
            self.pool.thaw(number)
        wait_until(
            lambda: not self.steps.unsettled(),
            "all steps settled",
            SETTLE_SECONDS,
        )

    def _victim(self, choice: int) -> int:
        """Choose a worker that is not frozen; one that has a step, if any."""
        awake = [n for n in range(len(self.pool)) if n not in self.pool.frozen]
        rows = self.steps.connection.execute(
            "SELECT worker FROM tasker_checkpoint_events"
            " WHERE worker IS NOT NULL"
        )
        names = {row["worker"] for row in rows}
        busy = [n for n in awake if self.pool.programs[n].name in names]
        among = busy or awake
        return among[choice % len(among)]

    def _freeze(self, event: Event) -> bool:
        if len(self.pool.frozen) >= len(self.pool) // 2:
            return False
        number = self._victim(event.choice)
        rows = self.steps.connection.execute(
            "SELECT event_id FROM tasker_checkpoint_events WHERE worker = %s",
            [self.pool.programs[number].name],
        )
        claims = [row["event_id"] for row in rows]
        self.pool.freeze(Frozen(number, claims, event.delay, time.monotonic()))
        return True

    def _thaw(self) -> None:
        """Let those go on whose claims were taken over a while ago."""
        now = time.monotonic()
        for frozen in list(self.pool.frozen.values()):
            if frozen.thaw_at is None:
                kept = self.steps.value(
                    "SELECT count(*) FROM tasker_checkpoint_events"
                    " WHERE event_id = ANY (%s)",
                    frozen.claims,
                )
                if not kept or now - frozen.since > MAX_FROZEN:
                    self.happened["taken over"] += bool(
                        frozen.claims and not kept
                    )
                    frozen.thaw_at = now + frozen.delay
            elif now > frozen.thaw_at:
                self.pool.thaw(frozen.number)

    def _happen(self, event: Event) -> bool:
        match event.what:
            case "step":
                self.made.append(self.steps.add(**self._plans[len(self.made)]))
            case "kill":
                self.pool.kill(self._victim(event.choice))
            case "freeze":
                return self._freeze(event)
            case "terminate a backend":
                return self._terminate(event.choice)
            case "drop a listener":
                return self._terminate(event.choice, LISTENERS)
            case "crash":
                self._instance.crash()
                self.steps.reconnect()
        return True

    def _terminate(self, choice: int, condition: str = "") -> bool:
        rows = self.steps.connection.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
            f" AND backend_type = 'client backend' {condition}"
            " ORDER BY backend_start, pid"
        ).fetchall()
        if not rows:
            return False
        pid = rows[choice % len(rows)]["pid"]
        return bool(self.steps.value("SELECT pg_terminate_backend(%s)", pid))

    def end_workers(self) -> None:
        """See all of them at work; then SIGTERM, and no error."""
        await_workers(self.steps, [each.name for each in self.pool.programs])
        for program in self.pool.programs:
            program.terminate()

    def close(self) -> None:
        """End what still runs."""
        for program in self.pool.programs:
            program.kill()
        self.steps.connection.close()


def expected_checkpoints(step: Step) -> int:
    """Return how many a step has, whatever happens to it."""
    items = step.end - step.start
    interval: int = step.metadata["items_per_checkpoint"]
    if step.metadata["mode"] == "save":
        return -(-items // interval)
    return (items - 1) // interval


def judge(step: Step, row: dict[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with a step, by check."""
    items = range(step.start, step.end)
    checkpoints = expected_checkpoints(step)
    results = {
        "total": len(items),
        "running_total": sum(item + 1 for item in items),
        "item_ids": [f"item_{item:04d}" for item in items],
        "checkpoints_used": checkpoints,
    }
    retries = int("fail_after" in step.metadata)
    states = ["waiting_for_retry"] * retries + ["complete"]
    problems: dict[str, list[str]] = {
        "processed": [],
        "results": [],
        "history": history_problems(row, checkpoints, HISTORY_LIMIT),
        "items": applied_problems(row, step, step.start, "complete"),
        "states": [],
    }
    if not row["processed"] or row["dispatched"] or row["parked"]:
        problems["processed"] = ["stuck"]
    if row["results"] != results:
        problems["results"] = [f"{row['results']}, expected {results}"]
    for key, expected in (
        ("states", states),
        ("attempts", retries + 1),
        ("in_process", False),
    ):
        if row[key] != expected:
            problems["states"].append(f"{key} {row[key]!r}")
    return problems


CHECKS = {
    "processed": "no step is stuck",
    "results": "results are as if nothing had happened",
    "history": "each accepted checkpoint is in history or its truncated count,"
    " and none is of a zombie",
    "items": "each item is done, exactly once where the handler saves",
    "states": "each step was completed once, each attempt counted once",
}


def check_steps(
    what: str, steps: Steps, made: list[Step], report: Report
) -> list[dict[str, Any]]:
    """Look at all steps, and return what there is to know of them."""
    rows = [steps.look(step) for step in made]
    found = [judge(*pair) for pair in zip(made, rows)]
    for key, text in CHECKS.items():
        problems = [
            f"{step.uuid} {step.metadata['mode']}: {problem}"
            for step, problems in zip(made, found)
            for problem in problems[key]
        ]
        report.check(f"{what}: {text}", shorten(problems))
    return rows


def shorten(problems: list[str]) -> list[str]:
    """Return the first few, and how many more there are."""
    more = len(problems) - SHOWN
    return problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])


def run(
    instance: Instance,
    languages: list[Language],
    report: Report,
    seed: int,
    seconds: float,
) -> None:
    """Make chaos, and look at what it did."""
    names = ",".join(language.name for language in languages)
    report.note(f"chaos: seed {seed}, {seconds:g} seconds, {names}")
    chaos = Chaos(instance, languages, seed, seconds)
    try:
        report.attempt("chaos: the steps settle", chaos.play)
        report.attempt(
            "chaos: all workers are well, and end on SIGTERM",
            chaos.end_workers,
        )
        rows = check_steps("chaos", chaos.steps, chaos.made, report)
        report.check("chaos: no error but TC002", instance.errors("chaos"))
        tell(chaos, instance, rows, report)
    finally:
        chaos.close()


def tell(
    chaos: Chaos,
    instance: Instance,
    rows: list[dict[str, Any]],
    report: Report,
) -> None:
    """Print figures."""
    happened = ", ".join(
        f"{count} {what}" for what, count in sorted(chaos.happened.items())
    )
    report.note(happened)
    applied = [times for row in rows for times in row["applied"].values()]
    twice = sum(times - 1 for times in applied)
    report.note(
        f"{sum(applied)} items, {twice} of them more than once (yield),"
        f" {sum(len(row['accepted']) for row in rows)} checkpoints"
    )
    refused = instance.log().count("was superseded")
    report.note(f"{refused} writes of zombies refused by the server")
    if chaos.happened["taken over"] >= MANY_ZOMBIES:
        report.check(
            "chaos: zombies tried to write",
            [] if refused else ["the server refused nothing"],
        )

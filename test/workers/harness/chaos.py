"""A pool of workers that are killed, frozen and disconnected.

The seed decides on the steps and on the schedule: what happens when, and to
which of the workers that have a step.  How far they have got by then it can't
decide.
"""

import random
import time
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from .instance import Instance
from .pool import Start, Turmoil
from .programs import WAITS, Language, Program
from .report import Report, rest

WORKERS_PER_LANGUAGE = 2
MIN_WORKERS = 6
STEPS_PER_SECOND = 5.0
# steps and disturbances end before, so that all of them meet
STEPS_END = 0.8
DISTURBANCES_PER_SECOND = 2.0
CRASH_INTERVAL = (12.0, 18.0)
TICK = 0.05
MAX_FROZEN = 10.0
# of them, some try to write
MANY_ZOMBIES = 10
MODES = ("save", "yield", "iterate", "yield")
# of the workers, each waits in one of these ways
HOW = tuple(WAITS)

DISTURBANCES = {
    "kill": 30,
    "freeze": 40,
    "terminate a backend": 20,
    "drop who waits": 20,
}

WAITING = (
    "AND (query ~* '^(listen|call)' AND state <> 'idle in transaction'"
    " OR query ILIKE '%heartbeat%' AND state = 'idle')"
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
        "mode": MODES[number % len(MODES)],
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


class Chaos(Turmoil):
    """One run."""

    name = "chaos"

    def __init__(
        self,
        instance: Instance,
        languages: list[Language],
        seed: int,
        seconds: float,
    ) -> None:
        self._languages = languages
        self._events, self._plans = plan(seed, seconds)
        super().__init__(instance)
        self._frozen: dict[int, Frozen] = {}

    def starts(self) -> list[Start]:
        """Return how the workers are started, several of each language."""
        # a frozen worker's locks are let go
        self.set("idle_in_transaction_session_timeout", "'4s'")

        def start(number: int, generation: int) -> Program:
            language = self._languages[number % len(self._languages)]
            return Program(
                language,
                self.conninfo,
                f"{language.name}-{number}.{generation}",
                self.instance.directory / f"chaos_{number}.log",
                lease=1.0 + number % 3 / 2,
                wait=HOW[number % len(HOW)],
            )

        size = max(MIN_WORKERS, WORKERS_PER_LANGUAGE * len(self._languages))
        return [partial(start, number) for number in range(size)]

    def play(self) -> None:
        """Let everything happen, then let the workers finish."""
        began = time.monotonic()
        for event in self._events:
            while (early := began + event.at - time.monotonic()) > 0:
                rest(min(early, TICK))
                self._thaw()
            if self._happen(event):
                self.happened[event.what] += 1
        for number in list(self._frozen):
            self._let_go_on(number)
        self.steps.await_settled()

    def _victim(self, choice: int) -> int:
        """Choose a worker that is not frozen; one that has a step, if any."""
        awake = [n for n in range(len(self.pool)) if n not in self._frozen]
        rows = self.steps.connection.execute(
            "SELECT worker FROM tasker_checkpoint_events"
            " WHERE worker IS NOT NULL"
        )
        names = {row["worker"] for row in rows}
        busy = [n for n in awake if self.pool.programs[n].name in names]
        among = busy or awake
        return among[choice % len(among)]

    def _freeze(self, event: Event) -> bool:
        if len(self._frozen) >= len(self.pool) // 2:
            return False
        number = self._victim(event.choice)
        rows = self.steps.connection.execute(
            "SELECT event_id FROM tasker_checkpoint_events WHERE worker = %s",
            [self.pool.programs[number].name],
        )
        claims = [row["event_id"] for row in rows]
        self.pool.programs[number].freeze()
        self._frozen[number] = Frozen(
            number, claims, event.delay, time.monotonic()
        )
        return True

    def _thaw(self) -> None:
        """Let those go on whose claims were taken over a while ago."""
        now = time.monotonic()
        for frozen in list(self._frozen.values()):
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
                self._let_go_on(frozen.number)

    def _let_go_on(self, number: int) -> None:
        self.pool.programs[number].thaw()
        del self._frozen[number]

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
            case "drop who waits":
                return self._terminate(event.choice, WAITING)
            case "crash":
                self.instance.crash()
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

    def checks(self) -> list[tuple[str, list[str]]]:
        """Return whether zombies met the fence."""
        refused = self.instance.log().count("was superseded")
        problems = ["the server refused nothing"]
        if refused or self.happened["taken over"] < MANY_ZOMBIES:
            problems = []
        return [("zombies tried to write", problems)]

    def tell(self, report: Report, rows: list[dict[str, Any]]) -> None:
        """Print figures."""
        applied = [times for row in rows for times in row["applied"].values()]
        twice = sum(times - 1 for times in applied)
        report.note(
            f"{sum(applied)} items, {twice} of them more than once (yield),"
            f" {sum(len(row['accepted']) for row in rows)} checkpoints"
        )
        refused = self.instance.log().count("was superseded")
        report.note(f"{refused} writes of zombies refused by the server")

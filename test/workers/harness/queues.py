"""A pool of workers on three queues, who wait in the server for their own.

Most serve one queue, some two, one all of them.

How much is done is laid down, not how long it takes: a step is made when few
are under way, and what happens to the workers goes by how many were made.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from .instance import WORKERS, Instance
from .logs import lines
from .pool import Start, Turmoil
from .programs import Language, Program
from .report import Report, wait_until

QUEUES = ("imports", "exports", "mails")
# by the number of the worker; () is all
SERVED: tuple[tuple[str, ...], ...] = (
    *((queue,) for queue in QUEUES),
    *((queue,) for queue in QUEUES),
    ("imports", "exports"),
    ("exports", "mails"),
    (),
)
PRIORITIES = (-10, 0, 0, 0, 10)
LEASE = 1.0
STEPS = 240
# under way at a time: fewer than workers, so that some always wait
MAX_OPEN = 10
MAX_FROZEN = 3
DISTURBANCES = {"kill": 16, "freeze at work": 10, "freeze asleep": 4}
# of the steps that are made, the part in which they happen
BEGIN, END = 0.05, 0.9
# TC002; and what ends those who wait on SIGTERM
EXPECTED_ERRORS = "(TC002|57014)"

# beside the tables of ../schema.sql and deliveries.sql
SETUP = """
-- which claim an item was written under: the step's, as of then
ALTER TABLE applied ADD queue text, ADD holder text;
CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    SELECT e.queue, e.worker INTO NEW.queue, NEW.holder
    FROM tasker_checkpoint_events e WHERE e.step_uuid = NEW.step_uuid;
    RETURN NEW;
END
$$;
CREATE TRIGGER note_claim BEFORE INSERT ON applied
    FOR EACH ROW EXECUTE FUNCTION note_claim();
"""


def plan(seed: int) -> tuple[list[dict[str, Any]], dict[int, list[str]]]:
    """Return the steps to be made, and what happens after how many of them."""
    chance = random.Random(seed)
    steps = [plan_step(chance) for _ in range(STEPS)]
    happens: dict[int, list[str]] = {STEPS // 2: ["crash"]}
    for what, times in DISTURBANCES.items():
        for _ in range(times):
            number = int(STEPS * chance.uniform(BEGIN, END))
            happens.setdefault(number, []).append(what)
    return steps, happens


def plan_step(chance: random.Random) -> dict[str, Any]:
    """Return what Steps.add() makes a step of."""
    items = chance.randint(10, 40)
    step: dict[str, Any] = {
        "start": 0,
        "end": items,
        "items_per_checkpoint": chance.randint(3, 8),
        "item_delay_ms": chance.randint(2, 10),
        "queue": chance.choice(QUEUES),
        "priority": chance.choice(PRIORITIES),
    }
    if chance.random() < 0.3:
        step["mode"] = "iterate"
    elif chance.random() < 0.7:
        step["yield_after"] = chance.randint(1, 4)
    if chance.random() < 0.15:
        step |= {
            "fail_after": chance.randrange(items),
            "fail_on_attempt": 1,
            "fail_permanently": False,
        }
    return step


@dataclass
class Held:
    """The claim of a worker that was stopped, and how often it was told no."""

    event_id: UUID
    step_uuid: UUID
    told: int


class Queues(Turmoil):
    """One run."""

    name = "queues"
    queues = QUEUES
    expected = EXPECTED_ERRORS

    def __init__(
        self, instance: Instance, languages: list[Language], seed: int
    ) -> None:
        self._languages = languages
        self._plans, self._happens = plan(seed)
        self._chance = random.Random(seed)
        super().__init__(instance)
        self._owed: deque[str] = deque()
        # by number, those that were stopped
        self._at_work: dict[int, Held] = {}
        self._asleep: set[int] = set()

    def starts(self) -> list[Start]:
        """Return how the workers are started, of each language in turn."""
        for file in (WORKERS / "harness/deliveries.sql").read_bytes(), SETUP:
            self.steps.connection.execute(file)

        def start(number: int, generation: int) -> Program:
            language = self._languages[number % len(self._languages)]
            return Program(
                language,
                self.conninfo,
                f"{language.name}-{number}.{generation}",
                self.instance.directory / f"queues_{number}.log",
                lease=LEASE,
                queues=SERVED[number],
            )

        return [partial(start, number) for number in range(len(SERVED))]

    @staticmethod
    def _serves(worker: str, queue: str) -> bool:
        """Tell whether a worker, by its name, may have what is in a queue."""
        number = int(worker.rpartition("-")[2].partition(".")[0])
        return queue in (SERVED[number] or QUEUES)

    def play(self) -> None:
        """Let everything happen, then let the workers finish."""
        for number, step in enumerate(self._plans):
            self._meanwhile(
                lambda: self.steps.unsettled() < MAX_OPEN, "few are under way"
            )
            self.made.append(self.steps.add(**step))
            self._owed.extend(self._happens.get(number, []))
        self._meanwhile(
            lambda: not self._owed and not self._at_work,
            "all has happened that was to",
        )
        for number in list(self._asleep):
            self._kill(number)
        self._meanwhile(
            lambda: not self.steps.unsettled(), "all steps settled"
        )

    def _meanwhile(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for it, while things happen."""

        def happens() -> bool:
            self._go_on()
            if self._owed and self._happen(self._owed[0]):
                self.happened[self._owed.popleft()] += 1
            return condition()

        wait_until(happens, what)

    def _happen(self, what: str) -> bool:
        """Do that; False if it can't be done now."""
        match what:
            case "kill":
                self._kill(self._chance.choice(self._awake()))
            case "freeze at work":
                return self._freeze_at_work()
            case "freeze asleep":
                return self._freeze_asleep()
            case "crash":
                # who is stopped is to hear what became of its claim
                if self._at_work:
                    return False
                self.instance.crash()
                self.steps.reconnect()
        return True

    def _awake(self) -> list[int]:
        """Return the workers but for those that are stopped."""
        return [
            number
            for number in range(len(self.pool))
            if number not in self._at_work and number not in self._asleep
        ]

    def _kill(self, number: int) -> None:
        self._asleep.discard(number)
        self.pool.kill(number)

    def _freeze_at_work(self) -> bool:
        """Stop one that has a claim, and no transaction open."""
        if len(self._at_work) >= MAX_FROZEN:
            return False
        number = self._chance.choice(self._awake())
        program = self.pool.programs[number]
        if self._claim(program.name) is None:
            return False
        program.freeze()
        # looked at first: a COMMIT may be on its way from within a transaction
        is_idle = self._backends(program.name) == {"idle"}
        claim = self._claim(program.name)
        if claim is None or not is_idle:
            program.thaw()
            return False
        told = len(program.said("superseded", claim["step_uuid"]))
        self._at_work[number] = Held(**claim, told=told)
        return True

    def _freeze_asleep(self) -> bool:
        """Stop the one that was last to wait, and so is woken first."""
        numbers = {
            self.pool.programs[number].name: number
            for number in self._awake()
        }
        row = self.steps.connection.execute(
            "SELECT application_name AS name FROM pg_stat_activity"
            " WHERE wait_event_type = 'Extension'"
            " AND application_name = ANY (%s)"
            " ORDER BY query_start DESC LIMIT 1",
            [list(numbers)],
        ).fetchone()
        if row is None:
            return False
        number = numbers[row["name"]]
        self.pool.programs[number].freeze()
        self._asleep.add(number)
        return True

    def _go_on(self) -> None:
        """Let those go on whose claims others have by now.

        Of those that were stopped asleep, who is woken is killed: what it was
        woken for is for others to find.
        """
        for number, held in list(self._at_work.items()):
            program = self.pool.programs[number]
            claim = self._claim(program.name)
            if claim is None or claim["event_id"] != held.event_id:
                del self._at_work[number]
                program.thaw()
                wait_until(
                    lambda: self._is_told(program, held),
                    f"{program.name} is told that its claim is another's",
                )
                self.happened["zombie that was told"] += 1
        for number in list(self._asleep):
            states = self._backends(self.pool.programs[number].name)
            if "active" not in states:
                self.happened["wake-up lost"] += states == {"idle"}
                self._kill(number)

    @staticmethod
    def _is_told(program: Program, held: Held) -> bool:
        """Tell whether it knows, or had given up when it was stopped.

        What lost its connection in the crash hands the claim back, and need
        not say how that ended.
        """
        step = str(held.step_uuid)
        events = [
            line.event
            for line in lines(program.log)
            if line.fields.get("step") == step
        ]
        return (
            events.count("superseded") > held.told
            or events[-1:] == ["abandoned"]
        )

    def _claim(self, name: str) -> dict[str, Any] | None:
        return self.steps.connection.execute(
            "SELECT event_id, step_uuid FROM tasker_checkpoint_events"
            " WHERE worker = %s",
            [name],
        ).fetchone()

    def _backends(self, name: str) -> set[str]:
        """Return the states of a worker's connections."""
        rows = self.steps.connection.execute(
            "SELECT state FROM pg_stat_activity WHERE application_name = %s",
            [name],
        )
        return {row["state"] for row in rows}

    def checks(self) -> list[tuple[str, list[str]]]:
        """Return what must hold of queues, priorities and zombies."""
        return [
            (
                "a step is claimed from its queue only, by who serves it",
                self._wrong_queues("delivered"),
            ),
            (
                "each item is done from its step's queue, by who serves it",
                self._wrong_queues("applied"),
            ),
            ("a step keeps its priority", self._wrong_priorities()),
            (
                "claims follow a dispatch, a yield, a release, a lease's end",
                self._ways_not_taken(),
            ),
            (
                "who was stopped past its lease is told, and writes nothing",
                self._written_without_claim(),
            ),
        ]

    def _wrong_queues(self, table: str) -> list[str]:
        """Return what workers had from a queue not the step's, or theirs."""
        steps = {step.uuid: step.queue for step in self.made}
        problems = []
        for row in self.steps.connection.execute(
            f"SELECT DISTINCT step_uuid, worker, queue FROM {table}".encode()
        ):
            wanted = steps.get(row["step_uuid"], row["queue"])
            if row["queue"] != wanted or not self._serves(
                row["worker"], wanted
            ):
                problems.append(
                    f"{row['worker']} had {row['step_uuid']} from"
                    f" {row['queue']}, and it is in {wanted}"
                )
        return problems

    def _wrong_priorities(self) -> list[str]:
        """Return what was claimed at another priority than was dispatched."""
        steps = {step.uuid: step.priority for step in self.made}
        return [
            f"{row['step_uuid']} at {row['priority']}"
            for row in self.steps.connection.execute(
                "SELECT DISTINCT step_uuid, priority FROM delivered"
            )
            if row["priority"] != steps.get(row["step_uuid"], row["priority"])
        ]

    def _written_without_claim(self) -> list[str]:
        """Return what was written while the claim was another's."""
        return [
            f"{row['worker']} wrote {row['step_uuid']} of {row['holder']}"
            for row in self.steps.connection.execute(
                "SELECT DISTINCT worker, step_uuid, holder FROM applied"
                " WHERE holder IS DISTINCT FROM worker"
            )
        ]

    def _ways_not_taken(self) -> list[str]:
        """Return how no step came back to be claimed."""
        rows = self.steps.connection.execute(
            "SELECT DISTINCT offered_by FROM delivered"
        )
        ways = {row["offered_by"] for row in rows}
        return sorted({"dispatch", "yield", "release", "lease"} - ways)

    def tell(self, report: Report, rows: list[dict[str, Any]]) -> None:
        """Print figures."""
        report.note(
            f"{sum(len(row['applied']) for row in rows)} items,"
            f" {sum(len(row['accepted']) for row in rows)} checkpoints"
        )
        for row in self.steps.connection.execute(
            "SELECT offered_by, count(*) AS claims, percentile_cont(0.5)"
            " WITHIN GROUP (ORDER BY late) AS median, max(late) AS most"
            " FROM delivered GROUP BY offered_by ORDER BY offered_by"
        ):
            report.note(
                f"{row['claims']} claims after {row['offered_by']}:"
                f" p50 {row['median'].total_seconds() * 1000:.1f} ms,"
                f" at most {row['most'].total_seconds() * 1000:.0f} ms"
            )

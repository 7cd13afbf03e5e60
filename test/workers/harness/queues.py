"""A pool of workers on three queues, who wait in the server for their own.

Most serve one queue, some two, one all of them, by plain SQL: no client names
queues or waits.  One of each language claims from all, by notifications.

How much is done is laid down, not how long it takes: a step is made when few
are under way, and what happens to the workers goes by how many were made.
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from .chaos import HISTORY_LIMIT, Pool, Start, check_steps, shorten
from .instance import Instance
from .programs import SQL, Language, Program
from .report import Report, wait_until
from .scenarios import await_workers
from .steps import Step, Steps

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
SETTLE_SECONDS = 60.0
# TC002; and what ends those who wait on SIGTERM
EXPECTED_ERRORS = "(TC002|57014)"

# beside the tables of ../schema.sql
SETUP = f"""
ALTER DATABASE queues SET tasker_checkpoint.history_limit = {HISTORY_LIMIT};

-- what who names queues says of an item, in its checkpoint's transaction
ALTER TABLE applied ADD queue text, ADD event_id uuid;
CREATE INDEX ON applied (event_id);

-- claims that were another's when they were to be used, and the answer
CREATE TABLE fenced (
    worker text NOT NULL,
    event_id uuid NOT NULL,
    answer text NOT NULL
);

-- every claim, of whatever worker
CREATE TABLE delivered (
    step_uuid uuid NOT NULL,
    worker text NOT NULL,
    queue text NOT NULL,
    priority integer NOT NULL,
    offered_by text NOT NULL,
    late interval NOT NULL
);
CREATE FUNCTION record_delivered() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO delivered VALUES (
        NEW.step_uuid, NEW.worker, NEW.queue, NEW.priority,
        CASE WHEN OLD.worker IS NOT NULL THEN 'lease'
             WHEN OLD.event_id = OLD.continuation_id THEN 'yield'
             WHEN OLD.sequence = 0 AND OLD.deliveries = 0 THEN 'dispatch'
             ELSE 'release' END,
        clock_timestamp()
            - CASE WHEN OLD.worker IS NULL THEN OLD.available_at
                   ELSE greatest(OLD.available_at, OLD.lease_until) END);
    RETURN NULL;
END
$$;
CREATE TRIGGER record_delivered AFTER UPDATE ON tasker_checkpoint_events
    FOR EACH ROW WHEN (NEW.worker IS NOT NULL AND NEW.event_id <> OLD.event_id)
    EXECUTE FUNCTION record_delivered();
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
    step = {
        "start": 0,
        "end": items,
        "items_per_checkpoint": chance.randint(3, 8),
        "item_delay_ms": chance.randint(2, 10),
        "queue": chance.choice(QUEUES),
        "priority": chance.choice(PRIORITIES),
    }
    if chance.random() < 0.5:
        step["yield_after"] = chance.randint(1, 4)
    if chance.random() < 0.15:
        step |= {
            "fail_after": chance.randrange(items),
            "fail_on_attempt": 1,
            "fail_permanently": False,
        }
    return step


@dataclass
class Zombie:
    """A worker that was stopped until its claim was another's, and went on."""

    name: str
    event_id: UUID
    items: int


class Queues:
    """One run."""

    def __init__(
        self, instance: Instance, languages: list[Language], seed: int
    ) -> None:
        self._instance = instance
        self._plans, self._happens = plan(seed)
        self._chance = random.Random(seed)
        conninfo = instance.create_database("queues")
        self.steps = Steps(conninfo)
        self.steps.connection.execute(SETUP)
        self.served = [set(queues or QUEUES) for queues in SERVED]
        self.served += [set(QUEUES) for _ in languages]
        self.pool = Pool(self._starts(languages, conninfo))
        self.made: list[Step] = []
        self.zombies: list[Zombie] = []
        self.happened: Counter[str] = Counter()
        self._owed: deque[str] = deque()
        # by number: the claim of those that were stopped at work
        self._at_work: dict[int, UUID] = {}
        self._asleep: set[int] = set()

    def _starts(
        self, languages: list[Language], conninfo: str
    ) -> list[Start]:
        def start(
            number: int,
            language: Language,
            queues: tuple[str, ...],
            generation: int,
        ) -> Program:
            return Program(
                language,
                conninfo,
                f"{language.name} {number}.{generation}",
                self._instance.directory / f"queues_{number}.log",
                lease=LEASE,
                queues=queues,
            )

        workers = [(SQL, queues) for queues in SERVED]
        workers += [(language, ()) for language in languages]
        return [
            partial(start, number, *worker)
            for number, worker in enumerate(workers)
        ]

    def serves(self, worker: str, queue: str) -> bool:
        """Tell whether a worker, by its name, may have what is in a queue."""
        number = worker.rpartition(" ")[2].partition(".")[0]
        return queue in self.served[int(number)]

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

        wait_until(happens, what, SETTLE_SECONDS)

    def _happen(self, what: str) -> bool:
        """Do that; False if it can't be done now."""
        match what:
            case "kill":
                self._kill(self._chance.choice(self._awake(len(self.pool))))
            case "freeze at work":
                return self._freeze_at_work()
            case "freeze asleep":
                return self._freeze_asleep()
            case "crash":
                # who is stopped is to hear what became of its claim
                if self._at_work:
                    return False
                self._instance.crash()
                self.steps.reconnect()
        return True

    def _awake(self, among: int) -> list[int]:
        """Return the first so many workers but for those that are stopped."""
        return [
            number
            for number in range(among)
            if number not in self._at_work and number not in self._asleep
        ]

    def _kill(self, number: int) -> None:
        self._asleep.discard(number)
        self.pool.kill(number)

    def _freeze_at_work(self) -> bool:
        """Stop one that has a claim, and no transaction open."""
        if len(self._at_work) >= MAX_FROZEN:
            return False
        number = self._chance.choice(self._awake(len(SERVED)))
        program = self.pool.programs[number]
        if self._claim(program.name) is None:
            return False
        program.freeze()
        # looked at first: a COMMIT may be on its way from within a transaction
        is_idle = self._backend(program.name) == "idle"
        claim = self._claim(program.name)
        if claim is None or not is_idle:
            program.thaw()
            return False
        self._at_work[number] = claim
        return True

    def _freeze_asleep(self) -> bool:
        """Stop the one that was last to wait, and so is woken first."""
        numbers = {
            self.pool.programs[number].name: number
            for number in self._awake(len(SERVED))
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
        for number, event_id in list(self._at_work.items()):
            program = self.pool.programs[number]
            if self._claim(program.name) != event_id:
                items = self.items(event_id)
                self.zombies.append(Zombie(program.name, event_id, items))
                del self._at_work[number]
                program.thaw()
                wait_until(
                    lambda: self.answers(event_id),
                    f"{program.name} is told that its claim is another's",
                )
        for number in list(self._asleep):
            state = self._backend(self.pool.programs[number].name)
            if state != "active":
                self.happened["wake-up lost"] += state == "idle"
                self._kill(number)

    def _claim(self, name: str) -> UUID | None:
        row = self.steps.connection.execute(
            "SELECT event_id FROM tasker_checkpoint_events WHERE worker = %s",
            [name],
        ).fetchone()
        return row["event_id"] if row else None

    def _backend(self, name: str) -> str | None:
        row = self.steps.connection.execute(
            "SELECT state FROM pg_stat_activity WHERE application_name = %s",
            [name],
        ).fetchone()
        return row["state"] if row else None

    def items(self, event_id: UUID) -> int:
        """Count the items that were written under a claim."""
        count: int = self.steps.value(
            "SELECT count(*) FROM applied WHERE event_id = %s", event_id
        )
        return count

    def answers(self, event_id: UUID) -> list[str]:
        """Return what was answered to who had no claim any more."""
        rows = self.steps.connection.execute(
            "SELECT answer FROM fenced WHERE event_id = %s", [event_id]
        )
        return [row["answer"] for row in rows]

    def end_workers(self) -> None:
        """See all of them at work; then SIGTERM, and no error."""
        names = [each.name for each in self.pool.programs]
        await_workers(self.steps, names, QUEUES)
        for program in self.pool.programs:
            program.terminate()

    def close(self) -> None:
        """End what still runs."""
        for program in self.pool.programs:
            program.kill()
        self.steps.connection.close()


def wrong_queues(queues: Queues, table: str) -> list[str]:
    """Return what workers had from a queue not the step's, or not theirs.

    Of an item that a client has done it is not known from which.
    """
    steps = {step.uuid: step.queue for step in queues.made}
    problems = []
    for row in queues.steps.connection.execute(
        f"SELECT DISTINCT step_uuid, worker, queue FROM {table}"
        " WHERE queue IS NOT NULL OR worker LIKE 'sql %'".encode()
    ):
        wanted = steps.get(row["step_uuid"], row["queue"])
        if row["queue"] != wanted or not queues.serves(row["worker"], wanted):
            problems.append(
                f"{row['worker']} had {row['step_uuid']} from"
                f" {row['queue']}, and it is in {wanted}"
            )
    return problems


def wrong_priorities(queues: Queues) -> list[str]:
    """Return what was claimed at another priority than was dispatched."""
    steps = {step.uuid: step.priority for step in queues.made}
    return [
        f"{row['step_uuid']} at {row['priority']}"
        for row in queues.steps.connection.execute(
            "SELECT DISTINCT step_uuid, priority FROM delivered"
        )
        if row["priority"] != steps.get(row["step_uuid"], row["priority"])
    ]


def what_zombies_did(queues: Queues) -> list[str]:
    """Return what they were told but no, and what they wrote."""
    problems = []
    for zombie in queues.zombies:
        answers = queues.answers(zombie.event_id)
        if answers not in (["TC002"], ["false"]):
            problems.append(f"{zombie.name} was told {answers}")
        more = queues.items(zombie.event_id) - zombie.items
        if more:
            problems.append(f"{zombie.name} wrote {more} items")
    return problems


def ways_not_taken(queues: Queues) -> list[str]:
    """Return how no step came back to be claimed."""
    rows = queues.steps.connection.execute(
        "SELECT DISTINCT offered_by FROM delivered"
    )
    ways = {row["offered_by"] for row in rows}
    return sorted({"dispatch", "yield", "release", "lease"} - ways)


def run(
    instance: Instance,
    languages: list[Language],
    report: Report,
    seed: int,
) -> None:
    """Make chaos, and look at what it did."""
    names = ",".join(language.name for language in [SQL, *languages])
    report.note(f"queues: seed {seed}, {STEPS} steps, {names}")
    queues = Queues(instance, languages, seed)
    try:
        report.attempt("queues: the steps settle", queues.play)
        report.attempt(
            "queues: all workers are well, and end on SIGTERM",
            queues.end_workers,
        )
        rows = check_steps("queues", queues.steps, queues.made, report)
        for what, problems in (
            (
                "a step is claimed from its queue only, by who serves it",
                wrong_queues(queues, "delivered"),
            ),
            (
                "each item is done from its step's queue, by who serves it",
                wrong_queues(queues, "applied"),
            ),
            ("a step keeps its priority", wrong_priorities(queues)),
            (
                "claims follow a dispatch, a yield, a release, a lease's end",
                ways_not_taken(queues),
            ),
            (
                "who was stopped past its lease is told, and writes nothing",
                what_zombies_did(queues),
            ),
            (
                "no error but TC002",
                instance.errors("queues", EXPECTED_ERRORS),
            ),
        ):
            report.check(f"queues: {what}", shorten(problems))
        tell(queues, rows, report)
    finally:
        queues.close()


def tell(queues: Queues, rows: list[dict[str, Any]], report: Report) -> None:
    """Print figures."""
    happened = ", ".join(
        f"{count} {what}" for what, count in sorted(queues.happened.items())
    )
    answers = Counter(
        answer
        for zombie in queues.zombies
        for answer in queues.answers(zombie.event_id)
    )
    told = ", ".join(f"{count} {answer}" for answer, count in answers.items())
    report.note(f"{happened}; zombies were told {told}")
    report.note(
        f"{sum(len(row['applied']) for row in rows)} items,"
        f" {sum(len(row['accepted']) for row in rows)} checkpoints"
    )
    for row in queues.steps.connection.execute(
        "SELECT offered_by, count(*) AS claims, percentile_cont(0.5)"
        " WITHIN GROUP (ORDER BY late) AS median, max(late) AS most"
        " FROM delivered GROUP BY offered_by ORDER BY offered_by"
    ):
        report.note(
            f"{row['claims']} claims after {row['offered_by']}:"
            f" p50 {row['median'].total_seconds() * 1000:.1f} ms,"
            f" at most {row['most'].total_seconds() * 1000:.0f} ms"
        )

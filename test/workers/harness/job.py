"""A job of many rows in one step, in every language, through what happens.

The clients' iterate does it, in batches, by two workers of each language: one
has the step, and one waits.  What happens is done to the one that has it, when
so much of the job is done as the seed says; until then a lock, which a crash
does not break, keeps the next batch from being done.  In the end each row is
there exactly once, and the step was completed once.
"""

import random
import time
from collections import deque
from functools import partial

from .instance import Instance
from .pool import Pool
from .programs import Language, Program
from .report import Report, expect, wait_until
from .steps import Steps

LEASE = 2.0
WORKERS = 2
# a batch of the job, but that a small one has batches enough
EVERY = 5000
BATCHES = 200
DISTURBANCES = ("kill", "terminate", "freeze")
# each of them once for a small job, several times for a large one
SMALL = 100_000
TIMES = 3
# of the job, the part in which they happen; in each share of it one does, and
# in the first half of that
BEGIN, END = 0.05, 0.85
HALF = 0.5
RESTARTS = (0.3, 0.6)
# rows that are done in a second, if all goes very slowly
MIN_SPEED = 2000.0
START_SECONDS = 120.0

SETUP = """
CREATE TABLE numbers (n bigint PRIMARY KEY);
INSERT INTO numbers SELECT generate_series(0, {} - 1);
ANALYZE numbers;
-- what a frozen worker has locked is let go
ALTER DATABASE {} SET idle_in_transaction_session_timeout = '1s';

-- no batch goes beyond one that is locked
CREATE TABLE gates (gate bigint PRIMARY KEY);
CREATE FUNCTION pass_gates() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(gate) FROM gates
        WHERE gate < (SELECT max(item) FROM done);
    RETURN NULL;
END
$$;
CREATE TRIGGER pass_gates AFTER INSERT ON applied
    REFERENCING NEW TABLE AS done
    FOR EACH STATEMENT EXECUTE FUNCTION pass_gates();
"""

CLOSE_GATE = """
BEGIN;
INSERT INTO gates VALUES ({0});
COMMIT;
BEGIN;
SELECT pg_advisory_xact_lock({0});
PREPARE TRANSACTION '{1} {0}';
"""

COUNTS = """
SELECT count(*) AS rows, count(DISTINCT item) AS different,
    min(item) AS first, max(item) AS last FROM applied
"""


class Job:
    """The job of one language."""

    def __init__(
        self, instance: Instance, language: Language, seed: int, rows: int
    ) -> None:
        self._instance = instance
        self._rows = rows
        self._every = min(EVERY, max(1, rows // BATCHES))
        self._chance = random.Random(f"{seed} {language.name}")
        self.language = language
        self._database = f"job_{language.name}"
        self._conninfo = instance.create_database(self._database)
        self.steps = Steps(self._conninfo)
        setup = SETUP.format(rows, self._database)
        self.steps.connection.execute(setup.encode())
        self.pool = Pool(
            [partial(self._start, number) for number in range(WORKERS)]
        )
        what = list(DISTURBANCES) * (TIMES if rows > SMALL else 1)
        self._chance.shuffle(what)
        share = (END - BEGIN) / len(what)
        self._owed: deque[tuple[int, str]] = deque()
        for number, each in enumerate(what):
            moment = BEGIN + share * (number + HALF * self._chance.random())
            row = int(rows * moment)
            self._owed.append((row, each))
            close = CLOSE_GATE.format(row + self._every, self._database)
            self.steps.connection.execute(close.encode())
        self._frozen: Program | None = None
        self.happened: list[str] = []
        self.took = 0.0

    def _start(self, number: int, generation: int) -> Program:
        return Program(
            self.language,
            self._conninfo,
            f"{self.language.name}-{number}.{generation}",
            self._instance.directory / f"job_{self.language.name}.log",
            lease=LEASE,
        )

    def begin(self) -> None:
        """Give the job out."""
        self._began = time.monotonic()
        self.step = self.steps.add(
            0, self._rows, mode="job", items_per_checkpoint=self._every
        )

    def items(self) -> int:
        """Return how much of it is done."""
        items: int = self.steps.value(
            "SELECT items_processed FROM tasker_checkpoint_load(%s)",
            self.step.uuid,
        )
        return items

    def goes_on(self) -> bool:
        """Let happen what is due; False when the job is done."""
        done = self.steps.done(self.step)
        name = self.steps.claimed_by(self.step)
        if self._frozen is not None:
            if done or name not in (None, self._frozen.name):
                self._frozen.thaw()
                self._frozen = None
        elif done:
            self.took = self.took or time.monotonic() - self._began
            return False
        elif self._owed and self.items() >= self._owed[0][0]:
            names = [program.name for program in self.pool.programs]
            if name in names:
                row, what = self._owed.popleft()
                self._happen(row, what, names.index(name))
                self.happened.append(what)
        return True

    def _happen(self, row: int, what: str, number: int) -> None:
        program = self.pool.programs[number]
        match what:
            case "kill":
                self.pool.kill(number)
            case "terminate":
                program.ask_to_end()
            case "freeze":
                program.freeze()
                self._frozen = program
        gate = f"{self._database} {row + self._every}"
        self.steps.connection.execute(f"COMMIT PREPARED '{gate}'".encode())
        if what == "terminate":
            self.pool.succeed(number)

    def look(self) -> None:
        """Failed unless each row is there exactly once."""
        counts = self.steps.row(COUNTS)
        row = self.steps.outcome(self.step)
        expect(
            list(counts.values()),
            [self._rows, self._rows, 0, self._rows - 1],
            "rows, different ones, the first and the last",
        )
        expect(row["states"], ["complete"], "states")
        expect(row["attempts"], 1, "attempts")
        sequences = [sequence for sequence, _ in row["accepted"]]
        expected = list(range(1, self.step.checkpoints + 1))
        expect(sequences == expected, True, f"checkpoints are {expected[-1]}")
        total = self._rows * (self._rows + 1) // 2
        expect(row["results"]["running_total"], total, "total")
        expect(len(self._owed), 0, "what has not happened")

    def close(self) -> None:
        """End what still runs."""
        for program in self.pool.programs:
            program.kill()
        self.steps.connection.close()


def run(
    instance: Instance,
    languages: list[Language],
    report: Report,
    seed: int,
    rows: int,
) -> None:
    """Do the job in all languages side by side, and look."""
    report.note(f"job: seed {seed}, {rows} rows")
    jobs: list[Job] = []
    restarts = deque(int(rows * part) for part in RESTARTS)

    def play() -> None:
        for language in languages:
            jobs.append(Job(instance, language, seed, rows))
        # all at once: none is to be done before something can happen to it
        for job in jobs:
            job.begin()
        wait_until(all_done, "all are done", START_SECONDS + rows / MIN_SPEED)

    def all_done() -> bool:
        going_on = [job for job in jobs if job.goes_on()]
        if restarts and going_on and going_on[0].items() >= restarts[0]:
            restarts.popleft()
            instance.crash()
            for job in jobs:
                job.steps.reconnect()
        return not going_on

    try:
        report.attempt("job: it is done in all languages", play)
        for job in jobs:
            report.attempt(
                f"job: each row exactly once, {job.language.name}", job.look
            )
            report.note(
                f"{job.took:.1f} s, through {', '.join(job.happened)}"
            )
        errors = instance.errors("job_[a-z]+")
        report.check("job: no error but TC002", errors)
    finally:
        for job in jobs:
            job.close()

"""A pool of workers to which things happen, and nothing of it may show."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from .instance import Instance
from .programs import Program
from .report import Report
from .scenarios import applied_problems, await_workers, history_problems
from .steps import Step, Steps

HISTORY_LIMIT = 5
SHOWN = 5

CHECKS = {
    "processed": "no step is stuck",
    "results": "results are as if nothing had happened",
    "history": "each accepted checkpoint is in history or its truncated count,"
    " and none is of a zombie",
    "items": "each item is done, exactly once where the handler saves",
    "states": "each step was completed once, each attempt counted once",
}

# makes a worker of a generation
Start = Callable[[int], Program]


class Pool:
    """The workers, each replaced when it is killed."""

    def __init__(self, starts: list[Start]) -> None:
        self._starts = starts
        self._generations = [0] * len(starts)
        self.programs = [start(0) for start in starts]

    def __len__(self) -> int:
        return len(self.programs)

    def kill(self, number: int) -> None:
        """Kill -9, and start another one in its place."""
        self.programs[number].kill()
        self._replace(number)

    def succeed(self, number: int) -> None:
        """Start another one in the place of one that was asked to end."""
        self.programs[number].await_exit()
        self._replace(number)

    def _replace(self, number: int) -> None:
        self._generations[number] += 1
        self.programs[number] = self._starts[number](self._generations[number])


class Turmoil:
    """What happens to a pool that does steps; each kind has a play() of it."""

    name: str
    #: from which the small steps are that show each worker at work
    queues: Sequence[str | None] = (None,)
    #: errors that workers may get, as a regular expression
    expected = "TC002"

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.conninfo = instance.create_database(self.name)
        self.steps = Steps(self.conninfo)
        self.set("tasker_checkpoint.history_limit", HISTORY_LIMIT)
        self.pool = Pool(self.starts())
        self.made: list[Step] = []
        self.happened: Counter[str] = Counter()

    def starts(self) -> list[Start]:
        """Return how each worker is started."""
        raise NotImplementedError

    def play(self) -> None:
        """Let everything happen, then let the workers finish."""
        raise NotImplementedError

    def checks(self) -> list[tuple[str, list[str]]]:
        """Return what else must hold, and what is wrong with it."""
        return []

    def tell(self, report: Report, rows: list[dict[str, Any]]) -> None:
        """Print figures."""

    def set(self, setting: str, value: str | int) -> None:
        """Change a setting, for the workers that are still to come."""
        self.steps.connection.execute(
            f"ALTER DATABASE {self.name} SET {setting} = {value}".encode()
        )

    def end_workers(self) -> None:
        """See all of them at work; then SIGTERM, and no error."""
        names = [each.name for each in self.pool.programs]
        await_workers(self.steps, names, self.queues)
        for program in self.pool.programs:
            program.terminate()

    def close(self) -> None:
        """End what still runs."""
        for program in self.pool.programs:
            program.kill()
        self.steps.connection.close()


def run(turmoil: Turmoil, report: Report) -> None:
    """Let it happen, and look at what it did."""
    name = turmoil.name
    try:
        report.attempt(f"{name}: the steps settle", turmoil.play)
        report.attempt(
            f"{name}: all workers are well, and end on SIGTERM",
            turmoil.end_workers,
        )
        rows = [turmoil.steps.look(step) for step in turmoil.made]
        errors = turmoil.instance.errors(name, turmoil.expected)
        for what, problems in (
            *_check_steps(turmoil.made, rows),
            *turmoil.checks(),
            (f"no error but {turmoil.expected}", errors),
        ):
            report.check(f"{name}: {what}", _shorten(problems))
        happened = ", ".join(
            f"{count} {what}"
            for what, count in sorted(turmoil.happened.items())
        )
        report.note(happened)
        turmoil.tell(report, rows)
    finally:
        turmoil.close()


def _judge(step: Step, row: dict[str, Any]) -> dict[str, list[str]]:
    """Return what is wrong with a step, by check."""
    retries = int("fail_after" in step.metadata)
    states = ["waiting_for_retry"] * retries + ["complete"]
    problems: dict[str, list[str]] = {
        "processed": [],
        "results": [],
        "history": history_problems(row, step.checkpoints, HISTORY_LIMIT),
        "items": applied_problems(row, step, step.start, "complete"),
        "states": [],
    }
    if not row["processed"] or row["dispatched"] or row["parked"]:
        problems["processed"] = ["stuck"]
    if row["results"] != step.results:
        problems["results"] = [f"{row['results']}, expected {step.results}"]
    for key, expected in (
        ("states", states),
        ("attempts", retries + 1),
        ("in_process", False),
    ):
        if row[key] != expected:
            problems["states"].append(f"{key} {row[key]!r}")
    return problems


def _check_steps(
    made: list[Step], rows: list[dict[str, Any]]
) -> list[tuple[str, list[str]]]:
    """Return what must hold of the steps, and what is wrong with it."""
    found = [_judge(*pair) for pair in zip(made, rows)]
    return [
        (
            text,
            [
                f"{step.uuid} {step.metadata['mode']}: {problem}"
                for step, problems in zip(made, found)
                for problem in problems[key]
            ],
        )
        for key, text in CHECKS.items()
    ]


def _shorten(problems: list[str]) -> list[str]:
    """Return the first few, and how many more there are."""
    more = len(problems) - SHOWN
    return problems[:SHOWN] + ([f"and {more} more"] if more > 0 else [])

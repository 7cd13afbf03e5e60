"""The steps of scenarios.json, in every language."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .instance import ROOT, WORKERS, Instance
from .logs import lines, misshapen
from .programs import Language, Program
from .report import Report, wait_until
from .steps import Step, Steps

HISTORY_LIMIT = 10
SMALL_STEPS = 20
RETRY_DELAY = 0.1
# of cursors and results, which nobody logs
SECRETS = ("tok-", "item_0", "running_total")


def load() -> list[dict[str, Any]]:
    """Return the vectors that all languages share."""
    with open(WORKERS / "scenarios.json", encoding="utf-8") as file:
        vectors: list[dict[str, Any]] = json.load(file)
    return vectors


def run(
    instance: Instance, language: Language, report: Report, only: str
) -> None:
    """Let a waiting and a polling worker do all steps, then look."""
    vectors = [vector for vector in load() if only in vector["name"]]
    for file in WORKERS.glob(f"{language.name}/tasker.*"):
        if only in "handlers of Tasker's are those of the document":
            report.check(
                f"{language.name}: handlers of Tasker's are those of the"
                " document",
                quote_problems(file),
            )
    if not vectors:
        return
    database = f"scenarios_{language.name}"
    conninfo = instance.create_database(database)
    steps = Steps(conninfo)
    workers = [
        Program(
            language,
            conninfo,
            f"{language.name}-{wait}",
            instance.directory / f"{database}_{wait}.log",
            lease=2.0,
            wait=wait,
            retry_delay=RETRY_DELAY,
        )
        for wait in ("server", "poll")
    ]
    made: list[Step] = []

    def work() -> None:
        await_workers(steps, [worker.name for worker in workers])
        made.extend(
            steps.add(
                *vector["range"],
                is_no_op=vector.get("is_no_op", False),
                checkpoint=vector.get("checkpoint"),
                **vector["metadata"],
            )
            for vector in vectors
        )
        steps.await_settled()
        for worker in workers:
            worker.terminate()

    try:
        report.attempt(f"{language.name}: two workers, ended by SIGTERM", work)
        for vector, step in zip(vectors, made):
            problems = judge(steps.look(step), vector, step)
            report.check(f"{language.name}: {vector['name']}", problems)
        if not only:
            problems = log_problems([worker.log for worker in workers])
            report.check(f"{language.name}: what the workers log", problems)
        errors = instance.errors(database, "TC00[23]")
        report.check(f"{language.name}: no error in the server's log", errors)
    finally:
        for worker in workers:
            worker.kill()
        steps.connection.close()


def quote_problems(file: Path) -> list[str]:
    """Look whether the document has the handler that is run."""
    blocks = re.findall(
        r"```\w+\n(class CountItems.*?)```",
        (ROOT / "docs/tasker.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
    text = file.read_text(encoding="utf-8")
    return [] if any(block in text for block in blocks) else ["it has not"]


def await_workers(
    steps: Steps, workers: list[str], queues: Sequence[str | None] = (None,)
) -> None:
    """Give out small steps until each of the workers has done one."""

    def missing() -> set[str]:
        if not steps.unsettled():
            for number in range(SMALL_STEPS):
                queue = queues[number % len(queues)]
                steps.add(0, 5, item_delay_ms=10, queue=queue)
        seen = steps.connection.execute("SELECT DISTINCT worker FROM applied")
        return set(workers) - {row["worker"] for row in seen}

    wait_until(lambda: not missing(), f"all of {workers} at work")
    wait_until(lambda: not steps.unsettled(), "small steps settled")


def differences(actual: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Say what is not as expected."""
    return [
        f"{key}: {actual[key]!r}, expected {value!r}"
        for key, value in expected.items()
        if actual[key] != value
    ]


def judge(
    row: dict[str, Any], vector: dict[str, Any], step: Step
) -> list[str]:
    """Compare what is in the database with what the vector expects."""
    expect = vector["expect"]
    seed = vector.get("checkpoint")
    first = step.start + (seed["items"] if seed else 0)
    parked = expect.get("parked", False)
    retries = expect["attempts"] - (expect["state"] != "waiting_for_retry")
    expected = {
        "processed": expect["state"] == "complete",
        "in_process": False,
        "attempts": expect["attempts"],
        "states": ["waiting_for_retry"] * retries,
        "dispatched": parked,
        "parked": parked,
        "results": None,
        "has_checkpoint": expect["checkpoints"] > 0,
    }
    if expect["state"] != "waiting_for_retry":
        expected["states"].append(expect["state"])
    if expect["state"] == "complete":
        expected["results"] = {
            "total": expect["total"],
            "running_total": expect["running_total"],
            "item_ids": (seed["results"]["item_ids"] if seed else [])
            + [f"item_{item:04d}" for item in range(first, step.end)],
            "checkpoints_used": expect["checkpoints"],
        }
    if expect["checkpoints"]:
        expected["cursor"] = json.dumps(expect["cursor"])
        expected["items"] = expect["items"]
    problems = differences(row, expected)
    problems += history_problems(row, expect["checkpoints"])

    applied = sum(row["applied"].values())
    if applied != expect["applied"]:
        problems.append(f"{applied} items, expected {expect['applied']}")
    problems += applied_problems(row, step, first, expect["state"])
    return problems


def history_problems(
    row: dict[str, Any], checkpoints: int, limit: int = HISTORY_LIMIT
) -> list[str]:
    """Compare history with the checkpoints that were accepted."""
    problems = []
    sequences = [sequence for sequence, _ in row["accepted"]]
    if sequences != list(range(1, checkpoints + 1)):
        problems.append(f"accepted {sequences}, expected 1 to {checkpoints}")
    items = [items for _, items in row["accepted"]]
    if items != sorted(items):
        problems.append(f"items went backwards: {items}")
    kept = min(checkpoints, limit)
    if row["history"] != (items[-kept:] if kept else []):
        problems.append(f"history {row['history']}, accepted {items}")
    if row["truncated"] != checkpoints - kept:
        problems.append(f"{row['truncated']} entries truncated")
    return problems


def applied_problems(
    row: dict[str, Any], step: Step, first: int, state: str
) -> list[str]:
    """Look whether each item was done, and once if saved with the work."""
    problems = []
    applied = row["applied"]
    if state == "complete" and set(applied) != set(range(first, step.end)):
        problems.append(f"items done: {sorted(applied)}")
    twice = sorted(item for item, times in applied.items() if times > 1)
    if not step.yields and twice:
        problems.append(f"items done more than once: {twice}")
    return problems


def log_problems(logs: list[Path]) -> list[str]:
    """Look whether workers log what they should, and nothing of the data."""
    text = "".join(log.read_text(errors="replace") for log in logs)
    problems = [f"{secret} is logged" for secret in SECRETS if secret in text]
    problems += [problem for log in logs for problem in misshapen(log)]
    # each by one of them: who does what is nobody's to say
    events = {line.event for log in logs for line in lines(log)}
    return problems + [
        f"no line says {event}"
        for event in ("claimed", "resumed", "yielded", "completed", "stopping")
        if event not in events
    ]

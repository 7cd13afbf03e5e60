"""What worker programs log: one line an event, the same in every language."""

import re
from dataclasses import dataclass
from pathlib import Path

# of a run, and of the worker itself
RUN_EVENTS = (
    "claimed",
    "resumed",
    "saved",
    "yielded",
    "completed",
    "interrupted",
    "released",
    "failed",
    "superseded",
    "abandoned",
)
WORKER_EVENTS = (
    "connected",
    "could not connect",
    "connection lost",
    "polling",
    "stopping",
)

# in this order; an error is the rest of the line
KEYS = (
    "step",
    "queue",
    "worker",
    "deliveries",
    "sequence",
    "items",
    "seconds",
    "delay",
    "directive",
    "error",
)

# whatever the language's own logger puts before it
EVENT = re.compile(
    rf"(?:^|\s)({'|'.join(RUN_EVENTS + WORKER_EVENTS)})"
    rf"((?: (?:{'|'.join(KEYS)})=.*)?)$"
)
FIELD = re.compile(rf" ({'|'.join(KEYS)})=")


@dataclass(frozen=True)
class Line:
    """An event, and its fields in the order in which they were."""

    event: str
    fields: dict[str, str]


def parse(text: str) -> Line | None:
    """Take a line of a log apart; None if it is of no event."""
    if (match := EVENT.search(text)) is None:
        return None
    event, rest = match.groups()
    head, found, error = rest.partition(" error=")
    _, *parts = FIELD.split(head)
    fields = dict(zip(parts[::2], parts[1::2]))
    return Line(event, fields | {"error": error} if found else fields)


def lines(log: Path) -> list[Line]:
    """Return the events of a log."""
    text = log.read_text(errors="replace")
    return [line for each in text.splitlines() if (line := parse(each))]


def misshapen(log: Path) -> list[str]:
    """Return events whose fields are not those of the design."""
    problems = []
    for line in lines(log):
        keys = list(line.fields)
        if keys != sorted(keys, key=KEYS.index):
            problems.append(f"{line.event} has {keys}")
        if line.event in RUN_EVENTS and "step" not in keys:
            problems.append(f"{line.event} has no step")
    return problems

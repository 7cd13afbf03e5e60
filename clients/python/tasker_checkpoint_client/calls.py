"""The extension's functions: what is sent, and how the answer is read.

A cursor or results may be anything that json can write.  They travel as text,
so integers of any size, strings, objects and null come back as they were sent,
whatever the connection does with jsonb.  What the run loop itself reads is
text, too, since it speaks to libpq directly.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from psycopg import sql

T = TypeVar("T")
Row = tuple[Any, ...]


class Receipt(NamedTuple):
    """What a worker gets for a checkpoint."""

    sequence: int
    event_id: UUID | None
    directive: str
    #: the call was done before; what the transaction did after it was not
    replayed: bool


class State(NamedTuple):
    """Where to resume a step.  Without a checkpoint: None, 0, None, 0."""

    has_checkpoint: bool
    cursor: Any
    items_processed: int
    accumulated_results: Any
    sequence: int


class Progress(NamedTuple):
    """A row of the view tasker_checkpoint_progress."""

    step_uuid: UUID
    task_uuid: UUID | None
    step_name: str | None
    task_name: str | None
    items_processed: int
    total: int | None
    percent: Decimal | None
    rate: Decimal | None
    eta: timedelta | None
    checkpointed_at: datetime | None
    sequence: int
    state: str
    worker: str | None
    lease_until: datetime | None
    deliveries: int | None
    queue: str | None


@dataclass(frozen=True)
class Delivery:
    """A claimed step.  Its JSON is read when it is asked for."""

    event_id: UUID
    step_uuid: UUID
    has_checkpoint: bool
    cursor_text: str | None
    items_processed: int
    results_text: str | None
    sequence: int
    deliveries: int
    queue: str

    @property
    def cursor(self) -> Any:
        """Return where to resume; ValueError if Python can't read it."""
        return load_json(self.cursor_text)

    @property
    def accumulated_results(self) -> Any:
        """Return partial results; ValueError if Python can't read them."""
        return load_json(self.results_text)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A function's call, and how to read its rows."""

    function: str
    columns: str
    arguments: str
    values: Sequence[Any]
    parse: Callable[[list[Row]], T]

    def query(self, schema: str | None = None) -> sql.Composed:
        """Return the statement; schema is where the extension is."""
        name = qualified(self.function, schema)
        statement = f"SELECT {self.columns} FROM {{}}({self.arguments}) AS r"
        return sql.SQL(statement).format(name)


def qualified(name: str, schema: str | None) -> sql.Identifier:
    """Return what an object of the extension is called."""
    path = [schema] if schema else []
    return sql.Identifier(*path, f"tasker_checkpoint_{name}")


class JsonText(str):
    """JSON that is to stay as it is: a float has not all digits of a key."""


def dump_json(value: Any) -> str:
    """Write JSON, which has no NaN."""
    if isinstance(value, JsonText):
        return str(value)
    return json.dumps(value, allow_nan=False)


def load_json(text: str | None) -> Any:
    """Read JSON; ValueError if Python can't hold it."""
    if text is None:
        return None
    try:
        return json.loads(text, parse_float=_finite)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large for a float")
    return number


def _text(value: Any) -> str:
    # a database without an encoding has bytes
    return value.decode() if isinstance(value, bytes) else str(value)


def _optional(value: Any) -> str | None:
    return None if value is None else _text(value)


def _parse_bool(rows: list[Row]) -> bool:
    return _text(rows[0][0]) == "true"


def _parse_deliveries(rows: list[Row]) -> list[Delivery]:
    return [
        Delivery(
            UUID(_text(row[0])),
            UUID(_text(row[1])),
            _text(row[2]) == "true",
            _optional(row[3]),
            int(_text(row[4])),
            _optional(row[5]),
            int(_text(row[6])),
            int(_text(row[7])),
            _text(row[8]),
        )
        for row in rows
    ]


def dispatch(
    step_uuid: UUID,
    queue: str | None = None,
    priority: int | None = None,
    delay: float = 0.0,
) -> Call[UUID | None]:
    """Offer a step to the workers of a queue, in delay seconds."""

    def parse(rows: list[Row]) -> UUID | None:
        event_id: UUID | None = rows[0][0]
        return event_id

    return Call(
        "dispatch",
        "r",
        "%s, %s::text, %s::integer, make_interval(secs => %s)",
        [step_uuid, queue, priority, delay],
        parse,
    )


def claim(
    worker: str,
    lease: float = 60.0,
    max_steps: int = 1,
    step_uuid: UUID | None = None,
    queues: Sequence[str] | None = None,
) -> Call[list[Delivery]]:
    """Take up to max_steps steps of these queues for lease seconds."""
    return Call(
        "claim",
        "event_id::text, step_uuid::text, has_checkpoint::text, cursor::text,"
        " items_processed::text, accumulated_results::text, sequence::text,"
        " deliveries::text, queue::text",
        "%s, make_interval(secs => %s), %s, %s::uuid, %s::text[]",
        [
            worker,
            lease,
            max_steps,
            step_uuid,
            None if queues is None else list(queues),
        ],
        _parse_deliveries,
    )


def load(step_uuid: UUID) -> Call[State]:
    """Return where to resume a step."""

    def parse(rows: list[Row]) -> State:
        has, cursor, items, results, sequence = rows[0]
        return State(
            has,
            load_json(_optional(cursor)),
            items,
            load_json(_optional(results)),
            sequence,
        )

    return Call(
        "load",
        "has_checkpoint, cursor::text, items_processed,"
        " accumulated_results::text, sequence",
        "%s",
        [step_uuid],
        parse,
    )


def checkpoint_yield(
    step_uuid: UUID,
    cursor: Any,
    items_processed: int,
    accumulated_results: Any = None,
    event_id: UUID | None = None,
) -> Call[Receipt]:
    """Persist a checkpoint and offer the step to the workers."""
    values = step_uuid, cursor, items_processed, accumulated_results, event_id
    return _write("yield", *values)


def checkpoint_save(
    step_uuid: UUID,
    cursor: Any,
    items_processed: int,
    accumulated_results: Any = None,
    event_id: UUID | None = None,
) -> Call[Receipt]:
    """Persist a checkpoint and keep the step."""
    values = step_uuid, cursor, items_processed, accumulated_results, event_id
    return _write("save", *values)


def _write(
    function: str,
    step_uuid: UUID,
    cursor: Any,
    items: int,
    results: Any,
    event_id: UUID | None,
) -> Call[Receipt]:
    return _receipt(
        function,
        "%s, %s::jsonb, %s, %s::jsonb, %s::uuid",
        [
            step_uuid,
            dump_json(cursor),
            items,
            None if results is None else dump_json(results),
            event_id,
        ],
    )


def _receipt(
    function: str, arguments: str, values: Sequence[Any]
) -> Call[Receipt]:
    return Call(
        function,
        "sequence, event_id, directive, replayed",
        arguments,
        values,
        lambda rows: Receipt(*rows[0]),
    )


def _bool(
    function: str, *values: Any, arguments: str = "%s"
) -> Call[bool]:
    return Call(function, "r::text", arguments, values, _parse_bool)


def heartbeat(event_id: UUID) -> Call[bool]:
    """Extend a claim by its lease; False: it is not ours any more."""
    return _bool("heartbeat", event_id)


def complete(event_id: UUID) -> Call[bool]:
    """End the step's dispatch; False: it was not ours to end."""
    return _bool("complete", event_id)


def release(
    event_id: UUID, delay: float = 0.0, interrupted: bool = False
) -> Call[bool]:
    """Hand the step back, to be claimed after delay seconds.

    Interrupted: its handler has not failed, and the claim does not count.
    """
    arguments = "%s, make_interval(secs => %s), %s"
    values = event_id, delay, interrupted
    return _bool("release", *values, arguments=arguments)


def pause(step_uuid: UUID) -> Call[bool]:
    """Have the step stop at its next checkpoint; True: it was not so yet."""
    return _bool("pause", step_uuid)


def resume(step_uuid: UUID) -> Call[bool]:
    """Lift pause, cancel and parking; True: there was one to lift."""
    return _bool("resume", step_uuid)


def cancel(step_uuid: UUID) -> Call[bool]:
    """Have the step stop for good; True: it was not so yet."""
    return _bool("cancel", step_uuid)


def rewind(
    step_uuid: UUID, to_sequence: int, accumulated_results: Any = None
) -> Call[Receipt]:
    """Go back to a checkpoint of the step's history."""
    results = accumulated_results
    return _receipt(
        "rewind",
        "%s, %s, %s::jsonb",
        [
            step_uuid,
            to_sequence,
            None if results is None else dump_json(results),
        ],
    )


def progress(step_uuid: UUID | None = None) -> Call[list[Progress]]:
    """Return how far the unfinished steps are, or one."""
    return Call(
        "progress",
        ", ".join(Progress._fields),
        "%s::uuid",
        [step_uuid],
        lambda rows: [Progress(*row) for row in rows],
    )

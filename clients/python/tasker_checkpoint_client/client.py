"""The functions that workers call, one method each.

A cursor or results may be anything that json can write.  They travel as text,
so integers of any size, strings, objects and null come back as they were sent,
whatever the connection does with jsonb.
"""

import json
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

SUPERSEDED = "TC002"
STORED_BEFORE = "TC003"


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


class Delivery(NamedTuple):
    """A claimed step, and where to resume it."""

    event_id: UUID
    step_uuid: UUID
    has_checkpoint: bool
    cursor: Any
    items_processed: int
    accumulated_results: Any
    sequence: int
    deliveries: int


def is_superseded(error: BaseException) -> bool:
    """Tell whether the step has gone on elsewhere: stop and write nothing."""
    return (
        isinstance(error, psycopg.Error) and error.diag.sqlstate == SUPERSEDED
    )


def is_stored_before(error: BaseException) -> bool:
    """Tell whether the checkpoint is there, with an earlier try's rows.

    Roll back and load.  A sequence above that of the last receipt: a reply
    was lost, go on from what is stored.  The same: the handler has stored one
    checkpoint twice, with different rows.
    """
    return (
        isinstance(error, psycopg.Error)
        and error.diag.sqlstate == STORED_BEFORE
    )


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)


class Client:
    """The extension's functions on an open connection.

    They run in the connection's transaction; schema is needed only if the
    search_path does not lead to the extension.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], schema: str | None = None
    ) -> None:
        self.connection = connection
        self._schema = [schema] if schema else []

    def dispatch(self, step_uuid: UUID) -> UUID | None:
        """Offer a step to the workers."""
        event_id: UUID | None = self._value("dispatch", [step_uuid])
        return event_id

    def claim(
        self, worker: str, lease: float, max_steps: int = 1
    ) -> list[Delivery]:
        """Take up to max_steps steps for lease seconds."""
        rows = self._rows(
            "event_id, step_uuid, has_checkpoint, cursor::text,"
            " items_processed, accumulated_results::text, sequence,"
            " deliveries",
            "claim",
            "%s, make_interval(secs => %s), %s",
            [worker, lease, max_steps],
        )
        return [
            Delivery(*row)._replace(
                cursor=_load(row[3]), accumulated_results=_load(row[5])
            )
            for row in rows
        ]

    def load(self, step_uuid: UUID) -> State:
        """Return where to resume a step."""
        row = self._rows(
            "has_checkpoint, cursor::text, items_processed,"
            " accumulated_results::text, sequence",
            "load",
            "%s",
            [step_uuid],
        )[0]
        return State(*row)._replace(
            cursor=_load(row[1]), accumulated_results=_load(row[3])
        )

    def checkpoint_yield(
        self,
        step_uuid: UUID,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
        event_id: UUID | None = None,
    ) -> Receipt:
        """Persist a checkpoint and offer the step to the workers."""
        return self._write(
            "yield",
            step_uuid,
            cursor,
            items_processed,
            accumulated_results,
            event_id,
        )

    def checkpoint_save(
        self,
        step_uuid: UUID,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
        event_id: UUID | None = None,
    ) -> Receipt:
        """Persist a checkpoint and keep the step."""
        return self._write(
            "save",
            step_uuid,
            cursor,
            items_processed,
            accumulated_results,
            event_id,
        )

    def heartbeat(self, event_id: UUID) -> bool:
        """Extend a claim by its lease; False: it is not ours any more."""
        return bool(self._value("heartbeat", [event_id]))

    def complete(self, event_id: UUID) -> bool:
        """End the step's dispatch; False: it was not ours to end."""
        return bool(self._value("complete", [event_id]))

    def release(
        self, event_id: UUID, delay: float = 0.0, interrupted: bool = False
    ) -> bool:
        """Hand the step back, to be claimed after delay seconds.

        Interrupted: its handler has not failed, and the claim does not count.
        """
        arguments = "%s, make_interval(secs => %s), %s"
        values = [event_id, delay, interrupted]
        return bool(self._value("release", values, arguments))

    def _write(
        self,
        function: str,
        step_uuid: UUID,
        cursor: Any,
        items_processed: int,
        results: Any,
        event_id: UUID | None,
    ) -> Receipt:
        row = self._rows(
            "sequence, event_id, directive, replayed",
            function,
            "%s, %s::jsonb, %s, %s::jsonb, %s",
            [
                step_uuid,
                _dump(cursor),
                items_processed,
                None if results is None else _dump(results),
                event_id,
            ],
        )[0]
        return Receipt(*row)

    def _value(
        self, function: str, values: list[Any], arguments: str = "%s"
    ) -> Any:
        return self._rows("*", function, arguments, values)[0][0]

    def _rows(
        self, columns: str, function: str, arguments: str, values: list[Any]
    ) -> list[tuple[Any, ...]]:
        name = sql.Identifier(*self._schema, f"tasker_checkpoint_{function}")
        query = sql.SQL(f"SELECT {columns} FROM {{}}({arguments})")
        with self.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.format(name), values).fetchall()

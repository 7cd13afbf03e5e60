"""What differs between threads and asyncio, and what is built on that.

The protocol of a worker is written once, as coroutines over a Port.  Those of
the port for threads never suspend, so that drive() runs a coroutine from its
beginning to its end as if it were a function.
"""

import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

from .calls import Call, Row
from .errors import typed

T = TypeVar("T")
AnyConnection = psycopg.Connection[Any] | psycopg.AsyncConnection[Any]

# what the loop itself asks has an answer by then, or the link is dead
ANSWER_SECONDS = 35.0

# a dead link is noticed, a server that does not answer is given up
LINK_OPTIONS = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


class Bell(Protocol):
    """Wakes who rests; once rung it stays so."""

    @property
    def rung(self) -> bool:
        """Whether it was rung."""

    def ring(self) -> None:
        """Ring it; also from another thread or a signal handler."""

    def close(self) -> None:
        """Let go of what it is made of."""


class Turn(Protocol):
    """A lock."""

    async def acquire(self, seconds: float | None) -> bool:
        """Wait for it, so long or for ever; False: in vain."""

    def release(self) -> None:
        """Let the next have it."""


class Port(Protocol):
    """Threads or asyncio."""

    def bell(self) -> Bell:
        """Return a new bell."""

    def turn(self) -> Turn:
        """Return a new lock."""

    async def rest(
        self, socket: int | None, seconds: float, bell: Bell | None
    ) -> None:
        """Wait until there is something to read, or for the bell."""

    async def call(self, function: Callable[..., Any], *values: Any) -> Any:
        """Call the application, and await what is to be awaited."""

    async def connect(self, conninfo: str, **options: Any) -> AnyConnection:
        """Connect as connect() does."""

    async def set_autocommit(self, connection: Any, on: bool) -> None:
        """Set it, outside a transaction."""

    async def fetch(
        self, connection: Any, query: Any, values: Any, row_factory: Any
    ) -> tuple[list[Any], PGresult | None]:
        """Execute a query and return its rows."""

    def transaction(
        self, connection: Any
    ) -> AbstractAsyncContextManager[Any]:
        """Return psycopg's block of a transaction, or of a savepoint."""

    async def rollback(self, connection: Any) -> None:
        """Roll back."""

    async def close(self, connection: Any) -> None:
        """Close a connection."""


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("something was awaited that is not of this port")


def connect_options(conninfo: str, options: dict[str, Any]) -> dict[str, Any]:
    """Add to psycopg's options what is not said of dead links.

    Prepared statements don't survive a transaction-pooling proxy.
    """
    given = conninfo_to_dict(conninfo)
    link = {key: LINK_OPTIONS[key] for key in LINK_OPTIONS if key not in given}
    return {**link, "autocommit": True, "prepare_threshold": None, **options}


def in_transaction(connection: AnyConnection) -> bool:
    """Tell whether anything but a new transaction can come next."""
    status = connection.pgconn.transaction_status
    return status != pq.TransactionStatus.IDLE


async def perform(
    port: Port,
    connection: AnyConnection,
    call: Call[T],
    schema: str | None = None,
) -> T:
    """Make a call in the connection's transaction."""
    query = call.query(schema)
    try:
        rows, _ = await port.fetch(connection, query, call.values, tuple_row)
    except psycopg.Error as error:
        kind = typed(error)
        if kind is error:
            raise
        raise kind from None
    return call.parse(rows)


async def ask(
    port: Port,
    connection: AnyConnection,
    call: Call[T],
    schema: str | None = None,
    *,
    before: str = "",
    bell: Bell | None = None,
) -> T:
    """Make a call of the loop's own, whose answer is not waited for forever.

    The statement before goes with it, into the same transaction.
    """
    statement = before + merge(connection, call.query(schema), call.values)
    return call.parse(await exchange(port, connection, statement, bell=bell))


def merge(connection: AnyConnection, query: Any, values: Sequence[Any]) -> str:
    """Write a statement with its values in it."""
    if isinstance(connection, psycopg.AsyncConnection):
        return psycopg.AsyncClientCursor(connection).mogrify(query, values)
    return psycopg.ClientCursor(connection).mogrify(query, values)


async def exchange(
    port: Port,
    connection: AnyConnection,
    statement: str,
    *,
    value: tuple[bytes | None, int] | None = None,
    seconds: float = ANSWER_SECONDS,
    bell: Bell | None = None,
) -> list[Row]:
    """Send a statement by libpq and return its rows, which are text.

    The value, with its type, is $1.  The connection is gone if there is no
    answer in so many seconds, or if the bell is rung: the server then ends
    what it was asked.
    """
    pgconn = connection.pgconn
    until = time.monotonic() + seconds
    try:
        if value is None:
            pgconn.send_query(statement.encode())
        else:
            pgconn.send_query_params(
                statement.encode(), [value[0]], param_types=[value[1]]
            )
        rows: list[Row] = []
        error: psycopg.Error | None = None
        while True:
            await _await_result(port, pgconn, until, bell)
            result = pgconn.get_result()
            if result is None:
                break
            if result.status == pq.ExecStatus.FATAL_ERROR:
                error = errors.error_from_result(result)
            elif result.status == pq.ExecStatus.TUPLES_OK:
                rows = _text_rows(result)
    except BaseException:
        # what else was to be read is nobody's any more
        pgconn.finish()
        raise
    if error is not None:
        raise typed(error)
    return rows


async def _await_result(
    port: Port, pgconn: Any, until: float, bell: Bell | None
) -> None:
    # flush() is 1 while the statement is not sent
    while pgconn.flush() or pgconn.is_busy():
        left = until - time.monotonic()
        if left <= 0:
            raise psycopg.OperationalError("the server does not answer")
        if bell is not None and bell.rung:
            raise psycopg.OperationalError("no longer waited for")
        await port.rest(pgconn.socket, left, bell)
        pgconn.consume_input()


def _text_rows(result: PGresult) -> list[Row]:
    def text(row: int, column: int) -> str | None:
        value = result.get_value(row, column)
        return None if value is None else value.decode()

    return [
        tuple(text(row, column) for column in range(result.nfields))
        for row in range(result.ntuples)
    ]

"""The port for threads: its coroutines do what they do without suspending."""

import select
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult

from . import port
from .port import connect_options


class Bell:
    """A byte in a pipe, never read: who selects on it is woken at once."""

    def __init__(self) -> None:
        self.listener, self._ringer = socket.socketpair()
        self._ringer.setblocking(False)
        self.rung = False

    def ring(self) -> None:
        """Ring it; also from another thread or a signal handler."""
        if not self.rung:
            self.rung = True
            with suppress(OSError):
                self._ringer.send(b"!")

    def close(self) -> None:
        """Close the pipe."""
        self.listener.close()
        self._ringer.close()


class Turn:
    """A lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def acquire(self, seconds: float | None) -> bool:
        """Wait for it, so long or for ever; False: in vain."""
        return self._lock.acquire(timeout=-1 if seconds is None else seconds)

    def release(self) -> None:
        """Let the next have it."""
        self._lock.release()


class _Transaction(AbstractAsyncContextManager[None]):
    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._block = connection.transaction()

    async def __aenter__(self) -> None:
        self._block.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._block.__exit__(kind, error, traceback)


class Threads:
    """Port for psycopg.Connection."""

    def bell(self) -> port.Bell:
        """Return a new bell."""
        return Bell()

    def turn(self) -> port.Turn:
        """Return a new lock."""
        return Turn()

    async def rest(
        self, socket: int | None, seconds: float, bell: port.Bell | None
    ) -> None:
        """Wait until there is something to read, or for the bell."""
        poll = select.poll()
        if socket is not None:
            poll.register(socket, select.POLLIN)
        if isinstance(bell, Bell):
            poll.register(bell.listener, select.POLLIN)
        poll.poll(max(seconds, 0) * 1000)

    async def call(self, function: Callable[..., Any], *values: Any) -> Any:
        """Call the application."""
        return function(*values)

    async def connect(
        self, conninfo: str, **options: Any
    ) -> psycopg.Connection[Any]:
        """Connect as connect() does."""
        return connect(conninfo, **options)

    async def set_autocommit(
        self, connection: psycopg.Connection[Any], on: bool
    ) -> None:
        """Set it, outside a transaction."""
        connection.autocommit = on

    async def fetch(
        self,
        connection: psycopg.Connection[Any],
        query: Any,
        values: Any,
        row_factory: Any,
    ) -> tuple[list[Any], PGresult | None]:
        """Execute a query and return its rows."""
        with psycopg.Cursor(connection, row_factory=row_factory) as cursor:
            cursor.execute(query, values)
            return cursor.fetchall(), cursor.pgresult

    def transaction(
        self, connection: psycopg.Connection[Any]
    ) -> AbstractAsyncContextManager[Any]:
        """Return psycopg's block of a transaction, or of a savepoint."""
        return _Transaction(connection)

    async def rollback(self, connection: psycopg.Connection[Any]) -> None:
        """Roll back."""
        connection.rollback()

    async def close(self, connection: psycopg.Connection[Any]) -> None:
        """Close a connection."""
        connection.close()


def connect(conninfo: str = "", **options: Any) -> psycopg.Connection[Any]:
    """Connect as a worker does, for a function of the application's own.

    In autocommit mode, without prepared statements, and so that a dead link
    is noticed; options are those of psycopg.connect(), and come first.
    """
    return psycopg.Connection.connect(
        conninfo, **connect_options(conninfo, options)
    )

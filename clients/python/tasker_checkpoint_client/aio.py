"""The port for asyncio."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult

from . import port
from .port import connect_options


class Bell:
    """Wakes the tasks that rest."""

    def __init__(self) -> None:
        self.rung = False
        self.wakes: set[Callable[[], None]] = set()
        self._loop = asyncio.get_running_loop()

    def ring(self) -> None:
        """Ring it; also from another thread or a signal handler."""
        self.rung = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for wake in list(self.wakes):
            wake()

    def close(self) -> None:
        """It is made of nothing."""


class Turn:
    """A lock."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def acquire(self, seconds: float | None) -> bool:
        """Wait for it, so long or for ever; False: in vain."""
        try:
            return await asyncio.wait_for(self._lock.acquire(), seconds)
        except asyncio.TimeoutError:
            return False

    def release(self) -> None:
        """Let the next have it."""
        self._lock.release()


class Asyncio:
    """Port for psycopg.AsyncConnection."""

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
        loop = asyncio.get_running_loop()
        woken = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = loop.call_later(max(seconds, 0), wake)
        if socket is not None:
            loop.add_reader(socket, wake)
        if isinstance(bell, Bell):
            bell.wakes.add(wake)
            if bell.rung:
                wake()
        try:
            await woken
        finally:
            timer.cancel()
            if socket is not None:
                loop.remove_reader(socket)
            if isinstance(bell, Bell):
                bell.wakes.discard(wake)

    async def call(self, function: Callable[..., Any], *values: Any) -> Any:
        """Call the application, and await what is to be awaited."""
        result = function(*values)
        return await result if inspect.isawaitable(result) else result

    async def connect(
        self, conninfo: str, **options: Any
    ) -> psycopg.AsyncConnection[Any]:
        """Connect as connect_async() does."""
        return await connect_async(conninfo, **options)

    async def set_autocommit(
        self, connection: psycopg.AsyncConnection[Any], on: bool
    ) -> None:
        """Set it, outside a transaction."""
        await connection.set_autocommit(on)

    async def fetch(
        self,
        connection: psycopg.AsyncConnection[Any],
        query: Any,
        values: Any,
        row_factory: Any,
    ) -> tuple[list[Any], PGresult | None]:
        """Execute a query and return its rows."""
        async with psycopg.AsyncCursor(
            connection, row_factory=row_factory
        ) as cursor:
            await cursor.execute(query, values)
            return await cursor.fetchall(), cursor.pgresult

    def transaction(
        self, connection: psycopg.AsyncConnection[Any]
    ) -> AbstractAsyncContextManager[Any]:
        """Return psycopg's block of a transaction, or of a savepoint."""
        return connection.transaction()

    async def rollback(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Roll back."""
        await connection.rollback()

    async def close(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Close a connection."""
        await connection.close()


async def connect_async(
    conninfo: str = "", **options: Any
) -> psycopg.AsyncConnection[Any]:
    """Connect as connect() does."""
    connection: psycopg.AsyncConnection[Any]
    connection = await psycopg.AsyncConnection.connect(
        conninfo, **connect_options(conninfo, options)
    )
    return connection

"""The extension's functions on an open connection, one method each."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Generic, ParamSpec, TypeVar, overload

import psycopg

from . import calls
from .aio import Asyncio
from .calls import Call
from .port import drive, perform
from .threads import Threads

P = ParamSpec("P")
T = TypeVar("T")


class _Method(Generic[P, T]):
    """A method that waits in Client, and is awaited in AsyncClient."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(
        self, client: "Client", owner: Any = ...
    ) -> Callable[P, T]: ...

    @overload
    def __get__(
        self, client: "AsyncClient", owner: Any = ...
    ) -> Callable[P, Coroutine[Any, Any, T]]: ...

    def __get__(self, client: Any, owner: Any = None) -> Any:
        if client is None:
            return self

        @functools.wraps(self._build)
        def method(*args: P.args, **options: P.kwargs) -> Any:
            return client.perform(self._build(*args, **options))

        return method


class _Functions:
    dispatch = _Method(calls.dispatch)
    claim = _Method(calls.claim)
    load = _Method(calls.load)
    checkpoint_yield = _Method(calls.checkpoint_yield)
    checkpoint_save = _Method(calls.checkpoint_save)
    heartbeat = _Method(calls.heartbeat)
    complete = _Method(calls.complete)
    release = _Method(calls.release)
    pause = _Method(calls.pause)
    resume = _Method(calls.resume)
    cancel = _Method(calls.cancel)
    rewind = _Method(calls.rewind)
    progress = _Method(calls.progress)


class Client(_Functions):
    """The functions, in the connection's transaction.

    A schema is needed only if the search_path does not lead to the extension.
    """

    def __init__(
        self, connection: psycopg.Connection[Any], schema: str | None = None
    ) -> None:
        self.connection = connection
        self._schema = schema

    def perform(self, call: Call[T]) -> T:
        """Make one of the calls of tasker_checkpoint_client.calls."""
        return drive(perform(Threads(), self.connection, call, self._schema))


class AsyncClient(_Functions):
    """The same on an asynchronous connection: each method is awaited."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        schema: str | None = None,
    ) -> None:
        self.connection = connection
        self._schema = schema

    async def perform(self, call: Call[T]) -> T:
        """Make one of the calls of tasker_checkpoint_client.calls."""
        return await perform(Asyncio(), self.connection, call, self._schema)

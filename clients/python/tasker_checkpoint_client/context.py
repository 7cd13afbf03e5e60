"""The claimed step, as its handler sees it."""

import asyncio
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any
from uuid import UUID

import psycopg

from . import calls
from .calls import Receipt
from .pages import Pages, Source
from .port import drive
from .run import Run


class _Context:
    def __init__(self, run: Run) -> None:
        self._run = run
        self.step_uuid: UUID = run.delivery.step_uuid
        self.event_id: UUID = run.delivery.event_id
        self.queue: str = run.delivery.queue
        #: claims since the step last got on, this one included
        self.deliveries: int = run.delivery.deliveries
        self.checkpoint_items_processed: int = run.delivery.items_processed

    def has_checkpoint(self) -> bool:
        """Tell whether there is anything to resume; a cursor may be null."""
        return self._run.delivery.has_checkpoint

    @property
    def checkpoint_cursor(self) -> Any:
        """Where to resume."""
        return self._run.cursor

    @property
    def accumulated_results(self) -> Any:
        """Partial results of the runs before."""
        return self._run.accumulated_results

    @property
    def sequence(self) -> int:
        """Number of the last checkpoint, those of this run included."""
        return self._run.sequence

    @property
    def yielded(self) -> bool:
        """Whether the run has yielded."""
        return self._run.receipt is not None

    @property
    def stop_requested(self) -> bool:
        """Whether the handler should yield at its next checkpoint.

        What it returns after it has read this as true, without a yield, is
        not taken for a result; finish() says that the step is done.
        """
        return self._run.stop_requested

    def finish(self, result: Any = None) -> Any:
        """Say that the step is done, though a stop was requested."""
        return self._run.finish(result)


class Context(_Context):
    """A step; its connection is in autocommit mode."""

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection whose transactions have rows and checkpoint."""
        connection = self._run.connection
        assert isinstance(connection, psycopg.Connection)
        return connection

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Commit rows and checkpoint together; write the rows first."""
        block = self._run.transaction()
        drive(block.__aenter__())
        try:
            yield
        except BaseException as error:
            swallowed = drive(
                block.__aexit__(type(error), error, error.__traceback__)
            )
            if not swallowed:
                raise
        else:
            drive(block.__aexit__(None, None, None))

    def checkpoint_yield(
        self,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
    ) -> Receipt:
        """Persist progress and offer the step to all workers; then return."""
        call = calls.checkpoint_yield
        values = cursor, items_processed, accumulated_results
        return drive(self._run.checkpoint(call, *values))

    def checkpoint_save(
        self,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
    ) -> Receipt:
        """Persist progress and go on.

        Inside transaction(), the work since the last checkpoint commits with
        it, and so is done exactly once.
        """
        call = calls.checkpoint_save
        values = cursor, items_processed, accumulated_results
        return drive(self._run.checkpoint(call, *values))

    def heartbeat(self) -> bool:
        """Extend the lease, as the loop does anyway; False: stop."""
        return drive(self._run.heartbeat())

    def iterate(
        self,
        source: Source,
        params: Sequence[Any] = (),
        *,
        key: str | None = None,
        every: int = 1000,
        seconds: float = 10.0,
        total: int | None = None,
        results: Mapping[str, Any] | None = None,
    ) -> Generator[list[Any], None, None]:
        """Loop over batches, each in a transaction with its checkpoint.

        source      a SELECT whose column key is unique and not null; or a
                    function of a cursor (None at first) and a number, which
                    returns items and the cursor after them
        every       items in a batch, at most
        seconds     a batch that takes longer makes the next one smaller
        total       items of the step, for the view of progress
        results     stored with each checkpoint; the body may change it

        The loop ends when nothing is left, and then the step is done; or when
        a stop was requested, and then the step goes on later, where it is.
        """
        pages = Pages(
            self._run,
            source,
            params,
            key=key,
            every=every,
            seconds=seconds,
            total=total,
            results=results,
        )
        try:
            while (batch := drive(pages.next())) is not None:
                yield batch
        finally:
            drive(pages.close())


class AsyncContext(_Context):
    """A step; methods that ask the server are awaited."""

    @property
    def connection(self) -> psycopg.AsyncConnection[Any]:
        """The connection whose transactions have rows and checkpoint."""
        connection = self._run.connection
        assert isinstance(connection, psycopg.AsyncConnection)
        return connection

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """Commit rows and checkpoint together; write the rows first."""
        return self._run.transaction()

    async def checkpoint_yield(
        self,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
    ) -> Receipt:
        """Persist progress and offer the step to all workers; then return."""
        call = calls.checkpoint_yield
        values = cursor, items_processed, accumulated_results
        return await self._run.checkpoint(call, *values)

    async def checkpoint_save(
        self,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
    ) -> Receipt:
        """Persist progress and go on."""
        call = calls.checkpoint_save
        values = cursor, items_processed, accumulated_results
        return await self._run.checkpoint(call, *values)

    async def heartbeat(self) -> bool:
        """Extend the lease, as the loop does anyway; False: stop."""
        return await self._run.heartbeat()

    async def iterate(
        self,
        source: Source,
        params: Sequence[Any] = (),
        *,
        key: str | None = None,
        every: int = 1000,
        seconds: float = 10.0,
        total: int | None = None,
        results: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[list[Any], None]:
        """Loop over batches, as Context.iterate() does.

        Python ends an asynchronous generator some time after a break: one
        that is left early needs contextlib.aclosing, else the run fails.
        """
        pages = Pages(
            self._run,
            source,
            params,
            key=key,
            every=every,
            seconds=seconds,
            total=total,
            results=results,
        )
        owner = asyncio.current_task()
        try:
            while (batch := await pages.next()) is not None:
                yield batch
        finally:
            # closed by the garbage collector, after what the handler did next
            if asyncio.current_task() is not owner:
                self._run.lost_loop |= self._run.pages is pages
            await pages.close()

"""One run: from a claim to the step's end, or its return.

Written once, over a Port; context.py is how a handler sees it.
"""

import logging
import random
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from psycopg import pq

from . import calls
from .calls import Call, Delivery, Receipt
from .errors import (
    AlreadyYielded,
    LimitExceeded,
    PermanentError,
    Superseded,
    TransactionLeftOpen,
    TransientError,
    sqlstate,
)
from .journal import Journal
from .port import AnyConnection, Port, in_transaction, perform

if TYPE_CHECKING:
    from .pages import Pages

T = TypeVar("T")

MAX_DELAY = 86400.0
MAX_OWN_DELAY = 4 * 3600.0

SUPERSEDED = "TC002"
STORED_BEFORE = "TC003"


@dataclass(frozen=True)
class Settings:
    """What a worker was told, as far as a run needs it."""

    lease: float = 60.0
    #: seconds for the first, or a function of context and error
    retry_delay: float | Callable[..., Any] = 1.0
    schema: str | None = None
    on_start: Callable[..., Any] | None = None
    on_success: Callable[..., Any] | None = None
    on_transient_failure: Callable[..., Any] | None = None
    on_permanent_failure: Callable[..., Any] | None = None


class Probe:
    """Is told of a run's checkpoints; for tests."""

    def before(self) -> None:
        """Hear that one is to be stored; may raise."""

    def after(
        self, receipt: Receipt, cursor: Any, items: int, results: Any
    ) -> bool:
        """Hear that one is stored; True asks the handler to stop."""
        return False


class Unfinished(NamedTuple):
    """A claim that is to be handed back on another connection."""

    event_id: UUID
    step_uuid: UUID
    #: its handler has not failed
    interrupted: bool


class Killed(BaseException):
    """The run is to end as by kill -9; for tests."""


class Run:
    """A claimed step and what its handler has done to it."""

    def __init__(
        self,
        port: Port,
        connection: AnyConnection,
        delivery: Delivery,
        settings: Settings,
        journal: Journal,
        stopping: Callable[[], bool],
        context: Callable[["Run"], Any],
        probe: Probe | None = None,
    ) -> None:
        self.port = port
        self.connection = connection
        self.delivery = delivery
        self.cursor: Any = None
        self.accumulated_results: Any = None
        self.result: Any = None
        #: what it failed for
        self.error: Exception | None = None
        #: number and items of the last checkpoint, this run's included
        self.sequence = delivery.sequence
        self.items = delivery.items_processed
        self.finished = False
        #: of the yield that ended the run, unless it was rolled back
        self.receipt: Receipt | None = None
        #: the loop over iterate() that is under way
        self.pages: Pages | None = None
        self.iterated = False
        #: such a loop was left by the garbage collector, too late
        self.lost_loop = False
        self.unfinished: Unfinished | None = None
        #: whether the lease was lost, or a receipt or a test says stop
        self.told_to_stop = False
        self._context = context(self)
        self._settings = settings
        self._journal = journal
        self._stopping = stopping
        self._probe = probe or Probe()
        self._saw_stop = False
        self.began = time.monotonic()
        #: when its lease is to be extended
        self.beat_at = self.began
        # the last checkpoint whose COMMIT was answered; and whether the
        # yield's was
        self._stored = delivery.sequence
        self._yield_is_sure = False
        self._progress = False

    # --- what the handler calls ---------------------------------------------

    @property
    def stop_requested(self) -> bool:
        """Whether the handler should stop; it is noted that it has seen so."""
        if self.told_to_stop or self._stopping():
            self._saw_stop = True
        return self._saw_stop

    def finish(self, result: Any = None) -> Any:
        """Say that the step is done, though a stop was requested."""
        self.finished = True
        self.result = result
        return result

    def transaction(self) -> "_Transaction":
        """Return a transaction whose COMMIT is known to be answered or not."""
        return _Transaction(self)

    async def heartbeat(self) -> bool:
        """Extend the lease, as the loop does anyway; False: stop."""
        return await self._perform(calls.heartbeat(self.delivery.event_id))

    async def checkpoint(
        self,
        function: Callable[..., Call[Receipt]],
        cursor: Any,
        items: int,
        results: Any,
    ) -> Receipt:
        """Save or yield."""
        if self.pages is not None:
            raise psycopg.ProgrammingError(
                "iterate() stores the checkpoints of its loop itself; one that"
                " is left early has to be closed (contextlib.aclosing)"
            )
        return await self.store(function, cursor, items, results)

    async def store(
        self,
        function: Callable[..., Call[Receipt]],
        cursor: Any,
        items: int,
        results: Any,
    ) -> Receipt:
        """Save or yield, also from within iterate()."""
        if await self._has_yielded():
            raise AlreadyYielded("already yielded: the handler must return")
        self._probe.before()
        sure = not in_transaction(self.connection)
        receipt = await self._perform(
            function(
                self.delivery.step_uuid,
                cursor,
                items,
                results,
                self.delivery.event_id,
            )
        )
        self._progress = self._progress or items != self.items
        self.sequence = receipt.sequence
        self.items = items
        if sure:
            self._stored = receipt.sequence
        if receipt.directive != "continue":
            self.told_to_stop = self._saw_stop = True
        if function is calls.checkpoint_yield:
            self.receipt = receipt
            self._yield_is_sure = sure
        else:
            self._say("saved", directive=receipt.directive)
        if isinstance(cursor, calls.JsonText):
            cursor = calls.load_json(cursor)
        if self._probe.after(receipt, cursor, items, results):
            self.told_to_stop = True
        return receipt

    async def _has_yielded(self) -> bool:
        """Tell whether there was a yield that was not rolled back.

        If the claim is still ours, it was.
        """
        if self.receipt is not None and not self._yield_is_sure:
            if await self.heartbeat():
                self.receipt = None
            elif not in_transaction(self.connection):
                self._yield_is_sure = True
        return self.receipt is not None

    # --- from the beginning to the end --------------------------------------

    async def go(self, handler: Callable[..., Any]) -> str:
        """Run the handler and end or return the step; tell how."""
        self._say("claimed", sequence=None, items=None, seconds=None)
        if self.delivery.has_checkpoint:
            self._say("resumed", seconds=None)
        try:
            try:
                return await self._attempt(handler)
            except Exception as error:
                return await self._fail(error)
        except Killed:
            await self._clean()
            raise
        except Exception as error:
            return self._give_up(error)
        except BaseException as error:
            await self._break_off(error)
            raise

    async def _attempt(self, handler: Callable[..., Any]) -> str:
        self.cursor = self.delivery.cursor
        self.accumulated_results = self.delivery.accumulated_results
        call = self.port.call

        if self._settings.on_start is not None:
            heartbeat = calls.heartbeat(self.delivery.event_id)
            await self._fenced(heartbeat, self._settings.on_start)
        result = await call(handler, self._context)

        self.lost_loop = self.lost_loop or self.pages is not None
        if await self._clean() or self.lost_loop:
            what = "loop over iterate()" if self.lost_loop else "transaction"
            raise TransactionLeftOpen(f"the handler has left a {what} open")
        if await self._has_yielded():
            assert self.receipt is not None
            return self._end("yielded", directive=self.receipt.directive)
        if self._saw_stop and not self.finished:
            return await self._interrupt(None)
        if result is None and self.finished:
            result = self.result
        self.result = result
        await self._fenced(
            calls.complete(self.delivery.event_id),
            self._settings.on_success,
            result,
        )
        return self._end("completed")

    async def _fail(self, error: Exception) -> str:
        await self._clean()
        if self.connection.closed:
            raise error
        fence = self.delivery.event_id
        if await self._has_yielded():
            assert self.receipt is not None and self.receipt.event_id
            fence = self.receipt.event_id
            # so that the log tells that it failed behind its yield
            self._say("yielded", directive=self.receipt.directive)
        elif sqlstate(error) == SUPERSEDED:
            raise error

        if await self._is_interruption(error):
            return await self._interrupt(error, fence)
        if self._is_permanent(error):
            await self._fenced(
                calls.complete(fence),
                self._settings.on_permanent_failure,
                error,
            )
            return self._end("failed", error=error, trace=_traceback(error))
        delay = await self._delay(error)
        await self._fenced(
            calls.release(fence, delay),
            self._settings.on_transient_failure,
            error,
        )
        return self._end(
            "released", delay=delay, error=error, trace=_traceback(error)
        )

    async def _is_interruption(self, error: Exception) -> bool:
        """Tell whether the step goes on as if nothing had failed.

        What was stored before by a transaction whose reply was lost is gone
        on from; stored twice by the handler it is a failure.
        """
        if sqlstate(error) == STORED_BEFORE:
            stored = await self._perform(calls.load(self.delivery.step_uuid))
            return stored.sequence > self._stored
        return isinstance(error, TransientError) and (
            self.told_to_stop or self._stopping()
        )

    @staticmethod
    def _is_permanent(error: Exception) -> bool:
        return (
            isinstance(error, (PermanentError, LimitExceeded))
            or sqlstate(error) == STORED_BEFORE
        )

    async def _delay(self, error: Exception) -> float:
        policy = self._settings.retry_delay
        if isinstance(error, TransientError) and error.delay is not None:
            delay = error.delay
        elif callable(policy):
            delay = await self.port.call(policy, self._context, error)
        else:
            failures = 1 if self._progress else self.delivery.deliveries
            delay = default_delay(policy, failures)
        return min(max(float(delay), 0.0), MAX_DELAY)

    async def _interrupt(
        self, error: Exception | None, fence: UUID | None = None
    ) -> str:
        call = calls.release(
            fence or self.delivery.event_id, interrupted=True
        )
        await self._fenced(call, None)
        return self._end("interrupted", error=error)

    def _give_up(self, error: Exception) -> str:
        """Say what became of the step that can't be ended or returned."""
        if self.connection.closed:
            self.unfinished = self.left(interrupted=False)
            return self._end("abandoned", error=error)
        if sqlstate(error) == SUPERSEDED:
            return self._end("superseded", error=error)
        return self._end(
            "abandoned", level=logging.ERROR, error=error, trace=error
        )

    async def _break_off(self, error: BaseException) -> None:
        """Hand the step back from a handler that was ended by force."""
        self.unfinished = self.left(interrupted=True)
        self._say("interrupted", error=error)
        status = self.connection.pgconn.transaction_status
        if status == pq.TransactionStatus.ACTIVE:
            # its statement can't be ended on the same connection
            self.connection.pgconn.finish()
            return
        with suppress(psycopg.Error):
            await self._clean()
            await self._perform(calls.release(self._fence(), interrupted=True))
            self.unfinished = None

    def left(self, interrupted: bool) -> Unfinished:
        """Return its claim, to be handed back."""
        step = self.delivery.step_uuid
        return Unfinished(self._fence(), step, interrupted)

    def _fence(self) -> UUID:
        if self.receipt is not None and self.receipt.event_id is not None:
            return self.receipt.event_id
        return self.delivery.event_id

    async def _clean(self) -> bool:
        """Roll back what was left open; return whether anything was."""
        was_open = False
        if self.pages is not None:
            was_open = True
            await self.pages.close()
        if not self.connection.closed and in_transaction(self.connection):
            was_open = True
            try:
                await self.port.rollback(self.connection)
            except psycopg.ProgrammingError:
                # a block of psycopg's that was entered and never left
                self.connection.pgconn.finish()
        return was_open

    async def _fenced(
        self,
        fence: Call[bool],
        callback: Callable[..., Any] | None,
        *values: Any,
    ) -> None:
        """Call back in one transaction with the fence, which must hold.

        The callback comes first: it locks the step, and writers of
        checkpoints lock the step before its event.  The savepoint is gone if
        it has ended the transaction.
        """
        if callback is None:
            held = await self._perform(fence)
        else:
            transaction = self.port.transaction
            async with transaction(self.connection):
                async with transaction(self.connection):
                    await self.port.call(callback, self._context, *values)
                held = await self._perform(fence)
                if not held:
                    raise Superseded("the step has gone on elsewhere")
        if not held:
            raise Superseded("the step has gone on elsewhere")

    async def _perform(self, call: Call[T]) -> T:
        return await perform(
            self.port, self.connection, call, self._settings.schema
        )

    def _end(self, event: str, **values: Any) -> str:
        self.error = values.get("error")
        self._say(event, **values)
        return event

    def _say(self, event: str, **values: Any) -> None:
        delivery = self.delivery
        known: dict[str, Any] = {
            "step": delivery.step_uuid,
            "queue": delivery.queue,
            "deliveries": delivery.deliveries,
            "sequence": self.sequence,
            "items": self.items,
            "seconds": time.monotonic() - self.began,
        }
        self._journal.say(event, **(known | values))

    def committed(self) -> None:
        """Note that a transaction of this run has committed."""
        self._stored = self.sequence
        self._yield_is_sure = True


class _Transaction(AbstractAsyncContextManager[None]):
    """Rows and checkpoint together; a COMMIT without a reply is none."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._block = run.port.transaction(run.connection)

    async def __aenter__(self) -> None:
        run = self._run
        self._is_outermost = not in_transaction(run.connection)
        self._before = run.sequence, run.items, run.receipt
        await self._block.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        run = self._run
        try:
            swallowed = await self._block.__aexit__(kind, error, traceback)
        except BaseException:
            run.sequence, run.items, run.receipt = self._before
            raise
        if error is not None:
            run.sequence, run.items, run.receipt = self._before
        elif self._is_outermost:
            run.committed()
        return swallowed


def default_delay(base: float, deliveries: int) -> float:
    """Double with each delivery up to four hours, and up to a quarter more."""
    delay = base * 2.0 ** min(max(deliveries - 1, 0), 60)
    return min(MAX_OWN_DELAY, delay) * (1 + random.random() / 4)


def _traceback(error: Exception) -> Exception | None:
    """Return an error whose place in the code is worth a log's lines.

    Those of the server may have values of rows in their details.
    """
    expected = TransientError, PermanentError, psycopg.Error
    return None if isinstance(error, expected) else error

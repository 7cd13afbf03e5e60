"""A run loop for batch handlers.

    def handler(context):
        start = context.checkpoint_cursor if context.has_checkpoint else 0
        ...
        if more_to_do:
            return context.checkpoint_yield(cursor, items, results)
        return results

    Worker("dbname=app", on_success=store_results).run(handler)

The loop claims a step, runs the handler and then completes the step, or
releases it if the handler raised.  Handlers and callbacks run in the caller's
thread, on context.connection; a thread with a connection of its own keeps the
leases and listens for wake-ups.
"""

import logging
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from .client import (
    Client,
    Delivery,
    Receipt,
    is_stored_before,
    is_superseded,
)

log = logging.getLogger(__name__)

MAX_POLL = 5.0
MIN_BACKOFF = 0.1
MAX_BACKOFF = 5.0

Handler = Callable[["Context"], Any]
Start = Callable[["Context"], None]
Outcome = Callable[["Context", Any], None]


class TransientError(Exception):
    """Raised by a handler: try again after delay seconds.

    Of a handler that was told to stop it is no failure: the step is handed
    back at once, and the run does not count.
    """

    def __init__(self, *args: object, delay: float = 0.0) -> None:
        super().__init__(*args)
        self.delay = delay


class PermanentError(Exception):
    """Raised by a handler: this step can't succeed, don't try again."""


class _Superseded(Exception):
    """The step has gone on elsewhere."""


class Context:
    """A claimed step, as its handler sees it."""

    def __init__(
        self, delivery: Delivery, client: Client, stopping: Callable[[], bool]
    ) -> None:
        self.step_uuid = delivery.step_uuid
        self.event_id = delivery.event_id
        self.has_checkpoint = delivery.has_checkpoint
        self.checkpoint_cursor = delivery.cursor
        self.checkpoint_items_processed = delivery.items_processed
        self.accumulated_results = delivery.accumulated_results
        self.deliveries = delivery.deliveries
        #: number of the last checkpoint, those of this run included
        self.sequence = delivery.sequence
        #: in autocommit mode; transaction() puts work together
        self.connection = client.connection
        self.yielded = False
        self._client = client
        self._stopping = stopping
        self._told_to_stop = False

    @property
    def stop_requested(self) -> bool:
        """Whether the handler should yield at its next checkpoint."""
        return self._told_to_stop or self._stopping()

    def request_stop(self) -> None:
        """Ask this handler to yield at its next checkpoint."""
        self._told_to_stop = True

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit rows and checkpoint together; write the rows first."""
        before = self.sequence, self.yielded
        try:
            with self.connection.transaction():
                yield
        except BaseException:
            # a COMMIT without a reply may as well have failed
            self.sequence, self.yielded = before
            raise

    def checkpoint_yield(
        self,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
    ) -> Receipt:
        """Persist progress and offer the step to all workers; then return."""
        receipt = self._client.checkpoint_yield(
            self.step_uuid,
            cursor,
            items_processed,
            accumulated_results,
            self.event_id,
        )
        self.yielded = True
        return self._note(receipt)

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
        return self._note(
            self._client.checkpoint_save(
                self.step_uuid,
                cursor,
                items_processed,
                accumulated_results,
                self.event_id,
            )
        )

    def heartbeat(self) -> bool:
        """Extend the lease, as the loop does anyway; False: stop."""
        return self._client.heartbeat(self.event_id)

    def _note(self, receipt: Receipt) -> Receipt:
        self.sequence = receipt.sequence
        if receipt.directive != "continue":
            self._told_to_stop = True
        return receipt


class _Bell:
    """Wakes a thread; can be rung from a signal handler."""

    def __init__(self) -> None:
        self._listener, self._ringer = socket.socketpair()
        self._listener.setblocking(False)
        self._ringer.setblocking(False)

    def ring(self) -> None:
        with suppress(BlockingIOError):
            self._ringer.send(b"!")

    def wait(self, seconds: float, *others: Any) -> list[Any]:
        """Return those of the others that are readable."""
        ready = select.select([self._listener, *others], [], [], seconds)[0]
        with suppress(BlockingIOError):
            while self._listener.recv(1024):
                pass
        return [other for other in ready if other is not self._listener]

    def close(self) -> None:
        self._listener.close()
        self._ringer.close()


class _Companion(threading.Thread):
    """Extends the leases of the steps held, and listens for wake-ups."""

    def __init__(
        self,
        connect: Callable[[], Client],
        channel: str | None,
        interval: float,
        woken: Callable[[], None],
    ) -> None:
        super().__init__(name="tasker_checkpoint companion", daemon=True)
        self._connect = connect
        self._channel = channel
        self._interval = interval
        self._woken = woken
        # replaced, never changed: the other thread reads it
        self._held: list[Context] = []
        self._bell = _Bell()
        self._ended = False

    def hold(self, context: Context) -> None:
        self._held = [*self._held, context]

    def drop(self, context: Context) -> None:
        self._held = [held for held in self._held if held is not context]

    def end(self) -> None:
        self._ended = True
        self._bell.ring()
        self.join()
        self._bell.close()

    def run(self) -> None:
        backoff = MIN_BACKOFF
        while not self._ended:
            try:
                client = self._connect()
                with closing(client.connection):
                    backoff = MIN_BACKOFF
                    self._serve(client)
            except (psycopg.Error, OSError) as error:
                log.warning("companion connection lost: %s", error)
                self._bell.wait(backoff)
                backoff = min(backoff * 2, self._interval, MAX_BACKOFF)

    def _serve(self, client: Client) -> None:
        connection = client.connection
        if self._channel is not None:
            channel = sql.Identifier(self._channel)
            connection.execute(sql.SQL("LISTEN {}").format(channel))
            self._woken()
        beat_at = time.monotonic()
        while not self._ended:
            rest = beat_at - time.monotonic()
            if rest <= 0:
                self._beat(client)
                beat_at = time.monotonic() + self._interval
            elif self._bell.wait(rest, connection):
                connection.pgconn.consume_input()
            if self._notified(connection):
                self._woken()

    def _beat(self, client: Client) -> None:
        for context in self._held:
            if not client.heartbeat(context.event_id):
                context.request_stop()

    @staticmethod
    def _notified(connection: psycopg.Connection[Any]) -> bool:
        notified = False
        while connection.pgconn.notifies() is not None:
            notified = True
        return notified


class Worker:
    """Claims steps and runs a handler for each.

    conninfo        libpq's connection string; further keyword arguments are
                    for psycopg.connect()
    name            of this worker, for those who look
    lease           seconds until another worker may take over from a dead one
    listen          False: poll only, as behind a transaction-pooling proxy
    poll            seconds between looks for work nobody was woken for
    max_steps       claimed at once; they are run one after the other
    retry_delay     seconds before a step is tried again whose handler raised
                    anything but TransientError

    Callbacks run in one transaction with the fence, so what they write is
    dropped if the step has gone on elsewhere: on_start before the handler,
    on_success and on_permanent_failure together with the step's completion,
    on_transient_failure together with its release.
    """

    def __init__(
        self,
        conninfo: str = "",
        *,
        name: str | None = None,
        lease: float = 60.0,
        listen: bool = True,
        poll: float | None = None,
        max_steps: int = 1,
        retry_delay: float = 1.0,
        channel: str = "tasker_checkpoint",
        schema: str | None = None,
        on_start: Start | None = None,
        on_success: Outcome | None = None,
        on_transient_failure: Outcome | None = None,
        on_permanent_failure: Outcome | None = None,
        **connect_options: Any,
    ) -> None:
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._conninfo = conninfo
        # prepared statements don't survive a transaction-pooling proxy
        self._connect_options = {"prepare_threshold": None} | connect_options
        self._lease = lease
        self._channel = channel if listen else None
        self._poll = min(lease / 2, MAX_POLL) if poll is None else poll
        self._max_steps = max_steps
        self._retry_delay = retry_delay
        self._schema = schema
        self._on_start = on_start
        self._on_success = on_success
        self._on_transient_failure = on_transient_failure
        self._on_permanent_failure = on_permanent_failure
        self._bell = _Bell()
        self._stopping = False
        self._unfinished: list[UUID] = []

    def stop(self) -> None:
        """End run() after the current handler; also from a signal handler."""
        self._stopping = True
        self._bell.ring()

    def run(
        self, handler: Handler, *, exit_when_idle: float | None = None
    ) -> None:
        """Work until SIGTERM, SIGINT or stop(), or idle for that long."""
        companion = _Companion(
            self._connect, self._channel, self._lease / 3, self._bell.ring
        )
        companion.start()
        try:
            with self._signals():
                self._run(companion, handler, exit_when_idle)
        finally:
            companion.end()

    def _run(
        self,
        companion: _Companion,
        handler: Handler,
        exit_when_idle: float | None,
    ) -> None:
        backoff = MIN_BACKOFF
        idle_since = time.monotonic()
        client: Client | None = None
        while not self._stopping:
            try:
                if client is None:
                    client = self._connect()
                    backoff = MIN_BACKOFF
                if self._work(client, companion, handler):
                    idle_since = time.monotonic()
                    continue
                pause = self._poll
            except psycopg.Error as error:
                if client is not None and not client.connection.closed:
                    raise
                log.warning("connection lost: %s", error)
                client = None
                pause = backoff
                backoff = min(backoff * 2, MAX_BACKOFF)
            if exit_when_idle is not None:
                left = idle_since + exit_when_idle - time.monotonic()
                if left <= 0:
                    break
                pause = min(pause, left)
            self._bell.wait(pause)
        if client is not None:
            client.connection.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        signals = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, self._signalled) for number in signals]
        try:
            yield
        finally:
            for number, action in zip(signals, before):
                signal.signal(number, action)

    def _signalled(self, number: int, frame: Any) -> None:
        self.stop()

    def _connect(self) -> Client:
        connection = psycopg.connect(
            self._conninfo, autocommit=True, **self._connect_options
        )
        return Client(connection, self._schema)

    def _release_unfinished(self, client: Client, event_id: UUID) -> None:
        """Hand back what a lost connection left, if it was not finished.

        Its backend may not have noticed yet and still lock it: then the lease
        has to run out.
        """
        try:
            with client.connection.transaction():
                client.connection.execute("SET LOCAL lock_timeout = '1s'")
                client.release(event_id)
        except psycopg.errors.LockNotAvailable as error:
            log.warning("could not release: %s", error)

    def _work(
        self, client: Client, companion: _Companion, handler: Handler
    ) -> bool:
        """Claim and run; return whether there was anything to do."""
        while self._unfinished:
            self._release_unfinished(client, self._unfinished[-1])
            self._unfinished.pop()

        contexts = [
            Context(delivery, client, lambda: self._stopping)
            for delivery in client.claim(
                self.name, self._lease, self._max_steps
            )
        ]
        self._unfinished = [context.event_id for context in contexts]
        for context in contexts:
            companion.hold(context)
        try:
            for context in contexts:
                if self._stopping:
                    client.release(context.event_id, interrupted=True)
                else:
                    self._run_step(context, client, handler)
                companion.drop(context)
                self._unfinished.remove(context.event_id)
        finally:
            for context in contexts:
                companion.drop(context)
        return bool(contexts)

    def _run_step(
        self, context: Context, client: Client, handler: Handler
    ) -> None:
        try:
            self._run_handler(context, client, handler)
        except Exception as error:
            if client.connection.closed:
                raise psycopg.OperationalError(str(error)) from error
            if isinstance(error, _Superseded) or is_superseded(error):
                log.info("step %s: superseded", context.step_uuid)
            else:
                log.exception("step %s: left to its lease", context.step_uuid)

    def _run_handler(
        self, context: Context, client: Client, handler: Handler
    ) -> None:
        def complete() -> bool:
            return client.complete(context.event_id)

        try:
            self._fenced(context, context.heartbeat, self._on_start)
            result = handler(context)
        except Exception as error:
            if (
                client.connection.closed
                or isinstance(error, _Superseded)
                or is_superseded(error)
            ):
                raise
            if self._is_interruption(context, client, error):
                log.info("step %s: handed back: %s", context.step_uuid, error)
                client.release(context.event_id, interrupted=True)
                return
            if isinstance(error, PermanentError) or is_stored_before(error):
                log.warning("step %s: %s", context.step_uuid, error)
                self._fenced(
                    context, complete, self._on_permanent_failure, error
                )
                return
            if isinstance(error, TransientError):
                log.warning("step %s: %s", context.step_uuid, error)
                delay = error.delay
            else:
                log.exception("step %s failed", context.step_uuid)
                delay = self._retry_delay
            self._fenced(
                context,
                lambda: client.release(context.event_id, delay),
                self._on_transient_failure,
                error,
            )
        else:
            if not context.yielded:
                self._fenced(context, complete, self._on_success, result)

    @staticmethod
    def _is_interruption(
        context: Context, client: Client, error: Exception
    ) -> bool:
        """Tell whether the step goes on as if nothing had failed.

        What was stored before by a transaction whose reply was lost is gone
        on from; stored twice by the handler it is a failure.
        """
        if is_stored_before(error):
            client.connection.rollback()
            stored = client.load(context.step_uuid).sequence
            return stored > context.sequence
        return isinstance(error, TransientError) and context.stop_requested

    @staticmethod
    def _fenced(
        context: Context,
        fence: Callable[[], bool],
        callback: Callable[..., None] | None,
        *values: Any,
    ) -> None:
        """Call back in one transaction with the fence, which must hold.

        The callback comes first: it locks the step, and writers of
        checkpoints lock the step before its event.
        """
        with context.connection.transaction():
            if callback is not None:
                callback(context, *values)
            if not fence():
                raise _Superseded

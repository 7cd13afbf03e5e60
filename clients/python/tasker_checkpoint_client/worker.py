"""Workers: they claim steps and run a handler for each."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import (
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import contextmanager
from typing import Any

from .aio import Asyncio
from .context import AsyncContext, Context
from .journal import Journal, Observer
from .loop import MAX_POLL, Loop, Plan, Wait
from .port import Bell, Port, drive
from .run import Run, Settings
from .threads import Threads

Handler = Callable[[Context], Any]
AsyncHandler = Callable[[AsyncContext], Awaitable[Any]]


class _Worker:
    """Claims steps and runs a handler for each.

    connect         libpq's connection string, or a function that returns a
                    connection nobody else uses
    close           a function that takes such a connection back; closes it
                    unless told
    name            of this worker, for those who look
    queues          to claim from; all unless told
    concurrency     runs at a time
    lease           seconds until another worker may take over from a dead one
    wait            for steps in the "server", to "listen", or to "poll"
    poll            seconds between looks, where it polls
    retry_delay     seconds before a step is tried again that has failed once,
                    doubled each time; or a function of context and error
    channel         to listen on
    schema          of the extension, if search_path does not lead to it
    observe         is called with each event of the log and its fields

    Callbacks run in one transaction with the fence, so what they write is
    dropped if the step has gone on elsewhere: on_start before the handler,
    on_success and on_permanent_failure together with the step's completion,
    on_transient_failure together with its release.
    """

    def __init__(
        self,
        connect: str | Callable[[], Any] = "",
        *,
        close: Callable[[Any], Any] | None = None,
        name: str | None = None,
        queues: Sequence[str] | None = None,
        concurrency: int = 1,
        lease: float = 60.0,
        wait: Wait = "server",
        poll: float | None = None,
        retry_delay: float | Callable[[Any, Exception], Any] = 1.0,
        channel: str = "tasker_checkpoint",
        schema: str | None = None,
        on_start: Callable[[Any], Any] | None = None,
        on_success: Callable[[Any, Any], Any] | None = None,
        on_transient_failure: Callable[[Any, Exception], Any] | None = None,
        on_permanent_failure: Callable[[Any, Exception], Any] | None = None,
        observe: Observer | None = None,
    ) -> None:
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        if wait not in ("server", "listen", "poll"):
            raise ValueError(f"wait is server, listen or poll, not {wait!r}")
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._connect = connect
        self._close = close
        self._queues = queues
        self._concurrency = concurrency
        self._wait: Wait = wait
        self._poll = min(lease / 2, MAX_POLL) if poll is None else poll
        self._channel = channel
        self._settings = Settings(
            lease,
            retry_delay,
            schema,
            on_start,
            on_success,
            on_transient_failure,
            on_permanent_failure,
        )
        self._journal = Journal(self.name, observe)
        self._bell: Bell | None = None
        self._stopping = False

    def stop(self) -> None:
        """End run() after the steps at hand; also from another thread."""
        if not self._stopping:
            self._stopping = True
            self._journal.say("stopping")
        if self._bell is not None:
            self._bell.ring()

    def _loop(
        self,
        port: Port,
        handlers: Any,
        exit_when_idle: float | None,
        context: Callable[[Run], Any],
    ) -> Loop:
        """Return a new loop, whose bell is this worker's."""
        if not callable(handlers) and self._queues is not None:
            raise TypeError("handlers by queue name the queues already")
        self._bell = port.bell()
        if self._stopping:
            self._bell.ring()
        plan = Plan(
            self.name,
            self._connect,
            self._close,
            self._queues,
            self._wait,
            self._poll,
            self._channel,
            self._settings,
            handlers,
            exit_when_idle,
            context,
        )
        return Loop(port, plan, self._journal, self._bell)

    def _end(self) -> None:
        assert self._bell is not None
        bell, self._bell = self._bell, None
        bell.close()
        self._stopping = False


class Worker(_Worker):
    __doc__ = _Worker.__doc__

    def run(
        self,
        handlers: Handler | Mapping[str, Handler],
        *,
        exit_when_idle: float | None = None,
    ) -> None:
        """Work until SIGTERM, SIGINT or stop(), or idle for that long.

        Handlers and callbacks run in the caller's thread, or with a
        concurrency above 1 in threads of their own.  A second SIGINT raises
        KeyboardInterrupt.
        """
        loop = self._loop(Threads(), handlers, exit_when_idle, Context)
        heartbeats = threading.Thread(
            target=lambda: drive(loop.heartbeats.serve()),
            name="tasker_checkpoint heartbeats",
            daemon=True,
        )
        heartbeats.start()
        try:
            with self._signals():
                try:
                    if self._concurrency == 1:
                        drive(loop.slot())
                    else:
                        self._run_slots(loop)
                finally:
                    drive(loop.settle())
        finally:
            loop.heartbeats.end()
            heartbeats.join()
            self._end()

    def _run_slots(self, loop: Loop) -> None:
        """Run the slots in threads; if one can't go on, none does.

        They end with the process if KeyboardInterrupt ends it; their steps
        are handed back at once.
        """
        errors: list[BaseException] = []

        def run_slot() -> None:
            try:
                drive(loop.slot())
            except BaseException as error:
                errors.append(error)
                self.stop()

        slots = [
            threading.Thread(
                target=run_slot,
                name=f"tasker_checkpoint slot {number}",
                daemon=True,
            )
            for number in range(1, self._concurrency + 1)
        ]
        for slot in slots:
            slot.start()
        for slot in slots:
            slot.join()
        if errors:
            raise errors[0]

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        interrupts = 0

        def signalled(number: int, frame: Any) -> None:
            nonlocal interrupts
            interrupts += number == signal.SIGINT
            if interrupts > 1:
                raise KeyboardInterrupt
            self.stop()

        numbers = signal.SIGTERM, signal.SIGINT
        before = [signal.signal(number, signalled) for number in numbers]
        try:
            yield
        finally:
            for number, action in zip(numbers, before):
                signal.signal(number, action)


class AsyncWorker(_Worker):
    __doc__ = _Worker.__doc__

    async def run(
        self,
        handlers: AsyncHandler | Mapping[str, AsyncHandler],
        *,
        exit_when_idle: float | None = None,
    ) -> None:
        """Work until SIGTERM, SIGINT or stop(), or idle for that long.

        Handlers and callbacks run in tasks; callbacks may be functions.  A
        second SIGINT, and cancelling the task, end the handlers.
        """
        loop = self._loop(Asyncio(), handlers, exit_when_idle, AsyncContext)
        heartbeats = asyncio.create_task(loop.heartbeats.serve())
        slots = [
            asyncio.create_task(loop.slot())
            for _ in range(self._concurrency)
        ]
        try:
            with self._signals(slots) as interrupts:
                try:
                    await self._await_slots(slots)
                except asyncio.CancelledError:
                    if len(interrupts) > 1:
                        raise KeyboardInterrupt from None
                    raise
                finally:
                    await loop.settle()
        finally:
            loop.heartbeats.end()
            await heartbeats
            self._end()

    async def _await_slots(
        self, slots: Sequence["asyncio.Task[None]"]
    ) -> None:
        """Wait for all; if one can't go on, none does."""
        try:
            await asyncio.wait(slots, return_when=asyncio.FIRST_EXCEPTION)
        except asyncio.CancelledError:
            for slot in slots:
                slot.cancel()
            await asyncio.wait(slots)
            raise
        if any(slot.done() and slot.cancelled() for slot in slots):
            await asyncio.wait(slots)
            raise asyncio.CancelledError
        if any(slot.done() and slot.exception() for slot in slots):
            self.stop()
        await asyncio.gather(*slots)

    @contextmanager
    def _signals(
        self, slots: Sequence["asyncio.Task[None]"]
    ) -> Iterator[list[int]]:
        interrupts: list[int] = []
        if threading.current_thread() is not threading.main_thread():
            yield interrupts
            return

        def signalled(number: int) -> None:
            if number == signal.SIGINT:
                interrupts.append(number)
            if len(interrupts) > 1:
                for slot in slots:
                    slot.cancel()
            self.stop()

        loop = asyncio.get_running_loop()
        numbers = signal.SIGTERM, signal.SIGINT
        before = [signal.getsignal(number) for number in numbers]
        for number in numbers:
            loop.add_signal_handler(number, signalled, number)
        try:
            yield interrupts
        finally:
            for number, action in zip(numbers, before):
                loop.remove_signal_handler(number)
                if action is not None:
                    signal.signal(number, action)

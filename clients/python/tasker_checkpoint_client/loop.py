"""The run loop: slots that take turns to wait, claim, and run."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import sql

from . import calls
from .calls import Delivery
from .errors import is_refusal, sqlstate
from .journal import Journal, log
from .port import (
    ANSWER_SECONDS,
    AnyConnection,
    Bell,
    Port,
    ask,
    exchange,
    merge,
)
from .run import Run, Settings, Unfinished

Wait = Literal["server", "listen", "poll"]

WAIT_SECONDS = 20.0
#: a wait that takes longer has slept
MOMENT = 0.005
MAX_POLL = 5.0
MIN_BACKOFF = 0.1
MAX_BACKOFF = 5.0
#: so long a worker that was connected is refused before it gives up
REFUSED_SECONDS = 300.0
#: so long a slot whose turn it is not keeps its connection
GRACE_SECONDS = 1.0

# there is no such procedure, it may not be called, or not here
NO_WAIT = ("42501", "42883", "0A000", "25001")
QUERY_CANCELED = "57014"


@dataclass(frozen=True)
class Plan:
    """What a worker was told, as far as its loop needs it."""

    name: str
    connect: str | Callable[[], Any]
    close: Callable[[Any], Any] | None
    queues: Sequence[str] | None
    wait: Wait
    poll: float
    channel: str
    settings: Settings
    handlers: Mapping[str, Callable[..., Any]] | Callable[..., Any]
    exit_when_idle: float | None
    context: Callable[[Run], Any]


class Connections:
    """Where connections come from, and where they go."""

    def __init__(self, port: Port, plan: Plan, journal: Journal) -> None:
        self._port = port
        self._plan = plan
        self._journal = journal
        # how the application had them
        self._autocommit: dict[int, bool] = {}

    async def open(self) -> AnyConnection:
        """Return a new one, in autocommit mode."""
        connect = self._plan.connect
        connection: AnyConnection
        if callable(connect):
            connection = await self._port.call(connect)
            self._autocommit[id(connection)] = connection.autocommit
            if not connection.autocommit:
                await self._port.set_autocommit(connection, True)
        else:
            connection = await self._port.connect(
                connect, fallback_application_name=self._plan.name
            )
        self._journal.say("connected")
        return connection

    async def close(self, connection: AnyConnection | None) -> None:
        """Give it back, or close it."""
        if connection is None:
            return
        autocommit = self._autocommit.pop(id(connection), True)
        if self._plan.close is None:
            await self._port.close(connection)
            return
        with suppress(psycopg.Error):
            if self._plan.wait == "listen":
                await exchange(self._port, connection, "UNLISTEN *")
            if not autocommit:
                await self._port.set_autocommit(connection, False)
        try:
            await self._port.call(self._plan.close, connection)
        except Exception:
            log.exception("a connection could not be given back")


class Heartbeats:
    """Extends the leases of the runs that take longer than a third of them.

    It has a connection of its own for as long as there is such a run.
    """

    def __init__(
        self,
        port: Port,
        connections: Connections,
        settings: Settings,
        journal: Journal,
    ) -> None:
        self._port = port
        self._connections = connections
        self._schema = settings.schema
        self._journal = journal
        self._interval = settings.lease / 3
        self._connection: AnyConnection | None = None
        # other threads add and remove, each in one step
        self._held: set[Run] = set()
        self._bell = port.bell()

    def hold(self, run: Run) -> None:
        """Extend this run's lease from now on."""
        run.beat_at = run.began + self._interval
        self._held.add(run)

    def drop(self, run: Run) -> None:
        """Let it be."""
        self._held.discard(run)

    def end(self) -> None:
        """Have serve() return."""
        self._bell.ring()

    async def serve(self) -> None:
        """Extend leases until the end."""
        backoff = MIN_BACKOFF
        try:
            while not self._bell.rung:
                try:
                    pause = await self._beat()
                    backoff = MIN_BACKOFF
                except Exception as error:
                    if self._bell.rung:
                        break
                    event = "connection lost"
                    if self._connection is None:
                        event = "could not connect"
                    self._journal.say(event, delay=backoff, error=error)
                    await self._forget()
                    pause = backoff
                    backoff = min(backoff * 2, MAX_BACKOFF)
                await self._port.rest(None, pause, self._bell)
        finally:
            await self._forget()
            self._bell.close()

    async def _beat(self) -> float:
        """Extend those that are due; return the seconds until the next."""
        held = list(self._held)
        now = time.monotonic()
        for run in held:
            if run.beat_at <= now:
                if self._connection is None:
                    self._connection = await self._connections.open()
                await self._extend(self._connection, run)
        if all(run.began + self._interval > now for run in held):
            await self._forget()
        next_at = min((run.beat_at for run in held), default=now + 1e9)
        return min(next_at - time.monotonic(), self._interval)

    async def _extend(self, connection: AnyConnection, run: Run) -> None:
        call = calls.heartbeat(run.delivery.event_id)
        if not await ask(
            self._port, connection, call, self._schema, bell=self._bell
        ):
            run.told_to_stop = True
        run.beat_at = time.monotonic() + self._interval

    async def _forget(self) -> None:
        connection, self._connection = self._connection, None
        await self._connections.close(connection)


class _Slot:
    """A place for one run at a time, with the connection that it has."""

    connection: AnyConnection | None = None


class Loop:
    """What the slots of a worker have in common."""

    def __init__(
        self, port: Port, plan: Plan, journal: Journal, bell: Bell
    ) -> None:
        self._port = port
        self._plan = plan
        self._journal = journal
        self._bell = bell
        self._connections = Connections(port, plan, journal)
        self.heartbeats = Heartbeats(
            port, self._connections, plan.settings, journal
        )
        self._queues = plan.queues
        if not callable(plan.handlers):
            self._queues = list(plan.handlers)
        self._turn = port.turn()
        self._wait: Wait = plan.wait
        #: the last wait in the server did not return at once
        self._slept = False
        self._listening: AnyConnection | None = None
        #: the runs under way
        self.runs: set[Run] = set()
        self._unfinished: list[Unfinished] = []
        self._served_at: float | None = None
        self._idle_since = time.monotonic()
        self._backoff = MIN_BACKOFF

    async def slot(self) -> None:
        """Wait, claim and run, until the bell."""
        slot = _Slot()
        try:
            while not self._bell.rung:
                if not await self._turn.acquire(GRACE_SECONDS):
                    # one idle connection is enough for all slots
                    await self._forget(slot)
                    await self._turn.acquire(None)
                try:
                    delivery = await self._next(slot)
                finally:
                    self._turn.release()
                if delivery is not None and slot.connection is not None:
                    await self._run(slot.connection, delivery)
        finally:
            await self._forget(slot)

    async def _forget(self, slot: _Slot) -> None:
        connection, slot.connection = slot.connection, None
        await self._connections.close(connection)

    async def _next(self, slot: _Slot) -> Delivery | None:
        """Wait for a step; None at the end."""
        # nothing was left then, and the next wait tells of what came since
        looks = not self._slept
        while not self._bell.rung:
            try:
                if slot.connection is None:
                    slot.connection = await self._connections.open()
                connection = slot.connection
                await self._hand_back(connection)
                if looks:
                    delivery = await self._claim(connection)
                    self._served_at = time.monotonic()
                    self._backoff = MIN_BACKOFF
                    if delivery is not None:
                        return delivery
                looks = True
                left = self._left()
                if left <= 0:
                    self._bell.ring()
                    break
                await self._await_offer(connection, left)
            except Exception as error:
                if self._bell.rung:
                    break
                await self._recover(slot, error)
        return None

    async def _claim(self, connection: AnyConnection) -> Delivery | None:
        call = calls.claim(
            self._plan.name, self._plan.settings.lease, queues=self._queues
        )
        schema = self._plan.settings.schema
        deliveries = await ask(self._port, connection, call, schema)
        return deliveries[0] if deliveries else None

    def _left(self) -> float:
        """Return the seconds until the worker is idle for too long."""
        if self._plan.exit_when_idle is None or self.runs:
            return float("inf")
        until = self._idle_since + self._plan.exit_when_idle
        return until - time.monotonic()

    async def _await_offer(
        self, connection: AnyConnection, left: float
    ) -> None:
        """Wait until a claim may find something, or for so long."""
        if self.runs and self._plan.exit_when_idle is not None:
            left = min(left, self._plan.exit_when_idle)
        self._slept = False
        if self._wait == "server":
            began = time.monotonic()
            await self._await_in_server(connection, min(left, WAIT_SECONDS))
            if self._wait == "server":
                self._slept = time.monotonic() - began >= MOMENT
            return
        if self._wait == "listen":
            if self._listening is not connection:
                channel = sql.Identifier(self._plan.channel)
                listen = sql.SQL("LISTEN {}").format(channel)
                statement = listen.as_string(connection)
                await exchange(self._port, connection, statement)
                self._listening = connection
                return
            if self._is_notified(connection):
                return
        socket = connection.pgconn.socket
        pause = min(left, self._plan.poll)
        until = time.monotonic() + pause
        while pause > 0 and not self._bell.rung:
            await self._port.rest(socket, pause, self._bell)
            connection.pgconn.consume_input()
            if self._wait == "listen" and self._is_notified(connection):
                break
            pause = until - time.monotonic()

    async def _await_in_server(
        self, connection: AnyConnection, seconds: float
    ) -> None:
        name = calls.qualified("wait", self._plan.settings.schema)
        query = sql.SQL("CALL {}(%s::text[], make_interval(secs => %s))")
        queues = None if self._queues is None else list(self._queues)
        statement = merge(connection, query.format(name), [queues, seconds])
        try:
            await exchange(
                self._port,
                connection,
                statement,
                seconds=max(ANSWER_SECONDS, seconds + 15),
                bell=self._bell,
            )
        except psycopg.Error as error:
            state = sqlstate(error)
            if state in NO_WAIT:
                self._journal.say("polling", error=error)
                self._wait = "poll"
            elif state != QUERY_CANCELED:
                raise

    def _is_notified(self, connection: AnyConnection) -> bool:
        """Tell whether something was offered that could be claimed here."""
        notified = False
        while (notify := connection.pgconn.notifies()) is not None:
            try:
                queue = json.loads(notify.extra)["queue"]
            except (ValueError, KeyError, TypeError):
                queue = None
            if None in (queue, self._queues) or queue in (self._queues or ()):
                notified = True
        return notified

    async def _run(
        self, connection: AnyConnection, delivery: Delivery
    ) -> None:
        plan = self._plan
        if self._bell.rung:
            # claimed and not begun
            step = delivery.step_uuid
            self._journal.say("interrupted", step=step, queue=delivery.queue)
            self._unfinished.append(Unfinished(delivery.event_id, step, True))
            return
        run = Run(
            self._port,
            connection,
            delivery,
            plan.settings,
            self._journal,
            lambda: self._bell.rung,
            plan.context,
        )
        handlers = plan.handlers
        handler = handlers if callable(handlers) else handlers[delivery.queue]
        self.runs.add(run)
        self.heartbeats.hold(run)
        try:
            await run.go(handler)
        finally:
            self.heartbeats.drop(run)
            self._idle_since = time.monotonic()
            self.runs.discard(run)
            if run.unfinished is not None:
                self._unfinished.append(run.unfinished)

    async def _hand_back(self, connection: AnyConnection) -> None:
        """Hand back what lost connections have left, if it was not finished.

        A backend may not have noticed yet and still lock it: then the lease
        has to run out.
        """
        while self._unfinished:
            left = self._unfinished.pop()
            try:
                await self._release(connection, left)
            except BaseException:
                self._unfinished.append(left)
                raise

    async def _release(
        self, connection: AnyConnection, left: Unfinished
    ) -> None:
        try:
            await ask(
                self._port,
                connection,
                calls.release(left.event_id, interrupted=left.interrupted),
                self._plan.settings.schema,
                before="SET LOCAL lock_timeout = '1s'; ",
            )
        except psycopg.errors.LockNotAvailable as error:
            self._journal.say("abandoned", step=left.step_uuid, error=error)

    async def _recover(self, slot: _Slot, error: Exception) -> None:
        """Rest before the next try; raise what would not get better."""
        event = "connection lost"
        if slot.connection is None or not slot.connection.closed:
            event = "could not connect"
        await self._forget(slot)
        now = time.monotonic()
        if event == "could not connect" and is_refusal(error):
            served_at = self._served_at
            if served_at is None or now - served_at > REFUSED_SECONDS:
                raise error
        delay = self._backoff
        self._journal.say(event, delay=delay, error=error)
        if self._left() <= 0:
            self._bell.ring()
        self._backoff = min(delay * 2, MAX_BACKOFF)
        await self._port.rest(None, delay, self._bell)

    async def settle(self) -> None:
        """Hand back what is still held, at the end."""
        for run in list(self.runs):
            # its thread goes on, for all that anybody can do
            left = run.left(interrupted=True)
            self._journal.say("interrupted", step=left.step_uuid)
            self._unfinished.append(left)
        if not self._unfinished:
            return
        connection: AnyConnection | None = None
        try:
            connection = await self._connections.open()
            await self._hand_back(connection)
        except Exception as error:
            self._journal.say("could not connect", error=error)
        finally:
            await self._connections.close(connection)

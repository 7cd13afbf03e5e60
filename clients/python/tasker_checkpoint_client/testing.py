"""For tests of handlers: run one step, on a connection of the test's.

    ended = run_step(connection, step, handler)
    assert ended.how == "completed"

Nothing waits here; a lease runs out when expire_lease() says so.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from . import calls
from .aio import Asyncio
from .calls import Receipt
from .context import AsyncContext, Context
from .journal import Journal
from .port import AnyConnection, Port, drive, perform
from .run import Killed, Probe, Run, Settings
from .threads import Threads


class Checkpoint(NamedTuple):
    """One that is stored."""

    sequence: int
    cursor: Any
    items_processed: int
    accumulated_results: Any


@dataclass
class Ended:
    """How a step's run has ended, after those that yielded."""

    #: completed, yielded, interrupted, released, failed, superseded,
    #: abandoned or crashed
    how: str
    #: what the handler returned, if it is completed
    result: Any
    #: what the handler failed for
    error: Exception | None
    checkpoints: list[Checkpoint] = field(default_factory=list)


class _Probe(Probe):
    def __init__(self, stop_at: int | None, crash_at: int | None) -> None:
        self.checkpoints: list[Checkpoint] = []
        self.stopped = False
        self._stop_at = stop_at
        self._crash_at = crash_at
        self._count = 0

    def before(self) -> None:
        if self._count + 1 == self._crash_at:
            raise Killed

    def after(
        self, receipt: Receipt, cursor: Any, items: int, results: Any
    ) -> bool:
        self._count += 1
        # what has this number or a higher one was rolled back
        self.keep(receipt.sequence - 1)
        self.checkpoints.append(
            Checkpoint(receipt.sequence, cursor, items, results)
        )
        self.stopped = self.stopped or self._count == self._stop_at
        return self.stopped

    def keep(self, sequence: int) -> None:
        self.checkpoints = [
            each for each in self.checkpoints if each.sequence <= sequence
        ]


async def _run_step(
    port: Port,
    connection: AnyConnection,
    step: UUID,
    handler: Callable[..., Any],
    context: Callable[[Run], Any],
    settings: Settings,
    probe: _Probe,
) -> Ended:
    autocommit = connection.autocommit
    if not autocommit:
        await port.set_autocommit(connection, True)
    schema = settings.schema
    journal = Journal("test", None)
    try:
        while True:
            await perform(port, connection, calls.dispatch(step), schema)
            claim = calls.claim("test", settings.lease, step_uuid=step)
            deliveries = await perform(port, connection, claim, schema)
            if not deliveries:
                raise RuntimeError(
                    f"step {step} can't be claimed: another worker has it, or"
                    " it is paused, cancelled or parked"
                )
            run = Run(
                port,
                connection,
                deliveries[0],
                settings,
                journal,
                lambda: False,
                context,
                probe,
            )
            try:
                how = await run.go(handler)
            except Killed:
                how = "crashed"
            if how != "yielded" or probe.stopped:
                break
        state = await perform(port, connection, calls.load(step), schema)
        probe.keep(state.sequence)
        result = run.result if how == "completed" else None
        return Ended(how, result, run.error, probe.checkpoints)
    finally:
        if not autocommit:
            with suppress(psycopg.Error):
                await port.set_autocommit(connection, False)


def run_step(
    connection: psycopg.Connection[Any],
    step: UUID,
    handler: Callable[[Context], Any],
    *,
    stop_at: int | None = None,
    crash_at: int | None = None,
    **settings: Any,
) -> Ended:
    """Run a step as a worker would, again after each yield.

    It is dispatched, unless it is so already; the connection is outside a
    transaction.

    stop_at     stop_requested is true from this checkpoint on, counted from
                1, and a yield is not continued
    crash_at    this checkpoint's transaction rolls back, and its claim is
                left, as after kill -9
    settings    lease, retry_delay, schema, on_start, on_success,
                on_transient_failure, on_permanent_failure of a Worker
    """
    return drive(
        _run_step(
            Threads(),
            connection,
            step,
            handler,
            Context,
            Settings(**settings),
            _Probe(stop_at, crash_at),
        )
    )


async def run_step_async(
    connection: psycopg.AsyncConnection[Any],
    step: UUID,
    handler: Callable[[AsyncContext], Any],
    *,
    stop_at: int | None = None,
    crash_at: int | None = None,
    **settings: Any,
) -> Ended:
    """Run a step as run_step() does."""
    return await _run_step(
        Asyncio(),
        connection,
        step,
        handler,
        AsyncContext,
        Settings(**settings),
        _Probe(stop_at, crash_at),
    )


async def _expire(
    port: Port, connection: AnyConnection, step: UUID, schema: str | None
) -> None:
    table = calls.qualified("events", schema)
    query = sql.SQL(
        "UPDATE {} SET lease_until = clock_timestamp(),"
        " available_at = clock_timestamp()"
        " WHERE step_uuid = %s AND worker IS NOT NULL RETURNING true"
    )
    statement = query.format(table)
    rows, _ = await port.fetch(connection, statement, [step], tuple_row)
    if not rows:
        raise RuntimeError(f"nobody has claimed step {step}")


def expire_lease(
    connection: psycopg.Connection[Any], step: UUID, schema: str | None = None
) -> None:
    """Have the claim's lease run out now.

    As the owner of the extension's tables: nobody else may write them.
    """
    drive(_expire(Threads(), connection, step, schema))


async def expire_lease_async(
    connection: psycopg.AsyncConnection[Any],
    step: UUID,
    schema: str | None = None,
) -> None:
    """Have the claim's lease run out now, as expire_lease() does."""
    await _expire(Asyncio(), connection, step, schema)

"""The worker program of the tests, in Python.

What it does with a step is laid down in ../README.md and is the same in every
language.  The handler is written once: with threads nothing of what it awaits
has to be waited for.
"""

import argparse
import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, LiteralString

import psycopg
from tasker_checkpoint_client import (
    AsyncContext,
    AsyncWorker,
    Context,
    PermanentError,
    Receipt,
    TransientError,
    Worker,
)
from tasker_checkpoint_client.aio import Asyncio
from tasker_checkpoint_client.port import Port, drive
from tasker_checkpoint_client.threads import Threads

from tasker import CountItems

FIRST_BIG_CURSOR = 2**53 + 1


async def settled(value: Any) -> Any:
    """Return what a method returns, or what it is awaited for."""
    return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def within(block: Any) -> AsyncIterator[None]:
    """Enter a block of either kind."""
    if hasattr(block, "__aenter__"):
        async with block:
            yield
    else:
        with block:
            yield


async def each(batches: Any) -> AsyncIterator[list[Any]]:
    """Loop over a generator of either kind."""
    if hasattr(batches, "__aiter__"):
        async with aclosing(batches):
            async for batch in batches:
                yield batch
    else:
        for batch in batches:
            yield batch


def cursor_at(kind: str, item: int) -> Any:
    """Return the cursor of that kind for the item to do next."""
    match kind:
        case "integer":
            return item
        case "token":
            return f"tok-{item}"
        case "object":
            return {"at": item, "half": -0.1}
        case "null":
            return None
        case "big":
            return FIRST_BIG_CURSOR + item
    raise PermanentError(f"unknown kind of cursor: {kind}")


def same_json(a: Any, b: Any) -> bool:
    """Compare as JSON does: 1, 1.0 and true are three values."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


class Batch:
    """A step's items, and how far they are done."""

    def __init__(
        self,
        context: Context | AsyncContext,
        worker: str,
        inputs: dict[str, Any],
        attempts: int,
    ) -> None:
        self.context: Any = context
        self.worker = worker
        self.attempts = attempts
        self.metadata = metadata = inputs["batch_metadata"]
        self.start: int = inputs["cursor"]["start_cursor"]
        self.end = inputs["cursor"]["end_cursor"]
        if inputs["is_no_op"]:
            self.end = self.start
        self.interval = metadata["items_per_checkpoint"]
        self.mode = metadata["mode"]
        self.cursor_kind = metadata["cursor_kind"]
        self.fail_after = metadata.get("fail_after")
        self.fail_on_attempt = metadata.get("fail_on_attempt")
        self.item_delay = metadata.get("item_delay_ms", 0) / 1000
        self.unsaved: list[int] = []
        self.checkpoints = 0

        self.item = self.start + context.checkpoint_items_processed
        self.results: dict[str, Any] = {"running_total": 0, "item_ids": []}
        if context.has_checkpoint():
            self.results = context.accumulated_results
            self.results.pop("total_items", None)
            stored = context.checkpoint_cursor
            if self.mode in ("yield", "save") and not same_json(
                stored, self.cursor()
            ):
                raise PermanentError("the cursor is not what was stored")

    def told(self, what: str) -> bool:
        """Tell whether the step wants that."""
        return bool(self.metadata.get(what, False))

    @property
    def done(self) -> int:
        """Items done since the step's beginning."""
        return self.item - self.start

    @property
    def end_results(self) -> dict[str, Any]:
        """What is returned at the end."""
        return self.results | {"total": self.end - self.start}

    def cursor(self) -> Any:
        """Return where to resume."""
        return cursor_at(self.cursor_kind, self.item)

    async def do_item(self) -> None:
        """Do the next item, or fail as the step says."""
        if self.done == self.fail_after and self.fail_on_attempt in (
            "always",
            self.attempts,
        ):
            what = f"told to fail after {self.done} items"
            if self.told("fail_permanently"):
                raise PermanentError(what)
            raise TransientError(what, delay=0)
        if self.told("hand_back") and self.context.stop_requested:
            raise TransientError("told to stop")
        is_async = isinstance(self.context, AsyncContext)
        port: Port = Asyncio() if is_async else Threads()
        await port.rest(None, self.item_delay, None)
        self.results["running_total"] += self.item + 1
        self.results["item_ids"].append(f"item_{self.item:04d}")
        self.unsaved.append(self.item)
        self.item += 1

    async def apply(self) -> None:
        """Write down the items done since this was last called."""
        cursor = self.context.connection.cursor()
        await settled(
            cursor.executemany(
                "INSERT INTO applied VALUES (%s, %s, %s)",
                [
                    (self.context.step_uuid, item, self.worker)
                    for item in self.unsaved
                ],
            )
        )

    async def keep(self, stop: bool) -> Receipt:
        """Persist, and yield if it is to stop."""
        context = self.context
        keep = context.checkpoint_yield if stop else context.checkpoint_save
        receipt: Receipt = await settled(
            keep(
                cursor=self.cursor(),
                items_processed=self.done,
                accumulated_results=self.results,
            )
        )
        return receipt

    async def apply_and_keep(self, stop: bool) -> Receipt:
        """Rows and checkpoint in one transaction."""
        async with within(self.context.transaction()):
            await self.apply()
            return await self.keep(stop)

    async def send(
        self, keep: Callable[[bool], Awaitable[Receipt]], stop: bool
    ) -> None:
        """Send it, and once more if the reply was lost and it is told to."""
        repeated = False
        try:
            receipt = await keep(stop)
        except psycopg.errors.TransactionResolutionUnknown:
            if not self.told("repeat"):
                raise
            repeated = True
            receipt = await keep(stop)
        if receipt.replayed != repeated:
            raise PermanentError(f"not to be expected: {receipt}")
        self.unsaved.clear()
        self.checkpoints += 1


async def iterate(batch: Batch) -> dict[str, Any]:
    """Do what is left by the client's own loop."""
    source = (
        "SELECT n AS item, 1 + n * 2.220446049250313e-16::float8 AS near"
        f" FROM generate_series({batch.start}::bigint, {batch.end - 1}) AS n"
    )
    async for rows in each(
        batch.context.iterate(
            source,
            key=batch.metadata.get("key", "item"),
            every=batch.interval,
            total=batch.end - batch.start,
            results=batch.results,
        )
    ):
        for item, _ in rows:
            if item != batch.item:
                raise PermanentError(f"item {item} in place of {batch.item}")
            await batch.do_item()
        await batch.apply()
        batch.unsaved.clear()
    return batch.end_results


async def job(batch: Batch) -> dict[str, Any]:
    """Do the rows of a table."""
    context = batch.context
    results = {"running_total": batch.results["running_total"]}
    async for rows in each(
        context.iterate(
            "SELECT n FROM numbers",
            key="n",
            every=batch.interval,
            total=batch.end - batch.start,
            results=results,
        )
    ):
        numbers = [number for (number,) in rows]
        await settled(
            context.connection.execute(
                "INSERT INTO applied SELECT %s, unnest(%s::bigint[]), %s",
                [context.step_uuid, numbers, batch.worker],
            )
        )
        results["running_total"] += sum(numbers) + len(numbers)
    return results


async def leave_open(batch: Batch) -> dict[str, Any]:
    """Return as if done, within a transaction."""
    await settled(batch.context.connection.execute("BEGIN"))
    while batch.item < batch.end:
        await batch.do_item()
    await batch.apply()
    return batch.end_results


async def go_on_after_yield(batch: Batch) -> None:
    """Yield, and then do what can't be done any more."""
    for _ in range(batch.interval):
        await batch.do_item()
    await batch.apply_and_keep(True)
    if batch.told("fail_after_yield"):
        raise RuntimeError("told to fail")
    await batch.keep(False)


async def run_batch(batch: Batch) -> dict[str, Any] | None:
    """Run until the end, which returns results, or until a yield."""
    context = batch.context
    if batch.told("unlucky"):
        raise RuntimeError("told to fail")
    if batch.metadata.get("leave_open") == batch.attempts:
        return await leave_open(batch)
    if batch.mode == "iterate":
        return await iterate(batch)
    if batch.mode == "job":
        return await job(batch)
    if batch.mode == "tasker" and isinstance(context, Context):
        return CountItems.handle(context)
    if batch.told("stand_still"):
        await batch.send(batch.keep, True)
        return None
    if (
        batch.told("save_after_yield") or batch.told("fail_after_yield")
    ) and not context.has_checkpoint():
        await go_on_after_yield(batch)
        return None

    saving = batch.mode == "save"
    while batch.item < batch.end:
        await batch.do_item()
        if not saving:
            await batch.apply()
            batch.unsaved.clear()
        more = batch.item < batch.end
        if more and batch.done % batch.interval:
            continue
        if not saving:
            if more:
                await batch.send(batch.keep, True)
                return None
            continue
        last = batch.checkpoints + 1 == batch.metadata.get("yield_after")
        stopping = more and (
            last
            or not batch.told("ignore_stop")
            and not batch.told("return_on_stop")
            and context.stop_requested
        )
        if batch.told("store_twice"):
            await batch.apply_and_keep(stopping)
        await batch.send(batch.apply_and_keep, stopping)
        if stopping:
            return None
        if batch.told("return_on_stop") and context.stop_requested:
            break
    return batch.end_results


async def handle(context: Context | AsyncContext, worker: str) -> Any:
    """Read what is to be done, and do it."""
    connection: Any = context.connection
    cursor = await settled(
        connection.execute(
            "SELECT inputs, attempts FROM tasker.workflow_steps"
            " WHERE workflow_step_uuid = %s",
            [context.step_uuid],
        )
    )
    row = await settled(cursor.fetchone())
    if row is None:
        raise PermanentError("the step is gone")
    return await run_batch(Batch(context, worker, *row))


async def update_step(
    context: Any, assignments: LiteralString, *values: Any
) -> None:
    """Update the step's own columns."""
    await settled(
        context.connection.execute(
            f"UPDATE tasker.workflow_steps SET {assignments},"
            " updated_at = now() WHERE workflow_step_uuid = %s",
            [*values, context.step_uuid],
        )
    )


async def transition(context: Any, state: str) -> None:
    """Change the step's state."""
    await settled(
        context.connection.execute(
            "INSERT INTO tasker.workflow_step_transitions"
            " (workflow_step_uuid, to_state) VALUES (%s, %s)",
            [context.step_uuid, state],
        )
    )


async def on_start(context: Any) -> None:
    """Count an attempt, unless the last one goes on."""
    await update_step(
        context,
        "attempts = coalesce(attempts, 0) + (NOT in_process)::integer,"
        " in_process = true",
    )


async def on_success(context: Any, results: dict[str, Any]) -> None:
    """Store the results."""
    results = results | {"checkpoints_used": context.sequence}
    await update_step(
        context,
        "results = %s::jsonb, processed = true, processed_at = now(),"
        " in_process = false",
        json.dumps(results),
    )
    await transition(context, "complete")


async def on_transient_failure(context: Any, error: Exception) -> None:
    """Let the next attempt be one."""
    await update_step(context, "in_process = false")
    await transition(context, "waiting_for_retry")


async def on_permanent_failure(context: Any, error: Exception) -> None:
    """Leave the step to be looked at."""
    await update_step(context, "in_process = false")
    await transition(context, "error")


def driven(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of a coroutine that has nothing to wait for."""
    return lambda *values: drive(function(*values))


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--asyncio", action="store_true")
    parser.add_argument("--poll-only", action="store_true")
    parser.add_argument("--listen", action="store_true")
    parser.add_argument("--lease", type=float, default=60.0)
    parser.add_argument("--exit-when-idle", type=float)
    parser.add_argument("--queues", type=lambda text: text.split(","))
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--retry-delay", type=float, default=1.0)
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )

    either: Any = (lambda function: function) if options.asyncio else driven
    kind: Any = AsyncWorker if options.asyncio else Worker
    worker = kind(
        options.dsn,
        name=options.name,
        lease=options.lease,
        queues=options.queues,
        concurrency=options.concurrency,
        retry_delay=options.retry_delay,
        wait=(
            "poll" if options.poll_only
            else "listen" if options.listen
            else "server"
        ),
        on_start=either(on_start),
        on_success=either(on_success),
        on_transient_failure=either(on_transient_failure),
        on_permanent_failure=either(on_permanent_failure),
    )
    result = worker.run(
        either(lambda context: handle(context, options.name)),
        exit_when_idle=options.exit_when_idle,
    )
    if options.asyncio:
        asyncio.run(result)


if __name__ == "__main__":
    main()

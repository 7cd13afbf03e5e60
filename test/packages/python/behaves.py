"""What the Python client does for its users, beyond what the workers show.

Run by python.sh, in the database of the README's example.
"""

import asyncio
import threading
import time
import unittest
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row, namedtuple_row
from tasker_checkpoint_client import (
    AlreadyYielded,
    AsyncClient,
    AsyncContext,
    AsyncWorker,
    Client,
    Context,
    ItemsWentBackwards,
    LimitExceeded,
    StepNotFound,
    StoredBefore,
    Superseded,
    TransactionLeftOpen,
    TransientError,
    Worker,
    connect,
    connect_async,
)
from tasker_checkpoint_client.run import MAX_OWN_DELAY, default_delay
from tasker_checkpoint_client.testing import (
    expire_lease,
    expire_lease_async,
    run_step,
    run_step_async,
)

DSN = "dbname=app"
SOURCE = "SELECT n, n || '%' AS text FROM source"


class Case(unittest.TestCase):
    """With a table of 25 rows, and a table to copy them to."""

    def setUp(self) -> None:
        self.admin = connect(DSN)
        self.admin.execute(
            "DROP TABLE IF EXISTS source, target;"
            "CREATE TABLE target (n bigint);"
            "CREATE TABLE source AS SELECT n, n / 7.0 AS fraction,"
            " now() + n * interval '1 s' AS at, gen_random_uuid() AS uuid"
            " FROM generate_series(1, 25) AS n"
        )
        # not in autocommit mode, as psycopg has it
        self.connection = psycopg.connect(DSN)
        self.addCleanup(self.admin.close)
        self.addCleanup(self.connection.close)

    def step(self, queue: str | None = None) -> UUID:
        """Make a step; dispatch it if a queue is named."""
        row = self.admin.execute(
            "INSERT INTO jobs (name) VALUES ('test') RETURNING id"
        ).fetchone()
        assert row is not None
        step: UUID = row[0]
        if queue is not None:
            Client(self.admin).dispatch(step, queue=queue)
        return step

    def assert_copied(self, rows: int, different: int) -> None:
        """Compare what is there."""
        found = self.admin.execute(
            "SELECT count(*), count(DISTINCT n) FROM target"
        ).fetchone()
        self.assertEqual(found, (rows, different))


def insert(context: Context, batch: list[Any]) -> None:
    """Copy a batch."""
    with context.connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO target VALUES (%s)", [(row[0],) for row in batch]
        )


def copy(context: Context) -> str:
    """Copy all, five at a time."""
    for batch in context.iterate(SOURCE, key="n", every=5, total=25):
        insert(context, batch)
    return "all"


class Iterate(Case):
    def test_keys_of_any_type(self) -> None:
        for key in ("n", "at", "fraction", "uuid"):
            with self.subTest(key):
                self.admin.execute("TRUNCATE target")

                def handler(context: Context) -> None:
                    for batch in context.iterate(
                        "SELECT * FROM source", key=key, every=10
                    ):
                        insert(context, batch)

                step = self.step()
                run_step(self.connection, step, handler, crash_at=2)
                expire_lease(self.admin, step)
                ended = run_step(self.connection, step, handler)
                self.assertEqual(ended.how, "completed")
                self.assert_copied(25, 25)

    def test_rows_are_the_connections(self) -> None:
        for factory in (dict_row, namedtuple_row):
            seen: list[Any] = []

            def handler(context: Context) -> None:
                query = "SELECT n FROM source WHERE n > %s AND n %% 1 = 0"
                for batch in context.iterate(query, [20], key="n", every=3):
                    seen.extend(batch)

            with connect(DSN, row_factory=factory) as connection:
                run_step(connection, self.step(), handler)
            numbers = [
                row["n"] if isinstance(row, dict) else row.n for row in seen
            ]
            self.assertEqual(numbers, [21, 22, 23, 24, 25])

    def test_functions(self) -> None:
        seen: list[int] = []

        def fetch(cursor: int | None, number: int) -> Any:
            start = cursor or 0
            end = min(start + number, 7)
            return (range(start, end), end) if start < end else None

        def handler(context: Context) -> None:
            for batch in context.iterate(fetch, every=3):
                seen.extend(batch)

        ended = run_step(self.connection, self.step(), handler)
        self.assertEqual(seen, list(range(7)))
        cursors = [each.cursor for each in ended.checkpoints]
        self.assertEqual(cursors, [3, 6, 7])

    def test_break_rolls_back(self) -> None:
        def handler(context: Context) -> str:
            for batch in context.iterate(SOURCE, key="n"):
                insert(context, batch)
                break
            insert(context, [(1,)])
            return "some"

        ended = run_step(self.connection, self.step(), handler)
        self.assertEqual((ended.how, ended.result), ("completed", "some"))
        self.assert_copied(1, 1)

    def test_a_second_loop_is_refused(self) -> None:
        def handler(context: Context) -> None:
            for _ in range(2):
                for batch in context.iterate(SOURCE, key="n"):
                    insert(context, batch)

        ended = run_step(self.connection, self.step(), handler)
        self.assertIsInstance(ended.error, psycopg.ProgrammingError)
        self.assert_copied(25, 25)

    def test_a_checkpoint_in_the_loop_is_refused(self) -> None:
        def handler(context: Context) -> None:
            for _ in context.iterate(SOURCE, key="n"):
                context.checkpoint_save(1, 1)

        ended = run_step(self.connection, self.step(), handler)
        self.assertIsInstance(ended.error, psycopg.ProgrammingError)
        self.assertEqual(ended.checkpoints, [])


class Runs(Case):
    def test_crash_stop_and_go_on(self) -> None:
        step = self.step()
        ended = run_step(self.connection, step, copy, crash_at=2)
        self.assertEqual(ended.how, "crashed")
        self.assert_copied(5, 5)
        with self.assertRaises(RuntimeError):
            run_step(self.connection, step, copy)
        expire_lease(self.admin, step)
        ended = run_step(self.connection, step, copy, stop_at=1)
        self.assertEqual(
            (ended.how, len(ended.checkpoints)), ("interrupted", 1)
        )
        ended = run_step(self.connection, step, copy)
        self.assertEqual((ended.how, ended.result), ("completed", "all"))
        self.assert_copied(25, 25)

    def test_who_saw_a_stop_is_not_done(self) -> None:
        def handler(context: Context) -> Any:
            items = context.checkpoint_items_processed + 1
            context.checkpoint_save(cursor=items, items_processed=items)
            if not context.stop_requested:
                return "all"
            return context.finish("enough") if items == 2 else "some"

        step = self.step()
        ended = run_step(self.connection, step, handler, stop_at=1)
        self.assertEqual((ended.how, ended.result), ("interrupted", None))
        ended = run_step(self.connection, step, handler, stop_at=1)
        self.assertEqual((ended.how, ended.result), ("completed", "enough"))

    def test_transactions_left_open(self) -> None:
        def begin(context: Context) -> None:
            context.connection.execute("BEGIN")
            insert(context, [(1,)])

        def commit(context: Context, result: Any) -> None:
            context.connection.execute("COMMIT")

        def commit_and_begin(context: Context, result: Any) -> None:
            context.connection.execute("COMMIT")
            context.connection.execute("BEGIN")

        ended = run_step(self.connection, self.step(), begin)
        self.assertEqual(ended.how, "released")
        self.assertIsInstance(ended.error, TransactionLeftOpen)
        for callback in (commit, commit_and_begin):
            ended = run_step(
                self.connection,
                self.step(),
                lambda context: None,
                on_success=callback,
            )
            self.assertEqual(ended.how, "released")
        self.assert_copied(0, 0)

    def test_a_yield_ends_the_run(self) -> None:
        def handler(context: Context) -> str | None:
            if context.has_checkpoint():
                return "second"
            context.checkpoint_yield(1, 1)
            with self.assertRaises(AlreadyYielded):
                context.checkpoint_save(2, 2)
            return "first"

        ended = run_step(self.connection, self.step(), handler)
        self.assertEqual((ended.how, ended.result), ("completed", "second"))
        self.assertEqual(len(ended.checkpoints), 1)

    def test_a_yield_that_was_rolled_back_is_none(self) -> None:
        def handler(context: Context) -> str:
            with context.connection.transaction() as block:
                context.checkpoint_yield(1, 1)
                raise psycopg.Rollback(block)
            return "first"

        ended = run_step(self.connection, self.step(), handler)
        self.assertEqual((ended.how, ended.result), ("completed", "first"))
        self.assertEqual(ended.checkpoints, [])

    def test_a_handler_of_taskers(self) -> None:
        def call(context: Context) -> Any:
            start = 0
            if context.has_checkpoint():
                start = context.checkpoint_cursor
            results = context.accumulated_results or {"sum": 0}
            end = min(start + 10, 25)
            results["sum"] += sum(range(start, end))
            if end < 25:
                context.checkpoint_yield(
                    cursor=end,
                    items_processed=end,
                    accumulated_results=results,
                )
                return None
            return results

        ended = run_step(self.connection, self.step(), call)
        self.assertEqual(ended.result, {"sum": 300})
        self.assertEqual(len(ended.checkpoints), 2)


class Errors(Case):
    def test_kinds(self) -> None:
        def handler(context: Context) -> None:
            context.checkpoint_save(5, 5)
            with self.assertRaises(ItemsWentBackwards) as raised:
                context.checkpoint_save(4, 4)
            self.assertEqual(raised.exception.sqlstate, "TC001")
            self.assertTrue(raised.exception.diag.message_hint)
            context.checkpoint_save("x" * 100000, 6)

        ended = run_step(self.connection, self.step(), handler)
        self.assertEqual(ended.how, "failed")
        self.assertIsInstance(ended.error, LimitExceeded)
        with self.assertRaises(StepNotFound):
            Client(self.admin).load(uuid4())

    def test_superseded(self) -> None:
        def handler(context: Context) -> None:
            Client(self.admin).release(context.event_id)
            context.checkpoint_save(1, 1)

        ended = run_step(self.connection, self.step(), handler)
        self.assertEqual(ended.how, "superseded")
        self.assertIsInstance(ended.error, Superseded)

    def test_stored_twice(self) -> None:
        def handler(context: Context) -> None:
            for _ in range(2):
                with context.transaction():
                    insert(context, [(1,)])
                    context.checkpoint_save(1, 1)

        ended = run_step(self.connection, self.step(), handler)
        self.assertEqual(ended.how, "failed")
        self.assertIsInstance(ended.error, StoredBefore)

    def test_delays(self) -> None:
        tries = (1, 1), (2, 2), (5, 16), (99, MAX_OWN_DELAY)
        for deliveries, least in tries:
            delay = default_delay(1.0, deliveries)
            self.assertTrue(least <= delay <= least * 1.25, delay)

        def handler(context: Context) -> None:
            raise ValueError

        asked: list[Any] = []

        def policy(context: Context, error: Exception) -> float:
            asked.append(error)
            return 1e9

        run_step(self.connection, self.step(), handler, retry_delay=policy)
        self.assertEqual(len(asked), 1)


class Functions(Case):
    def test_them(self) -> None:
        client = Client(self.admin)
        step = self.step("functions")
        (delivery,) = client.claim("me", 60, queues=["functions"])
        self.assertEqual(delivery.step_uuid, step)
        save, event = client.checkpoint_save, delivery.event_id
        save(step, {"a": [1]}, 3, {"total_items": 10}, event)
        (progress,) = client.progress(step)
        self.assertEqual(
            (progress.items_processed, progress.total, progress.queue),
            (3, 10, "functions"),
        )
        self.assertTrue(client.pause(step))
        self.assertEqual(save(step, 2, 4, None, event).directive, "pause")
        self.assertTrue(client.resume(step) and client.cancel(step))
        self.assertTrue(client.resume(step))
        self.assertEqual(client.rewind(step, 1).sequence, 3)
        self.assertEqual(client.load(step).cursor, {"a": [1]})


async def copy_async(context: AsyncContext) -> str:
    """Copy all, five at a time."""
    async for batch in context.iterate(SOURCE, key="n", every=5):
        async with context.connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO target VALUES (%s)", [row[:1] for row in batch]
            )
    return "all"


class Async(Case):
    def test_crash_and_go_on(self) -> None:
        async def main() -> None:
            step = self.step()
            async with await connect_async(DSN) as connection:
                ended = await run_step_async(
                    connection, step, copy_async, crash_at=2
                )
                self.assertEqual(ended.how, "crashed")
                await expire_lease_async(connection, step)
                ended = await run_step_async(connection, step, copy_async)
                self.assertEqual(ended.how, "completed")
                state = await AsyncClient(connection).load(step)
                self.assertEqual(state.sequence, 5)

        asyncio.run(main())
        self.assert_copied(25, 25)

    def test_break(self) -> None:
        async def breaks(context: AsyncContext) -> None:
            async for _ in context.iterate(SOURCE, key="n"):
                break
            # rolled back by the garbage collector, and not
            await context.connection.execute("INSERT INTO target VALUES (1)")
            await context.connection.execute("INSERT INTO target VALUES (2)")

        async def closes(context: AsyncContext) -> None:
            async with aclosing(context.iterate(SOURCE, key="n")) as batches:
                async for _ in batches:
                    break
            await context.connection.execute("INSERT INTO target VALUES (1)")

        async def main() -> None:
            async with await connect_async(DSN) as connection:
                ended = await run_step_async(connection, self.step(), breaks)
                self.assertIsInstance(ended.error, TransactionLeftOpen)
                ended = await run_step_async(connection, self.step(), closes)
                self.assertEqual(ended.how, "completed")

        asyncio.run(main())
        self.assert_copied(2, 2)

    def test_cancelled(self) -> None:
        step = self.step("cancelled")
        begun = asyncio.Event()

        async def waits(context: AsyncContext) -> None:
            begun.set()
            await asyncio.Event().wait()

        async def main() -> None:
            worker = AsyncWorker(DSN, queues=["cancelled"])
            task = asyncio.create_task(worker.run(waits))
            await begun.wait()
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        (delivery,) = Client(self.admin).claim("me", 60, step_uuid=step)
        self.assertEqual(delivery.deliveries, 1)


class Workers(Case):
    def test_slots_and_queues(self) -> None:
        for _ in range(4):
            self.step("a")
            self.step("b")
        events: list[str] = []
        Worker(
            DSN, concurrency=3, observe=lambda event, _: events.append(event)
        ).run({"a": copy, "b": copy}, exit_when_idle=0.1)
        self.assertEqual(events.count("completed"), 8)
        self.assert_copied(200, 25)

    def test_connections_of_the_applications_own(self) -> None:
        returned: list[tuple[bool, bool]] = []

        def close(connection: psycopg.Connection[Any]) -> None:
            returned.append((connection.autocommit, connection.closed))
            connection.close()

        for wait in ("server", "listen", "poll"):
            self.step("own")
            Worker(
                lambda: psycopg.connect(DSN),
                close=close,
                queues=["own"],
                wait=wait,  # type: ignore[arg-type]
            ).run(copy, exit_when_idle=0.1)
        self.assertEqual(set(returned), {(False, False)})
        self.assert_copied(75, 25)

    def test_what_will_not_get_better_is_raised(self) -> None:
        for conninfo in ("dbname=no_such", f"{DSN} user=no_such"):
            with self.assertRaises(psycopg.OperationalError):
                Worker(conninfo).run(copy)
        with self.assertRaises(psycopg.errors.InvalidSchemaName):
            Worker(DSN, schema="no_such").run(copy)

    def test_stop_ends_a_wait(self) -> None:
        worker = Worker(DSN, queues=["nothing"])
        threading.Timer(0.2, worker.stop).start()
        began = time.monotonic()
        worker.run(copy)
        self.assertLess(time.monotonic() - began, 5)

    def test_a_transient_error_of_who_is_to_stop_costs_nothing(self) -> None:
        def handler(context: Context) -> None:
            context.checkpoint_save(1, 1)
            raise TransientError("told to stop")

        ended = run_step(self.connection, self.step(), handler, stop_at=1)
        self.assertEqual(ended.how, "interrupted")


if __name__ == "__main__":
    unittest.main()

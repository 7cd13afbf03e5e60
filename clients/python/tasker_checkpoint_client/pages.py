"""iterate(): a loop over an ordered source, a transaction for each batch."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from . import calls
from .port import exchange, in_transaction
from .run import Run

#: a query, or a function of a cursor and a number of items
Source = str | sql.Composable | Callable[[Any, int], Any]

# so that a key that is a float keeps all its digits, in this transaction
EXACTLY = (
    "WHERE (SELECT pg_catalog.set_config('extra_float_digits', '1', true))"
    " IS NOT NULL"
)


class Pages:
    """Batches, each stored with what the loop's body wrote meanwhile."""

    def __init__(
        self,
        run: Run,
        source: Source,
        params: Sequence[Any],
        *,
        key: str | None,
        every: int,
        seconds: float,
        total: int | None,
        results: Mapping[str, Any] | None,
    ) -> None:
        if every < 1:
            raise ValueError("every must be at least 1")
        if not callable(source) and key is None:
            raise TypeError("a query needs the name of its key column")
        if run.iterated:
            # one cursor can't tell where two loops are
            raise psycopg.ProgrammingError("a run has one loop over iterate()")
        run.iterated = True
        self._run = run
        self._source = source
        self._params = params
        self._key = key or ""
        self._every = every
        self._seconds = seconds
        self._total = total
        self._results = results
        # of a query as text, for its digits
        self._cursor = run.cursor
        if not callable(source):
            self._cursor = calls.JsonText(run.delivery.cursor_text or "null")
        self._begun = run.delivery.has_checkpoint
        self._items = run.items
        self._size = every
        self._is_over = False

    async def next(self) -> list[Any] | None:
        """Store the batch at hand, if there is one, and return the next."""
        if self._run.pages is self:
            await self._store()
            self._is_over = self._run.receipt is not None
        if self._is_over or self._run.stop_requested:
            return None
        self._block = self._run.transaction()
        await self._block.__aenter__()
        self._run.pages = self
        self._fetched_at = time.monotonic()
        try:
            fetch = self._fetch if callable(self._source) else self._select
            batch = await fetch()
        except BaseException as error:
            await self._leave(error)
            raise
        if not batch:
            await self.close()
            self._is_over = True
            self._run.finish()
            return None
        self._items += len(batch)
        return batch

    async def close(self) -> None:
        """Roll the batch at hand back."""
        if self._run.pages is self:
            await self._leave(psycopg.Rollback())

    async def _leave(self, error: BaseException | None) -> None:
        self._run.pages = None
        kind = None if error is None else type(error)
        await self._block.__aexit__(kind, error, None)

    async def _store(self) -> None:
        run = self._run
        try:
            if not in_transaction(run.connection):
                raise psycopg.ProgrammingError(
                    "the transaction of iterate() was ended in its loop"
                )
            results = self._results
            if self._total is not None:
                results = {**(results or {}), "total_items": self._total}
            function = (
                calls.checkpoint_yield
                if run.stop_requested
                else calls.checkpoint_save
            )
            await run.store(function, self._cursor, self._items, results)
        except BaseException as error:
            await self._leave(error)
            raise
        await self._leave(None)
        took = max(time.monotonic() - self._fetched_at, 1e-6)
        fitting = int(self._size * self._seconds / took)
        self._size = max(1, min(self._every, self._size * 2, fitting))

    async def _fetch(self) -> list[Any]:
        assert callable(self._source)
        cursor = self._cursor if self._begun else None
        found = await self._run.port.call(self._source, cursor, self._size)
        if not found:
            return []
        items, self._cursor = found
        self._begun = True
        return list(items)

    async def _select(self) -> list[Any]:
        connection: Any = self._run.connection
        rows, result = await self._run.port.fetch(
            connection, self._query(), self._values(), connection.row_factory
        )
        if rows and result is not None:
            # in the server, so that it is the same in each language
            column = self._column(result)
            last = result.get_value(result.ntuples - 1, column)
            if last is None:
                raise psycopg.ProgrammingError(f"{self._key} is null")
            answer = await exchange(
                self._run.port,
                connection,
                "SELECT pg_catalog.to_jsonb($1)::text",
                value=(last, result.ftype(column)),
            )
            self._cursor = calls.JsonText(answer[0][0])
            self._begun = True
        return rows

    def _column(self, result: Any) -> int:
        for column in range(result.nfields):
            if result.fname(column) == self._key.encode():
                return column
        raise psycopg.ProgrammingError(f"no column {self._key} in the query")

    def _query(self) -> bytes:
        source = self._source
        if isinstance(source, sql.Composable):
            source = source.as_string(self._run.connection)
        assert isinstance(source, str)
        if not self._params:
            # as psycopg does without parameters
            source = source.replace("%", "%%")
        key = sql.Identifier(self._key).as_string(self._run.connection)
        key = key.replace("%", "%%")
        after = f"AND source.{key} > %s" if self._begun else ""
        return (
            f"SELECT source.* FROM ({source}\n) AS source {EXACTLY} {after}"
            f" ORDER BY source.{key} FETCH FIRST (%s) ROWS WITH TIES"
        ).encode()

    def _values(self) -> list[Any]:
        values = [*self._params]
        if self._begun:
            # as text of unknown type, which becomes the key's
            cursor = self._cursor
            is_string = cursor.startswith('"')
            values.append(json.loads(cursor) if is_string else str(cursor))
        return [*values, self._size]

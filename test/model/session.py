"""Connections whose statements can wait."""

import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.adapt import Loader

from documents import ABSENT
from rows import Blocked, Tx

# seconds that a statement may take that waits for nobody
PATIENCE = 3


class JsonLoader(Loader):
    """Keeps 1 and 1.0 apart, and a JSON null from SQL's."""

    def load(self, data: Any) -> Any:
        return ("json", loads(bytes(data)))


def loads(text: Any) -> Any:
    return json.loads(text, parse_float=Decimal)


class Session:
    """A connection, whose statements run in a thread of its own."""

    def __init__(self, name: str, conninfo: str) -> None:
        self.name = name
        self.connection = psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
        self.connection.adapters.register_loader("jsonb", JsonLoader)
        self.connection.adapters.register_loader("uuid", psycopg.types.string.TextLoader)
        self.pid = self.connection.info.backend_pid
        self.thread = ThreadPoolExecutor(1)
        self.warnings: list[str] = []
        self.connection.add_notice_handler(self.notice)
        self.tx: Tx | None = None
        self.running: Future[Any] | None = None

    def notice(self, diagnostic: Any) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            self.warnings.append(diagnostic.sqlstate)

    def send(self, sql: str) -> Future[Any]:
        self.warnings = []
        self.running = self.thread.submit(self.execute, sql)
        return self.running

    def reset(self) -> None:
        """End what runs, and the transaction."""
        while self.running and not self.running.done():
            self.connection.cancel()
            threading.Event().wait(0.01)
        self.send("ROLLBACK").result(PATIENCE)
        self.tx = None

    def execute(self, sql: str) -> Any:
        """Rows, or how many; the SQLSTATE of an error."""
        try:
            cursor = self.connection.execute(sql)
        except psycopg.Error as error:
            if error.sqlstate is None:
                raise
            return error
        if cursor.description is None:
            return cursor.rowcount
        json_columns = [c.type_code == 3802 for c in cursor.description]
        return [
            tuple(
                (ABSENT if v is None else v[1]) if is_json else v
                for v, is_json in zip(row, json_columns, strict=True)
            )
            for row in cursor
        ]


class Pending:
    """A statement that waits."""

    def __init__(
        self, session: Session, tx: Tx, model: Any, future: Future[Any],
        blocked: Blocked, since: datetime,
    ) -> None:  # fmt: skip
        self.session = session
        self.tx = tx
        self.model = model
        self.future = future
        self.blocked = blocked
        self.since = since

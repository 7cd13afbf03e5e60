"""The private servers, and sessions whose cost can be read."""

import json
import os
import time
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).resolve().parent.parent.parent
TASKER_INDEXES = (
    "idx_workflow_steps_checkpoint_cursor",
    "idx_workflow_steps_checkpoint_exists",
)

ADD_STEPS = """
    WITH named AS (
        INSERT INTO tasker.named_steps (name)
        SELECT gen_random_uuid()::text FROM generate_series(1, %s)
        RETURNING named_step_uuid
    ), task AS (
        INSERT INTO tasker.tasks DEFAULT VALUES RETURNING task_uuid
    ), step AS (
        INSERT INTO tasker.workflow_steps
            (task_uuid, named_step_uuid, inputs, created_at, updated_at)
        SELECT task_uuid, named_step_uuid, %s::jsonb, now(), now()
        FROM named, task
        RETURNING *
    )
    INSERT INTO plain.workflow_steps SELECT * FROM step
    RETURNING workflow_step_uuid::text
    """
INPUTS = json.dumps(
    {
        "cursor": {
            "batch_id": "001",
            "start_cursor": 0,
            "end_cursor": 1000000,
            "batch_size": 1000,
        },
        "batch_metadata": {},
        "is_no_op": False,
    }
)

# more rows than a page has room for
PAGE = 100
# where pinned sessions run
PROCESSOR = max(os.sched_getaffinity(0))


class Session:
    """A connection that runs prepared statements, and its backend."""

    def __init__(self, conninfo: str, settings: dict[str, Any]) -> None:
        self.connection = psycopg.connect(conninfo, autocommit=True)
        self._pg = self.connection.pgconn
        self.pid = self._pg.backend_pid
        self._schedstat = f"/proc/{self.pid}/schedstat"
        if any(name.startswith("tasker_checkpoint.") for name in settings):
            self.sql("LOAD 'tasker_checkpoint'")
        for name, value in settings.items():
            self.sql(f"SET {name} = '{value}'")

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *error: object) -> None:
        self.connection.close()

    def sql(self, text: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement; return its rows, if it has any."""
        cursor = self.connection.execute(text, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, text: str, *parameters: object) -> Any:
        """Return the one value that a statement has."""
        return self.sql(text, *parameters)[0][0]

    def prepare(self, name: str, text: str) -> None:
        """Prepare a statement with parameters $1, $2, …"""
        result = self._pg.prepare(name.encode(), text.encode())
        if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
            raise RuntimeError(result.error_message.decode())

    def run(self, name: str, *parameters: str | None) -> list[str]:
        """Run a prepared statement in a transaction of its own.

        Returns the first row, in which a null is an empty string.
        """
        values: Any = [None if p is None else p.encode() for p in parameters]
        result = self._pg.exec_prepared(name.encode(), values)
        if result.status not in (
            psycopg.pq.ExecStatus.TUPLES_OK,
            psycopg.pq.ExecStatus.COMMAND_OK,
        ):
            raise RuntimeError(f"{name}: {result.error_message.decode()}")
        if result.ntuples == 0:
            return []
        return [
            (result.get_value(0, n) or b"").decode()
            for n in range(result.nfields)
        ]

    def pin(self) -> None:
        """Keep the backend and us on one processor.

        They take turns anyway, and waking another processor up costs the
        backend as much as a small statement, now more and now less.
        """
        os.sched_setaffinity(self.pid, {PROCESSOR})
        os.sched_setaffinity(0, {PROCESSOR})

    def cpu(self) -> int:
        """Return the backend's own CPU time, in nanoseconds."""
        with open(self._schedstat) as file:
            return int(file.read().split()[0])

    def resident(self) -> int:
        """Return the backend's private memory, in bytes."""
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
        raise RuntimeError("no RssAnon")


class Server:
    """One of the servers that run.sh has started."""

    def __init__(self, port: int) -> None:
        self.port = port

    def conninfo(self, database: str) -> str:
        """Return the connection string of a database."""
        return (
            f"host={os.environ['PGHOST']} port={self.port} user=postgres"
            f" dbname={database}"
        )

    def session(self, database: str, **settings: Any) -> Session:
        """Connect, with settings whose dots are written as __."""
        return Session(
            self.conninfo(database),
            {name.replace("__", "."): v for name, v in settings.items()},
        )

    def set(self, **settings: str) -> None:
        """Change settings of the whole server that a reload suffices for."""
        with self.session("postgres") as session:
            for name, value in settings.items():
                session.sql(f"ALTER SYSTEM SET {name} = '{value}'")
            session.sql("SELECT pg_reload_conf()")
        for name, value in settings.items():
            deadline = time.monotonic() + 20
            while True:
                with self.session("postgres") as session:
                    if session.value(f"SHOW {name}") == value:
                        break
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} is not {value}")

    def create(self, database: str, compression: str = "pglz") -> None:
        """Make a database with Tasker's tables.

        Tasker's two indexes on the checkpoint go, as attach advises. Beside
        the attached table is another one, plain.workflow_steps, with the same
        columns, indexes, foreign keys and rows, and no guard.
        """
        with self.session("postgres") as session:
            session.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
            session.sql(f'CREATE DATABASE "{database}"')
        with self.session(database) as session:
            session.connection.execute(
                (ROOT / "examples/steps.sql").read_text()
            )
            for index in TASKER_INDEXES:
                session.sql(f"DROP INDEX tasker.{index}")
            session.sql(
                "ALTER TABLE tasker.workflow_steps"
                f" ALTER checkpoint SET COMPRESSION {compression}"
            )
            session.connection.execute(
                """
                CREATE SCHEMA plain;
                CREATE TABLE plain.workflow_steps
                    (LIKE tasker.workflow_steps INCLUDING ALL,
                     FOREIGN KEY (task_uuid) REFERENCES tasker.tasks,
                     FOREIGN KEY (named_step_uuid) REFERENCES tasker.named_steps);
                CREATE EXTENSION tasker_checkpoint;
                CREATE TABLE docs (n integer PRIMARY KEY, doc jsonb);
                ALTER TABLE docs ALTER doc SET STORAGE EXTERNAL;
                """
            )

    def add_steps(self, database: str, steps: int) -> list[str]:
        """Add so many steps to both tables; return their keys."""
        with self.session(database) as session:
            rows = session.sql(ADD_STEPS, steps, INPUTS)
            session.sql("ANALYZE")
        return [row[0] for row in rows]

    def add_lone_steps(self, database: str, steps: int) -> list[str]:
        """Add steps that have a page each; return their keys.

        So their updates are HOT however long their histories are, and one does
        not take the other's room.
        """
        keys = self.add_steps(database, steps * PAGE)[::PAGE]
        with self.session(database) as session:
            for schema in ("tasker", "plain"):
                session.sql(
                    f"DELETE FROM {schema}.workflow_steps"
                    " WHERE workflow_step_uuid <> ALL (%s::uuid[])",
                    keys,
                )
            session.sql("VACUUM ANALYZE")
        return keys

    def drop(self, database: str) -> None:
        """Drop a database, whoever is still connected."""
        with self.session("postgres") as session:
            session.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')


# the servers of run.sh: wake-ups by the notifier, and by NOTIFY
NOTIFIER = Server(5432)
NOTIFY = Server(5433)

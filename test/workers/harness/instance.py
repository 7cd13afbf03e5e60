"""A private server, and a connection pooler in front of it."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from .proxy import Proxy

WORKERS = Path(__file__).resolve().parent.parent
ROOT = WORKERS.parent.parent

PORT = 5432
POOLER_PORT = 6432

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{directory}'
port = {port}
max_connections = 200
max_prepared_transactions = 50
fsync = off
autovacuum_naptime = 1s
log_connections = on
log_line_prefix = '%m [%p] %e %d '
"""

POOLER = """
[databases]
* = host={directory} port={port} user=postgres

[pgbouncer]
listen_port = {pooler_port}
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
default_pool_size = 2
logfile = {directory}/pgbouncer.log
pidfile = {directory}/pgbouncer.pid
"""


def bindir() -> Path:
    """Return the directory of the server's programs."""
    if directory := os.environ.get("PG_BINDIR"):
        return Path(directory)
    pg_config = os.environ.get("PG_CONFIG", "pg_config")
    return Path(
        subprocess.check_output([pg_config, "--bindir"], text=True).strip()
    )


class Instance:
    """A server in a directory of its own, removed in the end."""

    def __init__(self, settings: str = "") -> None:
        self._bindir = bindir()
        self._settings = settings
        # a server refuses root
        self._as_user: dict[str, Any] = {}
        self.directory = Path(
            tempfile.mkdtemp(prefix="tcw.", dir=os.environ.get("TMPDIR"))
        ).resolve()
        self.directory.chmod(0o755)
        if os.geteuid() == 0:
            user = _unprivileged()
            os.chown(self.directory, user.pw_uid, user.pw_gid)
            self._as_user = {
                "user": user.pw_uid,
                "group": user.pw_gid,
                "extra_groups": [],
            }
        self._data = self.directory / "data"
        self._pooler_lock = threading.Lock()
        self._pooler: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Instance":
        try:
            self._create()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pooler is not None:
            self._pooler.kill()
            self._pooler.wait()
        if (self._data / "postmaster.pid").exists():
            self._pg_ctl("stop", "-m", "immediate")
        if "KEEP" in os.environ:
            print(f"# kept: {self.directory}")
        else:
            shutil.rmtree(self.directory)

    def conninfo(self, database: str, port: int = PORT) -> str:
        """Return the connection string of a database."""
        return (
            f"host={self.directory} port={port} user=postgres"
            f" dbname={database}"
        )

    def pooled(self, database: str) -> str:
        """Return the connection string that leads through the pooler."""
        with self._pooler_lock:
            if self._pooler is None:
                self._start_pooler()
        return self.conninfo(database, POOLER_PORT)

    def proxied(
        self, database: str, function: str, hides_it: bool
    ) -> tuple[str, Proxy]:
        """Return a connection string that leads through a proxy of its own."""
        server = self.directory / f".s.PGSQL.{PORT}"
        proxy = Proxy(self._of_proxy(database), server, function, hides_it)
        return self.behind_proxy(database), proxy

    def behind_proxy(self, database: str) -> str:
        """Return the connection string of the database's proxy."""
        return (
            f"host={self._of_proxy(database)} port={PORT} user=postgres"
            f" dbname={database}"
        )

    def _of_proxy(self, database: str) -> Path:
        return self.directory / f"proxy_{database}"

    def create_database(self, name: str) -> str:
        """Make a database with the tables of the tests."""
        with psycopg.connect(
            self.conninfo("postgres"), autocommit=True
        ) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE fixture')
        return self.conninfo(name)

    def crash(self) -> None:
        """Restart in immediate mode, as after a crash."""
        self._pg_ctl("restart", "-m", "immediate")

    def errors(self, databases: str, expected: str = "TC002") -> list[str]:
        """Return the errors that workers got, but for those to be expected."""
        error = re.compile(rf"\] (?!{expected})\S+ ({databases}) ERROR: .*")
        return sorted({match[0] for match in error.finditer(self.log())})

    def log(self) -> str:
        """Return what the server has logged."""
        return (self.directory / "server.log").read_text(errors="replace")

    def run(self, program: str, *arguments: str) -> str:
        """Run one of the server's programs; return what it says."""
        result = subprocess.run(
            [self._bindir / program, *arguments],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **self._as_user,
        )
        if result.returncode:
            raise RuntimeError(f"{program} failed: {result.stdout}")
        return str(result.stdout)

    def _create(self) -> None:
        self.run(
            "initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust",
            "-N", "--locale=C", "--encoding=UTF8",
        )  # fmt: skip
        with open(self._data / "postgresql.conf", "a") as conf:
            conf.write(SETTINGS.format(directory=self.directory, port=PORT))
            conf.write(self._settings)
        self._pg_ctl("start")
        with psycopg.connect(
            self.conninfo("postgres"), autocommit=True
        ) as connection:
            connection.execute("CREATE DATABASE fixture")
        fixture = self.conninfo("fixture")
        for script in (ROOT / "examples/steps.sql", WORKERS / "schema.sql"):
            with open(script) as file, psycopg.connect(fixture) as connection:
                connection.execute(file.read())
        with psycopg.connect(fixture) as connection:
            connection.execute("CREATE EXTENSION tasker_checkpoint")

    def _pg_ctl(self, action: str, *options: str) -> None:
        log = self.directory / "server.log"
        # the server keeps what it inherits: no pipe to wait for
        subprocess.run(
            [self._bindir / "pg_ctl", "-s", "-w", "-D", self._data, "-l", log,
             action, *options],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            check=True,
            **self._as_user,
        )  # fmt: skip

    def _start_pooler(self) -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
        if program is None:
            raise RuntimeError("pgbouncer is not installed")
        conf = self.directory / "pgbouncer.ini"
        conf.write_text(
            POOLER.format(
                directory=self.directory, port=PORT, pooler_port=POOLER_PORT
            )
        )
        self._pooler = subprocess.Popen(
            [program, "-q", conf],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as_user,
        )


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")

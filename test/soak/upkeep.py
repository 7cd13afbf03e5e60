"""What is done to the tables meanwhile, again and again."""

import os
import shutil
import subprocess
import threading
import time
from collections import Counter
from datetime import datetime, timedelta, timezone

import psycopg

# so many partitions are there before they are needed: a tool that gets no lock may take
# its time
AHEAD = 6
# and so many stay when all of their steps are done
KEPT = 4


class Upkeep(threading.Thread):
    """Purges, vacuum, REINDEX, pg_repack, partitions."""

    def __init__(self, period: float) -> None:
        super().__init__(name="upkeep", daemon=True)
        self.period = timedelta(seconds=period)
        self.stopped = threading.Event()
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        self.partitions: list[str] = []
        self._number = 0
        self._connection = psycopg.connect("dbname=postgres user=postgres", autocommit=True)
        self._ends = datetime.now(timezone.utc) - 2 * self.period
        self._repack = shutil.which("pg_repack")
        if self._repack and not self._rows(
            "SELECT FROM pg_available_extensions WHERE name = 'pg_repack'"
        ):
            self._repack = None
        if self._repack:
            self._connection.execute("CREATE EXTENSION pg_repack")
        self._add_partitions()

    def run(self) -> None:
        """Go round until told to stop."""
        try:
            while not self.stopped.is_set():
                for step in (
                    self._add_partitions,
                    self._purge,
                    self._vacuum,
                    self._reindex,
                    self._pg_repack,
                    self._drop_partition,
                ):
                    step()
                    if self.stopped.wait(self.period.total_seconds() / 30):
                        break
        except psycopg.Error as error:
            self.errors.append(f"upkeep: {error.sqlstate} {error}".strip())

    def _rows(self, sql: str, *parameters: object) -> list[tuple[object, ...]]:
        return self._connection.execute(sql, parameters).fetchall()

    def _add_partitions(self) -> None:
        while self._ends < datetime.now(timezone.utc) + AHEAD * self.period:
            starts, self._ends = self._ends, self._ends + self.period
            self._number += 1
            name = f"steps_{self._number}"
            self._connection.execute("CALL add_partition(%s, %s, %s)", [name, starts, self._ends])
            self.partitions.append(name)
            self.done["partitions added"] += 1

    def _drop_partition(self) -> None:
        """Drop the oldest one, if its steps are all done."""
        name = self.partitions[0]
        if len(self.partitions) <= KEPT + AHEAD or self._rows(
            f"SELECT FROM {name} WHERE NOT processed LIMIT 1"
        ):
            return
        self._connection.execute(f"ALTER TABLE steps DETACH PARTITION {name} CONCURRENTLY")
        self._connection.execute(f"DROP TABLE {name}")
        self.partitions.pop(0)
        self.done["partitions dropped"] += 1

    def _purge(self) -> None:
        for call in (
            "purge('1 second')",
            "trim(8)",
            "purge_events()",
            "purge_archive('2 seconds')",
        ):
            while self._rows(f"SELECT tasker_checkpoint_{call}")[0][0]:
                self.done["purges"] += 1

    def _vacuum(self) -> None:
        self._connection.execute(
            "VACUUM steps, tasker_checkpoint_events, tasker_checkpoint_archive"
        )
        self.done["vacuums"] += 1

    def _current(self) -> str:
        return self.partitions[-1 - AHEAD]

    def _reindex(self) -> None:
        for table in ("tasker_checkpoint_events", "tasker_checkpoint_archive", self._current()):
            self._connection.execute(f"REINDEX TABLE CONCURRENTLY {table}")
            self.done["reindexes"] += 1

    def _pg_repack(self) -> None:
        """Write the events anew, the partition in use, and the one that was before."""
        for table in ("tasker_checkpoint_events", self._current(), self.partitions[-2 - AHEAD]):
            if self._repack is None:
                self._connection.execute(f"VACUUM FULL {table}")
                continue
            result = subprocess.run(
                [self._repack, "-d", "postgres", "-T", "10", "--no-kill-backend", "-t", table],
                env={**os.environ, "PGUSER": "postgres"},
                capture_output=True,
                text=True,
            )
            # it gives up where it gets no lock, and says so
            self.done["repacks" if result.returncode == 0 else "repacks given up"] += 1
            if result.returncode and "timed out" not in result.stderr:
                self.errors.append(f"pg_repack {table}: {result.stderr.strip()}")

"""Workers: each claims a step, gets it on, and lets it go in some way."""

import random
import threading
import time
from collections import Counter

import psycopg
from psycopg import Connection

CLAIM = (
    "SELECT event_id, step_uuid, items_processed"
    " FROM tasker_checkpoint_claim(%s, %s, 1, NULL, %s)"
)
SAVE = "SELECT sequence FROM tasker_checkpoint_{}(%s, %s, %s, results(), %s)"
# as Tasker writes one: history from the stored document, the writer's time
TASKER = """
    UPDATE steps SET updated_at = now(), checkpoint = jsonb_build_object(
        'cursor', %(items)s::bigint, 'items_processed', %(items)s::bigint,
        'timestamp', to_jsonb(now()), 'accumulated_results', results(),
        'history', coalesce(checkpoint -> 'history', '[]') || jsonb_build_array(
            jsonb_build_object('cursor', %(items)s::bigint, 'timestamp', to_jsonb(now()))))
    WHERE id = %(step)s
    """
# how a run ends, and how often of a hundred
ENDS = {
    "yield": 35,
    "release": 15,
    "delay": 10,
    "tasker": 15,
    "rollback": 7,
    "abandon": 3,
    "complete": 15,
}


class Worker(threading.Thread):
    """A session that stays, and begins so many runs a second."""

    def __init__(self, number: int, rate: float) -> None:
        super().__init__(name=f"worker {number}", daemon=True)
        self.random = random.Random(number)
        self.rate = rate
        self.stopped = threading.Event()
        self.connection: Connection = psycopg.connect(
            "dbname=postgres user=worker", autocommit=True, prepare_threshold=1
        )
        self.pid = self.connection.info.backend_pid
        self._lock = threading.Lock()
        self._taken: list[float] = []
        self.ends: Counter[str] = Counter()
        self.errors: list[str] = []

    def run(self) -> None:
        """Work until told to stop, or until something is refused."""
        try:
            due = time.monotonic()
            while not self.stopped.wait(max(0, due - time.monotonic())):
                # what is late is not made up for: a slow machine does less
                due = max(due, time.monotonic() - 1) + self.random.expovariate(self.rate)
                end = self.random.choices(list(ENDS), list(ENDS.values()))[0]
                start = time.perf_counter()
                if self._run_step(end):
                    with self._lock:
                        self._taken.append(time.perf_counter() - start)
                        self.ends[end] += 1
        except psycopg.Error as error:
            self.errors.append(f"{self.name}: {error.sqlstate} {error}".strip())
        finally:
            self.connection.close()

    def taken(self) -> list[float]:
        """Return how long the runs took since it was asked last."""
        with self._lock:
            taken, self._taken = self._taken, []
        return taken

    def _value(self, sql: str, *parameters: object) -> object:
        row = self.connection.execute(sql, parameters).fetchone()
        assert row is not None
        return row[0]

    def _write(self, step: object, event: object, items: int, how: str) -> int:
        """Write some items, and a checkpoint in the same transaction."""
        last = items + self.random.randint(1, 20)
        self._value("INSERT INTO ledger VALUES (%s, %s, %s) RETURNING 1", step, items + 1, last)
        if how == "tasker":
            self.connection.execute(TASKER, {"items": last, "step": step})
        else:
            self._value(SAVE.format(how), step, str(last), last, event)
        return last

    def _run_step(self, end: str) -> bool:
        lease = "1 second" if end == "abandon" else "10 minutes"
        queues = self.random.choice([None, ["queue 1", "queue 2"], ["queue 2", "queue 3"]])
        claimed = self.connection.execute(CLAIM, [self.name, lease, queues]).fetchone()
        if claimed is None:
            return False
        if end == "abandon":
            return True
        event, step, items = claimed
        with self.connection.transaction():
            items = self._write(step, event, items, "save")
        held = True
        if end == "yield":
            with self.connection.transaction():
                self._write(step, event, items, "yield")
            return True
        if end == "tasker":
            with self.connection.transaction():
                self._write(step, event, items, "tasker")
        elif end == "rollback":
            with self.connection.transaction(force_rollback=True):
                self._write(step, event, items, "save")
            held = bool(self._value("SELECT tasker_checkpoint_heartbeat(%s)", event))
        elif end == "complete":
            with self.connection.transaction():
                self._value("INSERT INTO done VALUES (%s, %s) RETURNING 1", step, items)
                self._value("UPDATE steps SET processed = true WHERE id = %s RETURNING 1", step)
                held = bool(self._value("SELECT tasker_checkpoint_complete(%s)", event))
                self._value("SELECT add_step()")
        if end != "complete":
            delay = "100 ms" if end == "delay" else "0"
            release = "SELECT tasker_checkpoint_release(%s, %s)"
            held = held and bool(self._value(release, event, delay))
        if not held:
            self.errors.append(f"{self.name}: lost {step} before {end}")
        return True

"""What a real server did, accepted or not by the rules of transitions.pml.

    trace.py [--events N] [--seed N] [--seconds S]

Runs the chaos of test/workers for so many seconds, and beside it sessions that call
everything, in a database of their own, until so many events are there; then reads from
the WAL what was committed, in its order, and holds each change of an event's row against
the rules, and what the sessions were told against that.  README.md says more.  The last
line counts checks.
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from acceptor import Acceptor, Rules, changes, position

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "workers"))

from harness import chaos, programs  # noqa: E402
from harness.instance import Instance  # noqa: E402
from harness.report import Report  # noqa: E402

SETTINGS = """
shared_preload_libraries = 'tasker_checkpoint'
wal_level = logical
"""
SESSIONS = 8
STEPS = 40
# a machine that has much else to do
SLOWEST = 20.0
SHOWN = 5


@dataclass
class Told:
    """What a session was told of a call with an event id."""

    call: str
    given: str
    sqlstate: str = ""
    sequence: int = 0
    event_id: str = ""
    replayed: bool = False
    lsn: int = 0


class Session(threading.Thread):
    """Calls everything, with ids that are good, old or another's."""

    #: who has claimed under an id; sessions share what they know
    holders: dict[str, str] = {}

    def __init__(self, conninfo: str, number: int, seed: int, ids: list[tuple[str, str]]) -> None:
        super().__init__(daemon=True)
        self.name = f"session {number}"
        self.conninfo = conninfo
        self.random = random.Random(f"{seed} {number}")
        self.ids = ids
        self.told: list[Told] = []
        self.calls = 0
        self.lost = 0
        self.items = 0
        self.over = threading.Event()
        self.problem = ""

    def run(self) -> None:
        connection = None
        while not self.over.is_set():
            try:
                if connection is None or connection.closed:
                    connection = psycopg.connect(self.conninfo, autocommit=True)
                    connection.execute("SET lock_timeout = '1s'")
                    steps = connection.execute(
                        "SELECT workflow_step_uuid::text FROM tasker.workflow_steps"
                    ).fetchall()
                    self.steps = [step for (step,) in steps]
                self.act(connection)
                self.calls += 1
            except psycopg.OperationalError as error:
                if error.sqlstate is None or error.sqlstate[:2] in ("57", "08"):
                    # the server is down, or will be soon
                    self.lost += 1
                    self.over.wait(0.05)
                    if connection is not None:
                        connection.close()
            except psycopg.Error as error:
                if error.sqlstate not in ("TC001", "TC002", "TC003", "55000", "22023", "40P01"):
                    self.problem = str(error)
            except Exception as error:
                self.problem = repr(error)
                return

    def act(self, connection: psycopg.Connection[Any]) -> None:
        step = self.random.choice(self.steps)
        what = self.random.random()
        if what < 0.25:
            self.claim(connection)
        elif what < 0.80:
            self.use(connection)
        elif what < 0.90:
            connection.execute("SELECT tasker_checkpoint_dispatch(%s)", [step])
        elif what < 0.97:
            call = self.random.choice(["pause", "resume", "resume", "resume", "cancel"])
            connection.execute(f"SELECT tasker_checkpoint_{call}(%s)".encode(), [step])
        elif what < 0.998:
            call = self.random.choice([
                "clear(%s)", "reset_for_retry(%s)",
                "rewind(%s, (SELECT sequence FROM tasker_checkpoint_load(workflow_step_uuid)))"
                " FROM tasker.workflow_steps WHERE workflow_step_uuid = %s",
            ])  # fmt: skip
            connection.execute(
                f"SELECT tasker_checkpoint_{call}".encode(), [step] * call.count("%s")
            )
        else:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
                " current_database() AND backend_type = 'client backend' ORDER BY random() LIMIT 1"
            )

    def claim(self, connection: psycopg.Connection[Any]) -> None:
        lease = self.random.choice(["1 s", "20 ms", "1 ms"])
        for event_id, step in connection.execute(
            "SELECT event_id::text, step_uuid::text FROM tasker_checkpoint_claim(%s, %s, 2)",
            [self.name, lease],
        ):
            self.holders[event_id] = self.name
            self.told.append(Told("claim", event_id))
            self.remember(event_id, step)

    def remember(self, event_id: str, step: str) -> None:
        self.ids.append((event_id, step))
        del self.ids[:-40]

    def use(self, connection: psycopg.Connection[Any]) -> None:
        """Something with an id, of this session or another, good or not."""
        if not self.ids:
            return
        ids = self.ids[-4:] if self.random.random() < 0.85 else self.ids
        event_id, step = self.random.choice(ids)
        call = self.random.choice(
            ["save", "save", "save", "yield", "yield", "heartbeat", "release", "complete"]
        )
        if call in ("save", "yield"):
            self.items += 1
            rows = self.random.random() < 0.4
            self.write(connection, call, event_id, step, self.items, rows)
            if self.random.random() < 0.25:
                self.write(connection, call, event_id, step, self.items, rows)
        else:
            connection.execute(f"SELECT tasker_checkpoint_{call}(%s)".encode(), [event_id])

    def write(
        self, connection: psycopg.Connection[Any], call: str, event_id: str, step: str,
        items: int, rows: bool,
    ) -> None:  # fmt: skip
        told = Told(call, event_id)
        try:
            with connection.transaction():
                if rows:
                    # whoever has it: what the WAL says of who that was is compared
                    connection.execute(
                        "INSERT INTO applied VALUES (%s, %s, %s)",
                        [step, items, self.holders.get(event_id, self.name)],
                    )
                row = connection.execute(
                    f"SELECT sequence, event_id::text, replayed FROM tasker_checkpoint_{call}("
                    "%s, to_jsonb(%s::text), %s, NULL, %s)".encode(),
                    [step, f"{self.name} {items}", items, event_id],
                ).fetchone()
            assert row is not None
            told.sequence, told.event_id, told.replayed = row
            if call == "yield":
                self.remember(told.event_id, step)
        except psycopg.Error as error:
            if error.sqlstate not in ("TC002", "TC003"):
                raise
            told.sqlstate = error.sqlstate
            row = connection.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
            assert row is not None
            told.lsn = position(row[0])
        self.told.append(told)


def judge(told: Told, acceptor: Acceptor) -> str:
    """What is wrong with what a session was told."""
    written = acceptor.written[told.given, told.call]
    match told.call, told.sqlstate:
        case "claim", _:
            if told.given not in acceptor.claimed:
                return f"claimed under {told.given}, which was not"
        case _, "TC002":
            if not acceptor.left.get(told.given, told.lsn + 1) <= told.lsn:
                return f"superseded, but {told.given} was the step's"
        case _, "TC003":
            if not written:
                return f"stored before under {told.given}, but it was not"
        case "yield", _:
            if written != [(told.sequence, told.event_id)]:
                return f"{told}, and written was {written}"
        case _, _:
            if [sequence for sequence, _ in written].count(told.sequence) != 1:
                return f"{told}, and written was {written}"
    return ""


class Operated(chaos.Chaos):
    """The chaos of workers, with operators that hold steps back and take them away."""

    def __init__(self, instance: Instance, seed: int, seconds: float) -> None:
        language = programs.Language("python", programs.COMMANDS["python"])
        super().__init__(instance, [language], seed, seconds)
        self._chance = random.Random(seed)
        times = [self._chance.uniform(0, seconds) for _ in range(int(seconds * 4))]
        self._events = sorted(
            [*self._events, *(chaos.Event(at, "operate") for at in times)]
        ) + [chaos.Event(seconds, "resume")]
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            make_slot(connection)

    def _happen(self, event: chaos.Event) -> bool:
        connection = self.steps.connection
        if event.what == "resume":
            connection.execute(
                "SELECT tasker_checkpoint_resume(step_uuid) FROM tasker_checkpoint_dispatched()"
            )
            return True
        if event.what != "operate":
            return super()._happen(event)
        if not self.made:
            return False
        call = self._chance.choice(
            ["pause", "pause", "cancel", "resume", "resume", "resume", "reset_for_retry"]
        )
        step = self._chance.choice(self.made[-10:])
        try:
            connection.execute("SET lock_timeout = '200ms'")
            connection.execute(f"SELECT tasker_checkpoint_{call}(%s)".encode(), [step.uuid])
        except psycopg.Error:
            return False
        return True


def make_slot(connection: psycopg.Connection[Any]) -> None:
    """From now on all is kept."""
    connection.execute(
        "SELECT pg_create_logical_replication_slot(current_database(), 'test_decoding')"
    )


def accept(instance: Instance, database: str, report: Report) -> Acceptor:
    """Read the trace of a database, and follow it."""
    acceptor = Acceptor(Rules())
    with psycopg.connect(instance.conninfo(database), autocommit=True) as connection:
        for change in changes(connection):
            acceptor.follow(change)
    total = sum(acceptor.counts.values())
    report.check(f"{database}: {total} events are as the rules say", acceptor.problems[:SHOWN])
    report.note(", ".join(f"{n} {name}" for name, n in sorted(acceptor.counts.items())))
    return acceptor


def run(options: argparse.Namespace, report: Report) -> None:
    """Let it happen, and look at what it did."""
    began = time.monotonic()
    with Instance(SETTINGS) as instance:
        conninfo = instance.create_database("sessions")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            make_slot(connection)
            for _ in range(STEPS):
                connection.execute("SELECT tasker_checkpoint_dispatch(add_step('{}'))")
        operated = Operated(instance, options.seed, options.seconds)
        ids: list[tuple[str, str]] = []
        sessions = [Session(conninfo, n, options.seed, ids) for n in range(SESSIONS)]
        try:
            for session in sessions:
                session.start()
            report.attempt("chaos: the steps settle", operated.play)
            # more than one call in three changes something
            while sum(session.calls for session in sessions) < options.events * 3:
                if time.monotonic() - began > options.events / SLOWEST:
                    break
                if not any(session.is_alive() for session in sessions):
                    break
                sessions[0].over.wait(0.2)
        finally:
            for session in sessions:
                session.over.set()
            for session in sessions:
                session.join(30)
            operated.close()
        report.note(", ".join(f"{n} {what}" for what, n in sorted(operated.happened.items())))
        acceptors = [accept(instance, name, report) for name in ("chaos", "sessions")]
        total = sum(sum(acceptor.counts.values()) for acceptor in acceptors)
        few = [] if total >= options.events else [f"{total} events, of {options.events}"]
        report.check(f"{total} events in {time.monotonic() - began:.0f} s", few)
    told = [each for session in sessions for each in session.told]
    problems = [problem for each in told if (problem := judge(each, acceptors[1]))]
    kinds = Counter(each.sqlstate or ("replayed" if each.replayed else each.call) for each in told)
    report.check(f"sessions: {len(told)} answers are as the trace says", problems[:SHOWN])
    report.note(", ".join(f"{n} {kind}" for kind, n in sorted(kinds.items())))
    report.check("sessions: no other error", [s.problem for s in sessions if s.problem])
    unseen = [kind for kind in ("save", "yield", "replayed", "TC002", "TC003") if not kinds[kind]]
    report.check("sessions: all kinds of answers were given", unseen)
    if not report.failed:
        print(
            f"# figure trace: {total} events of seed {options.seed} accepted,"
            f" {len(told)} answers as they say"
        )


def main() -> int:
    """Do what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return programs.conduct("trace", lambda report: run(options, report))


if __name__ == "__main__":
    sys.exit(main())

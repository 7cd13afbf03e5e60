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
import re
import signal
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

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
# however busy the machine is
chaos.SETTLE_SECONDS = 600.0
DIRECTIVES = {"continue": 0, "pause": 1, "cancel": 2}
FIELDS = (
    "id worker directive deliveries yielded_by yielded continuation saved parked".split()
)


class Rules:
    """The rules of transitions.pml, as Python."""

    def __init__(self) -> None:
        text = (HERE / "transitions.pml").read_text()
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        # what is left out by a -D is not
        text = re.sub(r"#ifdef \w+\n.*?#else\n(.*?)#endif", r"\1", text, flags=re.DOTALL)
        self.names: dict[str, Any] = {"true": True, "MAX_DELIVERIES": 20}
        for name, value in re.findall(r"#define (\w+)\t+(\d+)$", text, re.MULTILINE):
            self.names[name] = int(value)
        for name, arguments, body in re.findall(
            r"#define (\w+)\(([\w, ]+)\)\s+\((.*)\)$", text, re.MULTILINE
        ):
            code = f"lambda {arguments}: bool({python(body)})"
            self.names[name] = eval(code, self.names)
        self.effects: dict[str, Any] = {}
        for name, arguments, body in re.findall(r"inline (\w+)\(([\w, ]+)\) { (.*) }", text):
            exec(f"def effect({arguments}):\n    {python(body)}\n", self.names)
            self.effects[name] = self.names["effect"]

    def may(self, name: str, *arguments: Any) -> bool:
        """Whether a call may start from this row."""
        return bool(self.names[name](*arguments))


def python(expression: str) -> str:
    """An expression of Promela's as one of Python's."""
    return expression.replace("&&", " and ").replace("||", " or ")


@dataclass
class Change:
    """A row of the events after a transaction's change; None if it is gone."""

    lsn: int
    commit: int = 0
    step: str = ""
    row: dict[str, Any] | None = None
    #: by the same transaction: the worker of rows, and sequences of checkpoints
    workers: set[str] = field(default_factory=set)
    sequences: list[int] = field(default_factory=list)


COLUMN = re.compile(r"(\w+)\[[^\]]+\]:('(?:[^']|'')*'|\S+)")


def columns(text: str) -> dict[str, Any]:
    """The columns of a line of test_decoding."""
    return {
        name: None if value == "null" else value.strip("'") for name, value in COLUMN.findall(text)
    }


def position(lsn: str) -> int:
    """A place in the WAL."""
    high, low = lsn.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def changes(connection: psycopg.Connection[Any]) -> list[Change]:
    """Read what was committed since the slot was made, in the order of commits."""
    found: list[Change] = []
    open_: list[Change] = []
    workers: dict[str, set[str]] = defaultdict(set)
    sequences: dict[str, list[int]] = defaultdict(list)
    rows = connection.execute(
        "SELECT lsn::text, data FROM pg_logical_slot_get_changes(current_database(), NULL, NULL,"
        " 'include-xids', '0')"
    )
    for lsn, data in rows:
        if data == "BEGIN":
            open_, workers, sequences = [], defaultdict(set), defaultdict(list)
        elif data == "COMMIT":
            for change in open_:
                change.commit = position(lsn)
                change.workers = workers[change.step]
                change.sequences = sequences[change.step]
            found += open_
        elif "tasker_checkpoint_events: " in data[:60]:
            what, text = data.split(": ", 2)[1:]
            values = columns(text)
            row = None if what == "DELETE" else values
            open_.append(Change(position(lsn), step=values["step_uuid"], row=row))
        elif data.startswith("table public.applied: INSERT: "):
            values = columns(data)
            workers[values["step_uuid"]].add(values["worker"])
        elif data.startswith("table public.accepted: INSERT: "):
            values = columns(data)
            sequences[values["step_uuid"]].append(int(values["sequence"]))
    return found


class Acceptor:
    """Follows each step's row through what was committed."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.numbers: dict[Any, int] = {None: 0}
        self.rows: dict[str, SimpleNamespace] = {}
        self.raw: dict[str, dict[str, Any]] = {}
        self.made: set[int] = set()
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        #: when an id ceased to be its step's, and what was written under it
        self.left: dict[str, int] = {}
        self.written: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        self.claimed: set[str] = set()

    def number(self, value: Any) -> int:
        return self.numbers.setdefault(value, len(self.numbers))

    def project(self, row: dict[str, Any] | None) -> SimpleNamespace:
        """The row as the rules know it; who leaves a step's lease to the clock."""
        if row is None:
            return SimpleNamespace(**dict.fromkeys([*FIELDS, "leased"], 0))
        return SimpleNamespace(
            id=self.number(row["event_id"]),
            worker=int(row["worker"] is not None),
            directive=DIRECTIVES[row["directive"]],
            deliveries=int(row["deliveries"]),
            yielded_by=self.number(row["yield_event_id"]),
            yielded=self.receipt(row, "yield"),
            continuation=self.number(row["continuation_id"]),
            saved=self.receipt(row, "save"),
            parked=int(row["parked"] == "true"),
            leased=0,
        )

    def receipt(self, row: dict[str, Any], call: str) -> int:
        """Of the same write twice there are two."""
        at = row[f"{call}_checkpointed_at"]
        return self.number((call, row[f"{call}_digest"], at)) if at else 0

    def explain(self, old: SimpleNamespace, new: SimpleNamespace) -> str | None:
        """The call that makes the new row of the old one; None if there is none."""
        may, left = self.rules.may, {0, old.deliveries}
        calls: list[tuple[str, bool, tuple[Any, ...]]] = [
            ("claim", may("may_claim", old), (new.id, 1)),
            ("park", may("may_park", old), ()),
            ("heartbeat", may("may_heartbeat", old), ()),
            *(
                ("save", new.saved != old.saved and may("is_current", old, old.id), (new.saved, n))
                for n in left
            ),
            *(
                ("yield", may("is_current", old, old.id), (new.id, old.id, new.yielded, n))
                for n in left
            ),
            *(
                ("release", may("is_current", old, old.id), (new.id, n, parked))
                for n, parked in {
                    (old.deliveries, old.parked),
                    (max(old.deliveries - 1, 0), old.parked),
                    (max(old.deliveries - 1, 0), 0),
                }
            ),
            ("complete", True, ()),
            ("dispatch", may("may_dispatch", old), (new.id,)),
            *(("direct", may("may_direct", old, to), (to,)) for to in (1, 2)),
            ("resume", may("may_resume", old), ()),
            ("supersede", may("may_supersede", old), (new.id,)),
            ("place", old.id != 0, ()),
        ]
        for name, allowed, arguments in calls:
            if allowed:
                made = SimpleNamespace(**vars(old))
                if name != "place":
                    self.rules.effects[name](made, *arguments)
                if all(getattr(made, key) == getattr(new, key) for key in FIELDS):
                    return name
        return None

    def follow(self, change: Change) -> None:
        """Accept a change, or say why not."""
        old = self.rows.get(change.step, self.project(None))
        before = self.raw.get(change.step)
        new = self.project(change.row)
        # a lease is over, or it is not, when somebody claims
        if before and change.row and before["worker"] and change.row["worker"]:
            is_other = change.row["event_id"] != before["event_id"]
            old.leased = int(is_other and not ended(before, change.row))
        name = self.explain(old, new)
        self.counts[str(name)] += 1
        if name is None:
            self.wrong(change, f"no call makes {change.row} of {before}")
        if new.id not in (0, old.id):
            if new.id in self.made:
                self.wrong(change, "an id is used again")
            self.made.add(new.id)
        if before and before["event_id"] and new.id != old.id:
            self.left[before["event_id"]] = change.commit
        if name in ("save", "yield") and change.row:
            self.write(name, change, before)
        if name == "claim" and change.row:
            self.claimed.add(change.row["event_id"])
        if change.row is None:
            self.rows.pop(change.step, None)
            self.raw.pop(change.step, None)
        else:
            self.rows[change.step], self.raw[change.step] = new, change.row

    def write(self, name: str, change: Change, before: dict[str, Any] | None) -> None:
        """A checkpoint: with the rows of who has the step, and one more than before."""
        row = change.row
        assert row is not None
        sequence = int(row["sequence"])
        if sequence not in change.sequences:
            self.wrong(change, f"the checkpoint is {change.sequences}, the event's {sequence}")
        holder = before and before["worker"]
        if holder and change.workers - {holder}:
            self.wrong(change, f"written by {change.workers}, and {holder} has the step")
        assert before is not None
        self.written[before["event_id"], name].append((sequence, row["event_id"]))

    def wrong(self, change: Change, what: str) -> None:
        self.problems.append(f"{change.step} at {change.lsn:X}: {what}")


def ended(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether the lease was over when the step was claimed again, by the claim's own."""
    hours, minutes, seconds = after["lease"].split(":")
    lease = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return moment(after["lease_until"]) - lease >= moment(before["lease_until"]) - 0.000_002


def moment(text: str) -> float:
    """A time as the server writes it, in seconds; of one zone, so days will do."""
    return datetime.fromisoformat(re.sub(r"([+-]\d\d)$", r"\1:00", text)).timestamp()


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
            # more than one call in two changes something
            while sum(session.calls for session in sessions) < options.events * 2:
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


def main() -> int:
    """Do what is asked for; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    report = Report()
    try:
        run(options, report)
    except Exception:
        report.crashed("trace")
    finally:
        programs.end_all()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

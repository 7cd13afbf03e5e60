"""Changes of an event's row, as the WAL tells them, and the rules that they follow or not."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg

HERE = Path(__file__).resolve().parent
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

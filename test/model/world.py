"""What the contract promises, as a program that keeps all in dictionaries.

A transaction writes on top of what is committed.  A statement that meets
another transaction's lock raises Blocked, leaves only its locks behind, and
is run again from its beginning when the lock is gone: every function locks
before it changes anything, and looks again after it has waited.

Values are immutable and replaced whole, so a row's version is its identity.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from documents import (
    ABSENT, OWN_KEYS, Skip, Unknown, compose, count, dump, entries, is_edit, is_stale,
    moment, numbered, same, sequence, wild,
)  # fmt: skip
from rows import Blocked, Event, SqlError, Step, Tx

# Where the server does otherwise; README.md says what is right.  The model follows
# it there, unless told to be strict.
KNOWN = {
    "a failed call counts as written",
}


class World:
    """All that is committed, who has what locked, and the settings."""

    def __init__(self, size: Callable[[Any], int]) -> None:
        self.size = size
        self.settings: dict[str, Any] = {}
        self.committed: dict[Any, Any] = {}
        self.transactions: list[Tx] = []
        self.seen_events: set[Any] = set()
        self.window = (datetime.now(UTC), datetime.now(UTC))
        self.ticks = 0

    # Rows

    def base(self, tx: Tx) -> dict[Any, Any]:
        return self.committed if tx.snapshot is None else tx.snapshot

    def view(self, tx: Tx, key: Any) -> Any:
        """What a statement sees."""
        return tx.writes.get(key, self.base(tx).get(key))

    def newest(self, tx: Tx, key: Any) -> Any:
        """What is there, whatever the snapshot."""
        return tx.writes.get(key, self.committed.get(key))

    def holder(self, tx: Tx, key: Any) -> Tx | None:
        for other in self.transactions:
            if other is not tx and key in other.locks:
                return other
        return None

    def lock(self, tx: Tx, key: Any) -> None:
        holder = self.holder(tx, key)
        if holder is None:
            tx.locks.add(key)
            return
        waits = holder
        while waits is not None:
            if waits is tx:
                raise SqlError("40P01")
            waits = waits.waits_for
        raise Blocked(holder, key)

    def put(self, tx: Tx, key: Any, value: Any) -> None:
        assert key in tx.locks
        tx.writes[key] = value

    def lock_step(self, tx: Tx, step: Any) -> Step | None:
        """The newest version, locked; None if there is none to be seen."""
        key = ("step", step)
        if self.view(tx, key) is None:
            return None
        if tx.repeatable and key not in tx.writes:
            if self.committed.get(key) is not self.base(tx).get(key):
                raise SqlError("40001")
        self.lock(tx, key)
        return self.newest(tx, key)

    def require_step(self, tx: Tx, step: Any, lock: bool = True) -> Step:
        if step is None:
            raise SqlError("22004")
        row = self.lock_step(tx, step) if lock else self.view(tx, ("step", step))
        if row is None:
            raise SqlError("P0002")
        return row

    def event(self, tx: Tx, step: Any, lock: bool = False) -> Event | None:
        key = ("event", step)
        event = self.newest(tx, key)
        if event is not None and lock:
            self.lock(tx, key)
        if tx.repeatable and key not in tx.writes:
            known = self.base(tx).get(key)
            if identity(known) != identity(event):
                raise SqlError("40001")
        return event

    def find_event(self, tx: Tx, event_id: Any) -> Any:
        """The step that has this event now, as far as anybody can see."""
        for kind, step in {**self.committed, **tx.writes}:
            if kind == "event" and event_id is not None:
                event = self.newest(tx, (kind, step))
                if event is not None and ident(event.id) == ident(event_id):
                    return step
        return None

    def put_event(self, tx: Tx, step: Any, event: Event | None) -> None:
        self.lock(tx, ("event", step))
        self.put(tx, ("event", step), event)

    # Transactions

    def begin(self, name: str, isolation: str = "READ COMMITTED") -> Tx:
        tx = Tx(name, isolation, Unknown(lambda _: None))
        self.transactions.append(tx)
        return tx

    def run(self, tx: Tx, operation: Callable[["World", Tx], Any]) -> Any:
        """Run a statement.  Raises SqlError and Blocked."""
        if tx.failed:
            raise SqlError("25P02")
        if tx.repeatable and tx.snapshot is None:
            tx.snapshot = dict(self.committed)
        before = tx.state()
        tx.warnings = []
        if tx.waits_for is None:
            tx.memo = {}
        tx.waits_for = None
        try:
            return operation(self, tx)
        except Blocked as blocked:
            locks = tx.locks
            tx.restore(before)
            tx.locks, tx.wrote = locks, before[3]
            tx.waits_for = blocked.holder
            raise
        except SqlError:
            self.fail(tx)
            if "a failed call counts as written" in KNOWN:
                tx.wrote = tx.wrote or None
            raise

    def fail(self, tx: Tx) -> None:
        tx.failed = True
        if tx.saves:
            tx.restore(tx.saves[-1][1])
        else:
            tx.writes, tx.notes = {}, []
            tx.locks = set()

    def end(self, tx: Tx, commit: bool) -> list[tuple[str, int]]:
        """End a transaction; the wake-ups that go out."""
        self.transactions.remove(tx)
        if not commit or tx.failed:
            return []
        self.committed = {**self.committed, **tx.writes}
        return list(dict.fromkeys(tx.notes))

    # Values that the server chooses

    def new_event_id(self) -> Unknown:
        def check(value: Any) -> str | None:
            if value in self.seen_events:
                return f"event id {value} is not new"
            self.seen_events.add(value)
            return None

        return Unknown(check)

    def new_stamp(self, old: Any) -> Unknown:
        stored = moment(old.get("timestamp")) if isinstance(old, dict) else None
        text = old.get("timestamp") if isinstance(old, dict) else None
        if isinstance(text, Unknown) and text.value is None:
            # made in this statement or never to be seen
            stored = None
        start = self.window[0]
        if stored is not None and stored - start > timedelta(minutes=5):
            stored = None

        def check(value: Any) -> str | None:
            if not isinstance(value, str) or not re.fullmatch(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", value
            ):
                return f"{value!r} is no time of a checkpoint"
            at = moment(value)
            least = stored + timedelta(microseconds=1) if stored else None
            if least is not None and at == least and at >= start:
                return None
            if least is not None and at < least:
                return f"time {value} is not after {text}"
            if not start <= at <= self.window[1]:
                return f"time {value} is not the clock's, {self.window}"
            return None

        return Unknown(check)

    def tick(self) -> int:
        self.ticks += 1
        return self.ticks

    # The guard

    def limit(self, tx: Tx, code: str, insert: bool = False) -> None:
        if insert or self.settings["enforce"] == "warning":
            tx.warnings.append(code)
        else:
            raise SqlError(code)

    def results_size(self, doc: Any) -> int:
        if not isinstance(doc, dict):
            return 0
        others = {k: v for k, v in doc.items() if k not in OWN_KEYS}
        size = self.size(doc["accumulated_results"]) if "accumulated_results" in doc else 0
        return size + (self.size(others) if others else 0)

    def over(self, value: Any, limit: int) -> bool:
        """Whether a value is larger; what is surely not is not measured."""
        return 0 <= limit < 64 + 8 * len(dump(value)) and limit < self.size(value)

    def check_limits(self, tx: Tx, doc: Any, old: Any, insert: bool) -> None:
        if self.over(doc["cursor"], self.settings["cursor_limit"]):
            self.limit(tx, "54000", insert)
        self.check_results(tx, doc, old, insert)

    def check_results(self, tx: Tx, doc: Any, old: Any, insert: bool) -> None:
        warning = self.settings["results_warning"]
        if 128 + 8 * len(dump(doc)) < warning <= self.settings["results_limit"]:
            return
        size = self.results_size(doc)
        if 0 <= self.settings["results_limit"] < size:
            self.limit(tx, "54000", insert)
        elif 0 < warning < size and self.results_size(old) <= warning:
            tx.warnings.append("01000")

    def check_wild(self, tx: Tx, doc: Any, insert: bool) -> None:
        if wild({k: v for k, v in doc.items() if k != "history"}):
            if not insert:
                raise SqlError("54000")
            tx.warnings.append("54000")

    def require_shape(self, doc: Any) -> None:
        if (
            not isinstance(doc, dict)
            or "cursor" not in doc
            or count(doc.get("items_processed")) is None
        ):
            raise SqlError("23514")

    def new_checkpoint(
        self, tx: Tx, sent: Any, old: Any, *, insert: bool = False,
        monotonic: bool = False,
    ) -> Any:  # fmt: skip
        self.require_shape(sent)
        self.check_wild(tx, sent, insert)
        self.check_limits(tx, sent, old, insert)
        stored = count(old.get("items_processed")) if isinstance(old, dict) else None
        if monotonic and sent["items_processed"] < (stored or 0):
            self.limit(tx, "TC001")
        stamp = self.new_stamp(old)
        number = sequence(old) + 1
        kept: list[Any] = []
        for entry in entries(old):
            # what breaks readers would do so for ever
            kept = [] if wild(entry) else [*kept, entry]
        history = [*kept, {
            "cursor": sent["cursor"],
            "items_processed": sent["items_processed"],
            "timestamp": stamp,
        }]  # fmt: skip
        most, bytes_ = (self.settings["history_limit"], self.settings["history_size"])
        while history and (0 <= most < len(history) or self.over(history, bytes_)):
            history = history[1:]
        return compose(sent, history, number - len(history), stamp)

    def guard_update(self, tx: Tx, step: Any, old: Any, sent: Any, inserted: bool = False) -> Any:
        """What a direct UPDATE stores."""
        if sent is None:
            if old is not None and self.settings["require_claim"]:
                event = self.event(tx, step, lock=True)
                if event is not None and event.worker and event.alive:
                    raise SqlError("TC002")
            if old is not None:
                self.end_generation(tx, step)
            return None
        if old is not None and same(sent, old):
            return old
        if not isinstance(sent, dict):
            raise SqlError("23514")
        if is_edit(sent, old):
            return self.edit(tx, sent, old)
        if not inserted and is_stale(sent, old):
            if not tx.stale_warned:
                tx.warnings.append("stale")
            tx.stale_warned = True
            return old
        if self.settings["require_claim"]:
            raise SqlError("TC002", *(["23514"] if "cursor" not in sent else []))
        monotonic = self.settings["require_monotonic_items"] == "all"
        return self.new_checkpoint(tx, sent, old, monotonic=monotonic)

    def edit(self, tx: Tx, sent: Any, old: Any) -> Any:
        self.require_shape(sent)
        history = sent.get("history", ABSENT)
        if history is not ABSENT and not isinstance(history, list):
            raise SqlError("23514")
        changed = {k: v for k, v in sent.items() if not same(v, old.get(k, ABSENT))}
        self.check_wild(tx, changed, False)
        if self.others_size(sent) > self.others_size(old):
            self.check_results(tx, sent, old, False)
        kept = entries(old)
        if history is not ABSENT:
            kept = kept[max(len(kept) - len(history), 0) :]
        return compose(sent, kept, sequence(old) - len(kept), old["timestamp"])

    def others_size(self, doc: Any) -> int:
        others = {k: v for k, v in doc.items() if k not in OWN_KEYS}
        return self.size(others) if others else 0

    def guard_insert(self, tx: Tx, sent: Any) -> Any:
        """What an INSERT stores."""
        if sent is None:
            return None
        self.require_shape(sent)
        if not isinstance(sent.get("history", []), list):
            raise SqlError("23514")
        if not sent.get("history") and "history_truncated" not in sent:
            return self.new_checkpoint(tx, sent, None, insert=True)
        cut = sent.get("history_truncated", 0)
        if count(cut) is None or cut > 2**53:
            raise SqlError("23514")
        self.check_wild(tx, sent, True)
        self.check_limits(tx, sent, sent, True)
        return sent

    # The trail: for each generation its entries, whether cleared, and results

    def trail(self, tx: Tx, step: Any) -> Any:
        return self.newest(tx, ("trail", step)) or ()

    def put_trail(self, tx: Tx, step: Any, trail: Any) -> None:
        tx.writes[("trail", step)] = trail

    def end_generation(self, tx: Tx, step: Any) -> None:
        doc = self.newest(tx, ("step", step)).doc
        trail = self.trail(tx, step)
        if not self.settings["archive_history"]:
            self.put_trail(tx, step, ())
        elif trail:
            last = trail[-1]
            results = doc.get("accumulated_results") if isinstance(doc, dict) else None
            self.put_trail(tx, step, (*trail[:-1], (last[0], True, results)))

    def store(self, tx: Tx, step: Any, doc: Any, **others: Any) -> None:
        """Store a row's new version, and what history() will say of it."""
        key = ("step", step)
        old = self.newest(tx, key)
        row = (old or Step(updated=tx.now, born=self.tick()))._replace(doc=doc, **others)
        self.put(tx, key, row)
        if doc is None or (old is not None and old.doc is doc):
            return
        trail = self.trail(tx, step)
        if not trail or trail[-1][1] or old is None or old.doc is None:
            trail = (*trail, ((), False, None))
        known = dict(trail[-1][0]) if self.settings["archive_history"] else {}
        known.update(numbered(doc))
        if sequence(doc) == 0:
            pass  # an inserted one without history: no entry has this number
        elif sequence(doc) not in known or "the present entry is the history's" not in KNOWN:
            known[sequence(doc)] = {
                k: doc[k] for k in ("cursor", "items_processed", "timestamp") if k in doc
            }
        self.put_trail(tx, step, (*trail[:-1], (tuple(sorted(known.items())), False, None)))

    # Writers

    def wake(self, tx: Tx, step: Any, event: Event) -> None:
        if event.id is not None and event.directive == "continue" and not event.parked:
            if self.settings["notify"]:
                tx.notes.append((step, event.sequence))

    def offer(self, event: Event, **changes: Any) -> Event:
        return event._replace(
            id=self.new_event_id(), worker=None, lease=None, alive=False,
            available=self.tick(), delayed=False, **changes,
        )  # fmt: skip

    def supersede(self, tx: Tx, step: Any, number: int) -> Event | None:
        event = self.event(tx, step, lock=True)
        if event is None or event.id is None:
            return event
        event = self.offer(event, deliveries=0, parked=False, sequence=number)
        self.put_event(tx, step, event)
        self.wake(tx, step, event)
        return event


def ident(value: Any) -> Any:
    """An event id as such, whether it is known by now or not."""
    if isinstance(value, Unknown):
        return value if value.value is None else value.value
    return value


def identity(event: Event | None) -> Any:
    """What must not have changed since a transaction's snapshot."""
    if event is None:
        return None
    return (ident(event.id), event.directive, event.yielded, event.saved)

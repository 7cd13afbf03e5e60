"""What can be done to a step: its SQL, and what the model makes of it.

Each operation is a function of the model, world and transaction first, and of
the arguments; its SQL is made of the same arguments.  JSON arguments are
Python values, with ABSENT for SQL's NULL.
"""

from collections.abc import Callable
from typing import Any

from documents import ABSENT, Skip, dump, numbered, same, sequence, wild
from rows import DIRECTIVES, Event, Receipt, SqlError, Tx
from world import KNOWN, World, ident

TABLE = "tasker.workflow_steps"
KEY = "workflow_step_uuid"
F = "tasker_checkpoint_"
NO_EVENT = "ffffffff-ffff-4fff-8fff-ffffffffffff"
LEASES = {"1 hour": True, "1 microsecond": False}

Operation = Callable[..., Any]
MODEL: dict[str, Operation] = {}
SQL: dict[str, Callable[..., str]] = {}


def operation(sql: Callable[..., str]) -> Callable[[Operation], Operation]:
    """Give a function of the model its SQL."""

    def register(function: Operation) -> Operation:
        name = function.__name__
        MODEL[name] = function
        SQL[name] = sql
        return function

    return register


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def json_sql(value: Any) -> str:
    return "NULL::jsonb" if value is ABSENT else quote(dump(value)) + "::jsonb"


def arg(value: Any) -> str:
    if value is None or value is ABSENT:
        return "NULL"
    if isinstance(value, bool | int):
        return str(value).lower()
    return quote(value)


# Written by functions


def write_sql(kind: str) -> Callable[..., str]:
    return lambda s, cursor, items, results, event: (
        f"SELECT * FROM {F}{kind}({arg(s)}, {json_sql(cursor)}, {arg(items)}, "
        f"{json_sql(results)}, {arg(event)})"
    )


def write(
    w: World, tx: Tx, kind: str, s: Any, cursor: Any, items: Any, results: Any,
    event_id: Any, quiet: bool = False,
) -> Any:  # fmt: skip
    if s is None or cursor is ABSENT or items is None:
        raise SqlError("22004")
    if items < 0:
        raise SqlError("22023")
    row = w.require_step(tx, s)
    event = w.event(tx, s, lock=quiet or (kind == "save" and event_id is None))
    old = row.doc
    results = None if results is ABSENT else results
    written = dump([cursor, items, results])
    if event_id is None:
        if w.settings["require_claim"] or (event and event.worker and event.alive):
            raise SqlError("TC002")
    else:
        current = event is not None and ident(event.id) == event_id
        receipt = event and (event.yielded if kind == "yield" else event.saved)
        if receipt and ident(receipt.event) == event_id and receipt.written == written:
            if is_answered(tx, kind, receipt, current, old):
                return answer(w, tx, kind, s, event, receipt)
        elif not current:
            if quiet:
                return [(False,)]
            raise SqlError("TC002")
    if row.processed:
        raise SqlError("55000")
    sent = {"cursor": cursor, "items_processed": items, "accumulated_results": results}
    doc = w.new_checkpoint(tx, sent, old, monotonic=w.settings["require_monotonic_items"] != "off")
    w.store(tx, s, doc, updated=tx.now)
    if tx.wrote:
        # whether this checkpoint answers for what was written is not said
        tx.wrote = None
    number = sequence(doc)
    progress = not (
        isinstance(old, dict)
        and same(old.get("cursor", ABSENT), cursor)
        and same(old.get("items_processed"), items)
    )
    if kind == "save" and event_id is None:
        return [(number, None, event.directive if event else "continue", False)]
    event = event or Event()
    receipt = event_id and Receipt(event_id, written, number, doc["timestamp"], tx)
    event = event._replace(
        parked=False, sequence=number, deliveries=0 if progress else event.deliveries
    )
    if kind == "yield":
        event = w.offer(event, yielded=receipt)
        event = event._replace(continuation=event.id if receipt else None)
    else:
        event = extend(w, event)._replace(saved=receipt)
    w.put_event(tx, s, event)
    if kind == "yield":
        w.wake(tx, s, event)
    if quiet:
        return [(True,)]
    return [(number, event.id if kind == "yield" else event_id, event.directive, False)]


def is_answered(tx: Tx, kind: str, receipt: Receipt, current: bool, old: Any) -> bool:
    """Whether a repeated write is a replay: the four rules."""
    if kind == "save":
        if not current:
            raise SqlError("TC002")
        has = receipt.sequence, receipt.timestamp
        present = isinstance(old, dict) and same(old.get("timestamp"), has[1])
        if not (present and sequence(old) == has[0]):
            kept = numbered(old)
            there = any(n == has[0] and same(e.get("timestamp"), has[1]) for n, e in kept)
            cut = has[0] <= sequence(old) - len(kept)
            if there or cut:
                if tx.wrote is None:
                    raise Skip
                if tx.wrote:
                    raise SqlError("TC003")
            return False
    if receipt.tx is not tx:
        if tx.wrote is None:
            raise Skip
        if tx.wrote:
            raise SqlError("TC003")
    return True


def answer(w: World, tx: Tx, kind: str, s: Any, event: Event, receipt: Receipt) -> Any:
    if kind == "save":
        w.put_event(tx, s, extend(w, event))
        return [(receipt.sequence, receipt.event, event.directive, True)]
    return [(receipt.sequence, event.continuation, event.directive, True)]


def extend(w: World, event: Event) -> Event:
    """A claim's lease; one that has run out takes its event to the end of those that wait."""
    if event.worker is None:
        return event
    return event._replace(
        alive=event.alive or LEASES.get(event.lease or "", False),
        available=event.available if event.alive else w.tick(),
    )


@operation(write_sql("yield"))
def yield_(w: World, tx: Tx, *args: Any) -> Any:
    return write(w, tx, "yield", *args)


@operation(write_sql("save"))
def save(w: World, tx: Tx, *args: Any) -> Any:
    return write(w, tx, "save", *args)


def event_data(s: Any, cursor: Any, items: Any, results: Any) -> Any:
    data = {
        "step_uuid": s, "cursor": cursor, "items_processed": items,
        "accumulated_results": results,
    }  # fmt: skip
    return {k: v for k, v in data.items() if v is not ABSENT}


@operation(
    lambda event, *data: f"SELECT {F}yield_step_event({arg(event)}, {json_sql(event_data(*data))})"
)
def step_event(
    w: World, tx: Tx, event_id: Any, s: Any, cursor: Any, items: Any, results: Any
) -> Any:
    if event_id is None:
        raise SqlError("22004")
    if s is None or cursor is ABSENT or type(items) is not int or items < 0:
        raise SqlError("22023")
    if find(w, tx, event_id) not in (None, s):
        raise SqlError("22023")
    rows = write(w, tx, "yield", s, cursor, items, results, event_id, quiet=True)
    return [(rows[0][0] if len(rows[0]) == 1 else True,)]


@operation(
    lambda s, to, results: f"SELECT * FROM {F}rewind({arg(s)}, {arg(to)}, {json_sql(results)})"
)
def rewind(w: World, tx: Tx, s: Any, to: Any, results: Any) -> Any:
    if s is None or to is None:
        raise SqlError("22004")
    row = w.require_step(tx, s)
    if row.processed:
        raise SqlError("55000")
    trail = w.trail(tx, s)
    known = dict(trail[-1][0]) if row.doc is not None and trail else {}
    entry = known.get(to)
    if entry is None or "cursor" not in entry or type(entry.get("items_processed")) is not int:
        raise SqlError("22023")
    sent = {
        "cursor": entry["cursor"], "items_processed": entry["items_processed"],
        "accumulated_results": None if results is ABSENT else results,
    }  # fmt: skip
    doc = w.new_checkpoint(tx, sent, row.doc)
    w.store(tx, s, doc, updated=tx.now)
    event = w.supersede(tx, s, sequence(doc)) or Event()
    return [(sequence(doc), event.id, event.directive, False)]


@operation(lambda s: f"SELECT {F}clear({arg(s)})")
def clear(w: World, tx: Tx, s: Any) -> Any:
    row = w.require_step(tx, s)
    if row.doc is not None:
        w.end_generation(tx, s)
        w.store(tx, s, None, updated=tx.now)
    w.supersede(tx, s, 0)
    return [(row.doc is not None,)]


@operation(lambda s, checkpoint: f"SELECT {F}reset_for_retry({arg(s)}, {arg(checkpoint)})")
def reset(w: World, tx: Tx, s: Any, checkpoint: Any) -> Any:
    if s is None or checkpoint is None:
        raise SqlError("22004")
    row = w.require_step(tx, s)
    doc = row.doc
    if checkpoint and doc is not None:
        w.end_generation(tx, s)
        doc = None
    w.store(tx, s, doc, processed=False, in_process=False, results=None, updated=tx.now)
    w.supersede(tx, s, sequence(doc))
    return [("",)]


# Dispatch


@operation(lambda s: f"SELECT {F}dispatch({arg(s)})")
def dispatch(w: World, tx: Tx, s: Any) -> Any:
    row = w.require_step(tx, s, lock=False)
    for lock in (False, True):
        if lock:
            row = w.require_step(tx, s)
        if row.processed:
            raise SqlError("55000")
        event = w.event(tx, s, lock=lock)
        if event is not None and event.id is not None:
            held = event.worker or event.parked or event.directive != "continue"
            free = event.directive == "continue" and not event.parked
            if not lock and free and not (event.worker and event.alive):
                continue
            # one that is delayed waits no longer
            if not held and event.delayed:
                event = event._replace(delayed=False, available=w.tick())
                w.put_event(tx, s, event)
                w.wake(tx, s, event)
            return [(None if held else event.id,)]
    event = w.offer(event or Event(), sequence=sequence(row.doc))
    w.put_event(tx, s, event)
    w.wake(tx, s, event)
    return [(event.id if event.directive == "continue" else None,)]


@operation(
    lambda worker, lease, most, s: f"SELECT event_id, step_uuid, has_checkpoint, cursor, "
    f"items_processed, accumulated_results, sequence, deliveries "
    f"FROM {F}claim({arg(worker)}, {arg(lease)}, {arg(most)}, {arg(s)})"
)
def claim(w: World, tx: Tx, worker: Any, lease: Any, most: Any, s: Any) -> Any:
    if worker is None or lease is None or most is None:
        raise SqlError("22004")
    if not 1 <= len(worker) <= 200 or lease not in LEASES or not 1 <= most <= 1000:
        raise SqlError("22023")
    if tx.repeatable:
        raise SqlError("25000")
    if s is not None:
        w.require_step(tx, s, lock=False)
    rows: list[Any] = []
    found = [
        (e.available, k[1])
        for k in {**w.committed, **tx.writes}
        if k[0] == "event" and (e := w.newest(tx, k)) and s in (None, k[1])
    ]
    for _, step in sorted(found, key=lambda f: f[0]):
        event = w.newest(tx, ("event", step))
        if s and "claim of a step locks it" in KNOWN and not w.holder(tx, ("event", step)):
            w.lock(tx, ("event", step))
        if len(rows) == most or not is_claimable(event):
            continue
        if w.holder(tx, ("event", step)):
            continue
        rows += deliver(w, tx, worker, lease, step, event)
    return rows


def is_claimable(event: Event) -> bool:
    return (
        event.id is not None
        and event.directive == "continue"
        and not event.parked
        and not event.delayed
        and not (event.worker and event.alive)
    )


def deliver(w: World, tx: Tx, worker: str, lease: str, s: Any, event: Event) -> Any:
    row = w.view(tx, ("step", s))
    if row is None or row.processed:
        w.put_event(tx, s, None)
        return []
    most = w.settings["max_deliveries"]
    doc = row.doc
    if 0 < most <= event.deliveries or (doc is not None and wild(doc)):
        w.put_event(tx, s, event._replace(parked=True))
        return []
    event = event._replace(
        id=w.new_event_id(), worker=worker, lease=lease, alive=LEASES[lease],
        deliveries=event.deliveries + 1, sequence=sequence(doc), available=w.tick(),
    )  # fmt: skip
    w.put_event(tx, s, event)
    return [(event.id, s, *resume_columns(doc), sequence(doc), event.deliveries)]


def resume_columns(doc: Any) -> tuple[Any, ...]:
    if not isinstance(doc, dict):
        return (False, ABSENT, 0, ABSENT)
    results = doc.get("accumulated_results")
    return (
        True, doc.get("cursor", ABSENT), doc.get("items_processed"),
        ABSENT if results is None else results,
    )  # fmt: skip


def find(w: World, tx: Tx, event_id: Any) -> Any:
    """The step whose event this is, by the newest rows."""
    if event_id is None:
        raise SqlError("22004")
    step = w.find_event(tx, event_id)
    if step is None and tx.repeatable:
        for key, event in w.base(tx).items():
            known = key[0] == "event" and key not in tx.writes and event
            if known and ident(event.id) == event_id:
                raise SqlError("40001")
    return step


@operation(lambda event, lease: f"SELECT {F}heartbeat({arg(event)}, {arg(lease)})")
def heartbeat(w: World, tx: Tx, event_id: Any, lease: Any) -> Any:
    if event_id is None:
        raise SqlError("22004")
    if lease is not None and lease not in LEASES:
        raise SqlError("22023")
    s = find(w, tx, event_id)
    if s is None:
        return [(False,)]
    if w.holder(tx, ("event", s)):
        return [(w.event(tx, s).worker is not None,)]
    event = w.event(tx, s, lock=True)
    if not event.worker:
        return [(False,)]
    w.put_event(tx, s, extend(w, event._replace(lease=lease or event.lease)))
    return [(True,)]


@operation(lambda event: f"SELECT {F}complete({arg(event)})")
def complete(w: World, tx: Tx, event_id: Any) -> Any:
    s = find(w, tx, event_id)
    if s is None:
        return [(False,)]
    event = w.event(tx, s, lock=True)
    rest = None
    if event.directive != "continue":
        rest = Event(directive=event.directive, sequence=event.sequence)
    w.put_event(tx, s, rest)
    return [(True,)]


@operation(
    lambda event, delay, interrupted: f"SELECT {F}release({arg(event)}, {arg(delay)}"
    + (", interrupted => true)" if interrupted else ")")
)
def release(w: World, tx: Tx, event_id: Any, delay: Any, interrupted: Any) -> Any:
    if event_id is None or delay is None:
        raise SqlError("22004")
    if delay not in ("0", "1 hour", "1 day"):
        raise SqlError("22023")
    s = find(w, tx, event_id)
    if s is None:
        return [(False,)]
    event = w.event(tx, s, lock=True)
    taken = 1 if interrupted and event.worker else 0
    left = max(event.deliveries - taken, 0)
    most = w.settings["max_deliveries"]
    lifted = taken and event.deliveries and (most == 0 or left < most)
    event = w.offer(event, deliveries=left, parked=event.parked and not lifted)
    event = event._replace(delayed=delay != "0")
    w.put_event(tx, s, event)
    if delay == "0":
        w.wake(tx, s, event)
    return [(True,)]


def direct(w: World, tx: Tx, s: Any, directive: str) -> Any:
    w.require_step(tx, s, lock=False)
    event = w.event(tx, s) or Event()
    if DIRECTIVES.index(event.directive) >= DIRECTIVES.index(directive):
        return [(False,)]
    event = w.event(tx, s, lock=True) or Event()
    w.put_event(tx, s, event._replace(directive=directive, available=w.tick()))
    return [(True,)]


@operation(lambda s: f"SELECT {F}pause({arg(s)})")
def pause(w: World, tx: Tx, s: Any) -> Any:
    return direct(w, tx, s, "pause")


@operation(lambda s: f"SELECT {F}cancel({arg(s)})")
def cancel(w: World, tx: Tx, s: Any) -> Any:
    return direct(w, tx, s, "cancel")


@operation(lambda s: f"SELECT {F}resume({arg(s)})")
def resume(w: World, tx: Tx, s: Any) -> Any:
    w.require_step(tx, s, lock=False)
    event = w.event(tx, s)
    if event is None or (event.directive == "continue" and not event.parked):
        return [(False,)]
    event = w.event(tx, s, lock=True)
    deliveries = 0 if event.parked else event.deliveries
    event = event._replace(
        directive="continue", parked=False, deliveries=deliveries, available=w.tick()
    )
    w.put_event(tx, s, event if event.id is not None else None)
    if not (event.worker and event.alive):
        w.wake(tx, s, event)
    return [(True,)]

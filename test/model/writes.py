"""What others than our functions can do to a step, and maintenance; see operations.py."""

from typing import Any

from documents import ABSENT, Skip, entries
from operations import F, KEY, NO_EVENT, SQL, TABLE, arg, json_sql, operation, quote
from rows import SqlError, Step, Tx
from world import World


def wrote(tx: Tx, rows: int) -> int:
    tx.wrote = True if rows else tx.wrote or None
    return rows


def is_another(row: Step | None, present: Step) -> bool:
    return row is None or row.born != present.born


def lock_row(w: World, tx: Tx, s: Any) -> Any:
    """As World.lock_step, for a statement that does not look again: one that has
    waited for a DELETE finds nothing, also if the step was inserted anew."""
    key = ("step", s)
    holder = w.holder(tx, key)
    present = w.committed.get(key)
    if holder and present and is_another(holder.writes.get(key, present), present):
        tx.memo["deleted"] = present
    elif not tx.repeatable and "deleted" in tx.memo:
        if w.committed.get(key) is not tx.memo["deleted"]:
            return None
    return w.lock_step(tx, s)


def change(w: World, tx: Tx, s: Any, sent: Any, inserted: bool = False, **others: Any) -> int:
    """An UPDATE that sets the checkpoint."""
    row = lock_row(w, tx, s)
    if row is not None:
        w.store(tx, s, w.guard_update(tx, s, row.doc, sent, inserted), **others)
    return wrote(tx, 0 if row is None else 1)


def touch(w: World, tx: Tx, s: Any, **others: Any) -> int:
    """An UPDATE that does not."""
    row = lock_row(w, tx, s)
    if row is not None:
        w.put(tx, ("step", s), row._replace(**others))
    return wrote(tx, 0 if row is None else 1)


def conflicting(w: World, tx: Tx, s: Any) -> bool:
    """Whether the row that an INSERT brings is there; waits to know it."""
    key = ("step", s)
    holder = w.holder(tx, key)
    if holder and holder.waits_for is not None:
        # it may have changed the row before it began to wait
        raise Skip
    if holder and (key in holder.writes or w.newest(tx, key) is None):
        w.lock(tx, key)
    return w.newest(tx, key) is not None


def add(w: World, tx: Tx, s: Any, doc: Any) -> int:
    w.lock(tx, ("step", s))
    w.store(tx, s, doc, updated=tx.now)
    return wrote(tx, 1)


def where(s: Any) -> str:
    return f"WHERE {KEY} = {arg(s)}"


@operation(
    lambda s, doc: f"INSERT INTO {TABLE} ({KEY}, checkpoint) VALUES ({arg(s)}, {json_sql(doc)})"
)
def insert(w: World, tx: Tx, s: Any, doc: Any) -> int:
    stored = w.guard_insert(tx, None if doc is ABSENT else doc)
    if conflicting(w, tx, s):
        raise SqlError("23505", "40001") if tx.repeatable else SqlError("23505")
    return add(w, tx, s, stored)


@operation(lambda s, doc: SQL["insert"](s, doc) + " ON CONFLICT DO NOTHING")
def insert_nothing(w: World, tx: Tx, s: Any, doc: Any) -> int:
    stored = w.guard_insert(tx, None if doc is ABSENT else doc)
    if not conflicting(w, tx, s):
        return add(w, tx, s, stored)
    if w.view(tx, ("step", s)) is not w.newest(tx, ("step", s)):
        raise SqlError("40001")
    return wrote(tx, 0)


@operation(
    lambda s, doc: SQL["insert"](s, doc)
    + f" ON CONFLICT ({KEY}) DO UPDATE SET checkpoint = excluded.checkpoint"
)
def upsert(w: World, tx: Tx, s: Any, doc: Any) -> int:
    stored = w.guard_insert(tx, None if doc is ABSENT else doc)
    if not conflicting(w, tx, s):
        return add(w, tx, s, stored)
    if w.view(tx, ("step", s)) is None:
        raise SqlError("40001")
    return change(w, tx, s, stored, inserted=stored is not doc)


@operation(
    lambda s, doc: f"MERGE INTO {TABLE} t USING (VALUES ({arg(s)}::uuid, {json_sql(doc)})) "
    f"AS v (id, doc) ON t.{KEY} = v.id "
    f"WHEN MATCHED THEN UPDATE SET checkpoint = v.doc "
    f"WHEN NOT MATCHED THEN INSERT ({KEY}, checkpoint) VALUES (v.id, v.doc)"
)
def merge(w: World, tx: Tx, s: Any, doc: Any) -> int:
    doc = None if doc is ABSENT else doc
    matched = w.view(tx, ("step", s)) is not None
    # it has looked before it waits, and does not look again
    if tx.memo.setdefault("matched", matched) and matched and lock_row(w, tx, s) is not None:
        return change(w, tx, s, doc)
    stored = w.guard_insert(tx, doc)
    if conflicting(w, tx, s):
        raise SqlError("23505", "40001") if tx.repeatable else SqlError("23505")
    return add(w, tx, s, stored)


@operation(lambda s, doc: f"UPDATE {TABLE} SET checkpoint = {json_sql(doc)} {where(s)}")
def update(w: World, tx: Tx, s: Any, doc: Any) -> int:
    return change(w, tx, s, None if doc is ABSENT else doc)


@operation(
    lambda s, doc: f"UPDATE {TABLE} SET note = -1, checkpoint = {json_sql(doc)} {where(s)}"
)
def suppressed(w: World, tx: Tx, s: Any, doc: Any) -> int:
    """What a later trigger keeps from being stored: all is as it was."""
    row = lock_row(w, tx, s)
    if row is not None:
        trail = w.trail(tx, s)
        w.guard_update(tx, s, row.doc, None if doc is ABSENT else doc)
        w.put_trail(tx, s, trail)
    return wrote(tx, 0)


@operation(
    lambda s, doc: f"UPDATE {TABLE} SET checkpoint = jsonb_set({json_sql(doc)}, '{{history}}', "
    f"coalesce((SELECT checkpoint -> 'history' FROM {TABLE} {where(s)}), '[]'::jsonb) || "
    f"jsonb_build_array(jsonb_build_object('cursor', {json_sql(doc)} -> 'cursor', "
    f"'timestamp', now()))), updated_at = now() {where(s)}"
)
def tasker(w: World, tx: Tx, s: Any, doc: Any) -> int:
    """Tasker's own statement."""
    entry = {"cursor": doc["cursor"], "timestamp": "another"}
    return change(w, tx, s, {**doc, "history": [entry]}, updated=tx.now)


COPY_CHANGES: dict[str, Any] = {
    "as it was": ("{}", lambda d: d),
    "other key": ("{} || '{{\"mark\": [1]}}'", lambda d: {**d, "mark": [1]}),
    "large other key": (
        "{} || jsonb_build_object('mark', repeat('x', 300))",
        lambda d: {**d, "mark": "x" * 300},
    ),
    "no history": ("{} - 'history'", lambda d: {k: v for k, v in d.items() if k != "history"}),
    "empty history": ("{} || '{{\"history\": []}}'", lambda d: {**d, "history": []}),
    "history is an object": ("{} || '{{\"history\": {{}}}}'", lambda d: {**d, "history": {}}),
    "newest entry": (
        "jsonb_set({0}, '{{history}}', jsonb_path_query_array({0}, '$.history[last]'))",
        lambda d: {**d, "history": d.get("history", [])[-1:]},
    ),
    "no timestamp": (
        "{} - 'timestamp'",
        lambda d: {k: v for k, v in d.items() if k != "timestamp"},
    ),
    "other results": (
        "{} || '{{\"accumulated_results\": 7}}'",
        lambda d: {**d, "accumulated_results": 7},
    ),
    "no results": (
        "{} - 'accumulated_results'",
        lambda d: {k: v for k, v in d.items() if k != "accumulated_results"},
    ),
}


@operation(
    lambda s, copy, how: f"UPDATE {TABLE} SET processed = {arg(copy.processed)}, "
    f"note = {arg(copy.note)}, checkpoint = "
    f"{COPY_CHANGES[how][0].format(json_sql(copy.doc))} {where(s)}"
)
def write_back(w: World, tx: Tx, s: Any, copy: Step, how: str) -> int:
    """A copy of the whole row, as an object-relational mapper has it."""
    doc = None if copy.doc is ABSENT else COPY_CHANGES[how][1](copy.doc)
    return change(w, tx, s, doc, processed=copy.processed, note=copy.note)


def composed(copy: Step, items: int, at: str, how: str) -> Any:
    """A document on top of a copy, by a writer who composes like the guard."""
    own = {"cursor": items, "items_processed": items, "timestamp": at}
    old = copy.doc if isinstance(copy.doc, dict) and how != "alone" else {}
    history = old.get("history")
    doc = {**own, "history": [*(history if isinstance(history, list) else []), own]}
    if how == "counted" and "history_truncated" in old:
        doc["history_truncated"] = old["history_truncated"]
    return doc


@operation(
    lambda s, copy, items, at, how: f"UPDATE {TABLE} SET "
    f"checkpoint = {json_sql(composed(copy, items, at, how))} {where(s)}"
)
def compose(w: World, tx: Tx, s: Any, copy: Step, items: int, at: str, how: str) -> int:
    """A writer with a clock of its own, who has read the copy."""
    return change(w, tx, s, composed(copy, items, at, how))


@operation(lambda s: f"DELETE FROM {TABLE} {where(s)}")
def delete(w: World, tx: Tx, s: Any) -> int:
    row = lock_row(w, tx, s)
    if row is not None:
        # its event goes along, the newest, whatever the snapshot has
        if w.newest(tx, ("event", s)) is not None:
            w.put_event(tx, s, None)
        w.put(tx, ("step", s), None)
        w.put_trail(tx, s, ())
    return wrote(tx, 0 if row is None else 1)


@operation(lambda: f"TRUNCATE {TABLE}")
def truncate(w: World, tx: Tx) -> int:
    """Steps are gone, and their events are not."""
    alone(w)
    for s in steps(w, tx):
        w.lock_step(tx, s)
        w.put(tx, ("step", s), None)
        w.put_trail(tx, s, ())
    tx.wrote = True
    return -1


@operation(
    lambda s: f"UPDATE {TABLE} SET processed = true, in_process = false, results = '7' {where(s)}"
)
def finish(w: World, tx: Tx, s: Any) -> int:
    return touch(w, tx, s, processed=True, in_process=False, results=7)


@operation(
    lambda s, note: f"UPDATE {TABLE} SET processed = false, in_process = true, note = {arg(note)} {where(s)}"
)
def annotate(w: World, tx: Tx, s: Any, note: int) -> int:
    return touch(w, tx, s, processed=False, in_process=True, note=note)


@operation(lambda s: f"UPDATE {TABLE} SET {KEY} = {quote(NO_EVENT)} {where(s)}")
def rekey(w: World, tx: Tx, s: Any) -> int:
    """Another key, which a step that is dispatched can't have."""
    row = lock_row(w, tx, s)
    if row is not None:
        if w.event(tx, s, lock=True) is None:
            raise Skip
        raise SqlError("55000")
    return wrote(tx, 0)


@operation(lambda s: f"SELECT 1 FROM {TABLE} {where(s)} FOR NO KEY UPDATE")
def hold(w: World, tx: Tx, s: Any) -> Any:
    row = lock_row(w, tx, s)
    wrote(tx, 0)
    return [] if row is None else [(1,)]


@operation(lambda: "INSERT INTO work VALUES (1)")
def work(w: World, tx: Tx) -> int:
    """A row of the worker's own."""
    return wrote(tx, 1)


# Maintenance, which passes over what others have: only alone


def alone(w: World) -> None:
    if len(w.transactions) > 1:
        raise Skip


def steps(w: World, tx: Tx) -> list[Any]:
    keys = sorted(k for k in {**w.committed, **tx.writes} if k[0] == "step")
    return [k[1] for k in keys if w.view(tx, k) is not None]


@operation(lambda: f"SELECT {F}purge('0')")
def purge(w: World, tx: Tx) -> Any:
    alone(w)
    purged = 0
    for s in steps(w, tx):
        row = w.view(tx, ("step", s))
        event = w.newest(tx, ("event", s))
        if row.processed and row.doc is not None and not (event and event.worker and event.alive):
            lock_row(w, tx, s)
            w.end_generation(tx, s)
            w.store(tx, s, None)
            purged += 1
    return [(purged,)]


@operation(lambda limit: f"SELECT {F}trim({arg(limit)})")
def trim(w: World, tx: Tx, limit: int) -> Any:
    alone(w)
    trimmed = 0
    for s in steps(w, tx):
        doc = w.view(tx, ("step", s)).doc
        history = entries(doc)
        if len(history) > limit:
            lock_row(w, tx, s)
            cut = {**doc, "history": history[len(history) - limit :]}
            w.store(tx, s, w.edit(tx, cut, doc))
            trimmed += 1
    return [(trimmed,)]


@operation(lambda: f"SELECT {F}purge_events()")
def purge_events(w: World, tx: Tx) -> Any:
    alone(w)
    if tx.repeatable:
        raise SqlError("25000")
    purged = 0
    for key in [k for k in {**w.committed, **tx.writes} if k[0] == "event"]:
        event = w.newest(tx, key)
        row = w.view(tx, ("step", key[1]))
        if event and (row is None or row.processed) and not (event.worker and event.alive):
            w.put_event(tx, key[1], None)
            purged += 1
    return [(purged,)]

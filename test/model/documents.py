"""Documents as the model has them: Python values, and what the guard makes of them."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

OWN_KEYS = {
    "cursor", "items_processed", "timestamp", "accumulated_results",
    "history", "history_truncated",
}  # fmt: skip
ABSENT = object()


class Skip(Exception):
    """What comes of it is not said, or not to be told by this test."""


class Unknown:
    """A value that the server chooses; bound when it is first seen."""

    def __init__(self, check: Callable[[Any], str | None]) -> None:
        self.value: Any = None
        self.check = check

    def __repr__(self) -> str:
        return str(self.value or "?")


def dump(value: Any) -> str:
    """A JSON value as text by which values are compared, 1 and 1.0 apart."""
    if isinstance(value, Unknown):
        return json.dumps(value.value or "0000-00-00T00:00:00.000000Z")
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return "{%s}" % ",".join(f"{json.dumps(k)}:{dump(value[k])}" for k in sorted(value))
    if isinstance(value, list):
        return "[%s]" % ",".join(map(dump, value))
    return json.dumps(value)


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values, or none, are stored alike."""
    if a is ABSENT or b is ABSENT:
        return a is b
    return dump(a) == dump(b)


def count(value: Any) -> int | None:
    """A non-negative integer of 63 bits, or none."""
    if type(value) is int and 0 <= value < 2**63:
        return value
    return None


def moment(value: Any) -> datetime | None:
    """A time as the document has it, or none."""
    if isinstance(value, Unknown):
        value = value.value
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\dT", value):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    return time if time.tzinfo else None


def wild(value: Any, depth: int = 0) -> bool:
    """Whether a value breaks readers: nesting, or a number."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return depth >= 64 or any(wild(v, depth + 1) for v in inner)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        digits = re.sub(r"\D", "", format(Decimal(value), "f"))
        return len(digits) > 1000 or abs(value) > Decimal("1.79e308")
    return False


def entries(doc: Any) -> list[Any]:
    """The history that a stored document has, as far as it makes sense."""
    history = doc.get("history") if isinstance(doc, dict) else None
    kept: list[Any] = []
    for entry in history if isinstance(history, list) else []:
        kept = [*kept, entry] if isinstance(entry, dict) else []
    return kept


def sequence(doc: Any) -> int:
    """The number of a stored checkpoint; 0 without one."""
    if not isinstance(doc, dict):
        return 0
    history = doc.get("history")
    cut = min(count(doc.get("history_truncated")) or 0, 2**53)
    number = cut + (len(history) if isinstance(history, list) else 0)
    return min(number, 2**53 + len(entries(doc)))


def numbered(doc: Any) -> list[tuple[int, Any]]:
    """The entries of a document's history with their sequences."""
    kept = entries(doc)
    first = sequence(doc) - len(kept) + 1
    return list(enumerate(kept, first))


def compose(sent: Any, history: list[Any], cut: int, stamp: Any) -> Any:
    """The document that is stored."""
    doc = {k: v for k, v in sent.items() if k not in OWN_KEYS}
    doc["cursor"] = sent["cursor"]
    doc["items_processed"] = sent["items_processed"]
    doc["accumulated_results"] = sent.get("accumulated_results")
    doc["timestamp"] = stamp
    doc["history"] = history
    if cut:
        doc["history_truncated"] = min(cut, 2**53)
    return doc


def is_edit(sent: Any, old: Any) -> bool:
    """Whether only history and keys of others differ."""
    return (
        isinstance(old, dict)
        and "timestamp" in sent
        and all(
            same(sent.get(k, ABSENT), old.get(k, ABSENT)) for k in ("cursor", "items_processed")
        )
        and (
            same(sent["timestamp"], old.get("timestamp", ABSENT))
            or moment(sent["timestamp"]) is not None
            and moment(sent["timestamp"]) == moment(old.get("timestamp"))
        )
        and same(sent.get("accumulated_results"), old.get("accumulated_results"))
    )


def is_stale(sent: Any, old: Any) -> bool:
    """Whether the guard composed what was sent, before what is stored."""
    at = moment(sent.get("timestamp"))
    if not isinstance(old, dict) or at is None:
        return False
    history = sent.get("history", [])
    if history == []:
        composed = (count(sent.get("history_truncated")) or 0) >= 1
    else:
        newest = history[-1] if isinstance(history, list) else None
        composed = (
            isinstance(newest, dict)
            and same(newest.get("cursor", ABSENT), sent.get("cursor", ABSENT))
            and at is not None
            and moment(newest.get("timestamp")) == at
            and same(
                newest.get("items_processed", sent.get("items_processed")),
                sent.get("items_processed"),
            )
        )
    if not composed:
        return False
    stored = moment(old.get("timestamp"))
    if stored is None and isinstance(old.get("timestamp"), Unknown):
        # made in this transaction, at a time that was not seen yet
        raise Skip
    if at is not None and at == stored:
        return False
    if has_checkpoint(old, sent, at):
        return True
    before = history[-2] if isinstance(history, list) and len(history) > 1 else None
    if isinstance(before, dict) and has_checkpoint(old, before, moment(before.get("timestamp"))):
        return False
    timed = believed(stored)
    alone = timed and believed(at) and len(history or []) == 1 and sequence(sent) == 1
    if sequence(sent) < sequence(old) and not alone:
        return True
    if sequence(sent) == sequence(old) + 1 and not isinstance(before, dict):
        return False
    times = [moment(entry.get("timestamp")) for entry in entries(old)]
    return timed and at < stored and not any(then and then < at for then in times)


def believed(at: Any) -> bool:
    """Whether a time is none that is far ahead of the clock."""
    return at is not None and at - datetime.now(UTC) <= timedelta(minutes=5)


def has_checkpoint(old: Any, sent: Any, at: Any) -> bool:
    """Whether a history has this checkpoint, perhaps without fractions of a second."""
    for entry in entries(old):
        then = moment(entry.get("timestamp"))
        if at is None or then is None:
            continue
        alike = same(entry.get("cursor", ABSENT), sent.get("cursor", ABSENT)) and same(
            entry.get("items_processed", sent.get("items_processed")), sent.get("items_processed")
        )
        if at == then or (alike and at.replace(microsecond=0) == then.replace(microsecond=0)):
            return True
    return False

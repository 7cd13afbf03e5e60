"""What the server has, against what the model has."""

from decimal import Decimal
from typing import Any

from documents import ABSENT, Unknown, dump, moment, sequence
from operations import resume_columns
from rows import Event, Step
from world import ident

LEASES = {"1 hour": "01:00:00", "1 microsecond": "00:00:00.000001"}


class Mismatch(Exception):
    """The server does otherwise than the model."""


def match(expected: Any, actual: Any, what: str) -> None:
    """Compare, and learn what the server has chosen."""
    if isinstance(expected, Unknown):
        if expected.value is None:
            problem = "there is none" if actual is None else expected.check(actual)
            if problem:
                raise Mismatch(f"{what}: {problem}")
            expected.value = actual
        elif expected.value != actual:
            raise Mismatch(f"{what}: {actual}, not {expected.value}")
    elif isinstance(expected, dict) and isinstance(actual, dict):
        if expected.keys() != actual.keys():
            raise Mismatch(f"{what}: {dump(actual)}, not {dump(expected)}")
        for key, value in expected.items():
            match(value, actual[key], f"{what}.{key}")
    elif isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        if len(expected) != len(actual):
            raise Mismatch(f"{what}: {actual}, not {expected}")
        for i, (one, other) in enumerate(zip(expected, actual, strict=True)):
            match(one, other, f"{what}[{i}]")
    elif type(expected) is not type(actual) or (
        str(expected) != str(actual) if isinstance(expected, Decimal) else expected != actual
    ):
        raise Mismatch(f"{what}: {short(actual)}, not {short(expected)}")


def short(value: Any) -> str:
    return repr(value)[:200]


def compare_step(row: Step, actual: Any, s: str) -> None:
    match(row.doc, actual["checkpoint"], f"step {s}: checkpoint")
    match(row.doc is None, actual["null"], f"step {s}: checkpoint IS NULL")
    match(row.processed, actual["processed"], f"step {s}: processed")
    match(row.in_process, actual["in_process"], f"step {s}: in_process")
    match(row.results, actual["results"], f"step {s}: results")
    match(row.note, actual["note"], f"step {s}: note")
    match(row.updated, actual["updated_at"], f"step {s}: updated_at")
    load = actual["load"]
    has, cursor, items, results = resume_columns(row.doc)
    match(
        (has, None if cursor is ABSENT else cursor, items,
         None if results is ABSENT else results, sequence(row.doc)),
        (load["has_checkpoint"], load["cursor"], load["items_processed"],
         load["accumulated_results"], load["sequence"]),
        f"step {s}: load",
    )  # fmt: skip
    if row.doc is not None and moment(row.doc.get("timestamp")) is not None:
        if moment(row.doc["timestamp"]) != moment(load["checkpointed_at"]):
            raise Mismatch(f"step {s}: loaded time {load['checkpointed_at']}")


def compare_history(row: Step, trail: Any, actual: Any, s: str, archive: bool) -> None:
    """The trail by generation; their numbers may begin anywhere."""
    if sequence(row.doc) >= 2**53:
        # they stand still there
        return
    expected = []
    generations = trail if archive else trail[-1:] if row.doc is not None else ()
    for known, cleared, results in generations:
        for number, entry in known:
            expected.append([
                number, entry.get("cursor"), entry.get("items_processed"), cleared,
            ])  # fmt: skip
        if expected and known:
            expected[-1].append(results if cleared else (row.doc or {}).get("accumulated_results"))
    found = [
        [h["sequence"], h["cursor"], h["items"], h["cleared_at"] is not None] for h in actual or []
    ]
    for h, one, other in zip(actual or [], expected, found, strict=False):
        if len(one) == 5:
            other.append(h["results"])
    match(expected, found, f"step {s}: history()")


def compare_event(event: Event, actual: Any, s: str) -> None:
    what = f"event of {s}"
    expected = {
        "event_id": event.id,
        "directive": event.directive,
        "worker": event.worker,
        "lease": LEASES.get(event.lease or ""),
        "alive": event.alive,
        "delayed": event.delayed if event.id is not None else actual["delayed"],
        "deliveries": event.deliveries,
        "parked": event.parked,
        "sequence": event.sequence,
        "continuation_id": event.continuation if event.yielded else None,
        "yield_event_id": event.yielded.event if event.yielded else None,
        "yield_sequence": event.yielded.sequence if event.yielded else None,
    }
    for key, value in expected.items():
        match(value, actual[key], f"{what}: {key}")
    # a receipt of the present event, whose sequence is the row's
    saved = event.saved is not None and ident(event.saved.event) == ident(event.id)
    match(saved, actual["save_digest"] is not None, f"{what}: saved")

"""The worker program of the tests, in Python.

What it does with a step is laid down in ../README.md and is the same in every
language.
"""

import argparse
import json
import logging
import select
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
from tasker_checkpoint_client import (
    Context,
    PermanentError,
    Receipt,
    TransientError,
    Worker,
)

FIRST_BIG_CURSOR = 2**53 + 1


def cursor_at(kind: str, item: int) -> Any:
    """Return the cursor of that kind for the item to do next."""
    match kind:
        case "integer":
            return item
        case "token":
            return f"tok-{item}"
        case "object":
            return {"at": item, "half": -0.1}
        case "null":
            return None
        case "big":
            return FIRST_BIG_CURSOR + item
    raise PermanentError(f"unknown kind of cursor: {kind}")


def same_json(a: Any, b: Any) -> bool:
    """Compare as JSON does: 1, 1.0 and true are three values."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


class Batch:
    """A step's items, and how far they are done."""

    def __init__(self, context: Context, worker: str) -> None:
        row = context.connection.execute(
            "SELECT inputs, attempts FROM tasker.workflow_steps"
            " WHERE workflow_step_uuid = %s",
            [context.step_uuid],
        ).fetchone()
        if row is None:
            raise PermanentError("the step is gone")
        inputs, self.attempts = row
        self.metadata = metadata = inputs["batch_metadata"]
        self.context = context
        self.worker = worker
        self.start: int = inputs["cursor"]["start_cursor"]
        self.end = inputs["cursor"]["end_cursor"]
        if inputs["is_no_op"]:
            self.end = self.start
        self.interval = metadata["items_per_checkpoint"]
        self.saving = metadata["mode"] == "save"
        self.cursor_kind = metadata["cursor_kind"]
        self.fail_after = metadata.get("fail_after")
        self.fail_on_attempt = metadata.get("fail_on_attempt")
        self.error: type[Exception] = TransientError
        if metadata.get("fail_permanently"):
            self.error = PermanentError
        self.item_delay = metadata.get("item_delay_ms", 0) / 1000
        self.repeat = metadata.get("repeat", False)
        self.store_twice = metadata.get("store_twice", False)
        self.hand_back = metadata.get("hand_back", False)
        self.stand_still = metadata.get("stand_still", False)
        self.unsaved: list[int] = []

        self.item = self.start + context.checkpoint_items_processed
        self.results: dict[str, Any] = {"running_total": 0, "item_ids": []}
        if context.has_checkpoint:
            self.results = context.accumulated_results
            if not same_json(context.checkpoint_cursor, self.cursor()):
                raise PermanentError("the cursor is not what was stored")

    @property
    def done(self) -> int:
        """Items done since the step's beginning."""
        return self.item - self.start

    def cursor(self) -> Any:
        """Return where to resume."""
        return cursor_at(self.cursor_kind, self.item)

    def do_item(self) -> None:
        """Do the next item, or fail as the step says."""
        if self.done == self.fail_after and self.fail_on_attempt in (
            "always",
            self.attempts,
        ):
            raise self.error(f"told to fail after {self.done} items")
        if self.hand_back and self.context.stop_requested:
            raise TransientError("told to stop")
        select.select([], [], [], self.item_delay)
        self.results["running_total"] += self.item + 1
        self.results["item_ids"].append(f"item_{self.item:04d}")
        self.unsaved.append(self.item)
        self.item += 1

    def apply(self) -> None:
        """Write down the items done since this was last called."""
        with self.context.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO applied VALUES (%s, %s, %s)",
                [
                    (self.context.step_uuid, item, self.worker)
                    for item in self.unsaved
                ],
            )

    def keep(self, stop: bool) -> Receipt:
        """Persist, and yield if it is to stop."""
        context = self.context
        keep = context.checkpoint_yield if stop else context.checkpoint_save
        return keep(self.cursor(), self.done, self.results)

    def apply_and_keep(self, stop: bool) -> Receipt:
        """Rows and checkpoint in one transaction."""
        with self.context.transaction():
            self.apply()
            return self.keep(stop)

    def send(self, keep: Callable[[bool], Receipt], stop: bool) -> None:
        """Send it, and once more if the reply was lost and it is told to."""
        repeated = False
        try:
            receipt = keep(stop)
        except psycopg.errors.TransactionResolutionUnknown:
            if not self.repeat:
                raise
            repeated = True
            receipt = keep(stop)
        if receipt.replayed != repeated:
            raise PermanentError(f"not to be expected: {receipt}")
        self.unsaved.clear()


def run_batch(batch: Batch) -> dict[str, Any] | None:
    """Run until the end, which returns results, or until a yield."""
    context = batch.context
    if batch.stand_still:
        batch.send(batch.keep, True)
        return None
    while batch.item < batch.end:
        batch.do_item()
        if not batch.saving:
            batch.apply()
            batch.unsaved.clear()
        more = batch.item < batch.end
        if more and batch.done % batch.interval:
            continue
        if not batch.saving:
            if more:
                batch.send(batch.keep, True)
                return None
            continue
        stopping = more and context.stop_requested
        if batch.store_twice:
            batch.apply_and_keep(stopping)
        batch.send(batch.apply_and_keep, stopping)
        if stopping:
            return None
    return batch.results | {"total": batch.end - batch.start}


def update_step(
    context: Context, assignments: LiteralString, *values: Any
) -> None:
    """Update the step's own columns."""
    context.connection.execute(
        f"UPDATE tasker.workflow_steps SET {assignments}, updated_at = now()"
        " WHERE workflow_step_uuid = %s",
        [*values, context.step_uuid],
    )


def transition(context: Context, state: str) -> None:
    """Change the step's state."""
    context.connection.execute(
        "INSERT INTO tasker.workflow_step_transitions"
        " (workflow_step_uuid, to_state) VALUES (%s, %s)",
        [context.step_uuid, state],
    )


def on_start(context: Context) -> None:
    """Count an attempt, unless the last one goes on."""
    update_step(
        context,
        "attempts = coalesce(attempts, 0) + (NOT in_process)::integer,"
        " in_process = true",
    )


def on_success(context: Context, results: dict[str, Any]) -> None:
    """Store the results."""
    results = results | {"checkpoints_used": context.sequence}
    update_step(
        context,
        "results = %s::jsonb, processed = true, processed_at = now(),"
        " in_process = false",
        json.dumps(results),
    )
    transition(context, "complete")


def on_transient_failure(context: Context, error: Exception) -> None:
    """Let the next attempt be one."""
    update_step(context, "in_process = false")
    transition(context, "waiting_for_retry")


def on_permanent_failure(context: Context, error: Exception) -> None:
    """Leave the step to be looked at."""
    update_step(context, "in_process = false")
    transition(context, "error")


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--poll-only", action="store_true")
    parser.add_argument("--lease", type=float, default=60.0)
    parser.add_argument("--exit-when-idle", type=float)
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )

    Worker(
        options.dsn,
        name=options.name,
        lease=options.lease,
        listen=not options.poll_only,
        on_start=on_start,
        on_success=on_success,
        on_transient_failure=on_transient_failure,
        on_permanent_failure=on_permanent_failure,
    ).run(
        lambda context: run_batch(Batch(context, options.name)),
        exit_when_idle=options.exit_when_idle,
    )


if __name__ == "__main__":
    main()

"""A batch handler as Tasker has them, and what it takes to run it here.

docs/tasker.md shows the handler.
"""

from typing import Any

from tasker_checkpoint_client import (
    Context,
    PermanentError,
    Receipt,
    TransientError,
)

# its name there
StepContext = Context


class BatchContext:
    """Tasker's: the context, and what the step's inputs say."""

    def __init__(self, context: Context) -> None:
        cursor = context.connection.execute(
            "SELECT inputs, attempts FROM tasker.workflow_steps"
            " WHERE workflow_step_uuid = %s",
            [context.step_uuid],
        )
        row = cursor.fetchone()
        if row is None:
            raise PermanentError("the step is gone")
        inputs, self.attempts = row
        self.start_cursor = inputs["cursor"]["start_cursor"]
        self.end_cursor = inputs["cursor"]["end_cursor"]
        self.metadata = inputs["batch_metadata"]
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class Batchable:
    """What Tasker's handlers inherit; the context does the work."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @classmethod
    def handle(cls, context: Context) -> Any:
        """Be a handler for a worker."""
        return cls(context).call(context)

    def call(self, context: Context) -> Any:
        """Do the step."""
        raise NotImplementedError

    def get_batch_context(self, context: Context) -> BatchContext:
        """Return where to begin and to end."""
        return BatchContext(context)

    def checkpoint_yield(
        self,
        cursor: Any,
        items_processed: int,
        accumulated_results: Any = None,
    ) -> Receipt:
        """Store a checkpoint; to be returned."""
        return self._context.checkpoint_yield(
            cursor=cursor,
            items_processed=items_processed,
            accumulated_results=accumulated_results,
        )

    def batch_worker_success(
        self, items_processed: int, results: dict[str, Any], **_: Any
    ) -> dict[str, Any]:
        """Be done."""
        return {**results, "total": items_processed}

    def failure(self, message: str, retryable: bool = True, **_: Any) -> None:
        """Fail: here that is raised."""
        raise TransientError(message) if retryable else PermanentError(message)


class CountItems(Batchable):
    def call(self, context: StepContext) -> Any:
        batch = self.get_batch_context(context)
        if batch.has_checkpoint():
            item = batch.checkpoint_cursor
            results = batch.accumulated_results
        else:
            item = batch.start_cursor
            results = {"running_total": 0, "item_ids": []}
        done = batch.checkpoint_items_processed

        while item < batch.end_cursor:
            if error := process_item(batch, item, done):
                return self.failure(
                    message="told to fail", retryable=error == "transient"
                )
            results["running_total"] += item + 1
            results["item_ids"].append(f"item_{item:04d}")
            item += 1
            done += 1
            at_end = item >= batch.end_cursor
            if done % batch.metadata["items_per_checkpoint"] or at_end:
                continue
            return self.checkpoint_yield(
                cursor=item, items_processed=done, accumulated_results=results
            )
        return self.batch_worker_success(
            items_processed=done, items_succeeded=done, results=results
        )


def process_item(batch: BatchContext, item: int, done: int) -> str | None:
    """Write a row, or fail as the step says: that is the application's."""
    told = batch.metadata
    if done == told.get("fail_after") and told["fail_on_attempt"] in (
        "always",
        batch.attempts,
    ):
        return "permanent" if told["fail_permanently"] else "transient"
    batch.connection.execute(
        "INSERT INTO applied VALUES"
        " (%s, %s, current_setting('application_name'))",
        [batch.step_uuid, item],
    )
    return None

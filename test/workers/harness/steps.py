"""Steps in a test database: made, dispatched, looked at."""

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from .report import PATIENCE, wait_until

SILENCE = "100 ms"


@dataclass(frozen=True)
class Step:
    """A step that was made, and what was asked for."""

    uuid: UUID
    start: int
    end: int
    metadata: dict[str, Any]
    queue: str | None = None
    priority: int | None = None

    @property
    def yields(self) -> bool:
        """Whether its items are done before the checkpoint, not with it."""
        return bool(self.metadata["mode"] in ("yield", "tasker"))

    @property
    def checkpoints(self) -> int:
        """How many it has in the end, whatever happens to it."""
        items = self.end - self.start
        interval: int = self.metadata["items_per_checkpoint"]
        if self.yields:
            return (items - 1) // interval
        return -(-items // interval)

    @property
    def results(self) -> dict[str, Any]:
        """What it stores in the end."""
        items = range(self.start, self.end)
        return {
            "total": len(items),
            "running_total": sum(item + 1 for item in items),
            "item_ids": [f"item_{item:04d}" for item in items],
            "checkpoints_used": self.checkpoints,
        }


class Steps:
    """A test database, seen by its superuser."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.connection = self.connect()

    def connect(self) -> psycopg.Connection[dict[str, Any]]:
        """Open another connection."""
        return psycopg.connect(
            self.conninfo, autocommit=True, row_factory=dict_row
        )

    def reconnect(self) -> None:
        """Open the connection anew, after a restart."""
        self.connection.close()
        self.connection = self.connect()

    def row(self, query: str, *values: Any) -> dict[str, Any]:
        """Return the one row of a query."""
        # without values a % is a %
        row = self.connection.execute(query, values or None).fetchone()
        if row is None:
            raise LookupError(f"no row: {query}")
        return row

    def value(self, query: str, *values: Any) -> Any:
        """Return the one value of a query."""
        return next(iter(self.row(query, *values).values()))

    def add(
        self,
        start: int,
        end: int,
        *,
        is_no_op: bool = False,
        checkpoint: dict[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        **metadata: Any,
    ) -> Step:
        """Make a step and dispatch it."""
        metadata = {
            "items_per_checkpoint": 5,
            "mode": "save",
            "cursor_kind": "integer",
        } | metadata
        inputs = {
            "cursor": {
                "batch_id": "001",
                "start_cursor": start,
                "end_cursor": end,
                "batch_size": end - start,
            },
            "batch_metadata": metadata,
            "is_no_op": is_no_op,
        }
        with self.connection.transaction():
            uuid = self.value("SELECT add_step(%s::jsonb)", json.dumps(inputs))
            if checkpoint is not None:
                self.value(
                    "SELECT tasker_checkpoint_save("
                    "%s, %s::jsonb, %s, %s::jsonb)",
                    uuid,
                    json.dumps(checkpoint["cursor"]),
                    checkpoint["items"],
                    json.dumps(checkpoint["results"]),
                )
            self.value(
                "SELECT tasker_checkpoint_dispatch(%s, %s, %s)",
                uuid,
                queue,
                priority,
            )
        return Step(uuid, start, end, metadata, queue, priority)

    def sequence(self, step: Step) -> int:
        """Return the number of the step's checkpoints."""
        sequence: int = self.value(
            "SELECT sequence FROM tasker_checkpoint_load(%s)", step.uuid
        )
        return sequence

    def done(self, step: Step) -> bool:
        """Tell whether the step is processed."""
        processed: bool = self.value(
            "SELECT processed FROM tasker.workflow_steps"
            " WHERE workflow_step_uuid = %s",
            step.uuid,
        )
        return processed

    def await_done(self, step: Step, seconds: float = PATIENCE) -> None:
        """Wait until the step is processed."""
        wait_until(lambda: self.done(step), "the step is processed", seconds)

    def await_sequence(self, step: Step, sequence: int) -> None:
        """Wait until the step has so many checkpoints."""
        wait_until(
            lambda: self.sequence(step) >= sequence,
            f"the step has {sequence} checkpoints",
        )

    def claimed_by(self, step: Step) -> str | None:
        """Return the worker that has the step."""
        row = self.connection.execute(
            "SELECT worker FROM tasker_checkpoint_events WHERE step_uuid = %s",
            [step.uuid],
        ).fetchone()
        return row["worker"] if row else None

    def deliveries(self, step: Step) -> int:
        """Return how often the step was claimed since it last moved."""
        deliveries: int = self.value(
            "SELECT deliveries FROM tasker_checkpoint_dispatched(%s)",
            step.uuid,
        )
        return deliveries

    def await_claimed(self, step: Step, worker: str) -> None:
        """Wait until the worker has the step."""
        wait_until(
            lambda: self.claimed_by(step) == worker, f"{worker} has the step"
        )

    def await_silence(self) -> None:
        """Wait until no worker has asked anything for a while."""
        wait_until(
            lambda: self.value(
                "SELECT max(state_change) < clock_timestamp() - %s::interval"
                " FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'",
                SILENCE,
            ),
            "the workers are idle",
        )

    def unsettled(self) -> int:
        """Count the events that somebody may still claim."""
        count: int = self.value(
            "SELECT count(*) FROM tasker_checkpoint_events WHERE NOT parked"
        )
        return count

    def await_settled(self) -> None:
        """Wait until there is none, however long it takes to do them."""
        while left := self.unsettled():
            wait_until(
                lambda: self.unsettled() < left,
                f"one of {left} steps settled",
            )

    def disconnect_workers(self) -> None:
        """Terminate all other connections to the database."""
        self.value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )

    def outcome(self, step: Step) -> dict[str, Any]:
        """Return what the database says of a step, but for its items."""
        row = self.row(
            """
            SELECT processed, in_process, attempts, results,
                checkpoint IS NOT NULL AS has_checkpoint,
                (checkpoint -> 'cursor')::text AS cursor,
                (checkpoint ->> 'items_processed')::bigint AS items,
                ARRAY(SELECT (jsonb_array_elements(checkpoint -> 'history')
                              ->> 'items_processed')::bigint) AS history,
                coalesce((checkpoint ->> 'history_truncated')::bigint, 0)
                    AS truncated,
                ARRAY(SELECT to_state
                      FROM tasker.workflow_step_transitions t
                      WHERE t.workflow_step_uuid = s.workflow_step_uuid
                      ORDER BY sort_key) AS states,
                ARRAY(SELECT ROW(a.sequence, a.items)
                      FROM accepted a WHERE a.step_uuid = workflow_step_uuid
                      ORDER BY a.sequence) AS accepted,
                e.step_uuid IS NOT NULL AS dispatched,
                coalesce(e.parked, false) AS parked
            FROM tasker.workflow_steps s
            LEFT JOIN tasker_checkpoint_events e
                ON e.step_uuid = s.workflow_step_uuid
            WHERE workflow_step_uuid = %s
            """,
            step.uuid,
        )
        row["accepted"] = [
            (int(sequence), int(items)) for sequence, items in row["accepted"]
        ]
        return row

    def look(self, step: Step) -> dict[str, Any]:
        """Return all there is to know of a step."""
        row = self.outcome(step)
        row["applied"] = Counter(
            record["item"]
            for record in self.connection.execute(
                "SELECT item FROM applied WHERE step_uuid = %s", [step.uuid]
            )
        )
        return row

"""A worker program that names its queues, and waits in the server for them.

It is plain SQL, since the clients claim from all queues and LISTEN.  What it
does with a step is what ../README.md says, and worker.py does, but that it
also yields after so many checkpoints as the step wants.
"""

import argparse
import json
import logging
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg
import worker
from tasker_checkpoint_client import Receipt, TransientError
from tasker_checkpoint_client.port import drive

log = logging.getLogger("waiter")

# lost wake-ups are the server's to find, which looks more often
WAIT = "30 s"
RETRY_DELAY = "100 ms"
RECONNECT_SECONDS = 0.05
SUPERSEDED = "TC002"


class Superseded(Exception):
    """The step has gone on elsewhere, says a function that returned false."""


class Claim:
    """A claimed step, as worker.py's handler sees it."""

    def __init__(
        self, waiter: "Waiter", connection: psycopg.Connection[Any], row: Any
    ) -> None:
        self.connection = connection
        self.event_id: UUID = row[0]
        self.step_uuid: UUID = row[1]
        self._has_checkpoint: bool = row[2]
        self.checkpoint_cursor = None if row[3] is None else json.loads(row[3])
        self.checkpoint_items_processed: int = row[4]
        self.accumulated_results = (
            None if row[5] is None else json.loads(row[5])
        )
        self.sequence: int = row[6]
        self.queue: str = row[7]
        #: checkpoints left until it yields
        self.turns: int | None = None
        self._waiter = waiter

    def has_checkpoint(self) -> bool:
        """Tell whether there is anything to resume."""
        return self._has_checkpoint

    @property
    def stop_requested(self) -> bool:
        """Whether the handler should yield at its next checkpoint."""
        return self._waiter.stopping or self.turns == 1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit rows and checkpoint together."""
        with self.connection.transaction():
            yield

    def checkpoint_yield(self, **values: Any) -> Receipt:
        """Persist progress and offer the step to all workers."""
        return self._keep("yield", *values.values())

    def checkpoint_save(self, **values: Any) -> Receipt:
        """Persist progress and go on."""
        return self._keep("save", *values.values())

    def fenced(self, function: str, callback: Callable[..., None]) -> None:
        """Call back in one transaction with a function that must hold."""
        with self.connection.transaction():
            callback()
            if not self.holds(function):
                raise Superseded

    def holds(self, function: str) -> bool:
        """Call heartbeat, complete or release."""
        call = f"tasker_checkpoint_{function}"
        held: bool = self._row(f"SELECT {call}", [self.event_id])[0]
        return held

    def _keep(
        self, function: str, cursor: Any, items: int, results: Any
    ) -> Receipt:
        receipt = Receipt(
            *self._row(
                "SELECT sequence, event_id, directive, replayed"
                f" FROM tasker_checkpoint_{function}("
                "%s, %s::jsonb, %s, %s::jsonb, %s)",
                [
                    self.step_uuid,
                    json.dumps(cursor),
                    items,
                    json.dumps(results),
                    self.event_id,
                ],
            )
        )
        self.sequence = receipt.sequence
        if self.turns is not None:
            self.turns -= 1
        return receipt

    def _row(self, query: str, values: list[Any]) -> Any:
        return self.connection.execute(query.encode(), values).fetchone()


class Batch(worker.Batch):
    """Notes with each item from which queue, and under which claim."""

    def __init__(self, claim: Claim, name: str) -> None:
        row: Any = claim.connection.execute(
            "SELECT inputs, attempts FROM tasker.workflow_steps"
            " WHERE workflow_step_uuid = %s",
            [claim.step_uuid],
        ).fetchone()
        super().__init__(claim, name, *row)  # type: ignore[arg-type]
        claim.turns = self.metadata.get("yield_after")

    async def apply(self) -> None:
        """Write down the items done since this was last called."""
        claim: Any = self.context
        with claim.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO applied VALUES (%s, %s, %s, %s, %s)",
                [
                    (
                        claim.step_uuid,
                        item,
                        self.worker,
                        claim.queue,
                        claim.event_id,
                    )
                    for item in self.unsaved
                ],
            )


class Waiter:
    """Waits and claims, until it is told to stop."""

    def __init__(
        self, dsn: str, name: str, queues: list[str] | None, lease: float
    ) -> None:
        self.stopping = False
        self._dsn = dsn
        self._name = name
        self._queues = queues
        self._lease = lease
        self._connection: psycopg.Connection[Any] | None = None
        self._waits = False
        self._unfinished: UUID | None = None

    def stop(self, number: int, frame: Any) -> None:
        """End after the step that is worked on, or the wait at once."""
        self.stopping = True
        if self._waits and self._connection is not None:
            self._connection.cancel()

    def run(self) -> None:
        """Work; when the connection is lost, until there is another."""
        while not self.stopping:
            try:
                self._connection = psycopg.connect(
                    self._dsn,
                    autocommit=True,
                    application_name=self._name,
                    prepare_threshold=None,
                )
                self._serve(self._connection)
            except psycopg.OperationalError as error:
                if self._connection is not None and (
                    not self._connection.closed and not self.stopping
                ):
                    raise
                log.warning("connection lost: %s", error)
                select.select([], [], [], RECONNECT_SECONDS)

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        if self._unfinished is not None:
            connection.execute(
                "SELECT tasker_checkpoint_release(%s, interrupted => true)",
                [self._unfinished],
            )
            self._unfinished = None
        while not self.stopping:
            self._wait(connection)
            row = connection.execute(
                "SELECT event_id, step_uuid, has_checkpoint, cursor::text,"
                " items_processed, accumulated_results::text, sequence, queue"
                " FROM tasker_checkpoint_claim("
                "%s, make_interval(secs => %s), queues => %s::text[])",
                [self._name, self._lease, self._queues],
            ).fetchone()
            if row is not None:
                claim = Claim(self, connection, row)
                self._unfinished = claim.event_id
                self._work(claim)
                self._unfinished = None

    def _wait(self, connection: psycopg.Connection[Any]) -> None:
        self._waits = True
        # told to before that, nobody would end it
        if not self.stopping:
            connection.execute(
                "CALL tasker_checkpoint_wait(%s::text[], %s::interval)",
                [self._queues, WAIT],
            )
        self._waits = False

    def _work(self, claim: Claim) -> None:
        try:
            self._run(claim)
        except (psycopg.Error, Superseded) as error:
            answer = "false"
            if isinstance(error, psycopg.Error):
                if error.diag.sqlstate != SUPERSEDED:
                    raise
                answer = SUPERSEDED
            claim.connection.execute(
                "INSERT INTO fenced VALUES (%s, %s, %s)",
                [self._name, claim.event_id, answer],
            )

    def _run(self, claim: Claim) -> None:
        context: Any = claim
        claim.fenced("heartbeat(%s)", lambda: drive(worker.on_start(context)))
        try:
            results = drive(worker.run_batch(Batch(claim, self._name)))
        except TransientError as error:
            log.warning("step %s: %s", claim.step_uuid, error)
            claim.fenced(
                f"release(%s, '{RETRY_DELAY}')",
                lambda: drive(worker.on_transient_failure(context, error)),
            )
            return
        if results is not None:
            claim.fenced(
                "complete(%s)",
                lambda: drive(worker.on_success(context, results)),
            )


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument(
        "--queues", type=lambda text: text.split(","), help="default: all"
    )
    parser.add_argument("--lease", type=float, default=60.0)
    options = parser.parse_args()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )

    waiter = Waiter(
        options.dsn, options.name, options.queues, options.lease
    )
    signal.signal(signal.SIGTERM, waiter.stop)
    waiter.run()


if __name__ == "__main__":
    main()

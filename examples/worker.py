"""A batch worker of a pool: one claims what another has yielded or lost.

Two kinds of step go through the same file of Debian package records:

* package_sizes adds up packages and installed sizes for each section.  Each
  batch is a run of its own and ends with a yield: cursor and sums are kept,
  and any worker may claim the next run.
* package_list copies every record into a table and commits each batch
  together with a save, so that rows and progress are never apart.

The cursor is the number of a byte.  So that progress can be shown, the results
have the number of records as total_items.

On standard output it says, a line at a time and after its name, where it is:

    resumed ITEMS                   it has claimed a step, with so many records
                                    done
    at ITEMS                        so many are done by now
    kept ITEMS SEQUENCE DIRECTIVE   a checkpoint is stored; from its receipt
    refused SQLSTATE                the step has gone on elsewhere
    failed ERROR                    a SQLSTATE, or what Python says
    done                            the step is complete
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from tasker_checkpoint_client import Context, Receipt, Superseded, Worker

REPORTS_PER_BATCH = 5


class Package(NamedTuple):
    """A record of the file, and the bytes it lies between."""

    start: int
    end: int
    name: str
    section: str
    kib: int


class Step(NamedTuple):
    """What a step's inputs ask for."""

    name: str
    file: str
    start_cursor: int
    end_cursor: int
    batch_size: int
    records: int


class Progress:
    """Says where the worker is, and slows it down for the eye."""

    def __init__(self, name: str, pause: float) -> None:
        self._name = name
        self._pause = pause

    def say(self, *words: object) -> None:
        """Write one line at once: the pool shares a pipe."""
        print(self._name, *words, flush=True)

    def at(self, items: int, step: Step) -> None:
        """Say, a few times a batch, how many records are done, and rest."""
        if items % max(step.batch_size // REPORTS_PER_BATCH, 1) == 0:
            self.say("at", items)
            time.sleep(self._pause)

    def kept(self, items: int, receipt: Receipt) -> None:
        """Say that a checkpoint is stored, and rest: let others claim."""
        self.say("kept", items, receipt.sequence, receipt.directive)
        time.sleep(self._pause)


def read_packages(file: str, cursor: int) -> Iterator[Package]:
    """Yield the records from the given byte on."""
    with open(file, "rb") as records:
        records.seek(cursor)
        start = end = cursor
        fields: dict[bytes, bytes] = {}
        for line in records:
            end += len(line)
            if line == b"\n":
                yield Package(
                    start,
                    end,
                    fields[b"Package"].decode(),
                    fields.get(b"Section", b"none").decode(),
                    int(fields.get(b"Installed-Size", 0)),
                )
                start, fields = end, {}
            elif not line.startswith(b" "):
                name, _, value = line.partition(b":")
                fields[name] = value.strip()


def package_sizes(context: Context, step: Step, progress: Progress) -> None:
    """Do one batch, and yield unless it was the last."""
    cursor = step.start_cursor
    if context.has_checkpoint():
        cursor = context.checkpoint_cursor
    items = context.checkpoint_items_processed
    sums = context.accumulated_results or {"packages": {}, "kib": {}}
    packages, kib = Counter(sums["packages"]), Counter(sums["kib"])

    for package in islice(read_packages(step.file, cursor), step.batch_size):
        packages[package.section] += 1
        kib[package.section] += package.kib
        cursor = package.end
        items += 1
        progress.at(items, step)

    more_to_do = cursor < step.end_cursor
    keep = context.checkpoint_yield if more_to_do else context.checkpoint_save
    results = {"total_items": step.records, "packages": packages, "kib": kib}
    receipt = keep(cursor, items, results)
    progress.kept(items, receipt)


def package_list(context: Context, step: Step, progress: Progress) -> None:
    """Do all that is left, a transaction for each batch."""
    cursor = step.start_cursor
    if context.has_checkpoint():
        cursor = context.checkpoint_cursor
    items = context.checkpoint_items_processed
    connection = context.connection

    records = read_packages(step.file, cursor)
    while cursor < step.end_cursor and not context.yielded:
        stop = context.stop_requested
        keep = context.checkpoint_yield if stop else context.checkpoint_save
        with context.transaction(), connection.cursor() as rows:
            with rows.copy("COPY packages FROM STDIN") as copy:
                for package in islice(records, step.batch_size):
                    copy.write_row(package)
                    cursor = package.end
                    items += 1
                    progress.at(items, step)
            receipt = keep(cursor, items, {"total_items": step.records})
        progress.kept(items, receipt)


HANDLERS = {"package_sizes": package_sizes, "package_list": package_list}


def run_step(context: Context, progress: Progress) -> None:
    """Read what is to be done, and do it."""
    row = context.connection.execute(
        "SELECT name, inputs #>> '{batch_metadata,file}',"
        " (inputs #> '{cursor,start_cursor}')::bigint,"
        " (inputs #> '{cursor,end_cursor}')::bigint,"
        " (inputs #> '{cursor,batch_size}')::integer,"
        " (inputs #> '{batch_metadata,records}')::bigint"
        " FROM tasker.workflow_steps JOIN tasker.named_steps"
        " USING (named_step_uuid) WHERE workflow_step_uuid = %s",
        [context.step_uuid],
    ).fetchone()
    assert row is not None
    step = Step(*row)
    progress.say("resumed", context.checkpoint_items_processed)
    try:
        HANDLERS[step.name](context, step, progress)
    except Exception as error:
        outcome = "refused" if isinstance(error, Superseded) else "failed"
        progress.say(outcome, getattr(error, "sqlstate", None) or repr(error))
        raise


def main() -> None:
    """Work until told to stop."""
    parser = argparse.ArgumentParser(description="work until SIGTERM")
    parser.add_argument("name", help="of this worker")
    parser.add_argument(
        "--lease",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="until others may take over what a dead worker held",
    )
    parser.add_argument(
        "--pause",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="rest so long a few times a batch",
    )
    arguments = parser.parse_args()
    progress = Progress(arguments.name, arguments.pause)
    worker = Worker(
        name=arguments.name,
        lease=arguments.lease,
        wait="listen",
        on_success=lambda context, result: progress.say("done"),
    )
    worker.run(lambda context: run_step(context, progress))


if __name__ == "__main__":
    main()

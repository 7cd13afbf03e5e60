"""Cells, and what is made of them."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .server import Session
from .writers import Writer

# dead rows go after so many writes
VACUUM_WRITES = 400
VACUUM = (
    "VACUUM (TRUNCATE false) tasker.workflow_steps, plain.workflow_steps,"
    " tasker_checkpoint_events"
)


@dataclass
class Cell:
    """What a write costs, averaged over the writes of a cell."""

    cpu: float  # microseconds of the backend's own
    wall: float  # microseconds, as the client sees them
    wal: float  # bytes


def cell(writer: Writer, count: int, control: Session) -> Cell:
    """Write so many times."""
    lsn = control.value("SELECT pg_current_wal_insert_lsn()")
    cpu = writer.session.cpu()
    start = time.perf_counter_ns()
    for _ in range(count):
        writer.write()
    wall = time.perf_counter_ns() - start
    cpu = writer.session.cpu() - cpu
    wal = control.value("SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", lsn)
    return Cell(cpu / count / 1000, wall / count / 1000, float(wal) / count)


def interleaved(
    writers: Sequence[Writer], rounds: int, count: int, control: Session
) -> dict[str, list[Cell]]:
    """Let the writers take turns, every other round from last to first.

    Cells are short, so that what else the machine does is the same for both of
    a pair. Dead rows go now and then. The first round warms caches and does
    not count.
    """
    cells: dict[str, list[Cell]] = {writer.name: [] for writer in writers}
    for turn in range(rounds + 1):
        if turn % max(1, VACUUM_WRITES // count) == 0:
            control.sql(VACUUM)
        for writer in writers if turn % 2 else writers[::-1]:
            taken = cell(writer, count, control)
            if turn > 0:
                cells[writer.name].append(taken)
    return cells


@dataclass
class Figure:
    """A median, and the quartiles around it."""

    value: float
    low: float
    high: float


def figure(values: Sequence[float]) -> Figure:
    """Return the median of samples."""
    if len(values) < 2:
        return Figure(values[0], values[0], values[0])
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(statistics.median(values), low, high)


def ratio(values: Sequence[float], base: Sequence[float]) -> Figure:
    """Return the median of the ratios of pairs."""
    return figure([v / b for v, b in zip(values, base, strict=True)])

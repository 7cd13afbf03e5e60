"""Runs rows of the benchmark against the servers that run.sh has started."""

import os
import sys
import time

from harness.results import Row, write_machine
from rows import claim, cost, history, horizon, load, partitions, views, wait

ROWS = {
    "cpu": cost.cpu,
    "cpu_notify": cost.cpu_notify,
    "durable": cost.durable,
    "wal": cost.wal,
    "archive": cost.archive,
    "defaults": cost.defaults,
    "lz4": cost.lz4,
    "growth": history.growth,
    "hot": history.hot,
    "transaction": history.transaction,
    "memory": history.memory,
    "claim": claim.claim,
    "queues": claim.queues,
    "finished": claim.finished,
    "horizon": horizon.horizon,
    "partitions": partitions.partitions,
    "views": views.views,
    "one_step": load.one_step,
    "workers": load.workers,
    "latency": load.latency,
    "herd": wait.herd,
    "pool": wait.pool,
}


def main(names: list[str]) -> int:
    """Run the rows named, or all."""
    if names == ["--list"]:
        for name, run in ROWS.items():
            print(f"{name:12} {(run.__doc__ or '').splitlines()[0]}")
        return 0
    if unknown := [name for name in names if name not in ROWS]:
        print(f"no such row: {', '.join(unknown)}", file=sys.stderr)
        return 2
    write_machine()
    processors = os.sched_getaffinity(0)
    for name in names or ROWS:
        print(
            f"{name}: {(ROWS[name].__doc__ or '').splitlines()[0]}", flush=True
        )
        start = time.monotonic()
        os.sched_setaffinity(0, processors)
        row = Row(name, list(ROWS))
        ROWS[name](row)
        row.write()
        print(f"  {time.monotonic() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

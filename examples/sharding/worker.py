"""A worker of one shard, which needs to know of no other.

    python3 examples/sharding/worker.py NAME CONNINFO

A job has numbers to write. They are written on the server that has the job,
in the transactions of its checkpoints, and so each is there exactly once.
"""

import sys
import time

from tasker_checkpoint_client import Context, Worker

NUMBERS = "SELECT n FROM generate_series(1, 3000) AS n"


def write_numbers(job: Context) -> None:
    """Write a hundred in a transaction, and rest for the eye."""
    for numbers in job.iterate(NUMBERS, key="n", every=100, total=3000):
        with job.connection.cursor() as rows:
            rows.executemany(
                "INSERT INTO written VALUES (%s, %s)",
                [(job.step_uuid, n) for (n,) in numbers],
            )
        time.sleep(0.02)


def done(job: Context, result: object) -> None:
    """Tell the application, in the transaction of complete."""
    job.connection.execute(
        "UPDATE jobs SET processed = true WHERE id = %s", [job.step_uuid]
    )


if __name__ == "__main__":
    name, conninfo = sys.argv[1:]
    Worker(conninfo, name=name, lease=5, on_success=done).run(write_numbers)

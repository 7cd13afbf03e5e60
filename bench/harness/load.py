"""Many clients at once: pgbench, and sessions that listen."""

import os
import re
import subprocess
import sys
from pathlib import Path

from .server import Server

# the step of a client
STEP = (
    "('00000000-0000-0000-0000-' || lpad((:client_id)::text, 12, '0'))::uuid"
)
YIELD = f"""\\set n random(1000000, 1999999)
SELECT * FROM tasker_checkpoint_yield({STEP}, :n::jsonb, 0, '{{"running_total": 5050}}');
"""


def number_steps(server: Server, database: str, steps: list[str]) -> None:
    """Give the steps the keys that clients take theirs for."""
    with server.session(database) as session:
        for schema in ("tasker", "plain"):
            session.sql(
                f"UPDATE {schema}.workflow_steps SET workflow_step_uuid ="
                " ('00000000-0000-0000-0000-' || lpad((array_position("
                "%s::uuid[], workflow_step_uuid) - 1)::text, 12, '0'))::uuid",
                steps,
            )
        session.sql("VACUUM ANALYZE")


def start_pgbench(
    server: Server,
    database: str,
    script: str,
    *options: str,
    settings: str = "",
) -> subprocess.Popen[str]:
    """Start a script with prepared statements."""
    path = Path(os.environ["TMPDIR"]) / f"pgbench.{abs(hash(script))}.sql"
    path.write_text(script)
    return subprocess.Popen(
        ["pgbench", "-h", os.environ["PGHOST"], "-p", str(server.port),
         "-U", "postgres", "-n", "-M", "prepared", "-f", path, *options,
         database],
        env={**os.environ, "PGOPTIONS": settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def finish_pgbench(process: subprocess.Popen[str]) -> tuple[float, int]:
    """Wait for it; return transactions a second, and their number."""
    output = process.communicate()[0]
    tps = re.search(r"^tps = ([0-9.]+)", output, re.M)
    number = re.search(r"actually processed: (\d+)", output)
    if process.returncode or tps is None or number is None:
        raise RuntimeError(f"pgbench: {output}")
    return float(tps[1]), int(number[1])


def throughput(
    server: Server,
    database: str,
    script: str,
    clients: int,
    seconds: float,
    settings: str = "",
) -> tuple[float, int]:
    """Run a script by so many clients; transactions a second, and number."""
    return finish_pgbench(
        start_pgbench(
            server, database, script, "-c", str(clients), "-j", "2",
            "-T", f"{seconds:.0f}", settings=settings,
        )
    )  # fmt: skip


def pgbench_progress(
    server: Server,
    database: str,
    script: str,
    clients: int,
    offered: int,
    seconds: int,
    period: int,
    settings: str = "",
) -> list[tuple[float, float, float, float]]:
    """Offer so many transactions a second; what was done, by periods.

    Of each: its end in seconds, transactions a second, and how many
    milliseconds one took and had to wait for its turn.
    """
    process = start_pgbench(
        server, database, script, "-c", str(clients), "-j", "2",
        "-T", str(seconds), "-R", str(offered), "-P", str(period),
        settings=settings,
    )  # fmt: skip
    output = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"pgbench: {output}")
    return [
        (float(end), float(rate), float(taken) - float(lag), float(lag))
        for end, rate, taken, lag in re.findall(
            r"^progress: ([0-9.]+) s, ([0-9.]+) tps, lat ([0-9.]+) ms"
            r" .*lag ([0-9.]+) ms",
            output,
            re.M,
        )
    ]


class Listener:
    """A session that is told of wake-ups and does nothing else, in C."""

    def __init__(self, server: Server, database: str) -> None:
        self._process = subprocess.Popen(
            ["psql", "-XqAt", "-d", server.conninfo(database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(
            "LISTEN tasker_checkpoint;\nSELECT 1 \\watch 0.1\n"
        )
        self._process.stdin.flush()

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Stopwatch:
    """A process that says when it is woken up for a step."""

    def __init__(self, server: Server, database: str, step: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-B", str(Path(__file__).with_name("stopwatch.py")),
             server.conninfo(database), step],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "listening\n":
            raise RuntimeError("stopwatch.py did not start")

    def finish(self) -> dict[int, int]:
        """Return when each sequence was heard of, in monotonic nanoseconds."""
        output = self._process.communicate("\n")[0]
        heard: dict[int, int] = {}
        for line in output.splitlines():
            sequence, at = line.split()
            heard.setdefault(int(sequence), int(at))
        return heard

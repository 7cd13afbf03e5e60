"""Workers that wait."""

import os
import statistics
import subprocess
import sys
import time

from harness.measure import Figure
from harness.results import QUICK, Row
from harness.server import NOTIFIER, ROOT, Session

DATABASE = "bench_wait"
COUNTS = (1, 24) if QUICK else (1, 24, 200)
DISPATCHES = 20 if QUICK else 500
# between two dispatches, in seconds
PAUSE = 0.02

# What a worker does, and what it notes of it: each claim, found or not. The
# dispatcher notes when the commit has returned to it, within the server.
SETUP = """
    CREATE TABLE claims (id uuid, at timestamptz);
    CREATE TABLE offers (id uuid, at timestamptz);
    CREATE PROCEDURE work() LANGUAGE plpgsql AS $$
    DECLARE
        delivery record;
    BEGIN
        LOOP
            CALL tasker_checkpoint_wait(timeout => '1 hour');
            SELECT * INTO delivery FROM tasker_checkpoint_claim('bench');
            COMMIT;
            INSERT INTO claims VALUES (delivery.step_uuid, clock_timestamp());
            PERFORM tasker_checkpoint_complete(delivery.event_id)
            WHERE delivery.event_id IS NOT NULL;
            COMMIT;
        END LOOP;
    END $$;
    CREATE PROCEDURE offer(step uuid) LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM tasker_checkpoint_dispatch(step);
        COMMIT;
        INSERT INTO offers VALUES (step, clock_timestamp());
    END $$;
    """
# The same on the loop of the client in Python; PostgreSQL counts the claims.
CLIENT = """
import sys
from tasker_checkpoint_client import Worker

def note(context):
    context.connection.execute(
        "INSERT INTO claims VALUES (%s, clock_timestamp())", [context.step_uuid]
    )

Worker(sys.argv[1]).run(note)
"""
CALLS = (
    "SELECT calls FROM pg_stat_user_functions"
    " WHERE funcname = 'tasker_checkpoint_claim'"
)
WAITING = (
    "FROM pg_stat_activity WHERE datname = current_database()"
    " AND query LIKE 'CALL%' AND wait_event_type = 'Extension'"
)
DELAYS = (
    "SELECT (1000 * extract(epoch FROM c.at - o.at))::float"
    " FROM claims c JOIN offers o USING (id) ORDER BY 1"
)


def _asleep(count: int) -> None:
    with NOTIFIER.session(DATABASE) as session:
        deadline = time.monotonic() + 60
        while session.value(f"SELECT count(*) {WAITING}") != count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{count} workers do not wait")
            time.sleep(0.1)


def _cpu(pids: list[int]) -> float:
    """Return what the processes have used, in seconds."""
    return (
        sum(
            int(open(f"/proc/{pid}/schedstat").read().split()[0])
            for pid in pids
        )
        / 1e9
    )


def _idle(pids: list[int]) -> float:
    """Return what the processes take while nothing happens, in % of a core."""
    seconds = 1 if QUICK else 20
    before = _cpu(pids)
    time.sleep(seconds)
    return (_cpu(pids) - before) / seconds * 100


def _offer(steps: list[str], count: int) -> list[float]:
    """Dispatch the steps to so many workers that wait; return the delays."""
    with NOTIFIER.session(DATABASE, tasker_checkpoint__notify="off") as control:
        for step in steps:
            control.sql("CALL offer(%s::uuid)", step)
            time.sleep(PAUSE)
        _asleep(count)
        delays = [delay for (delay,) in control.sql(DELAYS)]
    if len(delays) != len(steps):
        raise RuntimeError(f"{len(delays)} of {len(steps)} were claimed")
    return delays


def _figures(
    row: Row, who: str, delays: list[float], claims: int, connections: int, idle: float
) -> None:
    for turn, delay in enumerate(delays):
        row.sample(who, turn, 1, "ms", delay)
    ratio = claims / len(delays)
    row.figure(
        f"claims a dispatch, {who}", Figure(ratio, ratio, ratio), "", most=1.1
    )
    row.figure(f"connections, {who}", Figure(*(connections,) * 3), "")
    cuts = statistics.quantiles(delays, n=100, method="inclusive")
    for percentile, most in ((50, 3), (99, 25)):
        value = cuts[percentile - 1]
        row.figure(
            f"p{percentile}, {who}", Figure(value, value, value), "ms", most=most
        )
    row.figure(f"idle, {who}", Figure(idle, idle, idle), "% of a core")


def _pids(session: Session) -> list[int]:
    return [pid for (pid,) in session.sql(f"SELECT pid {WAITING}")]


def herd(row: Row) -> None:
    """From a commit to the start of the work, while 1 to 200 workers wait."""
    for count in COUNTS:
        NOTIFIER.create(DATABASE)
        steps = NOTIFIER.add_steps(DATABASE, DISPATCHES)
        with NOTIFIER.session(DATABASE) as session:
            session.connection.execute(SETUP)
        workers = [
            subprocess.Popen(
                ["psql", "-XqAt", "-d", NOTIFIER.conninfo(DATABASE),
                 "-c", "CALL work()"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(count)
        ]  # fmt: skip
        _asleep(count)
        with NOTIFIER.session(DATABASE) as session:
            pids = _pids(session)
            idle = _idle(pids)
            delays = _offer(steps, count)
            claims = session.value("SELECT count(*) FROM claims")
            session.sql(f"SELECT pg_terminate_backend(pid) {WAITING}")
        for worker in workers:
            worker.wait()
        NOTIFIER.drop(DATABASE)
        _figures(row, f"{count} waiting", delays, claims, len(pids), idle)


def pool(row: Row) -> None:
    """The same with 24 processes on the loop of the client in Python."""
    count = COUNTS[1]
    NOTIFIER.create(DATABASE)
    steps = NOTIFIER.add_steps(DATABASE, DISPATCHES)
    with NOTIFIER.session(DATABASE) as session:
        session.connection.execute(SETUP)
        session.sql(f"ALTER DATABASE {DATABASE} SET track_functions = 'all'")
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", CLIENT, NOTIFIER.conninfo(DATABASE)],
                env=os.environ | {"PYTHONPATH": str(ROOT / "clients/python")},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(count)
        ]
        _asleep(count)
        connections = session.value(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        idle = _idle(_pids(session) + [worker.pid for worker in workers])
        delays = _offer(steps, count)
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait()
        # each has looked once before it waited
        claims = session.value(CALLS) - count
    NOTIFIER.drop(DATABASE)
    _figures(
        row, f"{count} processes of the client", delays, claims, connections, idle
    )

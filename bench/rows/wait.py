"""Workers that wait."""

import statistics
import subprocess
import time

from harness.measure import Figure
from harness.results import QUICK, Row
from harness.server import NOTIFIER

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
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND query = 'CALL work()' AND wait_event_type = 'Extension'"
)
DELAYS = (
    "SELECT (1000 * extract(epoch FROM c.at - o.at))::float"
    " FROM claims c JOIN offers o USING (id) ORDER BY 1"
)


def _asleep(count: int) -> None:
    with NOTIFIER.session(DATABASE) as session:
        deadline = time.monotonic() + 60
        while session.value(WAITING) != count:
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
        with NOTIFIER.session(
            DATABASE, tasker_checkpoint__notify="off"
        ) as control:
            pids = [
                pid
                for (pid,) in control.sql(
                    "SELECT pid FROM pg_stat_activity WHERE query = 'CALL work()'"
                )
            ]
            idle = 1 if QUICK else 20
            cpu = _cpu(pids)
            time.sleep(idle)
            cpu = (_cpu(pids) - cpu) / idle * 100
            for step in steps:
                control.sql("CALL offer(%s::uuid)", step)
                time.sleep(PAUSE)
            _asleep(count)
            claims = control.value("SELECT count(*) FROM claims")
            delays = [delay for (delay,) in control.sql(DELAYS)]
            control.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE query = 'CALL work()'"
            )
        for worker in workers:
            worker.wait()
        NOTIFIER.drop(DATABASE)
        if len(delays) != DISPATCHES:
            raise RuntimeError(f"{len(delays)} of {DISPATCHES} were claimed")
        for turn, delay in enumerate(delays):
            row.sample(f"{count} wait", turn, 1, "ms", delay)
        ratio = claims / DISPATCHES
        row.figure(
            f"claims a dispatch, {count} waiting",
            Figure(ratio, ratio, ratio), "", most=1.1,
        )  # fmt: skip
        row.figure(
            f"connections, {count} waiting", Figure(*(len(pids),) * 3), ""
        )
        cuts = statistics.quantiles(delays, n=100, method="inclusive")
        for percentile, most in ((50, 3), (99, 25)):
            value = cuts[percentile - 1]
            row.figure(
                f"p{percentile}, {count} waiting",
                Figure(value, value, value), "ms", most=most,
            )  # fmt: skip
        row.figure(
            f"idle, {count} waiting", Figure(cpu, cpu, cpu), "% of a core"
        )

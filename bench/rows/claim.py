"""A claim against the number of events that wait."""

import time

from harness.measure import VACUUM, figure, ratio
from harness.results import QUICK, Row
from harness.server import NOTIFIER, Session

LARGE = 1_000 if QUICK else 100_000
SMALL = 100
ROUNDS = 3 if QUICK else 80
CLAIMS = 50


class Backlog:
    """A database with so many events that wait, or are paused."""

    def __init__(self, name: str, waiting: int, paused: int = 0) -> None:
        self.name = name
        self.database = f"bench_claim_{waiting}_{paused}"
        NOTIFIER.create(self.database)
        NOTIFIER.add_steps(self.database, waiting + paused)
        self.control = NOTIFIER.session(
            self.database, tasker_checkpoint__notify="off"
        )
        self.control.sql("TRUNCATE plain.workflow_steps")
        self.control.sql(
            "SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)),"
            " count(CASE WHEN n > %s"
            " THEN tasker_checkpoint_pause(workflow_step_uuid) END)"
            " FROM (SELECT workflow_step_uuid, row_number() OVER () AS n"
            " FROM tasker.workflow_steps) s",
            waiting,
        )
        self.control.sql("VACUUM ANALYZE")
        self.control.prepare("release", "SELECT tasker_checkpoint_release($1)")
        self.worker: Session = NOTIFIER.session(
            self.database,
            synchronous_commit="off",
            tasker_checkpoint__max_deliveries=0,
        )
        self.worker.pin()
        self.worker.prepare(
            "claim",
            "SELECT * FROM tasker_checkpoint_claim('bench', '1 minute')",
        )

    def claims(self) -> tuple[float, float]:
        """Claim, and give back by another session; CPU and time of a claim."""
        self.control.sql(VACUUM)
        cpu = self.worker.cpu()
        wall = 0
        for _ in range(CLAIMS):
            start = time.perf_counter_ns()
            delivery = self.worker.run("claim")
            wall += time.perf_counter_ns() - start
            if not delivery:
                raise RuntimeError("nothing was claimed")
            self.control.run("release", delivery[0])
        cpu = self.worker.cpu() - cpu
        return cpu / CLAIMS / 1000, wall / CLAIMS / 1000

    def close(self) -> None:
        """Remove the database."""
        self.worker.connection.close()
        self.control.connection.close()
        NOTIFIER.drop(self.database)


def claim(row: Row) -> None:
    """A claim with 100,000 events that wait, against one with 100."""
    backlogs = [
        Backlog(f"{SMALL} wait", SMALL),
        Backlog(f"{LARGE} wait", LARGE),
        Backlog(f"{SMALL} wait, {LARGE} are paused", SMALL, LARGE),
    ]
    cpu: dict[str, list[float]] = {backlog.name: [] for backlog in backlogs}
    wall: dict[str, list[float]] = {backlog.name: [] for backlog in backlogs}
    for turn in range(ROUNDS + 1):
        for backlog in backlogs if turn % 2 else backlogs[::-1]:
            cost = backlog.claims()
            if turn > 0:
                cpu[backlog.name].append(cost[0])
                wall[backlog.name].append(cost[1])
                row.sample(backlog.name, "", turn, "cpu", cost[0])
                row.sample(backlog.name, "", turn, "wall", cost[1])
    small = backlogs[0].name
    row.figure(f"claim, {small}", figure(cpu[small]), "us")
    for backlog in backlogs[1:]:
        row.figure(f"claim, {backlog.name}", figure(cpu[backlog.name]), "us")
        row.figure(
            f"claim, {backlog.name} / {small}",
            ratio(cpu[backlog.name], cpu[small]), "x", most=1.3,
        )  # fmt: skip
    for backlog in backlogs:
        backlog.close()

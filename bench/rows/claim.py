"""A claim against the events that wait, elsewhere or ahead of it."""

import time

from harness.measure import VACUUM, Figure, figure, ratio
from harness.results import QUICK, Row
from harness.server import NOTIFIER, Session

LARGE = 1_000 if QUICK else 100_000
AHEAD = 500 if QUICK else 50_000
UNCOMPLETED = 1_000 if QUICK else 20_000
SMALL = 100
ROUNDS = 3 if QUICK else 80
CLAIMS = 50

STEPS = "FROM tasker.workflow_steps WHERE priority = %s"
# what stands beside those that wait, each a step of priority 1, the others of 0
PAUSED = (
    f"SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) {STEPS}",
    f"SELECT count(tasker_checkpoint_pause(workflow_step_uuid)) {STEPS}",
)
ELSEWHERE = (
    "SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid, 'queue '"
    f" || (hashtext(workflow_step_uuid::text) & 63))) {STEPS}",
)
FLYING = (
    "SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid, priority"
    f" => 1)) {STEPS}",
    "SELECT count(*) FROM generate_series(1, %s / 500),"
    " LATERAL tasker_checkpoint_claim('others', '1 hour', 500)",
)
DELAYED = (
    "SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid, priority"
    f" => 1, delay => '1 hour')) {STEPS}",
)
FINISHED = (
    f"SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) {STEPS}",
    "UPDATE tasker.workflow_steps SET processed = true WHERE priority = %s",
)
# the steps of priority 1 are other tenants'
TENANT = """
    DO 'BEGIN CREATE ROLE bench_tenant;
        EXCEPTION WHEN duplicate_object THEN NULL; END';
    ALTER TABLE tasker.workflow_steps ENABLE ROW LEVEL SECURITY;
    CREATE POLICY tenant ON tasker.workflow_steps TO bench_tenant
        USING (priority = 0);
    GRANT USAGE ON SCHEMA tasker TO bench_tenant;
    GRANT SELECT, UPDATE ON tasker.workflow_steps TO bench_tenant;
    GRANT EXECUTE ON FUNCTION
        tasker_checkpoint_claim(text, interval, integer, uuid, text[])
        TO bench_tenant;
    """
ALL_QUEUES = "SELECT * FROM tasker_checkpoint_claim('bench', '1 minute')"
ONE_QUEUE = (
    "SELECT * FROM tasker_checkpoint_claim('bench', '1 minute',"
    " queues => '{default}')"
)


class Backlog:
    """A database with so many events that wait, beside others."""

    def __init__(
        self,
        name: str,
        waiting: int,
        others: int = 0,
        statements: tuple[str, ...] = (),
        claim: str = ONE_QUEUE,
        tenant: bool = False,
    ) -> None:
        self.name = name
        self.database = f"bench_claim_{abs(hash(name))}"
        NOTIFIER.create(self.database)
        NOTIFIER.add_steps(self.database, waiting + others)
        self.control = NOTIFIER.session(
            self.database,
            tasker_checkpoint__notify="off",
            synchronous_commit="off",
        )
        self.control.sql("TRUNCATE plain.workflow_steps")
        self.control.sql(
            "UPDATE tasker.workflow_steps SET priority = 1"
            " WHERE workflow_step_uuid IN (SELECT workflow_step_uuid"
            " FROM tasker.workflow_steps LIMIT %s)",
            others,
        )
        for statement in statements:
            parameter = others if "generate_series" in statement else 1
            self.control.sql(
                statement, *([parameter] if "%s" in statement else [])
            )
        self.control.sql(
            f"SELECT count(tasker_checkpoint_dispatch(workflow_step_uuid)) {STEPS}",
            0,
        )
        self.control.sql("VACUUM ANALYZE")
        self.control.prepare("release", "SELECT tasker_checkpoint_release($1)")
        self.worker: Session = NOTIFIER.session(
            self.database,
            synchronous_commit="off",
            tasker_checkpoint__max_deliveries=0,
        )
        if tenant:
            self.control.connection.execute(TENANT)
            self.worker.sql("SET ROLE bench_tenant")
        self.worker.pin()
        self.worker.prepare("claim", claim)

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


def _compare(row: Row, backlogs: list[Backlog]) -> None:
    """Let the backlogs take turns, and compare each with the first."""
    cpu: dict[str, list[float]] = {backlog.name: [] for backlog in backlogs}
    for turn in range(ROUNDS + 1):
        for backlog in backlogs if turn % 2 else backlogs[::-1]:
            cost = backlog.claims()
            if turn > 0:
                cpu[backlog.name].append(cost[0])
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


def claim(row: Row) -> None:
    """A claim with 100,000 events that wait, against one with 100."""
    _compare(
        row,
        [
            Backlog(f"{SMALL} wait", SMALL, claim=ALL_QUEUES),
            Backlog(f"{LARGE} wait", LARGE, claim=ALL_QUEUES),
            Backlog(
                f"{SMALL} wait, {LARGE} are paused",
                SMALL, LARGE, PAUSED, ALL_QUEUES,
            ),
        ],
    )  # fmt: skip


def queues(row: Row) -> None:
    """A claim with 100,000 events in other queues, or ahead in its own."""
    # the steps are there in each, dispatched or not
    _compare(
        row,
        [
            Backlog(f"{SMALL} wait", SMALL, LARGE),
            Backlog(f"{LARGE} in other queues", SMALL, LARGE, ELSEWHERE),
            Backlog(f"{AHEAD} in flight ahead", SMALL, AHEAD, FLYING),
            Backlog(f"{AHEAD} delayed ahead", SMALL, AHEAD, DELAYED),
        ],
    )
    _compare(
        row,
        [
            Backlog(f"{SMALL} wait, a tenant's", SMALL, LARGE, tenant=True),
            Backlog(
                f"{LARGE} in other tenants' queues",
                SMALL, LARGE, ELSEWHERE, tenant=True,
            ),
        ],
    )  # fmt: skip


def finished(row: Row) -> None:
    """Claims with 20,000 finished steps ahead that nobody has completed."""
    few = Backlog(f"{SMALL} wait", SMALL, UNCOMPLETED)
    many = Backlog(
        f"{UNCOMPLETED} are finished", SMALL, UNCOMPLETED, FINISHED
    )
    taken: list[float] = []
    begin = time.monotonic()
    while time.monotonic() - begin < 1:
        start = time.perf_counter_ns()
        delivery = many.worker.run("claim")
        taken.append((time.perf_counter_ns() - start) / 1e6)
        row.sample("claim", len(taken), 1, "ms", taken[-1])
        if delivery:
            many.control.run("release", delivery[0])
    for name, value, most in (
        ("the first claim", taken[0], 20),
        ("the longest claim of a second", max(taken), None),
    ):
        row.figure(name, Figure(value, value, value), "ms", most=most)
    few.name, many.name = "none finished", "a second later"
    _compare(row, [few, many])

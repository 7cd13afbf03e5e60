"""64 partitions by hash of the key, against one table of the same rows."""

from collections.abc import Callable

from harness.measure import figure, ratio
from harness.results import QUICK, Row
from harness.server import NOTIFIER, Session

PARTITIONS = 64
# ten in each partition, which take turns
STEPS = 10 * PARTITIONS
ROUNDS = 3 if QUICK else 60
SESSIONS = 2 if QUICK else 15
COUNT = 64
RESULTS = '{"running_total": 5050}'

COLUMNS = "id uuid PRIMARY KEY, processed boolean, updated_at timestamptz"
STATEMENTS = {
    "update": "UPDATE bare SET updated_at = now(),"
    " checkpoint = jsonb_build_object('cursor', $2::jsonb,"
    " 'items_processed', $3::bigint,"
    " 'accumulated_results', $4::jsonb) WHERE id = $1",
    "save": "SELECT * FROM tasker_checkpoint_save($1, $2, $3, $4)",
    "yield": "SELECT * FROM tasker_checkpoint_yield($1, $2, $3, $4)",
    "fenced": "SELECT * FROM tasker_checkpoint_yield($1, $2, $3, $4, $5)",
    "claim": "SELECT event_id, step_uuid FROM tasker_checkpoint_claim("
    "'bench', '1 hour', 1, NULL, '{default}')",
}


class Table:
    """A database whose steps are in partitions, or not."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self.database = f"bench_partitions_{partitions}"
        with NOTIFIER.session("postgres") as session:
            session.sql(
                f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)'
            )
            session.sql(f'CREATE DATABASE "{self.database}"')
        self.control = NOTIFIER.session(
            self.database, client_min_messages="warning"
        )
        sql = self.control.sql
        sql("CREATE EXTENSION tasker_checkpoint")
        self._create("steps", COLUMNS)
        self._create("bare", f"{COLUMNS}, checkpoint jsonb")
        sql("SELECT tasker_checkpoint_attach('steps', 'id')")
        for table in ("steps", "bare"):
            sql(
                f"INSERT INTO {table} (id) SELECT md5(n::text)::uuid"
                " FROM generate_series(1, %s) n",
                STEPS,
            )
        sql("SELECT count(tasker_checkpoint_dispatch(id)) FROM steps")
        keys = sql("SELECT id::text FROM steps ORDER BY md5(id::text)")
        self.keys = [row[0] for row in keys]
        self.session = self.connect()
        self.session.pin()
        self.n = 0
        self.vacuum()

    def _create(self, table: str, columns: str) -> None:
        fill = "WITH (fillfactor = 50)"
        if not self.partitions:
            self.control.sql(f"CREATE TABLE {table} ({columns}) {fill}")
            return
        self.control.sql(
            f"CREATE TABLE {table} ({columns}) PARTITION BY HASH (id)"
        )
        for n in range(self.partitions):
            self.control.sql(
                f"CREATE TABLE {table}_{n} PARTITION OF {table} FOR VALUES"
                f" WITH (MODULUS {self.partitions}, REMAINDER {n}) {fill}"
            )

    def connect(self) -> Session:
        """Return a session that has everything prepared."""
        session = NOTIFIER.session(self.database, synchronous_commit="off")
        for name, statement in STATEMENTS.items():
            session.prepare(name, statement)
        return session

    def vacuum(self) -> None:
        """Let each cell begin with what the last one has left removed."""
        self.control.sql(
            "VACUUM (TRUNCATE false) steps, bare, tasker_checkpoint_events"
        )

    def write(self, name: str) -> None:
        """Write the next step."""
        self.n += 1
        step = self.keys[self.n % STEPS]
        self.session.run(name, step, str(self.n), str(self.n), RESULTS)

    def cycle(self) -> None:
        """Claim a step, and yield it."""
        self.n += 1
        event, step = self.session.run("claim")
        n = str(self.n)
        self.session.run("fenced", step, n, n, RESULTS, event)

    def cell(self, what: Callable[[], None]) -> float:
        """Return the microseconds that the backend takes."""
        cpu = self.session.cpu()
        for _ in range(COUNT):
            what()
        return (self.session.cpu() - cpu) / COUNT / 1000

    def first(self) -> float:
        """Return what the first save of a session takes, in microseconds."""
        with self.connect() as session:
            self.n += 1
            step, n = self.keys[self.n % STEPS], str(self.n)
            cpu = session.cpu()
            session.run("save", step, n, n, RESULTS)
            return (session.cpu() - cpu) / 1000

    def close(self) -> None:
        """Remove the database."""
        self.session.connection.close()
        self.control.connection.close()
        NOTIFIER.drop(self.database)


def partitions(row: Row) -> None:
    """Save, yield, and claim with yield: 64 partitions against one table."""
    plain, parted = tables = [Table(0), Table(PARTITIONS)]
    kinds: dict[str, Callable[[Table], Callable[[], None]]] = {
        "plain UPDATE": lambda table: lambda: table.write("update"),
        "save": lambda table: lambda: table.write("save"),
        "yield": lambda table: lambda: table.write("yield"),
        "claim + yield": lambda table: table.cycle,
    }
    cpu: dict[tuple[str, Table], list[float]] = {}
    for turn in range(ROUNDS + 1):
        for kind, what in kinds.items():
            for table in tables if turn % 2 else tables[::-1]:
                table.vacuum()
                taken = table.cell(what(table))
                # the first turn fills caches
                if turn > 0:
                    cpu.setdefault((kind, table), []).append(taken)
                    row.sample(kind, table.partitions, turn, "cpu", taken)
    for kind in kinds:
        row.figure(f"{kind}, one table", figure(cpu[kind, plain]), "us")
        row.figure(f"{kind}, 64 partitions", figure(cpu[kind, parted]), "us")
        row.figure(
            f"{kind}, 64 partitions / one table",
            ratio(cpu[kind, parted], cpu[kind, plain]), "x",
        )  # fmt: skip
    first = {
        table: [table.first() for _ in range(SESSIONS)] for table in tables
    }
    for table, name in ((plain, "one table"), (parted, "64 partitions")):
        row.figure(
            f"first save of a session, {name}", figure(first[table]), "us"
        )
        row.figure(
            f"private memory of the session, {name}",
            figure([table.session.resident()]), "bytes",
        )  # fmt: skip
        table.close()

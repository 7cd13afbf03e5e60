"""What a checkpoint costs against a plain UPDATE of the same documents."""

from dataclasses import dataclass

from harness.load import finish_pgbench, start_pgbench
from harness.measure import VACUUM, Cell, cell, figure, interleaved, ratio
from harness.results import QUICK, Row
from harness.server import NOTIFIER, NOTIFY, Server
from harness.writers import (
    DOCUMENTS,
    RESULTS,
    ArchivingFencedSave,
    ArchivingSave,
    FencedSave,
    Least,
    Plain,
    Save,
    Writer,
    Yield,
    fill_documents,
)

HISTORIES = (0, 10, 100, 1000)
# writes of a cell by history
COUNTS = {0: 150, 10: 150, 100: 100, 1000: 40}
DATABASE = "bench_cost"
Cells = dict[str, list[Cell]]


@dataclass
class Setting:
    """Writers in a database of their own, each with a full history."""

    server: Server
    history: int
    kinds: tuple[type[Writer], ...]
    compression: str = "pglz"

    def __enter__(self) -> "Setting":
        self.server.create(DATABASE, self.compression)
        steps = self.server.add_lone_steps(DATABASE, len(self.kinds))
        self.control = self.server.session(DATABASE)
        self.writers = [
            kind(
                self.server,
                DATABASE,
                step,
                synchronous_commit="off",
                tasker_checkpoint__history_limit=self.history,
                tasker_checkpoint__history_size=-1,
            )
            for kind, step in zip(self.kinds, steps, strict=True)
        ]
        self.by_name = {writer.name: writer for writer in self.writers}
        for writer in self.writers:
            writer.session.pin()
            if not isinstance(writer, Plain):
                for _ in range(self.history + 10):
                    writer.write()
        self.fill_documents()
        self.control.sql("CHECKPOINT")
        return self

    def __exit__(self, *error: object) -> None:
        for writer in self.writers:
            writer.close()
        self.control.connection.close()
        self.server.drop(DATABASE)

    def fill_documents(self) -> float:
        """Keep the next saves for the plain UPDATE; return their WAL."""
        return fill_documents(
            self.by_name["save"], self.by_name["plain UPDATE"]
        )

    def measure(
        self,
        row: Row,
        rounds: int,
        count: int,
        label: str = "",
    ) -> Cells:
        """Let the writers take turns, and keep the samples."""
        if QUICK:
            rounds = 2
        cells = interleaved(self.writers, rounds, count, self.control)
        for name, taken in cells.items():
            for turn, one in enumerate(taken, 1):
                for metric in ("cpu", "wall", "wal"):
                    row.sample(
                        f"{name}{label}", self.history, turn, metric,
                        getattr(one, metric),
                    )  # fmt: skip
        return cells


def _values(cells: Cells, name: str, metric: str) -> list[float]:
    return [getattr(one, metric) for one in cells[name]]


def _against_plain(
    row: Row, cells: Cells, history: int, bars: dict[str, float]
) -> None:
    plain = _values(cells, "plain UPDATE", "cpu")
    row.figure(f"plain UPDATE, history {history}", figure(plain), "us")
    for name, bar in bars.items():
        values = _values(cells, name, "cpu")
        row.figure(
            f"{name} / plain UPDATE, history {history}",
            ratio(values, plain),
            "x",
            most=bar,
        )
        row.figure(f"{name}, history {history}", figure(values), "us")


def cpu(row: Row) -> None:
    """CPU time of the backend: save, fenced save and yield."""
    for history in HISTORIES:
        kinds = (Plain, Save, FencedSave, Yield)
        with Setting(NOTIFIER, history, kinds) as setting:
            cells = setting.measure(row, 80, COUNTS[history])
        bars = {"save": 1.35, "fenced save": 1.8, "yield": 2.2}
        _against_plain(row, cells, history, bars)


def cpu_notify(row: Row) -> None:
    """The same for a yield that notifies in its own transaction."""
    for history in HISTORIES:
        with Setting(NOTIFY, history, (Plain, Save, Yield)) as setting:
            cells = setting.measure(row, 30, COUNTS[history])
        _against_plain(row, cells, history, {"yield": 2.2})


# the same writers as scripts of pgbench; a fenced one is given its event
_SAVE = """\\set n :n + 1
SELECT * FROM tasker_checkpoint_save(:step, :n::jsonb, :n, :results{});
"""
SCRIPTS: dict[type[Writer], str] = {
    Plain: """\\set n (:n + 1) % 200
UPDATE plain.workflow_steps
SET checkpoint = (SELECT doc FROM docs WHERE n = :n), updated_at = now()
WHERE workflow_step_uuid = :step;
""",
    Save: _SAVE.format(""),
    FencedSave: _SAVE.format(", :event"),
    Yield: """\\set n :n + 1
SELECT event_id AS event
FROM tasker_checkpoint_yield(:step, :n::jsonb, :n, :results, :event) \\gset
""",
}


def _run_script(setting: Setting, writer: Writer, count: int) -> float:
    """Write so often by pgbench; the time of a write, in microseconds."""
    events = setting.control.sql(
        "SELECT event_id FROM tasker_checkpoint_events WHERE step_uuid = %s",
        writer.step,
    )
    variables = {
        "step": writer.step,
        "n": writer.n,
        "results": RESULTS,
        "event": events[0][0] if events else "none",
    }
    writer.n += count
    rate, _ = finish_pgbench(
        start_pgbench(
            setting.server, DATABASE, SCRIPTS[type(writer)], "-t", str(count),
            *[f"--define={name}={value}" for name, value in variables.items()],
            settings="-c tasker_checkpoint.history_size=-1"
            f" -c tasker_checkpoint.history_limit={setting.history}",
        )
    )  # fmt: skip
    return 1_000_000 / rate


def durable(row: Row) -> None:
    """Time as the client sees it, each commit flushed."""
    bars = {"save": 1.1, "fenced save": 1.2, "yield": 1.25}
    for history in HISTORIES:
        times: dict[str, list[float]] = {kind.name: [] for kind in SCRIPTS}
        with Setting(NOTIFIER, history, tuple(SCRIPTS)) as setting:
            for turn in range(3 if QUICK else 31):
                setting.control.sql(VACUUM)
                for writer in setting.writers[:: 1 if turn % 2 else -1]:
                    taken = _run_script(setting, writer, 4 * COUNTS[history])
                    # the first turn warms caches
                    if turn > 0:
                        times[writer.name].append(taken)
                        row.sample(writer.name, history, turn, "wall", taken)
        plain = times["plain UPDATE"]
        row.figure(f"plain UPDATE, history {history}", figure(plain), "us")
        for name, bar in bars.items():
            row.figure(
                f"{name} / plain UPDATE, history {history}",
                ratio(times[name], plain), "x", most=bar,
            )  # fmt: skip
            row.figure(f"{name}, history {history}", figure(times[name]), "us")


def wal(row: Row) -> None:
    """Bytes of WAL, pages that were touched before (full_page_writes off)."""
    NOTIFY.set(full_page_writes="off")
    for history in HISTORIES:
        kinds = (Plain, Save, FencedSave, Yield)
        with Setting(NOTIFY, history, kinds) as setting:
            cells = setting.measure(row, 8, COUNTS[history])
            # to the byte the same documents
            plain = setting.by_name["plain UPDATE"]
            extra = []
            for turn in range(1, 4):
                by_save = setting.fill_documents()
                cell(plain, DOCUMENTS, setting.control)
                by_plain = cell(plain, DOCUMENTS, setting.control).wal
                row.sample(
                    "save, same documents", history, turn, "wal", by_save
                )
                row.sample(
                    "plain UPDATE, same documents",
                    history,
                    turn,
                    "wal",
                    by_plain,
                )
                extra.append(by_save - by_plain)
            sizes = setting.control.sql(
                "SELECT pg_column_size(doc), pg_column_size(checkpoint)"
                " FROM docs, tasker.workflow_steps"
                " WHERE n = %s AND workflow_step_uuid = %s",
                DOCUMENTS - 1,
                setting.by_name["save"].step,
            )[0]
        for name, size in zip(
            ("document", "document, stored"), sizes, strict=True
        ):
            row.figure(f"{name}, history {history}", figure([size]), "bytes")
        save = _values(cells, "save", "wal")
        taken = _values(cells, "plain UPDATE", "wal")
        row.figure(f"plain UPDATE, history {history}", figure(taken), "bytes")
        row.figure(
            f"save - plain UPDATE, history {history}",
            figure(extra),
            "bytes",
            most=64,
        )
        for name, bar in (("fenced save", 250), ("yield", 450)):
            row.figure(
                f"{name} - save, history {history}",
                figure(
                    [
                        v - figure(save).value
                        for v in _values(cells, name, "wal")
                    ]
                ),
                "bytes",
                # of a long history the documents differ by more than that
                most=bar if history <= 100 else None,
            )
        row.figure(
            f"yield, history {history}",
            figure(_values(cells, "yield", "wal")),
            "bytes",
        )
    NOTIFY.set(full_page_writes="on")


def archive(row: Row) -> None:
    """A save that archives what it cuts, against one that does not."""
    for history in (0, 10, 100):
        kinds = (Plain, Save, ArchivingSave)
        with Setting(NOTIFIER, history, kinds) as setting:
            cells = setting.measure(row, 40, COUNTS[history])
        for metric, unit in (("cpu", "us"), ("wal", "bytes")):
            with_it = _values(cells, "archiving save", metric)
            without = _values(cells, "save", metric)
            row.figure(
                f"{metric} of archiving save / save, history {history}",
                ratio(with_it, without),
                "x",
                most=1.1 if history == 100 else None,
            )
            row.figure(
                f"{metric} of archiving save, history {history}",
                figure(with_it),
                unit,
            )


# entries of a history that nobody has set otherwise
DEFAULT = 10


def defaults(row: Row) -> None:
    """What a fenced save costs at the defaults, with lz4, against the least."""
    kinds = (Plain, Save, Least, FencedSave, ArchivingFencedSave)
    NOTIFIER.set(full_page_writes="off")
    with Setting(NOTIFIER, DEFAULT, kinds, "lz4") as setting:
        cells = setting.measure(row, 60, COUNTS[DEFAULT])
        entries, stored = setting.control.sql(
            "SELECT jsonb_array_length(checkpoint -> 'history'),"
            " pg_column_size(checkpoint)"
            " FROM tasker.workflow_steps WHERE workflow_step_uuid = %s",
            setting.by_name["fenced save"].step,
        )[0]
    NOTIFIER.set(full_page_writes="on")
    fenced = _values(cells, "fenced save", "wal")
    archiving = _values(cells, "archiving fenced save", "wal")
    row.figure("entries kept", figure([entries]), "", least=10)
    row.figure("document, stored", figure([stored]), "bytes")
    row.figure("WAL of a fenced save", figure(fenced), "bytes", most=750)
    row.figure(
        "WAL of an archiving fenced save / fenced save",
        ratio(archiving, fenced), "x", most=1.1,
    )  # fmt: skip
    row.figure(
        "WAL of the least UPDATE",
        figure(_values(cells, "least UPDATE", "wal")), "bytes",
    )  # fmt: skip
    least = _values(cells, "least UPDATE", "cpu")
    row.figure("least UPDATE", figure(least), "us")
    row.figure(
        "fenced save / least UPDATE",
        ratio(_values(cells, "fenced save", "cpu"), least), "x",
    )  # fmt: skip


def lz4(row: Row) -> None:
    """The compression of the column, at a history of 100."""
    for compression in ("pglz", "lz4"):
        kinds = (Plain, Save, FencedSave, Yield)
        with Setting(NOTIFIER, 100, kinds, compression) as setting:
            cells = setting.measure(row, 30, COUNTS[100], f", {compression}")
        plain = _values(cells, "plain UPDATE", "cpu")
        row.figure(f"plain UPDATE, {compression}", figure(plain), "us")
        for name in ("save", "fenced save", "yield"):
            values = _values(cells, name, "cpu")
            row.figure(f"{name}, {compression}", figure(values), "us")
            row.figure(
                f"{name} / plain UPDATE, {compression}",
                ratio(values, plain),
                "x",
            )
        row.figure(
            f"WAL of a yield, {compression}",
            figure(_values(cells, "yield", "wal")), "bytes",
        )  # fmt: skip

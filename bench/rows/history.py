"""What a yield costs as a step goes on, and the backend's memory."""

import time

from harness.measure import VACUUM, Cell, Figure, cell, figure, ratio
from harness.results import QUICK, Row
from harness.server import NOTIFIER
from harness.writers import (
    Plain,
    Save,
    TaskerSql,
    Unfenced,
    Yield,
    fill_documents,
)

DATABASE = "bench_history"
LATE = 1_000 if QUICK else 10_000
EARLY = 200
PAIRS = 3 if QUICK else 40
COUNT = 25
SQL_YIELDS = 100 if QUICK else 1_000


def _curve(
    row: Row, writer: Unfenced | TaskerSql, yields: int, bucket: int
) -> list[Cell]:
    """Yield so often; keep what each of a bucket's yields costs."""
    cells = []
    with NOTIFIER.session(DATABASE) as control:
        for end in range(bucket, yields + 1, bucket):
            taken = cell(writer, bucket, control)
            cells.append(taken)
            for metric in ("cpu", "wal"):
                row.sample(writer.name, end, 1, metric, getattr(taken, metric))
            if end % 1_000 == 0:
                control.sql(VACUUM)
    return cells


def _point(value: float) -> Figure:
    return Figure(value, value, value)


def growth(row: Row) -> None:
    """The 10,000th yield against the 200th, and Tasker's own SQL."""
    NOTIFIER.create(DATABASE)
    late, *early = NOTIFIER.add_lone_steps(DATABASE, PAIRS + 2)
    theirs = early.pop()
    writer = Unfenced(NOTIFIER, DATABASE, late, synchronous_commit="off")
    writer.session.pin()
    ours = _curve(row, writer, LATE, 100)
    for step in early:
        writer.step = step
        for _ in range(EARLY):
            writer.write()

    samples: dict[str, list[Cell]] = {"early": [], "late": []}
    with NOTIFIER.session(DATABASE) as control:
        for turn, step in enumerate(early):
            if turn % 4 == 0:
                control.sql(VACUUM)
            for name in ("early", "late") if turn % 2 else ("late", "early"):
                writer.step = step if name == "early" else late
                samples[name].append(cell(writer, COUNT, control))
    writer.close()
    for metric, unit in (("cpu", "us"), ("wal", "bytes")):
        values = {
            name: [getattr(one, metric) for one in taken]
            for name, taken in samples.items()
        }
        for name, taken in values.items():
            for turn, value in enumerate(taken, 1):
                row.sample(f"yield, {name}", "", turn, metric, value)
        row.figure(
            f"{metric} of yield {LATE} / {EARLY}",
            ratio(values["late"], values["early"]), "x", most=1.1,
        )  # fmt: skip
        row.figure(f"{metric} of yield {LATE}", figure(values["late"]), unit)

    sql = TaskerSql(NOTIFIER, DATABASE, theirs, synchronous_commit="off")
    sql.session.pin()
    cells = _curve(row, sql, SQL_YIELDS, 50)
    sql.close()
    NOTIFIER.drop(DATABASE)
    for metric, unit in (("cpu", "us"), ("wal", "bytes")):
        for name, taken in (("yield", ours), ("plain SQL", cells)):
            last = (
                min(SQL_YIELDS // (100 if name == "yield" else 50), len(taken))
                - 1
            )
            row.figure(
                f"{metric} of {name} {SQL_YIELDS}",
                _point(getattr(taken[last], metric)), unit,
            )  # fmt: skip


def transaction(row: Row) -> None:
    """8,000 yields of one step in one transaction, and 8,000 plain UPDATEs.

    The step's row has each version of the transaction then, and who looks for
    it by its key meets them all.
    """
    late = 800 if QUICK else 8_000
    lasts = {}
    for kind in (Yield, Unfenced, Save, Plain):
        NOTIFIER.create(DATABASE)
        steps = NOTIFIER.add_lone_steps(DATABASE, 2)
        save = Save(NOTIFIER, DATABASE, steps[1], synchronous_commit="off")
        plain = Plain(NOTIFIER, DATABASE, steps[1])
        for _ in range(20):
            save.write()
        fill_documents(save, plain)
        save.close()
        plain.close()
        writer = kind(NOTIFIER, DATABASE, steps[0], synchronous_commit="off")
        writer.session.pin()
        writer.session.sql("BEGIN")
        times = []
        for n in range(1, late + 1):
            start = time.perf_counter_ns()
            writer.write()
            times.append((time.perf_counter_ns() - start) / 1000)
            if n % 20 == 0:
                row.sample(kind.name, n, 1, "wall", times[-1])
        start = time.perf_counter_ns()
        writer.session.sql("COMMIT")
        row.sample(
            kind.name, "COMMIT", 1, "wall", (time.perf_counter_ns() - start) / 1000
        )  # fmt: skip
        writer.close()
        NOTIFIER.drop(DATABASE)
        early, last = figure(times[50:150]), figure(times[-100:])
        lasts[kind.name] = last.value
        row.figure(f"{kind.name} {late}", last, "us")
        row.figure(
            f"{kind.name} {late} / 100", _point(last.value / early.value), "x"
        )
    for name in (Yield.name, Unfenced.name):
        row.figure(
            f"{name} / plain UPDATE, {late}",
            _point(lasts[name] / lasts[Plain.name]), "x", most=1.5,
        )  # fmt: skip


def memory(row: Row) -> None:
    """A backend's memory over 100,000 yields."""
    marks = (100, 500, 1_000) if QUICK else (
        1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000,
    )  # fmt: skip
    NOTIFIER.create(DATABASE)
    steps = NOTIFIER.add_lone_steps(DATABASE, 10)
    writer = Unfenced(
        NOTIFIER, DATABASE, steps[0], synchronous_commit="off",
        tasker_checkpoint__history_limit=10,
    )  # fmt: skip
    used, resident = [], []
    done = 0
    with NOTIFIER.session(DATABASE) as control:
        for mark in marks:
            while done < mark:
                writer.step = steps[done % len(steps)]
                writer.write()
                done += 1
                if done % 5_000 == 0:
                    control.sql(VACUUM)
            used.append(
                float(
                    writer.session.value(
                        "SELECT sum(used_bytes) FROM pg_backend_memory_contexts"
                    )
                )
            )
            resident.append(float(writer.session.resident()))
            row.sample("memory contexts", mark, 1, "bytes", used[-1])
            row.sample("private memory", mark, 1, "bytes", resident[-1])
    writer.close()
    NOTIFIER.drop(DATABASE)
    # pages that malloc touches for the first time are private memory too
    for name, values, most in (
        ("memory contexts", used, 1.02),
        ("private memory", resident, 1.05),
    ):
        row.figure(
            f"{name}, yield {marks[-1]} / {marks[0]}",
            _point(values[-1] / values[0]), "x", most=most,
        )  # fmt: skip
        row.figure(f"{name}, yield {marks[-1]}", _point(values[-1]), "bytes")


def hot(row: Row) -> None:
    """HOT share of yields to Tasker's table with its 14 other indexes."""
    steps_count = 20 if QUICK else 100
    for name, statements, bar in (
        ("fillfactor 100", (), 0.99),
        (
            "fillfactor 70",
            ("ALTER TABLE tasker.workflow_steps SET (fillfactor = 70)",),
            0.99,
        ),
        (
            "with Tasker's two checkpoint indexes",
            TASKER_CHECKPOINT_INDEXES,
            None,
        ),
    ):
        NOTIFIER.create(DATABASE)
        with NOTIFIER.session(DATABASE) as control:
            for statement in statements:
                control.sql(statement)
        steps = NOTIFIER.add_steps(DATABASE, steps_count)
        writer = Unfenced(
            NOTIFIER, DATABASE, steps[0], synchronous_commit="off"
        )
        before: tuple[int, ...] = (0, 0)
        wal = NOTIFIER.session(DATABASE)
        # full histories, then again as many yields
        for phase, rounds in (
            ("as histories fill", 110),
            ("full histories", 30),
        ):
            start = wal.value("SELECT pg_current_wal_insert_lsn()")
            for _ in range(rounds):
                for step in steps:
                    writer.step = step
                    writer.write()
            size = wal.value(
                "SELECT pg_current_wal_insert_lsn() - %s::pg_lsn", start
            )
            writer.session.sql("SELECT pg_stat_force_next_flush()")
            after = wal.sql(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
                " WHERE relid = 'tasker.workflow_steps'::regclass"
            )[0]
            share = (after[1] - before[1]) / (after[0] - before[0])
            before = after
            row.sample(name, phase, 1, "hot share", share)
            row.figure(
                f"{phase}, {name}", _point(share), "",
                least=bar if phase == "full histories" else None,
            )  # fmt: skip
            row.figure(
                f"WAL of a yield, {phase}, {name}",
                _point(float(size) / rounds / len(steps)), "bytes",
            )  # fmt: skip
        writer.close()
        wal.connection.close()
        NOTIFIER.drop(DATABASE)


TASKER_CHECKPOINT_INDEXES = (
    "CREATE INDEX ON tasker.workflow_steps ((checkpoint ->> 'cursor'))"
    " WHERE checkpoint IS NOT NULL",
    "CREATE INDEX ON tasker.workflow_steps (workflow_step_uuid)"
    " WHERE checkpoint IS NOT NULL",
)

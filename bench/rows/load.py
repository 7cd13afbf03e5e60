"""Many workers at once."""

import statistics
import time

from harness.load import (
    STEP,
    YIELD,
    Listener,
    Stopwatch,
    finish_pgbench,
    number_steps,
    start_pgbench,
    throughput,
)
from harness.measure import VACUUM, Figure, figure, ratio
from harness.results import QUICK, Row
from harness.server import NOTIFIER, NOTIFY, Server
from harness.writers import Plain, Save, TaskerSql, Unfenced, fill_documents

DATABASE = "bench_load"
SECONDS = 1 if QUICK else 2
ROUNDS = 1 if QUICK else 9
OFF = "-c tasker_checkpoint.notify=off"
PLAIN = f"""\\set n random(0, 199)
UPDATE plain.workflow_steps SET checkpoint = (SELECT doc FROM docs WHERE n = :n),
updated_at = now() WHERE workflow_step_uuid = {STEP};
"""
ONE_STEP = "'00000000-0000-0000-0000-000000000000'::uuid"


def _prepare(server: Server, clients: int) -> None:
    """Make a database whose steps have full histories."""
    server.create(DATABASE)
    number_steps(server, DATABASE, server.add_steps(DATABASE, max(clients, 2)))
    keys = [f"00000000-0000-0000-0000-{n:012}" for n in range(clients)]
    save = Save(server, DATABASE, keys[0], synchronous_commit="off")
    plain = Plain(server, DATABASE, keys[0])
    for _ in range(100):
        save.write()
    fill_documents(save, plain)
    # the scripts leave items where they are, since writers overtake each other
    save.session.sql("SELECT tasker_checkpoint_clear(%s)", keys[0])
    for key in keys:
        for _ in range(110):
            save.session.run("write", key, "1000000", "0", None)
    save.session.sql("CHECKPOINT")
    save.close()
    plain.close()


def workers(row: Row) -> None:
    """Yields a second by 1 to 64 workers, by how they wake others up."""
    counts = (1, 4) if QUICK else (1, 4, 16, 64)
    variants = (
        ("notify off", NOTIFIER, YIELD, OFF),
        ("notifier", NOTIFIER, YIELD, ""),
        ("NOTIFY", NOTIFY, YIELD, ""),
        ("plain UPDATE", NOTIFIER, PLAIN, ""),
    )
    listeners = []
    for server in (NOTIFIER, NOTIFY):
        _prepare(server, max(counts))
        listeners.append(Listener(server, DATABASE))
    for clients in counts:
        rates: dict[str, list[float]] = {name: [] for name, *_ in variants}
        for turn in range(ROUNDS):
            for name, server, script, settings in (
                variants if turn % 2 else variants[::-1]
            ):
                with server.session(DATABASE) as control:
                    control.sql(VACUUM)
                rate, _ = throughput(
                    server, DATABASE, script, clients, SECONDS, settings
                )
                rates[name].append(rate)
                row.sample(name, clients, turn + 1, "per second", rate)
        off = rates["notify off"]
        row.figure(f"notify off, {clients} workers", figure(off), "per second")
        for name in ("notifier", "NOTIFY", "plain UPDATE"):
            row.figure(
                f"{name}, {clients} workers", figure(rates[name]), "per second"
            )
            row.figure(
                f"{name} / notify off, {clients} workers",
                ratio(rates[name], off), "x",
                least=0.9 if name == "notifier" and clients >= 16 else None,
            )  # fmt: skip
    for listener in listeners:
        listener.close()
    for server in (NOTIFIER, NOTIFY):
        server.drop(DATABASE)


def one_step(row: Row) -> None:
    """Yields a second to one step by 1, 4 and 16 writers; none is lost."""
    _prepare(NOTIFIER, 1)
    variants = (
        ("yield", YIELD.replace(STEP, ONE_STEP)),
        ("plain UPDATE", PLAIN.replace(STEP, ONE_STEP)),
    )
    for writers in (1, 4, 16):
        rates: dict[str, list[float]] = {name: [] for name, _ in variants}
        for turn in range(ROUNDS):
            for name, script in variants if turn % 2 else variants[::-1]:
                with NOTIFIER.session(DATABASE) as control:
                    control.sql(VACUUM)
                rate, _ = throughput(
                    NOTIFIER, DATABASE, script, writers, SECONDS
                )
                rates[name].append(rate)
                row.sample(name, writers, turn + 1, "per second", rate)
        for name, _ in variants:
            row.figure(
                f"{name}, {writers} writers", figure(rates[name]), "per second"
            )
        row.figure(
            f"yield / plain UPDATE, {writers} writers",
            ratio(rates["yield"], rates["plain UPDATE"]), "x",
        )  # fmt: skip
    _count_lost(row)
    NOTIFIER.drop(DATABASE)


def _count_lost(row: Row) -> None:
    """Compare the yields of 16 writers with what the history knows of them."""
    tasker = "\\set n random(1000000, 1999999)\n" + (
        TaskerSql.statement.replace("$1", ONE_STEP)
        .replace("$2", ":n")
        .replace("$3", "0")
        .replace("$4", "'{\"running_total\": 5050}'")
        + ";\n"
    )
    with NOTIFIER.session(DATABASE) as control:
        sequence = f"SELECT sequence FROM tasker_checkpoint_load({ONE_STEP})"
        length = (
            "SELECT jsonb_array_length(checkpoint -> 'history')"
            f" FROM plain.workflow_steps WHERE workflow_step_uuid = {ONE_STEP}"
        )
        control.sql("UPDATE plain.workflow_steps SET checkpoint = NULL")
        for name, script, known in (
            ("yield", YIELD.replace(STEP, ONE_STEP), sequence),
            ("plain SQL", tasker, length),
        ):
            before = control.value(known) or 0
            _, number = throughput(NOTIFIER, DATABASE, script, 16, 1)
            kept = control.value(known) - before
            row.sample(name, 16, 1, "yields", number)
            row.sample(name, 16, 1, "kept", kept)
            share = (number - kept) / number
            row.figure(
                f"share of yields lost, {name}, 16 writers",
                Figure(share, share, share), "",
                most=0 if name == "yield" else None,
            )  # fmt: skip


def latency(row: Row) -> None:
    """From a commit to its wake-up, while 16 clients yield."""
    seconds = 2 if QUICK else 15
    for name, server in (("notifier", NOTIFIER), ("NOTIFY", NOTIFY)):
        _prepare(server, 16)
        step = f"00000000-0000-0000-0000-{15:012}"
        probe = Unfenced(server, DATABASE, step)
        stopwatch = Stopwatch(server, DATABASE, step)
        others = start_pgbench(
            server, DATABASE, YIELD, "-c", "15", "-j", "2", "-T", str(seconds)
        )
        committed = {}
        while others.poll() is None:
            probe.n += 1
            receipt = probe.session.run("write", step, str(probe.n), "0", None)
            committed[int(receipt[0])] = time.monotonic_ns()
        rate, _ = finish_pgbench(others)
        # one more after the load: the rest has been heard of when it has
        time.sleep(0.5)
        heard = stopwatch.finish()
        probe.close()
        server.drop(DATABASE)
        delays = sorted(
            (heard[n] - at) / 1e6 for n, at in committed.items() if n in heard
        )
        if len(delays) < len(committed) - 5:
            raise RuntimeError(
                f"{len(committed) - len(delays)} wake-ups are missing"
            )
        for turn, delay in enumerate(delays[:: max(1, len(delays) // 400)]):
            row.sample(name, turn, 1, "ms", delay)
        cuts = statistics.quantiles(delays, n=100, method="inclusive")
        for percentile, most in ((50, 5), (95, None), (99, 25)):
            value = cuts[percentile - 1]
            row.figure(
                f"{name}, p{percentile}", Figure(value, value, value), "ms",
                most=most if name == "notifier" else None,
            )  # fmt: skip
        row.figure(
            f"{name}, all clients",
            Figure(*(rate + len(committed) / seconds,) * 3), "per second",
        )  # fmt: skip

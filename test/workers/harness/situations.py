"""What can happen to a worker, in every language, one at a time."""

import inspect
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg

from .instance import Instance
from .programs import Language, Program
from .proxy import Proxy
from .report import Report, expect, wait_until
from .scenarios import applied_problems, history_problems
from .steps import Step, Steps

SHORT_LEASE = 1.0
LONG_LEASE = 30.0
# of a worker that only polls and has the long lease
LONG_POLL = 5.0


class Scene:
    """A database of its own, and the workers in it."""

    def __init__(
        self, instance: Instance, language: Language, name: str
    ) -> None:
        self._instance = instance
        self._language = language
        self._name = f"{name}_{language.name}"
        self._programs: list[Program] = []
        self._proxies: list[Proxy] = []
        self.conninfo = instance.create_database(self._name)
        self.steps = Steps(self.conninfo)

    def pooled(self) -> str:
        """Return the connection string through the pooler."""
        return self._instance.pooled(self._name)

    def set(self, setting: str, value: int) -> None:
        """Change a setting, for the workers that are still to come."""
        self.steps.connection.execute(
            f'ALTER DATABASE "{self._name}"'
            f" SET tasker_checkpoint.{setting} = {value}"
        )

    def proxied(self, function: str, hides_it: bool) -> tuple[str, Proxy]:
        """Return a connection string, and the proxy through which it leads."""
        conninfo, proxy = self._instance.proxied(
            self._name, function, hides_it
        )
        self._proxies.append(proxy)
        return conninfo, proxy

    def worker(
        self,
        name: str,
        lease: float,
        *,
        conninfo: str | None = None,
        poll_only: bool = False,
        exit_when_idle: float | None = None,
    ) -> Program:
        """Start a worker."""
        program = Program(
            self._language,
            conninfo or self.conninfo,
            name,
            self._instance.directory / f"{self._name}_{name}.log",
            lease=lease,
            poll_only=poll_only,
            exit_when_idle=exit_when_idle,
        )
        self._programs.append(program)
        return program

    def expect_complete(self, step: Step, checkpoints: int) -> None:
        """Failed unless the step ran through as if nothing had happened."""
        self.steps.await_done(step)
        row = self.steps.look(step)
        expect(row["in_process"], False, "in_process")
        expect(row["attempts"], 1, "attempts")
        expect(row["states"], ["complete"], "states")
        expect(row["dispatched"], False, "dispatched")
        items = range(step.start, step.end)
        expect(
            row["results"],
            {
                "total": len(items),
                "running_total": sum(item + 1 for item in items),
                "item_ids": [f"item_{item:04d}" for item in items],
                "checkpoints_used": checkpoints,
            },
            "results",
        )
        problems = history_problems(row, checkpoints)
        problems += applied_problems(row, step, step.start, "complete")
        expect(problems, [], "problems")

    def close(self) -> None:
        """End the workers that still run."""
        for program in self._programs:
            program.kill()
        for proxy in self._proxies:
            proxy.close()
        self.steps.connection.close()


def a_wake_up_is_heard(scene: Scene) -> None:
    """Four steps, one after the other, take less than one poll."""
    scene.worker("a", LONG_LEASE)
    scene.steps.await_done(scene.steps.add(0, 5))
    began = time.monotonic()
    for _ in range(4):
        scene.steps.await_silence()
        scene.steps.await_done(scene.steps.add(0, 5), LONG_POLL * 2)
    took = time.monotonic() - began
    expect(took < LONG_POLL, True, f"{took:.1f} s is less than {LONG_POLL}")


def a_poll_finds_what_nobody_announced(scene: Scene) -> None:
    """Without notifications, and without listening."""
    scene.steps.connection.execute("SET tasker_checkpoint.notify = off")
    scene.worker("a", SHORT_LEASE, poll_only=True)
    for _ in range(3):
        step = scene.steps.add(0, 12, mode="yield")
        scene.expect_complete(step, 2)
    listening = scene.steps.value(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query ILIKE 'listen%'"
    )
    expect(listening, 0, "connections that listen")


def an_idle_worker_ends(scene: Scene) -> None:
    """By itself, when it is told to."""
    step = scene.steps.add(0, 12)
    worker = scene.worker("a", SHORT_LEASE, exit_when_idle=1.0)
    scene.steps.await_done(step)
    worker.await_exit()


def sigterm_ends_an_idle_worker(scene: Scene) -> None:
    """At once, though it would wait for its next poll."""
    worker = scene.worker("a", LONG_LEASE)
    scene.steps.await_done(scene.steps.add(0, 5))
    worker.terminate(LONG_POLL / 2)


def _terminated(scene: Scene, mode: str) -> None:
    step = scene.steps.add(0, 40, mode=mode, item_delay_ms=40)
    worker = scene.worker("a", LONG_LEASE)
    scene.steps.await_sequence(step, 1)
    worker.terminate()
    expect(scene.steps.done(step), False, "processed")
    expect(scene.steps.claimed_by(step), None, "worker that has the step")

    # nobody waits for the long lease
    scene.worker("b", LONG_LEASE)
    scene.expect_complete(step, 8 if mode == "save" else 7)
    workers = scene.steps.connection.execute(
        "SELECT DISTINCT worker FROM applied ORDER BY 1"
    )
    expect([row["worker"] for row in workers], ["a", "b"], "workers")


def sigterm_yields_the_running_step(scene: Scene) -> None:
    """It ends cleanly, and the step goes on elsewhere at once."""
    _terminated(scene, "yield")


def sigterm_yields_the_running_step_that_saves(scene: Scene) -> None:
    """The same for a handler that keeps its step."""
    _terminated(scene, "save")


def _killed(scene: Scene, mode: str) -> None:
    step = scene.steps.add(0, 40, mode=mode, item_delay_ms=20)
    worker = scene.worker("a", SHORT_LEASE)
    scene.steps.await_sequence(step, 2)
    worker.kill()
    expect(scene.steps.done(step), False, "processed")
    scene.worker("b", SHORT_LEASE)
    scene.expect_complete(step, 8 if mode == "save" else 7)


def a_killed_workers_step_goes_on(scene: Scene) -> None:
    """After its lease; items at least once."""
    _killed(scene, "yield")


def a_killed_workers_step_that_saves_goes_on(scene: Scene) -> None:
    """After its lease; items exactly once."""
    _killed(scene, "save")


def _freeze_while_idle(scene: Scene, zombie: Program) -> None:
    # not inside a transaction, whose locks would keep others from the step
    def frozen_well() -> bool:
        zombie.freeze()
        open_transactions = scene.steps.value(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' AND state <> 'idle'"
        )
        if open_transactions or not scene.steps.unsettled():
            zombie.thaw()
            return False
        return True

    wait_until(frozen_well, "frozen outside a transaction")


def _zombie(scene: Scene, mode: str) -> None:
    step = scene.steps.add(0, 80, mode=mode, item_delay_ms=30)
    zombie = scene.worker("zombie", SHORT_LEASE)
    scene.steps.await_sequence(step, 2)
    _freeze_while_idle(scene, zombie)
    sequence = scene.steps.sequence(step)
    scene.worker("successor", SHORT_LEASE)
    scene.steps.await_sequence(step, sequence + 2)
    zombie.thaw()
    scene.expect_complete(step, 16 if mode == "save" else 15)
    zombie.terminate()


def a_zombie_changes_nothing(scene: Scene) -> None:
    """It was stopped past its lease; another one has the step now."""
    _zombie(scene, "yield")


def a_zombie_that_saves_changes_nothing(scene: Scene) -> None:
    """Its work is rolled back together with its save."""
    _zombie(scene, "save")


def a_zombie_completes_nothing(scene: Scene) -> None:
    """It goes on behind the last checkpoint of a step that has ended."""
    step = scene.steps.add(
        0, 20, mode="yield", items_per_checkpoint=10, item_delay_ms=50
    )
    zombie = scene.worker("zombie", SHORT_LEASE)
    scene.steps.await_sequence(step, 1)
    scene.steps.await_claimed(step, "zombie")
    _freeze_while_idle(scene, zombie)
    successor = scene.worker("successor", SHORT_LEASE)
    scene.expect_complete(step, 1)
    successor.terminate()
    zombie.thaw()
    # it is over its past when it does something new
    scene.expect_complete(scene.steps.add(0, 5), 1)
    scene.expect_complete(step, 1)
    zombie.terminate()


def a_lease_is_kept_by_heartbeats(scene: Scene) -> None:
    """A step of several leases without a checkpoint is claimed once."""
    step = scene.steps.add(
        0, 10, items_per_checkpoint=10, mode="yield", item_delay_ms=300
    )
    scene.worker("a", SHORT_LEASE)
    scene.worker("b", SHORT_LEASE)
    scene.expect_complete(step, 0)
    expect(set(scene.steps.look(step)["applied"].values()), {1}, "times done")


def a_lost_connection_is_made_again(scene: Scene) -> None:
    """All connections of the worker, while it runs and while it is idle."""
    step = scene.steps.add(0, 40, item_delay_ms=20)
    worker = scene.worker("a", LONG_LEASE)
    for sequence in (1, 3, 5):
        scene.steps.await_sequence(step, sequence)
        scene.steps.disconnect_workers()
    # well before the long lease: the worker hands its own claim back
    scene.expect_complete(step, 8)
    scene.steps.disconnect_workers()
    scene.expect_complete(scene.steps.add(0, 12), 3)
    worker.terminate()


def _lose(
    scene: Scene, function: str, hides_it: bool, checkpoints: int, **how: Any
) -> None:
    conninfo, proxy = scene.proxied(function, hides_it)
    worker = scene.worker("a", LONG_LEASE, conninfo=conninfo)
    scene.steps.await_done(scene.steps.add(0, 5))
    replies = 1 if function == "complete" else 3
    proxy.lose(replies)
    # well before the long lease
    scene.expect_complete(scene.steps.add(0, 40, **how), checkpoints)
    expect(proxy.lost, replies, "replies lost")
    worker.terminate()


def a_lost_reply_to_a_commit_loses_and_doubles_nothing(scene: Scene) -> None:
    """The connection is cut as rows and save have committed."""
    _lose(scene, "save", False, 8, item_delay_ms=5)


def a_transaction_sent_twice_is_done_once(scene: Scene) -> None:
    """Rows and save have committed; the handler gets an error, and repeats."""
    _lose(scene, "save", True, 8, item_delay_ms=5, repeat=True)


def a_yield_sent_twice_is_done_once(scene: Scene) -> None:
    """It is answered as the first time, and says so."""
    _lose(scene, "yield", True, 7, mode="yield", repeat=True)


def a_lost_reply_to_a_yield_loses_nothing(scene: Scene) -> None:
    """The connection is cut as the yield has committed."""
    _lose(scene, "yield", False, 7, mode="yield")


def a_lost_reply_to_the_end_does_not_repeat_it(scene: Scene) -> None:
    """The connection is cut as the step has been completed."""
    _lose(scene, "complete", False, 8)


def one_checkpoint_stored_twice_is_an_error(scene: Scene) -> None:
    """The same one in two transactions, both with rows; the step fails."""
    step = scene.steps.add(0, 40, store_twice=True)
    scene.worker("a", LONG_LEASE)
    wait_until(lambda: not scene.steps.unsettled(), "the step is settled")
    row = scene.steps.look(step)
    expect(row["processed"], False, "processed")
    expect(row["states"], ["error"], "states")
    expect(sum(row["applied"].values()), 5, "rows")
    expect(history_problems(row, 1), [], "problems")


def interruptions_cost_no_delivery(scene: Scene) -> None:
    """Workers that are told to stop hand the step back where it was."""
    scene.set("max_deliveries", 2)
    step = scene.steps.add(
        0, 20, items_per_checkpoint=20, item_delay_ms=20, hand_back=True
    )
    for number in range(4):
        worker = scene.worker(f"a{number}", LONG_LEASE)
        scene.steps.await_claimed(step, worker.name)
        worker.terminate()
        expect(scene.steps.deliveries(step), 0, "deliveries")
    scene.worker("b", LONG_LEASE)
    scene.expect_complete(step, 1)


def a_step_that_stands_still_is_parked(scene: Scene) -> None:
    """It yields where it is; the first yield is the one that counts."""
    scene.set("max_deliveries", 3)
    step = scene.steps.add(0, 20, stand_still=True)
    scene.worker("a", LONG_LEASE)
    wait_until(lambda: not scene.steps.unsettled(), "the step is parked")
    expect(scene.steps.sequence(step), 4, "checkpoints")
    expect(scene.steps.look(step)["parked"], True, "parked")


def pause_stops_a_step_at_its_checkpoint(scene: Scene) -> None:
    """It is nobody's until it is resumed, and nothing is lost."""
    step = scene.steps.add(0, 60, item_delay_ms=10)
    scene.worker("a", SHORT_LEASE)
    scene.steps.await_sequence(step, 2)
    scene.steps.value("SELECT tasker_checkpoint_pause(%s)", step.uuid)
    wait_until(
        lambda: scene.steps.claimed_by(step) is None, "the step is let go"
    )
    sequence = scene.steps.sequence(step)
    # the worker is free for others meanwhile, and looks for them
    scene.expect_complete(scene.steps.add(0, 5), 1)
    expect(scene.steps.sequence(step), sequence, "sequence while paused")
    expect(scene.steps.done(step), False, "processed")

    scene.steps.value("SELECT tasker_checkpoint_resume(%s)", step.uuid)
    scene.expect_complete(step, 12)


def cancel_stops_a_step_at_its_checkpoint(scene: Scene) -> None:
    """It is not completed, and keeps its checkpoint."""
    step = scene.steps.add(0, 60, item_delay_ms=10)
    worker = scene.worker("a", SHORT_LEASE)
    scene.steps.await_sequence(step, 2)
    scene.steps.value("SELECT tasker_checkpoint_cancel(%s)", step.uuid)
    wait_until(
        lambda: scene.steps.claimed_by(step) is None, "the step is let go"
    )
    worker.terminate()
    row = scene.steps.look(step)
    expect(row["processed"], False, "processed")
    expect(row["states"], [], "states")
    expect(history_problems(row, scene.steps.sequence(step)), [], "problems")


def a_transaction_pooler_is_no_obstacle(scene: Scene) -> None:
    """Claim, yield, save and complete through PgBouncer, polling."""
    conninfo = scene.pooled()
    for name in ("a", "b"):
        scene.worker(name, SHORT_LEASE, conninfo=conninfo, poll_only=True)
    made = [
        scene.steps.add(0, 42, mode=mode, item_delay_ms=5)
        for mode in ("yield", "save") * 3
    ]
    for step in made:
        saves = step.metadata["mode"] == "save"
        scene.expect_complete(step, 9 if saves else 8)


def _connects(conninfo: str) -> bool:
    try:
        psycopg.connect(conninfo).close()
    except psycopg.OperationalError:
        return False
    return True


def who_waits_behind_a_pooler_is_woken(scene: Scene) -> None:
    """Wait, and claim then, through PgBouncer in transaction mode."""
    asleep = (
        "SELECT count(*) = 1 FROM pg_stat_activity"
        " WHERE datname = current_database()"
        " AND query LIKE 'CALL%' AND wait_event_type = 'Extension'"
    )
    conninfo = scene.pooled()
    wait_until(partial(_connects, conninfo), "the pooler is there")
    with (
        psycopg.connect(
            conninfo, autocommit=True, prepare_threshold=None
        ) as worker,
        ThreadPoolExecutor(1) as other,
    ):
        woken = other.submit(
            worker.execute,
            "CALL tasker_checkpoint_wait(timeout => '1 minute')",
        )
        wait_until(lambda: scene.steps.value(asleep), "asleep")
        began = time.monotonic()
        scene.steps.add(0, 42)
        woken.result()
        # without a wake-up it looks every five seconds
        expect(time.monotonic() - began < 4, True, "woken soon")
        claimed = worker.execute(
            "SELECT count(*) FROM tasker_checkpoint_claim('pooled')"
        ).fetchone()
        expect(claimed, (1,), "claimed")


def all_situations() -> list[Callable[[Scene], None]]:
    """Return every function here that plays a scene."""
    return [
        function
        for name, function in globals().items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and list(inspect.signature(function).parameters) == ["scene"]
    ]


def run(
    instance: Instance, language: Language, report: Report, only: str
) -> None:
    """Play every situation."""
    for number, situation in enumerate(all_situations()):
        name = situation.__name__.replace("_", " ")
        if only not in name:
            continue
        scene = Scene(instance, language, f"situation{number}")
        try:
            report.attempt(
                f"{language.name}: {name}", partial(situation, scene)
            )
        finally:
            scene.close()
    databases = rf"(scenarios|situation\d+)_{language.name}"
    errors = instance.errors(databases, "TC00[23]")
    report.check(f"{language.name}: no error but TC002 and TC003", errors)

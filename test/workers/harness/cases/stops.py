"""Workers that are told to stop, and steps that are paused or cancelled."""

from collections.abc import Callable
from typing import Any

from ..programs import WAITS, Program
from ..report import expect, wait_until
from ..scene import LONG_LEASE, LONG_POLL, SHORT_LEASE, Scene
from ..scenarios import history_problems
from ..steps import Step


def an_idle_worker_ends(scene: Scene) -> None:
    """By itself, when it is told to."""
    step = scene.steps.add(0, 12)
    worker = scene.worker("a", SHORT_LEASE, exit_when_idle=1.0)
    scene.steps.await_done(step)
    worker.await_exit()


def sigterm_ends_an_idle_worker(scene: Scene) -> None:
    """At once, however it waits, and nothing of it is left in the server."""
    workers = [scene.worker(how, LONG_LEASE, wait=how) for how in WAITS]
    wait_until(
        lambda: all(scene.backends(worker) for worker in workers),
        "all are connected",
    )
    scene.steps.await_silence()
    for worker in workers:
        worker.terminate(LONG_POLL / 2)
        wait_until(
            lambda: not scene.backends(worker),
            f"{worker.name} is gone",
            LONG_POLL / 2,
        )


def _terminated(scene: Scene, **how: Any) -> None:
    step = scene.steps.add(0, 40, item_delay_ms=40, **how)
    worker = scene.worker("a", LONG_LEASE)
    scene.steps.await_sequence(step, 1)
    worker.terminate()
    expect(scene.steps.done(step), False, "processed")
    expect(scene.steps.claimed_by(step), None, "worker that has the step")
    expect(scene.steps.deliveries(step), 0, "deliveries")
    # nobody waits for the long lease, or a delay
    expect(scene.is_free(step), True, "the step is free")

    scene.worker("b", LONG_LEASE)
    scene.expect_complete(step)
    workers = scene.steps.connection.execute(
        "SELECT DISTINCT worker FROM applied ORDER BY 1"
    )
    expect([row["worker"] for row in workers], ["a", "b"], "workers")


def sigterm_yields_the_running_step(scene: Scene) -> None:
    """It ends cleanly, and the step goes on elsewhere at once."""
    _terminated(scene, mode="yield")


def sigterm_yields_the_running_step_that_saves(scene: Scene) -> None:
    """The same for a handler that keeps its step."""
    _terminated(scene)


def sigterm_yields_the_running_step_that_iterates(scene: Scene) -> None:
    """The same by the client itself, of which the handler knows nothing."""
    _terminated(scene, mode="iterate")


# a worker that writes such a row waits for whoever has lock 1
HOLD = """
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
CREATE TRIGGER hold AFTER INSERT ON {} EXECUTE FUNCTION hold()
"""


def _stopped_between_batches(
    scene: Scene, table: str, stop: Callable[[Program, Step], None]
) -> Step:
    """Hold the first batch where it writes to the table, and stop then."""
    scene.steps.connection.execute(HOLD.format(table))
    scene.steps.value("SELECT pg_advisory_lock(1)::text")
    step = scene.steps.add(0, 20, mode="iterate")
    worker = scene.worker("a", LONG_LEASE)
    wait_until(
        lambda: scene.steps.value(
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event = 'advisory')"
        ),
        "the batch is held",
    )
    stop(worker, step)
    scene.steps.value("SELECT pg_advisory_unlock(1)")
    wait_until(
        lambda: scene.steps.claimed_by(step) is None, "the step is let go"
    )
    wait_until(lambda: worker.said("interrupted", step.uuid), "interrupted")
    expect(scene.steps.sequence(step), 1, "sequence")
    expect(scene.steps.done(step), False, "processed")
    expect(scene.steps.deliveries(step), 0, "deliveries")
    return step


def sigterm_between_two_batches_lets_none_begin(scene: Scene) -> None:
    """It comes while the first one is saved."""

    def stop(worker: Program, _: Step) -> None:
        worker.ask_to_end()
        wait_until(lambda: worker.said("stopping"), "it is heard")

    step = _stopped_between_batches(scene, "accepted", stop)
    scene.worker("b", LONG_LEASE)
    scene.expect_complete(step)


def pause_between_two_batches_lets_none_begin(scene: Scene) -> None:
    """It is the receipt of the first one's save that tells."""

    def stop(_: Program, step: Step) -> None:
        scene.steps.value("SELECT tasker_checkpoint_pause(%s)", step.uuid)

    step = _stopped_between_batches(scene, "applied", stop)
    scene.steps.value("SELECT tasker_checkpoint_resume(%s)", step.uuid)
    scene.expect_complete(step)


def a_handler_that_returns_on_sigterm_is_not_done(scene: Scene) -> None:
    """It saw the stop and returned what it had, which is no result."""
    _terminated(scene, return_on_stop=True)


def _signalled_twice(scene: Scene) -> Step:
    step = scene.steps.add(
        0,
        60,
        mode="yield",
        items_per_checkpoint=60,
        item_delay_ms=100,
        ignore_stop=True,
    )
    worker = scene.worker("a", LONG_LEASE)

    def goes_on(items: int) -> bool:
        return len(scene.steps.look(step)["applied"]) > items

    wait_until(lambda: goes_on(0), "the handler is under way")
    worker.interrupt()
    wait_until(lambda: worker.said("stopping"), "the first is heard")
    done = len(scene.steps.look(step)["applied"])
    wait_until(lambda: goes_on(done + 2), "the handler goes on")
    worker.interrupt()
    # the handler itself would take more
    status = worker.await_end(4.0)
    expect(status == 0, False, "it ended as if all were well")
    row = scene.steps.look(step)
    expect(row["processed"], False, "processed")
    expect(row["states"], [], "states")
    return step


def a_second_sigint_ends_a_handler(scene: Scene) -> None:
    """One that does not ask; what it did is no failure, and others go on."""
    step = _signalled_twice(scene)
    if scene.language.name == "c":
        # ended by the signal itself: the lease has to run out
        expect(scene.steps.claimed_by(step), "a", "worker that has the step")
        return
    expect(scene.steps.claimed_by(step), None, "worker that has the step")
    expect(scene.steps.deliveries(step), 0, "deliveries")
    expect(scene.is_free(step), True, "the step is free")


def interruptions_cost_no_delivery(scene: Scene) -> None:
    """Workers that are told to stop hand the step back where it was."""
    scene.set("tasker_checkpoint.max_deliveries", 2)
    step = scene.steps.add(
        0, 20, items_per_checkpoint=20, item_delay_ms=20, hand_back=True
    )
    for number in range(4):
        worker = scene.worker(f"a{number}", LONG_LEASE)
        scene.steps.await_claimed(step, worker.name)
        worker.terminate()
        expect(scene.steps.deliveries(step), 0, "deliveries")
    scene.worker("b", LONG_LEASE)
    scene.expect_complete(step)


def _paused(scene: Scene, **how: Any) -> None:
    step = scene.steps.add(0, 60, item_delay_ms=10, **how)
    scene.worker("a", SHORT_LEASE)
    scene.steps.await_sequence(step, 2)
    scene.steps.value("SELECT tasker_checkpoint_pause(%s)", step.uuid)
    wait_until(
        lambda: scene.steps.claimed_by(step) is None, "the step is let go"
    )
    sequence = scene.steps.sequence(step)
    # the worker is free for others meanwhile, and looks for them
    scene.expect_complete(scene.steps.add(0, 5))
    expect(scene.steps.sequence(step), sequence, "sequence while paused")
    expect(scene.steps.done(step), False, "processed")
    expect(scene.steps.deliveries(step), 0, "deliveries")

    scene.steps.value("SELECT tasker_checkpoint_resume(%s)", step.uuid)
    scene.expect_complete(step)


def pause_stops_a_step_at_its_checkpoint(scene: Scene) -> None:
    """It is nobody's until it is resumed, and nothing is lost."""
    _paused(scene)


def pause_stops_a_step_that_iterates(scene: Scene) -> None:
    """The same by the client itself."""
    _paused(scene, mode="iterate")


def a_handler_that_returns_on_pause_is_not_done(scene: Scene) -> None:
    """A receipt told it; it returned without a yield."""
    _paused(scene, return_on_stop=True)


def cancel_stops_a_step_at_its_checkpoint(scene: Scene) -> None:
    """It is not completed, and keeps its checkpoint."""
    made = [
        scene.steps.add(0, 60, item_delay_ms=10, **how)
        for how in ({}, {"return_on_stop": True}, {"mode": "iterate"})
    ]
    worker = scene.worker("a", SHORT_LEASE)
    for step in made:
        scene.steps.await_sequence(step, 2)
        scene.steps.value("SELECT tasker_checkpoint_cancel(%s)", step.uuid)
        wait_until(
            lambda: scene.steps.claimed_by(step) is None, "the step is let go"
        )
    worker.terminate()
    for step in made:
        row = scene.steps.look(step)
        expect(row["processed"], False, "processed")
        expect(row["states"], [], "states")
        expect(history_problems(row, scene.steps.sequence(step)), [], "history")

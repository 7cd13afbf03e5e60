"""Workers that are killed, or stopped until others have their steps."""

from ..programs import Program
from ..report import expect, wait_until
from ..scene import LONG_LEASE, SHORT_LEASE, Scene


def _killed(scene: Scene, mode: str) -> None:
    step = scene.steps.add(0, 40, mode=mode, item_delay_ms=20)
    worker = scene.worker("a", SHORT_LEASE)
    scene.steps.await_sequence(step, 2)
    worker.kill()
    expect(scene.steps.done(step), False, "processed")
    scene.worker("b", SHORT_LEASE)
    scene.expect_complete(step)


def a_killed_workers_step_goes_on(scene: Scene) -> None:
    """After its lease; items at least once."""
    _killed(scene, "yield")


def a_killed_workers_step_that_saves_goes_on(scene: Scene) -> None:
    """After its lease; items exactly once."""
    _killed(scene, "save")


def a_killed_workers_step_that_iterates_goes_on(scene: Scene) -> None:
    """After its lease; items exactly once."""
    _killed(scene, "iterate")


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
    scene.expect_complete(step)
    zombie.terminate()


def a_zombie_changes_nothing(scene: Scene) -> None:
    """It was stopped past its lease; another one has the step now."""
    _zombie(scene, "yield")


def a_zombie_that_saves_changes_nothing(scene: Scene) -> None:
    """Its work is rolled back together with its save."""
    _zombie(scene, "save")


def a_zombie_that_iterates_changes_nothing(scene: Scene) -> None:
    """It holds a transaction with rows, which the server ends meanwhile."""
    scene.set("idle_in_transaction_session_timeout", "'1s'")
    step = scene.steps.add(0, 80, mode="iterate", item_delay_ms=20)
    zombie = scene.worker("zombie", SHORT_LEASE)
    scene.steps.await_sequence(step, 2)
    zombie.freeze()
    sequence = scene.steps.sequence(step)
    scene.worker("successor", SHORT_LEASE)
    scene.steps.await_sequence(step, sequence + 2)
    zombie.thaw()
    scene.expect_complete(step)
    zombie.terminate()


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
    scene.expect_complete(step)
    successor.terminate()
    zombie.thaw()
    # it is over its past when it does something new
    scene.expect_complete(scene.steps.add(0, 5))
    scene.expect_complete(step)
    zombie.terminate()


def a_lease_is_kept_by_heartbeats(scene: Scene) -> None:
    """A step of several leases without a checkpoint is claimed once."""
    step = scene.steps.add(
        0, 10, items_per_checkpoint=10, mode="yield", item_delay_ms=300
    )
    scene.worker("a", SHORT_LEASE)
    scene.worker("b", SHORT_LEASE)
    scene.expect_complete(step)
    expect(set(scene.steps.look(step)["applied"].values()), {1}, "times done")


def a_refused_heartbeat_stops_the_handler(scene: Scene) -> None:
    """It hears within a third of its lease that its step is not its own."""
    scene.record_deliveries()
    step = scene.steps.add(
        0, 30, items_per_checkpoint=30, item_delay_ms=100, hand_back=True
    )
    worker = scene.worker("a", SHORT_LEASE)
    scene.steps.await_claimed(step, "a")
    wait_until(lambda: scene.steps.look(step)["in_process"], "it has begun")
    scene.steps.value("SELECT tasker_checkpoint_clear(%s)", step.uuid)
    # undisturbed it would have the step three seconds
    wait_until(
        lambda: worker.said("superseded", step.uuid), "it is told", 2.0
    )
    scene.expect_complete(step)
    claims = "SELECT count(*) FROM delivered WHERE step_uuid = %s"
    expect(scene.steps.value(claims, step.uuid), 2, "claims")

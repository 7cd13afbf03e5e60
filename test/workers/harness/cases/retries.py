"""Steps that are tried again, and when."""

from ..report import expect, wait_until
from ..scene import LONG_LEASE, Scene

RETRY_DELAY = 0.2
TRIES = 4
# the part of a delay that chance may add, and what passes until it is seen
CHANCE = 0.25
SEEN_AFTER = 0.1


def delays_double(scene: Scene) -> None:
    """From the first on, with chance in them, until the step is parked."""
    scene.record_deliveries()
    scene.set("tasker_checkpoint.max_deliveries", TRIES)
    step = scene.steps.add(0, 20, unlucky=True)
    worker = scene.worker("a", LONG_LEASE, retry_delay=RETRY_DELAY)
    wait_until(lambda: not scene.steps.unsettled(), "the step is parked")
    rows = scene.steps.connection.execute(
        "SELECT delay FROM released WHERE step_uuid = %s ORDER BY n",
        [step.uuid],
    )
    delays = [row["delay"].total_seconds() for row in rows]
    base = [RETRY_DELAY * 2**number for number in range(TRIES)]
    expect(
        [
            least - SEEN_AFTER <= delay <= least * (1 + CHANCE)
            for least, delay in zip(base, delays, strict=True)
        ],
        [True] * TRIES,
        f"{delays} are {base} and up to a quarter more",
    )
    row = scene.steps.look(step)
    expect(row["parked"], True, "parked")
    expect(row["states"], ["waiting_for_retry"] * TRIES, "states")
    expect(len(worker.said("released", step.uuid)), TRIES, "times logged")


def a_step_that_stands_still_is_parked(scene: Scene) -> None:
    """It yields where it is; the first yield is the one that counts."""
    scene.set("tasker_checkpoint.max_deliveries", 3)
    step = scene.steps.add(0, 20, stand_still=True)
    scene.worker("a", LONG_LEASE)
    wait_until(lambda: not scene.steps.unsettled(), "the step is parked")
    expect(scene.steps.sequence(step), 4, "checkpoints")
    expect(scene.steps.look(step)["parked"], True, "parked")

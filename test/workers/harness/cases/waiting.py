"""How workers hear of work, for which queues, how many steps at a time."""

import time

from ..marks import not_in
from ..programs import Program
from ..report import expect, wait_until
from ..scene import LONG_LEASE, LONG_POLL, SHORT_LEASE, Scene

SLOTS = 4
DISPATCHES = 6


def _is_woken(scene: Scene, worker: Program) -> None:
    """Four steps, one after the other, take less than one poll."""
    scene.steps.await_done(scene.steps.add(0, 5))
    began = time.monotonic()
    for _ in range(4):
        scene.steps.await_silence()
        scene.steps.await_done(scene.steps.add(0, 5), LONG_POLL * 2)
    took = time.monotonic() - began
    expect(took < LONG_POLL, True, f"{took:.1f} s is less than {LONG_POLL}")
    wait_until(lambda: len(scene.backends(worker)) == 1, "one connection")


def who_waits_is_woken(scene: Scene) -> None:
    """In the server, by itself, on the only connection that it has."""
    worker = scene.worker("a", LONG_LEASE)
    scene.await_waiting(worker)
    _is_woken(scene, worker)
    scene.await_waiting(worker)


def who_had_to_wait_claims_once_a_dispatch(scene: Scene) -> None:
    """Behind its step it waits again; PostgreSQL counts the claims."""
    scene.set("track_functions", "'all'")
    worker = scene.worker("a", LONG_LEASE)
    for _ in range(DISPATCHES):
        scene.await_waiting(worker)
        # that it has slept is to be seen, to itself as well
        scene.steps.await_silence()
        scene.steps.await_done(scene.steps.add(0, 5))
    scene.await_waiting(worker)
    worker.terminate()
    wait_until(lambda: not scene.backends(worker), "its statistics are there")
    claims = scene.steps.value(
        "SELECT calls FROM pg_stat_user_functions"
        " WHERE funcname = 'tasker_checkpoint_claim'"
    )
    # one more when it began, before it had waited
    expect(claims - 1 <= DISPATCHES, True, f"{claims} claims are not too many")
    expect(claims >= DISPATCHES, True, f"{claims} claims are counted")


def a_wake_up_is_heard(scene: Scene) -> None:
    """By who listens, on the only connection that it has."""
    _is_woken(scene, scene.worker("a", LONG_LEASE, wait="listen"))


def who_waits_behind_a_pooler_is_woken(scene: Scene) -> None:
    """The same through PgBouncer in transaction mode; and stops at once."""
    worker = scene.worker("a", LONG_LEASE, conninfo=scene.pooled())
    scene.await_waiting(worker)
    _is_woken(scene, worker)
    scene.await_waiting(worker)
    worker.terminate(LONG_POLL / 2)


def a_poll_finds_what_nobody_announced(scene: Scene) -> None:
    """Without notifications, without listening, and without waiting."""
    scene.steps.connection.execute("SET tasker_checkpoint.notify = off")
    worker = scene.worker("a", SHORT_LEASE, wait="poll")
    for _ in range(3):
        step = scene.steps.add(0, 12, mode="yield")
        scene.expect_complete(step)
    (row,) = scene.backends(worker)
    asked = row["query"][:6].upper()
    expect(asked in ("LISTEN", "CALL T"), False, f"it asked {asked}")


def who_may_not_wait_polls(scene: Scene) -> None:
    """It says so, once, and finds its work all the same."""
    scene.expected += "|42501"
    role, conninfo = scene.no_superuser()
    scene.steps.connection.execute(
        "REVOKE EXECUTE ON PROCEDURE"
        f" tasker_checkpoint_wait(text[], interval) FROM {role}"
    )
    worker = scene.worker("a", SHORT_LEASE, conninfo=conninfo)
    for _ in range(3):
        scene.expect_complete(scene.steps.add(0, 12))
        scene.steps.await_silence()
    expect(len(worker.said("polling")), 1, "times logged")
    refused = scene.log_of_server().count(" ERROR:  permission denied")
    expect(refused, 1, "refusals")


def a_worker_serves_its_queues(scene: Scene) -> None:
    """It is woken for them, and leaves others to others."""
    worker = scene.worker("a", LONG_LEASE, queues=("imports", "exports"))
    scene.await_waiting(worker)
    mail = scene.steps.add(0, 12, queue="mails", priority=100)
    for queue in ("imports", "exports", "imports"):
        scene.steps.await_silence()
        began = time.monotonic()
        scene.expect_complete(scene.steps.add(0, 12, queue=queue))
        took = time.monotonic() - began
        expect(took < LONG_POLL / 2, True, f"{took:.1f} s is soon")
    expect(scene.steps.sequence(mail), 0, "checkpoints of another's")
    scene.worker("b", LONG_LEASE, queues=("mails",))
    scene.expect_complete(mail)
    begun = worker.said("claimed") + worker.said("resumed")
    queues = {line.fields.get("queue") for line in begun}
    expect(queues, {"imports", "exports"}, "queues in the log")


@not_in("c")
def slots_run_side_by_side(scene: Scene) -> None:
    """Four steps at once in one process; one connection while it is idle."""
    worker = scene.worker("a", LONG_LEASE, concurrency=SLOTS)
    scene.await_waiting(worker)
    made = [
        scene.steps.add(0, 20, item_delay_ms=50, mode=mode)
        for mode in ("save", "yield", "iterate", "save")
    ]
    wait_until(
        lambda: [scene.steps.claimed_by(step) for step in made]
        == ["a"] * SLOTS,
        "it has all of them at once",
        1.0,
    )
    expect(len(scene.backends(worker)) >= SLOTS, True, "connections")
    for step in made:
        scene.expect_complete(step)
    scene.await_waiting(worker)

    # stopped with all of them under way
    made = [scene.steps.add(0, 20, item_delay_ms=50) for _ in range(SLOTS)]
    for step in made:
        scene.steps.await_sequence(step, 1)
    worker.terminate()
    expect([scene.is_free(step) for step in made], [True] * SLOTS, "free")

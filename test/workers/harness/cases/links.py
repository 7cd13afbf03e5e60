"""Connections that are lost, dead, refused, pooled; and how many they are."""

import time
from typing import Any

from ..marks import takes_long
from ..programs import WAITS
from ..report import expect, wait_until
from ..scene import LONG_LEASE, SHORT_LEASE, Scene

# what is said nowhere is noticed in so many seconds
DEAD_AFTER = 42.0


def a_lost_connection_is_made_again(scene: Scene) -> None:
    """All connections of the worker, while it runs and while it is idle."""
    step = scene.steps.add(0, 40, item_delay_ms=20)
    worker = scene.worker("a", LONG_LEASE)
    for sequence in (1, 3, 5):
        scene.steps.await_sequence(step, sequence)
        scene.steps.disconnect_workers()
    # well before the long lease: the worker hands its own claim back
    scene.expect_complete(step)
    scene.steps.disconnect_workers()
    scene.expect_complete(scene.steps.add(0, 12))
    worker.terminate()


def _lose(
    scene: Scene, function: str, hides_it: bool, **how: Any
) -> None:
    conninfo, proxy = scene.proxied(function, hides_it)
    worker = scene.worker("a", LONG_LEASE, conninfo=conninfo)
    scene.steps.await_done(scene.steps.add(0, 5))
    replies = 1 if function == "complete" else 3
    proxy.lose(replies)
    # well before the long lease
    scene.expect_complete(scene.steps.add(0, 40, **how))
    expect(proxy.lost, replies, "replies lost")
    worker.terminate()


def a_lost_reply_to_a_commit_loses_and_doubles_nothing(scene: Scene) -> None:
    """The connection is cut as rows and save have committed."""
    _lose(scene, "save", False, item_delay_ms=5)


def a_transaction_sent_twice_is_done_once(scene: Scene) -> None:
    """Rows and save have committed; the handler gets an error, and repeats."""
    _lose(scene, "save", True, item_delay_ms=5, repeat=True)


def a_yield_sent_twice_is_done_once(scene: Scene) -> None:
    """It is answered as the first time, and says so."""
    _lose(scene, "yield", True, mode="yield", repeat=True)


def a_lost_reply_to_a_yield_loses_nothing(scene: Scene) -> None:
    """The connection is cut as the yield has committed."""
    _lose(scene, "yield", False, mode="yield")


def a_lost_reply_to_the_end_does_not_repeat_it(scene: Scene) -> None:
    """The connection is cut as the step has been completed."""
    _lose(scene, "complete", False)


def a_transaction_pooler_is_no_obstacle(scene: Scene) -> None:
    """Claim, yield, save and complete through PgBouncer, polling."""
    conninfo = scene.pooled()
    for name in ("a", "b"):
        scene.worker(name, SHORT_LEASE, conninfo=conninfo, wait="poll")
    made = [
        scene.steps.add(0, 42, mode=mode, item_delay_ms=5)
        for mode in ("yield", "save", "iterate") * 2
    ]
    for step in made:
        scene.expect_complete(step)


def one_connection_does_for_short_steps(scene: Scene) -> None:
    """For all of them, one after the other, and for what is between."""
    worker = scene.worker("a", LONG_LEASE)
    made = [
        scene.steps.add(0, 20, mode=mode, item_delay_ms=2)
        for mode in ("save", "yield", "iterate") * 3
    ]
    for step in made:
        scene.steps.await_done(step)
    scene.await_waiting(worker)
    expect(scene.connections_made(worker), 1, "connections made")


def a_long_step_has_a_connection_for_heartbeats(scene: Scene) -> None:
    """While it is under way for longer than a third of its lease."""
    worker = scene.worker("a", SHORT_LEASE)
    scene.await_waiting(worker)
    step = scene.steps.add(
        0, 10, items_per_checkpoint=10, item_delay_ms=400
    )
    wait_until(lambda: len(scene.backends(worker)) == 2, "a second one")
    expect(scene.steps.done(step), False, "processed")
    scene.expect_complete(step)
    scene.await_waiting(worker)
    expect(scene.connections_made(worker), 2, "connections made")


def _dies(scene: Scene, lease: float, wait: str) -> None:
    conninfo, proxy = scene.proxied()
    worker = scene.worker("a", lease, conninfo=conninfo, wait=wait)
    scene.steps.await_done(scene.steps.add(0, 5))
    scene.steps.await_silence()
    expect(proxy.die() > 0, True, "links that died")
    began = time.monotonic()
    step = scene.steps.add(0, 12)
    scene.steps.await_done(step, DEAD_AFTER + 5)
    took = time.monotonic() - began
    expect(took < DEAD_AFTER, True, f"{took:.0f} s is less than {DEAD_AFTER}")
    scene.expect_complete(step)
    expect(len(worker.said("connection lost")) > 0, True, "logged")
    worker.terminate()


@takes_long
def a_dead_link_is_noticed_while_waiting(scene: Scene) -> None:
    """Whatever is sent arrives nowhere, and nobody closes."""
    _dies(scene, LONG_LEASE, "server")


@takes_long
def a_dead_link_is_noticed_while_polling(scene: Scene) -> None:
    """The same of a worker that asks, and gets no answer."""
    _dies(scene, SHORT_LEASE, "poll")


@takes_long
def a_dead_link_is_noticed_while_listening(scene: Scene) -> None:
    """The same of a worker that hears nothing."""
    _dies(scene, SHORT_LEASE, "listen")


def _refused(scene: Scene, conninfo: str, reason: str) -> None:
    for wait in WAITS:
        worker = scene.worker(f"a-{wait}", 1.0, conninfo=conninfo, wait=wait)
        status = worker.await_end()
        expect(status == 0, False, "it ended as if all were well")
        log = worker.log.read_text(errors="replace")
        expect(reason in log, True, f"{reason!r} in {log!r}")


def a_wrong_database_is_not_tried_again(scene: Scene) -> None:
    """The program ends by itself, and says why."""
    conninfo = scene.elsewhere("no_such_database")
    _refused(scene, conninfo, 'database "no_such_database" does not exist')


def a_database_without_the_extension_is_not_either(scene: Scene) -> None:
    """There is nothing to wait for, nor to claim."""
    _refused(scene, scene.elsewhere("postgres"), "tasker_checkpoint_")


def a_standby_is_tried_again(scene: Scene) -> None:
    """From the start; the worker works as soon as it may write."""
    scene.expected = "25006"
    scene.set("default_transaction_read_only", "on")
    worker = scene.worker("a", LONG_LEASE)
    wait_until(
        lambda: len(worker.said("could not connect")) > 1, "it tries again"
    )
    expect(worker.running(), True, "it runs")
    step = scene.steps.add(0, 12)
    scene.set("default_transaction_read_only", "off")
    scene.expect_complete(step)
    worker.terminate()


def a_server_that_is_not_there_is_tried_again(scene: Scene) -> None:
    """From the start; the worker works as soon as it is there."""
    worker = scene.worker("a", LONG_LEASE, conninfo=scene.proxied_later())
    wait_until(
        lambda: len(worker.said("could not connect")) > 1, "it tries again"
    )
    expect(worker.running(), True, "it runs")
    step = scene.steps.add(0, 12)
    scene.proxied()
    scene.expect_complete(step)
    worker.terminate()

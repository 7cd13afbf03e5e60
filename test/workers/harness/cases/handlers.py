"""Handlers and callbacks that do what they should not."""

from ..instance import WORKERS
from ..marks import not_in
from ..programs import CLIENTS
from ..report import expect, wait_until
from ..scenarios import history_problems
from ..scene import LONG_LEASE, SHORT_LEASE, Scene

RETRY_DELAY = 0.5

# The server lets nothing pass that one of the languages can't read; so here
# they are made to refuse integers of more than 200 digits.
STRICT_PYTHON = {"PYTHONPATH": f"{WORKERS}/python/strict:{CLIENTS}/python"}
STRICT = {
    "asyncio": STRICT_PYTHON,
    "python": STRICT_PYTHON,
    "ruby": {"RUBYOPT": f"-r{WORKERS}/ruby/strict.rb"},
    "typescript": {
        "NODE_OPTIONS": f"--require={WORKERS}/typescript/strict.cjs"
    },
}

# the first statement of that callback fails
CALLBACK_FAILS = """
CREATE SEQUENCE failures;
CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    -- a sequence is not rolled back
    IF nextval('failures') = 1 THEN
        RAISE 'told to fail';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER fail_once BEFORE INSERT ON tasker.workflow_step_transitions
    FOR EACH ROW WHEN (NEW.to_state = '{}') EXECUTE FUNCTION fail_once()
"""


def a_begin_left_open_is_an_error_of_that_step_alone(scene: Scene) -> None:
    """What was written in it is rolled back, and the next step begins anew."""
    made = [
        scene.steps.add(0, 20, **({"leave_open": 1} if number == 2 else {}))
        for number in range(5)
    ]
    scene.worker("a", LONG_LEASE, retry_delay=RETRY_DELAY)
    for number, step in enumerate(made):
        scene.expect_complete(step, retries=int(number == 2))
    # as if each transaction had been begun and ended by who should
    expect("in progress" in scene.log_of_server(), False, "a warning")


def _fails_after_yield(scene: Scene, **how: bool) -> None:
    """The step is delayed like any that failed, and then goes on."""
    scene.record_deliveries()
    worker = scene.worker("a", LONG_LEASE, retry_delay=RETRY_DELAY)
    step = scene.steps.add(0, 20, **how)
    scene.expect_complete(step, retries=1)
    claims = scene.steps.connection.execute(
        "SELECT at - lag(at) OVER (ORDER BY at) AS after"
        " FROM delivered WHERE step_uuid = %s ORDER BY at",
        [step.uuid],
    ).fetchall()
    expect(len(claims), 2, "claims")
    after = claims[1]["after"].total_seconds()
    expect(after >= RETRY_DELAY, True, f"{after} s is the delay at least")
    said = worker.said("released", step.uuid)
    expect(["error" in line.fields for line in said], [True], "errors logged")


def a_save_after_a_yield_is_an_error(scene: Scene) -> None:
    """It does not reach the server, and no run follows but the retry."""
    _fails_after_yield(scene, save_after_yield=True)


def an_error_after_a_yield_is_one(scene: Scene) -> None:
    """It is logged, and the step is delayed."""
    _fails_after_yield(scene, fail_after_yield=True)


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


def an_error_of_on_success_is_the_handlers(scene: Scene) -> None:
    """What it wrote is rolled back with the completion, and tried again."""
    scene.expected += "|P0001"
    scene.steps.connection.execute(CALLBACK_FAILS.format("complete"))
    scene.worker("a", LONG_LEASE, retry_delay=RETRY_DELAY)
    scene.expect_complete(scene.steps.add(0, 20), retries=1)


def an_error_of_on_transient_failure_leaves_the_step(scene: Scene) -> None:
    """To its lease; the next run fails again, and that time it is told."""
    scene.expected += "|P0001"
    scene.steps.connection.execute(CALLBACK_FAILS.format("waiting_for_retry"))
    scene.worker("a", SHORT_LEASE)
    step = scene.steps.add(0, 20, fail_after=7, fail_on_attempt=1)
    scene.expect_complete(step, retries=1)


@not_in("c")
def what_a_language_cannot_read_fails_that_step(scene: Scene) -> None:
    """It is tried until it is parked; the worker does the others.

    C reads nothing of it, and hands it to the handler as it came.
    """
    scene.set("tasker_checkpoint.max_deliveries", 2)
    nothing = {"running_total": 0, "item_ids": []}
    unreadable = {"cursor": 10**300, "items": 5, "results": nothing}
    step = scene.steps.add(0, 20, checkpoint=unreadable)
    worker = scene.worker(
        "a",
        LONG_LEASE,
        retry_delay=RETRY_DELAY / 5,
        environment=STRICT[scene.language.name],
    )
    for _ in range(3):
        scene.expect_complete(scene.steps.add(0, 20))
    wait_until(lambda: not scene.steps.unsettled(), "the step is parked")
    row = scene.steps.look(step)
    expect(row["parked"], True, "parked")
    expect(row["processed"], False, "processed")
    expect(row["attempts"], None, "attempts that began")
    expect(len(worker.said("released", step.uuid)), 2, "times logged")
    worker.terminate()


def iterate_says_how_much_there_is(scene: Scene) -> None:
    """While the step is under way, for those who look at its progress."""
    step = scene.steps.add(1000, 1060, item_delay_ms=20, mode="iterate")
    scene.worker("a", LONG_LEASE)
    scene.steps.await_sequence(step, 2)
    row = scene.steps.row(
        "SELECT results -> 'total_items' AS given, total"
        " FROM tasker_checkpoint_progress JOIN LATERAL ("
        "SELECT accumulated_results AS results"
        " FROM tasker_checkpoint_load(step_uuid)) AS stored ON true"
        " WHERE step_uuid = %s",
        step.uuid,
    )
    expect(row, {"given": 60, "total": 60}, "items in all")
    scene.expect_complete(step)


def iterate_tells_floats_apart_to_the_last_digit(scene: Scene) -> None:
    """Whatever the session shows of one; within a run, and by the next."""
    scene.set("extra_float_digits", 0)
    step = scene.steps.add(
        0, 20, mode="iterate", key="near", fail_after=12, fail_on_attempt=1
    )
    scene.worker("a", LONG_LEASE)
    scene.expect_complete(step, retries=1)

"""What can happen to a worker, in every language, one at a time.

Each function with a scene as its argument is a situation, and its name is the
check's.  Those that take long run beside the others.
"""

import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from .instance import Instance
from .programs import Language
from .report import Report, expect
from .scene import Scene
from .cases import crashes, handlers, links, retries, stops, waiting

Situation = Callable[[Scene], None]

TOPICS = (stops, crashes, handlers, retries, waiting, links)


def all_situations() -> list[Situation]:
    """Return every function that plays a scene."""
    return [
        function
        for topic in TOPICS
        for name, function in vars(topic).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and list(inspect.signature(function).parameters) == ["scene"]
    ]


def run(
    instance: Instance, language: Language, report: Report, only: str
) -> None:
    """Play every situation."""

    def play(number: int, situation: Situation) -> None:
        scene = Scene(instance, language, f"situation{number}")

        def without_errors() -> None:
            situation(scene)
            expect(scene.errors(), [], "errors in the server's log")

        try:
            name = situation.__name__.replace("_", " ")
            report.attempt(f"{language.name}: {name}", without_errors)
        finally:
            scene.close()

    wanted = [
        partial(play, number, situation)
        for number, situation in enumerate(all_situations())
        if only in situation.__name__.replace("_", " ")
        and language.name not in getattr(situation, "not_in", ())
    ]
    long = [each for each in wanted if hasattr(each.args[1], "takes_long")]
    with ThreadPoolExecutor(max(1, len(long))) as beside:
        futures = [beside.submit(each) for each in long]
        for each in wanted:
            if each not in long:
                each()
        for future in futures:
            future.result()

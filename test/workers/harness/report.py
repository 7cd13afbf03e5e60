"""Checks, counted and printed as TAP."""

import threading
import time
import traceback
from collections.abc import Callable

POLL_SECONDS = 0.02
# what has not come by then does not come, however busy the machine is
PATIENCE = 60.0


class Failed(Exception):
    """A check failed; says what was expected."""


class Report:
    """Prints a line for each check, and counts."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self._lock = threading.Lock()

    def check(self, name: str, problems: list[str]) -> None:
        """Count a check, which passed if there are no problems."""
        with self._lock:
            if problems:
                self.failed += 1
            else:
                self.passed += 1
            number = self.passed + self.failed
            ok = "not ok" if problems else "ok"
            print(f"{ok} {number} - {name}", flush=True)
            for problem in problems:
                self.note(problem)

    def attempt(self, name: str, action: Callable[[], None]) -> None:
        """Count an action as a check, which passed if it returns."""
        try:
            action()
        except Exception as error:
            self.check(name, f"{type(error).__name__}: {error}".splitlines())
        else:
            self.check(name, [])

    def crashed(self, name: str) -> None:
        """Count the exception being handled as a failed check."""
        self.check(f"{name}: ended early", traceback.format_exc().splitlines())

    @staticmethod
    def note(text: str) -> None:
        """Print what is no check."""
        print(f"#   {text}", flush=True)

    def close(self) -> int:
        """Print the closing line; return the exit status."""
        print(f"1..{self.passed + self.failed}")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def rest(seconds: float) -> None:
    """Let time pass between two looks at something."""
    threading.Event().wait(seconds)


def wait_until(
    condition: Callable[[], object], what: str, seconds: float = PATIENCE
) -> None:
    """Look until the condition holds; Failed if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not in {seconds:g} s: {what}")
        rest(POLL_SECONDS)


def expect(actual: object, expected: object, what: str) -> None:
    """Failed unless both are equal."""
    if actual != expected:
        raise Failed(f"{what}: {actual!r}, expected {expected!r}")

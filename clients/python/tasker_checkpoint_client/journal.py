"""One log line an event, and the same as values for who observes.

A line never has a cursor or results.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from .errors import sqlstate

log = logging.getLogger("tasker_checkpoint_client")

Observer = Callable[[str, Mapping[str, Any]], None]

KEYS = (
    "step",
    "queue",
    "worker",
    "deliveries",
    "sequence",
    "items",
    "seconds",
    "delay",
    "directive",
    "error",
)
LEVELS = {
    "saved": logging.DEBUG,
    "connected": logging.DEBUG,
    "released": logging.WARNING,
    "could not connect": logging.WARNING,
    "connection lost": logging.WARNING,
    "polling": logging.WARNING,
    "failed": logging.ERROR,
}


class Journal:
    """What a worker says."""

    def __init__(self, worker: str, observe: Observer | None) -> None:
        self._worker = worker
        self._observe = observe

    def say(
        self,
        event: str,
        *,
        level: int | None = None,
        trace: BaseException | None = None,
        **values: Any,
    ) -> None:
        """Write a line; trace is an error whose traceback helps."""
        fields = {
            key: value
            for key in KEYS
            if (value := (values | {"worker": self._worker}).get(key))
            is not None
        }
        if level is None:
            level = LEVELS.get(event, logging.INFO)
        if log.isEnabledFor(level):
            words = [f"{key}={_shown(value)}" for key, value in fields.items()]
            log.log(level, "%s", " ".join([event, *words]), exc_info=trace)
        if self._observe is not None:
            try:
                self._observe(event, fields)
            except Exception:
                log.exception("observe: %s", event)


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, BaseException):
        name = type(value).__name__
        if isinstance(value, psycopg.Error):
            name = sqlstate(value) or name
        first = str(value).strip().partition("\n")[0]
        return f"{name} {first}".rstrip()
    return str(value)

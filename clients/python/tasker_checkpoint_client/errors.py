"""Errors of the extension's functions, as kinds of psycopg's own.

They keep SQLSTATE, detail and hint (error.diag).
"""

from typing import Any

import psycopg
from psycopg import errors


class ItemsWentBackwards(psycopg.DatabaseError):
    """The checkpoint has fewer items than the stored one."""

    sqlstate = "TC001"


class Superseded(psycopg.DatabaseError):
    """The step has gone on elsewhere: let it pass, the run ends quietly."""

    sqlstate = "TC002"


class StoredBefore(psycopg.DatabaseError):
    """The checkpoint is there, with an earlier try's rows: let it pass."""

    sqlstate = "TC003"


class LimitExceeded(errors.ProgramLimitExceeded):
    """Cursor or results are over a limit; trying again does not help."""


class StepNotFound(errors.NoDataFound):
    """There is no such step, or this role does not see it."""


class WrongState(errors.ObjectNotInPrerequisiteState):
    """No table is attached, or the step is processed already."""


class AlreadyYielded(psycopg.ProgrammingError):
    """The run has yielded, which ends it; the server was not asked."""


class TransientError(Exception):
    """Raised by a handler: try again, after delay seconds if it is given.

    Of a handler that was told to stop it is no failure: the step is handed
    back at once, and the run does not count.
    """

    def __init__(self, *args: object, delay: float | None = None) -> None:
        super().__init__(*args)
        self.delay = delay


class PermanentError(Exception):
    """Raised by a handler: this step can't succeed, don't try again."""


class TransactionLeftOpen(psycopg.ProgrammingError):
    """A handler has returned within a transaction; it was rolled back."""


_KINDS: dict[str, type[psycopg.Error]] = {
    "TC001": ItemsWentBackwards,
    "TC002": Superseded,
    "TC003": StoredBefore,
    "54000": LimitExceeded,
    "P0002": StepNotFound,
    "55000": WrongState,
}

# a server that will not have us for what we are does not say so by a
# SQLSTATE that libpq would hand on, but by a message after its severity
_ANSWER = ":  "
_FOR_NOW = (
    "the database system is",
    "too many",
    "connection slots are reserved",
    "no more connections allowed",
    "server login",
    "cannot connect to server",
    "query_wait_timeout",
    "pooler is shut down",
    "terminating connection",
    "canceling authentication",
)
_TRIED_AGAIN = (
    "08", "25006", "25P03", "25P04", "40", "53", "55P03", "57", "58", "XX"
)  # fmt: skip


def sqlstate(error: BaseException) -> str | None:
    """Return what the server says, or None."""
    if not isinstance(error, psycopg.Error):
        return None
    return error.sqlstate


def typed(error: psycopg.Error) -> psycopg.Error:
    """Return it as a kind of its own, if it has one."""
    kind = _KINDS.get(sqlstate(error) or "")
    if kind is None or isinstance(error, kind):
        return error
    info: Any = error.pgresult
    return kind(*error.args, info=info).with_traceback(error.__traceback__)


def is_refusal(error: BaseException) -> bool:
    """Tell whether the server will say the same however often it is asked.

    So it is with passwords, databases, privileges and missing functions, but
    not with a server that is starting, full or not there.  What is no error
    of psycopg or the system, in a function that connects, is one too.
    """
    for cause in (error, getattr(error, "orig", None), error.__cause__):
        if isinstance(cause, psycopg.Error):
            state = sqlstate(cause)
            if state is not None:
                return not state.startswith(_TRIED_AGAIN)
            message = str(cause)
            if "no password supplied" in message:
                return True
            return _ANSWER in message and not any(
                reason in message for reason in _FOR_NOW
            )
        if isinstance(cause, OSError):
            return False
    return True

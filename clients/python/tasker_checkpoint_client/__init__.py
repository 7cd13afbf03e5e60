"""Batch workers on the PostgreSQL extension tasker_checkpoint."""

from .aio import connect_async
from .calls import Delivery, Progress, Receipt, State
from .client import AsyncClient, Client
from .context import AsyncContext, Context
from .errors import (
    AlreadyYielded,
    ItemsWentBackwards,
    LimitExceeded,
    PermanentError,
    StepNotFound,
    StoredBefore,
    Superseded,
    TransactionLeftOpen,
    TransientError,
    WrongState,
)
from .threads import connect
from .worker import AsyncWorker, Worker

__all__ = [
    "AlreadyYielded",
    "AsyncClient",
    "AsyncContext",
    "AsyncWorker",
    "Client",
    "Context",
    "Delivery",
    "ItemsWentBackwards",
    "LimitExceeded",
    "PermanentError",
    "Progress",
    "Receipt",
    "State",
    "StepNotFound",
    "StoredBefore",
    "Superseded",
    "TransactionLeftOpen",
    "TransientError",
    "Worker",
    "WrongState",
    "connect",
    "connect_async",
]

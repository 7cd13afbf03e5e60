"""Batch workers on the PostgreSQL extension tasker_checkpoint."""

from .client import (
    Client,
    Delivery,
    Receipt,
    State,
    is_stored_before,
    is_superseded,
)
from .worker import Context, PermanentError, TransientError, Worker

__all__ = [
    "Client",
    "Context",
    "Delivery",
    "PermanentError",
    "Receipt",
    "State",
    "TransientError",
    "Worker",
    "is_stored_before",
    "is_superseded",
]

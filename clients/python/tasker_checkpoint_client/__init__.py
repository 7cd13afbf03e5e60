"""Batch workers on the PostgreSQL extension tasker_checkpoint."""

from .client import Client, Delivery, Receipt, is_superseded
from .worker import Context, PermanentError, TransientError, Worker

__all__ = [
    "Client",
    "Context",
    "Delivery",
    "PermanentError",
    "Receipt",
    "TransientError",
    "Worker",
    "is_superseded",
]

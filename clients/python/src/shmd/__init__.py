"""Typed shared memory, locks and queues by name, that survive the death of their holder."""

from shmd._shmd import (
    BROKEN_BY_ABORT,
    BROKEN_BY_ACTION,
    BROKEN_BY_DEATH,
    BROKEN_BY_TIMEOUT,
    Barrier,
    BarrierState,
    Client,
    Condition,
    Event,
    Handle,
    Mutex,
    Notice,
    Permits,
    Semaphore,
    Value,
)
from shmd._shmd import version as __version__
from shmd.errors import *
from shmd.errors import __all__ as _errors

connect = Client

__all__ = [
    "BROKEN_BY_ABORT",
    "BROKEN_BY_ACTION",
    "BROKEN_BY_DEATH",
    "BROKEN_BY_TIMEOUT",
    "Barrier",
    "BarrierState",
    "Client",
    "Condition",
    "Event",
    "Handle",
    "Mutex",
    "Notice",
    "Permits",
    "Semaphore",
    "Value",
    "connect",
    *_errors,
]

"""Typed shared memory, locks and queues by name, that survive the death of their holder."""

from shmd import _shmd, aio, errors, guards
from shmd._shmd import (
    BROKEN_BY_ABORT,
    BROKEN_BY_ACTION,
    BROKEN_BY_DEATH,
    BROKEN_BY_TIMEOUT,
    Array,
    Barrier,
    BarrierState,
    Client,
    Condition,
    Event,
    Handle,
    Lease,
    Mutex,
    Notice,
    Permits,
    Pipe,
    Pollable,
    Queue,
    QueueCounts,
    Reservation,
    RWLock,
    Semaphore,
    Snapshot,
    Stream,
    Value,
    wait_any,
)
from shmd.errors import *

__version__ = _shmd.version

aio.install()
guards.install()


def connect(
    socket: "str | bytes | None" = None, *, software: "str | None" = None, reattach_timeout: "float | None" = None
) -> Client:
    """Connects to the daemon, and blocks until it has answered.

    socket: the path of its socket; None: that of $SHMD_SOCKET, else of $XDG_RUNTIME_DIR/shmd/shmd.sock if a daemon
    listens there, else /run/shmd/shmd.sock. software: at most 64 bytes that `shmd clients` shows. reattach_timeout: for
    how many seconds a call waits while the daemon is away; None: 5.

    A Client may be used by all threads. In a forked child it connects anew, and all objects are opened again, before
    os.fork() returns there. Raises NoDaemon, Permission, Version, Identity, Quota.
    """
    return Client(socket, software=software, reattach_timeout=reattach_timeout)


__all__ = [
    "Array",
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
    "Lease",
    "Mutex",
    "Notice",
    "Permits",
    "Pipe",
    "Pollable",
    "Queue",
    "QueueCounts",
    "RWLock",
    "Reservation",
    "Semaphore",
    "Snapshot",
    "Stream",
    "Value",
    "connect",
    "wait_any",
    "Error",
    "OwnerDiedWarning",
    *(error.__name__ for error in errors.BY_CODE.values()),
]

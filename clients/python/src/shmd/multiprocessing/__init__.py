# SPDX-License-Identifier: Apache-2.0
"""multiprocessing, by name, crash-proof: the standard module's names over shmd's objects.

    import shmd.multiprocessing as multiprocessing

Locks, semaphores, conditions, events, barriers, values, arrays, queues, pipes and blocks of shared memory are
shmd's: they pickle to any process at any time, and when a process is killed, what it held comes back. All other
names (Process, Pool, Manager, ...) are those of the standard module, which they fall back to.

A daemon is needed. The first object looks for one as shmd.connect() does, and if none runs starts a private one
for this process and its descendants, which ends with them.

Functions that make an object ask the daemon; they raise shmd.Error (shmd.NoDaemon, shmd.Quota, ...) if it refuses,
and otherwise what their namesake in multiprocessing raises. They are safe to call from all threads. Objects stay
usable in a child made by fork(); locks that the parent holds are not held by the child.

docs/python.md says where this face differs from multiprocessing, and why.
"""
import importlib
import multiprocessing as _standard

from . import _fallback
from ._context import OWN_NAMES, Context

_default = Context(None)

Lock = _default.Lock
RLock = _default.RLock
Condition = _default.Condition
Semaphore = _default.Semaphore
BoundedSemaphore = _default.BoundedSemaphore
Event = _default.Event
Barrier = _default.Barrier
Queue = _default.Queue
JoinableQueue = _default.JoinableQueue
SimpleQueue = _default.SimpleQueue
Pipe = _default.Pipe
RawValue = _default.RawValue
RawArray = _default.RawArray
Value = _default.Value
Array = _default.Array
get_context = _default.get_context

__all__ = sorted(set(_standard.__all__) | set(OWN_NAMES))

_fallback.install(__name__)


def __getattr__(name):
    # Own modules first: shmd.multiprocessing.queues is not multiprocessing.queues.
    if name in _fallback.OWN_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    try:
        return getattr(_standard, name)
    except AttributeError:
        pass
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"multiprocessing.{name}")
        except ModuleNotFoundError:
            pass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(set(globals()) | set(__all__) | _fallback.OWN_MODULES)

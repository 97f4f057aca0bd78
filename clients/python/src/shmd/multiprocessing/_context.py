# SPDX-License-Identifier: Apache-2.0
"""What multiprocessing calls a context: an object whose methods make the others."""
import multiprocessing as _standard

# What a context of this package has itself; everything else is that of the standard context.
OWN_NAMES = (
    "Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Event", "Barrier",
    "Queue", "JoinableQueue", "SimpleQueue", "Pipe", "RawValue", "RawArray", "Value", "Array", "get_context",
)


class Context:
    """The objects of this package, and the processes of one start method of multiprocessing.

    The objects do not depend on the start method: one made by the context of fork may be given to a process that
    the context of spawn starts. Modules are imported by the first object that needs them.
    """

    def __init__(self, standard):
        """standard: a context of multiprocessing; None is the module itself, with its default start method."""
        self._standard = standard

    def __getattr__(self, name):
        if name == "_standard":  # while an instance is being copied or unpickled
            raise AttributeError(name)
        return getattr(self._standard or _standard, name)

    def __repr__(self):
        return f"<shmd.multiprocessing context of {self.get_start_method(allow_none=True) or 'any start method'}>"

    def __reduce__(self):
        return _context, (self._standard and self._standard.get_start_method(),)

    def get_context(self, method=None):
        """The context of a start method: 'fork', 'spawn' or 'forkserver'; None: of the one in use.
        ValueError: there is no such method."""
        return Context((self._standard or _standard).get_context(method))

    def Lock(self):
        """A lock that anybody may release, as threading.Lock; see synchronize.Lock."""
        from .synchronize import Lock
        return Lock()

    def RLock(self):
        """A lock that belongs to a thread, and that it may acquire again; see synchronize.RLock."""
        from .synchronize import RLock
        return RLock()

    def Condition(self, lock=None):
        """A condition; lock is a Lock or RLock of this package, None a new RLock; see synchronize.Condition."""
        from .synchronize import Condition
        return Condition(lock)

    def Semaphore(self, value=1):
        """A semaphore of value permits; see synchronize.Semaphore."""
        from .synchronize import Semaphore
        return Semaphore(value)

    def BoundedSemaphore(self, value=1):
        """A semaphore that never has more than value permits; see synchronize.BoundedSemaphore."""
        from .synchronize import BoundedSemaphore
        return BoundedSemaphore(value)

    def Event(self):
        """An event, not set; see synchronize.Event."""
        from .synchronize import Event
        return Event()

    def Barrier(self, parties, action=None, timeout=None):
        """A barrier for parties arrivals; see synchronize.Barrier."""
        from .synchronize import Barrier
        return Barrier(parties, action, timeout)

    def Queue(self, maxsize=0):
        """A queue of Python objects; see queues.Queue."""
        from .queues import Queue
        return Queue(maxsize)

    def JoinableQueue(self, maxsize=0):
        """A queue that knows which of its objects are done; see queues.JoinableQueue."""
        from .queues import JoinableQueue
        return JoinableQueue(maxsize)

    def SimpleQueue(self):
        """A queue without limits and time-outs; see queues.SimpleQueue."""
        from .queues import SimpleQueue
        return SimpleQueue()

    def Pipe(self, duplex=True):
        """Two connections, each the other end of the other; see connection.Pipe."""
        from .connection import Pipe
        return Pipe(duplex)

    def RawValue(self, typecode_or_type, *args):
        """A ctypes object in shared memory, without a lock; see sharedctypes.RawValue."""
        from .sharedctypes import RawValue
        return RawValue(typecode_or_type, *args)

    def RawArray(self, typecode_or_type, size_or_initializer):
        """A ctypes array in shared memory, without a lock; see sharedctypes.RawArray."""
        from .sharedctypes import RawArray
        return RawArray(typecode_or_type, size_or_initializer)

    def Value(self, typecode_or_type, *args, lock=True):
        """A ctypes object in shared memory, and its lock; see sharedctypes.Value."""
        from .sharedctypes import Value
        return Value(typecode_or_type, *args, lock=lock)

    def Array(self, typecode_or_type, size_or_initializer, *, lock=True):
        """A ctypes array in shared memory, and its lock; see sharedctypes.Array."""
        from .sharedctypes import Array
        return Array(typecode_or_type, size_or_initializer, lock=lock)


def _context(method):
    return Context(method and _standard.get_context(method))

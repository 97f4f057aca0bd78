# SPDX-License-Identifier: Apache-2.0
"""Locks, semaphores, conditions, events and barriers with the manners of multiprocessing.synchronize.

All of them pickle to any process of this daemon's, at any time, and survive fork and spawn. Timeouts are seconds;
None waits for ever, what is not above 0 does not wait. A wait runs Python's signal handlers, and ends with the
exception that one raises. Every method may be called by all threads at once.

When a process is killed, the locks that it held come back: the next acquire returns True, and tells it by a
shmd.OwnerDiedWarning. Conditions and events do not hang for a dead waiter, and a barrier breaks.
"""
import errno
import operator
import os
import sys
import threading
import time
import warnings
from multiprocessing import process

import shmd
from shmd import _shmd, reopen

from . import _client, _exit

__all__ = ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"]

SEM_VALUE_MAX = 2**31 - 1

# How many processes may have an object at once; a place costs 16 bytes.
SEATS_MAX = 1024

_LOCK, _RLOCK, _SEMAPHORE = range(3)


def _owner_name():
    """This thread, as multiprocessing's reprs name an owner."""
    name = process.current_process().name
    if threading.current_thread().name != "MainThread":
        name += "|" + threading.current_thread().name
    return name


class SemLock(_shmd.SemLock):
    """What Lock, RLock and the semaphores have in common."""

    def __init__(self, flavour, initial=0, maximum=0):
        self._create(_client.default(), flavour, SEATS_MAX, initial, maximum)

    def __reduce__(self):
        return _rebuild, (type(self), self.client.socket, self.id, self.ticket(), self._flavour, self._maximum)


def _rebuild(cls, socket, id, ticket, flavour, maximum):
    self = cls.__new__(cls)
    client = reopen.client(socket)
    reopen.by_ticket(lambda ticket: self._open(client, id, ticket, flavour, maximum), ticket)
    _client.adopt(client)
    return self


class Lock(SemLock):
    """A lock that has no owner: any thread of any process may release it.

    release() of a lock that is free raises ValueError.
    """

    def __init__(self, *, ctx=None):
        super().__init__(_LOCK)

    def __repr__(self):
        try:
            if self._is_mine():
                name = _owner_name()
            elif self._get_value() == 1:
                name = "None"
            elif self._count() > 0:
                name = "SomeOtherThread"
            else:
                name = "SomeOtherProcess"
        except Exception:
            name = "unknown"
        return f"<{type(self).__name__}(owner={name})>"


class RLock(SemLock):
    """A lock that belongs to a thread, which may acquire it again and releases it as often.

    release() by another thread raises AssertionError.
    """

    def __init__(self, *, ctx=None):
        super().__init__(_RLOCK)

    def __repr__(self):
        try:
            if self._is_mine():
                name, count = _owner_name(), self._count()
            elif self._get_value() == 1:
                name, count = "None", 0
            elif self._count() > 0:
                name, count = "SomeOtherThread", "nonzero"
            else:
                name, count = "SomeOtherProcess", "nonzero"
        except Exception:
            name, count = "unknown", "unknown"
        return f"<{type(self).__name__}({name}, {count})>"


def _checked(value):
    """A semaphore's value; what sem_open() does not take raises what it raises."""
    value = operator.index(value)
    if not -SEM_VALUE_MAX - 1 <= value <= SEM_VALUE_MAX:
        raise OverflowError("Python int too large to convert to C int")
    if value < 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return value


class Semaphore(SemLock):
    """A semaphore of value permits, which any process may release. What a killed process had acquired is gone.

    Raises OSError for a negative value and OverflowError beyond 2147483647.
    """

    def __init__(self, value=1, *, ctx=None):
        super().__init__(_SEMAPHORE, _checked(value), SEM_VALUE_MAX)

    def get_value(self):
        """The permits that can be acquired now."""
        return self._get_value()

    def __repr__(self):
        try:
            value = self._get_value()
        except Exception:
            value = "unknown"
        return f"<{type(self).__name__}(value={value})>"


class BoundedSemaphore(Semaphore):
    """A semaphore that never has more than value permits: one more release() raises ValueError."""

    def __init__(self, value=1, *, ctx=None):
        value = _checked(value)
        SemLock.__init__(self, _SEMAPHORE, value, value)

    def __repr__(self):
        try:
            value = self._get_value()
        except Exception:
            value = "unknown"
        return f"<{type(self).__name__}(value={value}, maxvalue={self._maximum})>"


def _warn_of_death(mark_consistent, notice, what):
    """The wait or lock of a condition told of a death: said once, and then the state counts as in order."""
    mark_consistent()
    warnings.warn(f"process {notice.pid} died holding {what}; what it guards may be half done",
                  shmd.OwnerDiedWarning, stacklevel=3)


class Condition:
    """A condition over a Lock or RLock of this package; None: over a new RLock.

    wait() and notify() raise AssertionError if this thread has not acquired the lock. When a process dies, a wait
    may end although nobody notified it: look at what is waited for in a loop, or use wait_for().
    """

    def __init__(self, lock=None, *, ctx=None):
        lock = RLock() if lock is None else lock
        if not isinstance(lock, (Lock, RLock)):
            raise TypeError(f"a Lock or RLock of shmd.multiprocessing is wanted, not {lock!r}")
        condition = shmd.Condition.create(lock.client, None, lock, seats_max=SEATS_MAX)
        self._assemble(lock, condition)

    def _assemble(self, lock, condition):
        self._lock = lock
        self._condition = _exit.close_at_exit(condition)
        self.acquire = lock.acquire
        self.release = lock.release

    def __getstate__(self):
        return self._lock, self._condition

    def __setstate__(self, state):
        self._assemble(*state)

    def __enter__(self):
        return self._lock.__enter__()

    def __exit__(self, *args):
        return self._lock.__exit__(*args)

    def __repr__(self):
        # How many wait is nowhere to be had at once; multiprocessing says unknown then.
        return f"<{type(self).__name__}({self._lock}, unknown)>"

    def wait(self, timeout=None):
        """Releases the lock, however often it was acquired, waits up to timeout seconds until notified, and
        acquires it as often. False if the time was over first."""
        assert self._lock._is_mine(), "must acquire() condition before using wait()"
        if timeout is not None and timeout <= 0:
            timeout = 1e-9  # a try would keep the lock, which others may want
        count = self._lock._suspend()
        try:
            notice = self._condition.wait(timeout)
        except (shmd.TimedOut, shmd.WouldBlock):
            return False
        finally:
            self._lock._resume(count)
        if notice is not None:
            _warn_of_death(self._condition.mark_consistent, notice, f"the lock of condition {self._condition.id}")
        return True

    def notify(self, n=1):
        """Wakes n of those who wait, or as many as there are."""
        assert self._lock._is_mine(), "lock is not owned"
        if n > 0:
            self._condition.notify(min(n, 2**31 - 1))

    def notify_all(self):
        """Wakes all who wait."""
        self.notify(n=sys.maxsize)

    def wait_for(self, predicate, timeout=None):
        """Waits up to timeout seconds until predicate(), called while the lock is held, is true, and returns what it
        returned last."""
        result = predicate()
        if result:
            return result
        end = None if timeout is None else time.monotonic() + timeout
        left = None
        while not result:
            if end is not None:
                left = end - time.monotonic()
                if left <= 0:
                    break
            self.wait(left)
            result = predicate()
        return result


class Event:
    """Set or not set; waits end while it is set. Who waits when it is set is let go, even if it is cleared at once.

    set() may be called in a signal handler, also in one that interrupts a wait.
    """

    def __init__(self, *, ctx=None):
        self._event = shmd.Event.create(_client.default(), seats_max=SEATS_MAX)

    def is_set(self):
        """Whether it is set."""
        return self._event.is_set()

    def set(self):
        """Sets it, and ends all waits. Never waits."""
        self._event.set()

    def clear(self):
        """Resets it."""
        self._event.reset()

    def wait(self, timeout=None):
        """Waits up to timeout seconds until it is set; whether it was."""
        try:
            self._event.wait(timeout)
        except (shmd.TimedOut, shmd.WouldBlock):
            return False
        return True

    def __repr__(self):
        return f"<{type(self).__qualname__} at {id(self):#x} {'set' if self.is_set() else 'unset'}>"


class Barrier:
    """Lets parties arrivals go at once, again and again; action is called by the last to arrive, before that.

    A process that has arrived once is a party: if it is killed, the barrier breaks for the others.
    Raises ValueError for less than one party, and shmd.Invalid for more than 4094.
    """

    def __init__(self, parties, action=None, timeout=None, *, ctx=None):
        if parties < 1:
            raise ValueError("parties must be > 0")
        barrier = shmd.Barrier.create(_client.default(), None, parties, seats_max=SEATS_MAX)
        self.__setstate__((parties, action, timeout, barrier))

    def __getstate__(self):
        return self._parties, self._action, self._timeout, self._barrier

    def __setstate__(self, state):
        self._parties, self._action, self._timeout, barrier = state
        self._barrier = _exit.close_at_exit(barrier)

    def __repr__(self):
        cls = type(self)
        state = "broken" if self.broken else f"waiters={self.n_waiting}/{self.parties}"
        return f"<{cls.__module__}.{cls.__qualname__} at {id(self):#x}: {state}>"

    def wait(self, timeout=None):
        """Arrives, and waits for the others; the number of this arrival, 0 to parties - 1.

        timeout is in seconds, None that of the barrier. Raises threading.BrokenBarrierError if the barrier is broken,
        by a death, an abort, a reset or a timeout, also by this one's, or if the others met so often since that how it
        ended for this one is not known any more; what action raises is raised here, and breaks it too.
        """
        if timeout is None:
            timeout = self._timeout
        if timeout is not None and timeout <= 0:
            timeout = 1e-9  # a try that fails would not count as an arrival, and break nothing
        try:
            return self._barrier.wait(timeout, self._action)
        except (shmd.TimedOut, shmd.WouldBlock):
            raise threading.BrokenBarrierError from None
        except (shmd.Broken, shmd.PeerDied, shmd.OutcomeUnknown) as error:
            raise threading.BrokenBarrierError(str(error)) from error

    def reset(self):
        """Makes it whole and empty; who waits gets threading.BrokenBarrierError."""
        self._barrier.reset()

    def abort(self):
        """Breaks it; who waits or arrives gets threading.BrokenBarrierError, until it is reset."""
        self._barrier.abort()

    @property
    def parties(self):
        """How many must arrive."""
        return self._parties

    @property
    def n_waiting(self):
        """How many have arrived and wait."""
        return self._barrier.state().waiting

    @property
    def broken(self):
        """Whether it is broken."""
        return self._barrier.state().broken

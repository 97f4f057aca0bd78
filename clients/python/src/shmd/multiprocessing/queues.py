# SPDX-License-Identifier: Apache-2.0
"""Queue, JoinableQueue and SimpleQueue with the manners of multiprocessing.queues.

All of them pickle to any process of this daemon's, at any time, and survive fork and spawn. Timeouts are seconds;
None waits for ever, what is not above 0 does not wait. A wait runs Python's signal handlers, and ends with the
exception that one raises. Every method may be called by all threads at once.

An object is pickled, and is in the queue, before put() returns: what cannot be pickled raises there (see
FEEDER_ERRORS), and a process that has put may be killed. Who is killed in the middle of a put has put nothing, or all;
who is killed in the middle of a get has got it or not. Nobody else is held up by that.
"""
import collections
import os
import threading
import traceback
import types
import warnings
import weakref
from multiprocessing import util
from queue import Full

from shmd import _shmd, errors, reopen

from . import _client, _pickle  # noqa: F401: which tells the extension how to pickle

__all__ = ["Queue", "SimpleQueue", "JoinableQueue"]

# How many processes may have a queue at once.
SEATS_MAX = 1024
# Slots of a queue without maxsize: what does not fit in waits in the process that puts it.
SLOTS = 1024
SLOTS_MAX = 65536
# An object that takes no more than a slot when pickled costs the least: 1 KiB of bytes just fits.
SLOT_SIZE = 1152
SLOT_SIZE_MIN = 64
# What the slots of a queue with a large maxsize take together.
SLOTS_BYTES = 8 << 20

# With this in the environment a put of what cannot be pickled does not raise, as with multiprocessing: the object is
# dropped, and Queue._on_queue_feeder_error is told.
FEEDER_ERRORS = "SHMD_QUEUE_FEEDER_ERRORS"

# While there is no memory for a message that was put aside, it is tried again so often.
_MEMORY_SECONDS = 0.05


def _slot_size(slots):
    return max(SLOT_SIZE_MIN, min(SLOT_SIZE, SLOTS_BYTES // slots // 8 * 8))


class _Spill:
    """What a process has put into a queue that is full, and the thread that puts it there when there is room."""

    def __init__(self):
        self._lock = threading.Lock()
        self._waiting = collections.deque()
        self._thread = None  # while something waits
        self._pause = threading.Event()  # never set

    def append(self, queue, data):
        with self._lock:
            self._waiting.append(data)
            queue._spilled += 1
            queue._on_spilled(1)
            if self._thread is None:
                self._thread = threading.Thread(target=self._feed, args=(queue,), name="QueueFeederThread", daemon=True)
                self._thread.start()
                queue._arm_join(self._thread)

    def join(self):
        thread = self._thread
        if thread is not None:
            thread.join()

    def _feed(self, queue):
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                data = self._waiting[0]
            try:
                queue._put_bytes(data, None)
            except (errors.NoSpace, errors.Quota):
                self._pause.wait(_MEMORY_SECONDS)  # until somebody has got something
                continue
            except errors.Error as error:  # the queue is gone, and all that was to go there
                self._lose(queue, error)
                continue
            with self._lock:
                self._waiting.popleft()
                queue._spilled -= 1
            queue._on_spilled(-1)

    def _lose(self, queue, error):
        with self._lock:
            lost = len(self._waiting)
            self._waiting.clear()
            queue._spilled = 0
        if not util.is_exiting():
            warnings.warn(f"{queue!r}: {lost} objects that were put are lost: {error}", RuntimeWarning)


class Queue(_shmd.QueueCore):
    """A queue of objects, between any number of processes and threads.

    maxsize: how many objects there may be, before put() waits; 0 or less, or beyond 65536: any number. Such a queue holds 1024 of them
    in shared memory; what more a process puts waits in that process, as all does with multiprocessing, and is lost if
    it is killed. A process that ends in order first puts what waits there, unless it has called cancel_join_thread().

    Raises what making an object raises: shmd.Error if the daemon refuses.
    """

    def __init__(self, maxsize=0, *, ctx=None):
        self._prepare(maxsize)
        slots = self._slots(maxsize)
        self._create(_client.default(), slots, _slot_size(slots), SEATS_MAX)

    def _slots(self, maxsize):
        if maxsize <= 0 or maxsize > SLOTS_MAX:
            return SLOTS
        return maxsize

    def _prepare(self, maxsize):
        self._maxsize = maxsize
        self._bounded = 0 < maxsize <= SLOTS_MAX
        self._late = bool(os.environ.get(FEEDER_ERRORS))
        self._ignore_epipe = False  # for concurrent.futures, which sets it
        self._forget()
        _queues.add(self)

    def _forget(self):
        """What of it is this process's only."""
        self._feeder = _Spill()
        self._joins = None
        self._join_cancelled = False
        self._closed = self._used = False
        self._spilled = 0

    def _state(self):
        return self._maxsize, self._slot_size

    def __reduce__(self):
        return _rebuild, (type(self), self.client.socket, self.id, self.ticket(), *self._state())

    def _rebuilt(self, client, id, ticket, maxsize, slot_size):
        self._prepare(maxsize)
        reopen.by_ticket(lambda ticket: self._open(client, id, slot_size, ticket), ticket)

    # What put() calls for what it does not do itself.

    def _spill(self, data):
        self._feeder.append(self, data)

    def _on_spilled(self, count):
        pass

    def _pickle_failed(self, error, obj):
        if not isinstance(error, Exception):
            raise error
        self._on_queue_feeder_error(error, obj)

    @staticmethod
    def _on_queue_feeder_error(e, obj):
        """What becomes of an object that cannot be pickled, if put() does not raise: it is dropped."""
        traceback.print_exception(type(e), e, e.__traceback__)

    # The end.

    def close(self):
        """This process will put no more, and get no more: both raise ValueError from now on."""
        self._closed = True

    def join_thread(self):
        """Waits until all that this process has put is in the queue. AssertionError before close()."""
        assert self._closed, f"Queue {self!r} not closed"
        self._feeder.join()

    def cancel_join_thread(self):
        """This process does not wait at its end for what it has put; that may be lost."""
        self._join_cancelled = True
        if self._joins is not None:
            self._joins.cancel()
            self._joins = None

    def _arm_join(self, thread):
        if self._joins is not None:
            self._joins.cancel()
        if not self._join_cancelled:
            self._joins = util.Finalize(None, thread.join, exitpriority=-5)

    __class_getitem__ = classmethod(types.GenericAlias)


def _rebuild(cls, socket, id, ticket, *state):
    self = cls.__new__(cls)
    client = reopen.client(socket)
    self._rebuilt(client, id, ticket, *state)
    _client.adopt(client)
    return self


class SimpleQueue(Queue):
    """A queue with put(), get(), empty() and close() only, none of which takes a timeout.

    It holds 1024 objects, of any size; then put() waits. After close(), which is of this process only, all but close()
    raise OSError.
    """

    def __init__(self, *, ctx=None):
        super().__init__(SLOTS)

    def _prepare(self, maxsize):
        super()._prepare(maxsize)
        self._simple = True

    def put(self, obj):
        """Puts an object, waiting while there is no room."""
        super().put(obj)

    def get(self):
        """Takes the first object, waiting for one."""
        return super().get()

    @property
    def _reader(self):
        """A connection that receives what get() would: for connection.wait, and concurrent.futures."""
        return self._end("_in", lambda: (self._channel(), None))

    @property
    def _writer(self):
        """A connection that sends what get() takes."""
        return self._end("_out", lambda: (None, self._channel()))

    def _channel(self):
        return _shmd.Channel.open(self.client, 0, self.id)

    def _end(self, name, channels):
        from .connection import Connection
        made = self._ends.get(name)
        if made is None:
            made = self._ends[name] = Connection(*(None, None) if self._closed else channels())
        return made

    def _forget(self):
        super()._forget()
        self._ends = {}

    def close(self):
        """This process will neither put nor get any more."""
        super().close()
        for end in self._ends.values():
            end.close()


class JoinableQueue(Queue):
    """A queue that knows which objects are done: who gets one says so by task_done(), and join() waits for all.

    If a process is killed that has got objects and not called task_done() for them, others get them again, before all
    that is there. If it ends in order, they are gone, as with multiprocessing, and join() waits for ever.

    Of a process that has got more than 64 objects and not finished them, while half of the slots are so, the oldest
    are not got again. An object counts against maxsize until it is got.
    """

    def __init__(self, maxsize=0, *, ctx=None):
        from .synchronize import Condition
        super().__init__(maxsize)
        self._condition = Condition()
        # What is unfinished and in no slot: put aside by a putter, or got by who has ended; less what was finished by
        # another process than the one that got it.
        self._debt = _shmd.Value.create(self.client, None, "q")

    def _slots(self, maxsize):
        # What is got and not finished takes slots too.
        return SLOTS_MAX if maxsize <= 0 or maxsize > SLOTS_MAX // 2 else maxsize + SLOTS_MAX // 2

    def _prepare(self, maxsize):
        super()._prepare(maxsize)
        self._bounded = False  # by its slots
        self._joinable = True

    def _state(self):
        return (*super()._state(), self._condition, self._debt)

    def _rebuilt(self, client, id, ticket, maxsize, slot_size, condition, debt):
        super()._rebuilt(client, id, ticket, maxsize, slot_size)
        self._condition, self._debt = condition, debt

    def put(self, obj, block=True, timeout=None):
        """Puts an object, waiting up to timeout seconds for room; None waits for ever. Raises queue.Full, ValueError if
        this process has closed the queue, and at once whatever pickling raises."""
        if self._maxsize <= 0 or self._closed:
            return super().put(obj)
        with self._condition:
            if not self._room() and not (block and self._condition.wait_for(self._room, timeout)):
                raise Full
            super().put(obj)

    def put_nowait(self, obj):
        """put(obj, False)"""
        return self.put(obj, False)

    def get(self, block=True, timeout=None):
        """Takes the first object, waiting up to timeout seconds for one; None waits for ever. Raises queue.Empty,
        ValueError if this process has closed the queue, and whatever unpickling raises: then it was got all the same."""
        try:
            return super().get(block, timeout)
        finally:
            if self._maxsize > 0:
                self._tell()

    def get_nowait(self):
        """get(False)"""
        return self.get(False)

    def full(self):
        """Whether maxsize objects can be got."""
        return not self._room()

    def _room(self):
        return self._maxsize <= 0 or self.qsize() < self._maxsize

    def _tell(self):
        with self._condition:
            self._condition.notify_all()

    def _unfinished(self):
        # In this order: what moves from the debt to a slot meanwhile counts twice, never not at all.
        debt = self._debt.load()
        ready, leased, _ = self._counts()
        return ready + leased + debt

    def task_done(self):
        """An object that was got is done. ValueError if that was said of all objects already."""
        with self._condition:
            if not self._finish():
                if self._unfinished() <= 0:
                    raise ValueError("task_done() called too many times")
                self._debt.fetch_add(-1)
            if self._unfinished() <= 0:
                self._condition.notify_all()

    def join(self):
        """Waits until all objects that were put are done."""
        with self._condition:
            while self._unfinished() > 0:
                self._condition.wait()

    def _on_spilled(self, count):
        self._debt.fetch_add(count)
        if count < 0:
            self._tell()

    def _leave(self):
        """This process ends in order: what it has got and not finished stays unfinished, and is not got again."""
        held = self._held()
        if held:
            self._debt.fetch_add(held)
        while self._finish():
            pass

    def __del__(self):
        if self.client is not None and self._held():
            self._leave()


_queues = weakref.WeakSet()


def _after_fork():
    for queue in list(_queues):
        queue._forget()


def _leave_all():
    for queue in list(_queues):
        if queue._joinable:
            queue._leave()


def _arm(_=None):
    util.Finalize(None, _leave_all, exitpriority=-50)


_arm()
# multiprocessing forgets its finalizers in a child, and runs those that are registered after that; a child that
# somebody else forked keeps them, but they are of another process.
util.register_after_fork(_arm, _arm)
os.register_at_fork(after_in_child=_after_fork)
os.register_at_fork(after_in_child=_arm)

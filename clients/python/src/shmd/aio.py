"""asyncio: each wait that has a pollable, as a coroutine.

An object has one pollable for each event loop and for what is waited for, while somebody waits; those who wait take
turns. A coroutine that is cancelled has taken nothing.
"""

from shmd import _shmd
from shmd.errors import WouldBlock

_watches: dict = {}


class _Watch:
    """A pollable in an event loop, and the futures of those who wait by it."""

    def __init__(self, key, loop, handle, until, version):
        self.key = key
        self.loop = loop
        self.waiting = []
        self.pollable = _shmd.Pollable(handle, until, version)
        self.descriptor = self.pollable.fileno()
        self.closed = False
        loop.add_reader(self.descriptor, self.ready)

    def ready(self):
        # Nobody is called again until somebody has tried, and waits again.
        self.loop.remove_reader(self.descriptor)
        waiting, self.waiting = self.waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
        if not waiting:
            self.close()

    def rearm(self):
        self.pollable.rearm()
        self.loop.add_reader(self.descriptor, self.ready)

    def close(self):
        if self.closed:
            return  # the number of its descriptor may be another's by now
        self.closed = True
        if _watches.get(self.key) is self:
            del _watches[self.key]
        self.loop.remove_reader(self.descriptor)
        self.pollable.close()


async def _until(handle, until, version=None):
    import asyncio

    loop = asyncio.get_running_loop()
    key = (id(loop), id(handle), until, version)
    watch = _watches.get(key)
    if watch is None or watch.loop is not loop or watch.pollable.object is not handle:
        watch = _watches[key] = _Watch(key, loop, handle, until, version)
    elif not watch.waiting:
        watch.rearm()
    future = loop.create_future()
    watch.waiting.append(future)
    try:
        await future
    finally:
        if future in watch.waiting:
            watch.waiting.remove(future)
        if not watch.waiting:
            watch.close()


async def _tried(handle, until, attempt):
    """What the attempt returns, once it does not raise WouldBlock."""
    while True:
        try:
            return attempt()
        except WouldBlock:
            await _until(handle, until)


async def _lock(self):
    """lock(), without blocking the event loop. The lock belongs to the thread of the loop, whichever task took it."""
    return await _tried(self, "free", lambda: self.lock(0))


async def _acquire(self, n=1):
    """acquire(n), without blocking the event loop."""
    return await _tried(self, "permit", lambda: self.acquire(n, 0))


async def _wait_set(self):
    """wait(), without blocking the event loop."""
    return await _tried(self, "set", lambda: self.wait(0))


async def _read_lock(self):
    """read_lock(), without blocking the event loop. It belongs to the thread of the loop."""
    return await _tried(self, "readable", lambda: self.read_lock(0))


async def _put(self, message):
    """put(message), without blocking the event loop."""
    return await _tried(self, "slot", lambda: self.put(message, 0))


async def _put_many(self, messages):
    """put_many(messages), without blocking the event loop; of how many."""
    return await _tried(self, "slot", lambda: self.put_many(messages, 0))


async def _take(self):
    """take(), without blocking the event loop."""
    return await _tried(self, "message", lambda: self.take(0))


async def _take_many(self, count):
    """take_many(count), without blocking the event loop."""
    return await _tried(self, "message", lambda: self.take_many(count, 0))


async def _lease(self):
    """lease(), without blocking the event loop."""
    return await _tried(self, "message", lambda: self.lease(0))


async def _send(self, message):
    """send(message), without blocking the event loop. Of a pipe a message of at most capacity / 2 - 8 bytes."""
    return await _tried(self, "writable", lambda: self.send(message, 0))


async def _recv(self):
    """recv(), without blocking the event loop."""
    return await _tried(self, "readable", lambda: self.recv(0))


async def _write(self, data):
    """write(data), without blocking the event loop; how many bytes."""
    return await _tried(self, "writable", lambda: self.write(data, 0))


async def _read(self, size):
    """read(size), without blocking the event loop."""
    return await _tried(self, "readable", lambda: self.read(size, 0))


async def _wait_change(self, version):
    """wait_change(version), without blocking the event loop."""
    while True:
        try:
            return self.wait_change(version, 0)
        except WouldBlock:
            await _until(self, "change", version)


def install():
    """Makes them methods of their classes."""
    for kind, methods in {
        _shmd.Mutex: {"lock": _lock},
        _shmd.Semaphore: {"acquire": _acquire},
        _shmd.Event: {"wait": _wait_set},
        _shmd.RWLock: {"read_lock": _read_lock},
        _shmd.Queue: {"put": _put, "put_many": _put_many, "take": _take, "take_many": _take_many, "lease": _lease},
        _shmd.Stream: {"send": _send, "recv": _recv},
        _shmd.Pipe: {"send": _send, "recv": _recv, "write": _write, "read": _read},
        _shmd.Value: {"wait_change": _wait_change},
        _shmd.Array: {"wait_change": _wait_change},
    }.items():
        for name, method in methods.items():
            setattr(kind, name + "_async", method)

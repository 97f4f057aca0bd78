# SPDX-License-Identifier: Apache-2.0
"""Pipe, Connection and wait with the manners of multiprocessing.connection; Listener and Client are its own.

A connection pickles to any process of this daemon's, at any time, and survives fork and spawn. As with descriptors,
each process that has an end has it by itself, from when it was forked or has unpickled it, until it closes the end or
ends, in whatever way: so EOFError comes when no process is left that has the other end. Timeouts are seconds; None
waits for ever, what is not above 0 does not wait. A wait runs Python's signal handlers, and ends with the exception
that one raises.

Unlike multiprocessing's, an end may be used by any number of threads and processes at once: each message is received
once, and whole. Who is killed while sending has sent nothing, or all.
"""
import os
import selectors
import time
from multiprocessing import connection as _standard
from multiprocessing.connection import AuthenticationError, BufferTooShort, Client, Listener

from shmd import _shmd, reopen

from . import _client, _pickle  # noqa: F401: which tells the extension how to pickle

__all__ = ["Client", "Listener", "Pipe", "wait", "Connection", "BufferTooShort", "AuthenticationError"]

# How many processes may have a pipe at once.
SEATS_MAX = 1024
# Messages under way, and bytes of one that costs the least; longer ones may be up to 1 GiB.
SLOTS = 256
SLOT_SIZE = 1024

# With this in the environment Pipe is multiprocessing's, which can carry descriptors.
STANDARD_PIPE = "SHMD_STANDARD_PIPE"

_PRODUCER, _CONSUMER = 1, 2
_WAIT_MAX = 127  # of _shmd.wait_connections


class Connection(_shmd.ConnectionCore):
    """One end of a Pipe."""

    def close(self):
        """Closes it in this process; twice is once."""
        self._close(self._in, self._out)

    def _close(self, *channels):
        self._drop()
        for channel in channels:
            if channel is not None:
                channel.close()

    def __del__(self):
        if not self.closed:
            self.close()

    def fileno(self):
        """A descriptor for selectors and poll, readable while there is a message or the end. It is not for reading,
        and a call that receives makes it unreadable when nothing is left. Raises OSError if the connection is closed,
        shmd.Unsupported before Linux 5.16, shmd.Overflow beyond 126 of them in a process."""
        if self.closed:
            raise OSError("handle is closed")
        return (self._out if self._in is None else self._in).fileno()

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()

    def __reduce__(self):
        if self.closed:
            raise OSError("handle is closed")
        some = self._in or self._out
        return _rebuild, (some.client.socket, *_reference(self._in), *_reference(self._out),
                          self._readable, self._writable)


def _reference(channel):
    return (None, None) if channel is None else (channel.id, channel.ticket())


def _reopen(client, role, id, ticket):
    if id is None:
        return None
    return reopen.by_ticket(lambda ticket: _shmd.Channel.open(client, role, id, ticket), ticket)


def _rebuild(socket, incoming, in_ticket, outgoing, out_ticket, readable, writable):
    client = reopen.client(socket)
    _client.adopt(client)
    connection = Connection(_reopen(client, _CONSUMER, incoming, in_ticket),
                            _reopen(client, _PRODUCER, outgoing, out_ticket))
    connection._readable, connection._writable = readable, writable
    return connection


def Pipe(duplex=True):
    """Two connections, each the other end of the other. Without duplex the first only receives, the second only sends.
    Raises shmd.Error if the daemon refuses."""
    if os.environ.get(STANDARD_PIPE):
        return _standard.Pipe(duplex)
    client = _client.default()

    def one_way():
        sends = _shmd.Channel.create(client, _PRODUCER, SLOTS, SLOT_SIZE, SEATS_MAX)
        return _shmd.Channel.open(client, _CONSUMER, sends.id), sends

    first_in, second_out = one_way()
    if not duplex:
        return Connection(first_in, None), Connection(None, second_out)
    second_in, first_out = one_way()
    return Connection(first_in, first_out), Connection(second_in, second_out)


def __getattr__(name):
    return getattr(_standard, name)


def _look(connections, timeout):
    """Those that may be received from, after waiting for one."""
    if len(connections) <= _WAIT_MAX:
        _shmd.wait_connections(connections, timeout)
    return [each for each in connections if each.poll()]


def wait(object_list, timeout=None):
    """Waits up to timeout seconds until some of the objects are ready, and returns those: connections of this package
    and of multiprocessing, sockets, and descriptors as Process.sentinel."""
    objects = list(object_list)
    ours = [each for each in objects if isinstance(each, Connection)]
    if ours and len(ours) == len(objects) <= _WAIT_MAX:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            ready = _look(ours, timeout)
            if deadline is not None:
                timeout = deadline - time.monotonic()
            if ready or timeout is not None and timeout <= 0:
                return ready
    if not ours:
        return _standard.wait(objects, timeout)
    return _wait_mixed(objects, timeout)


def _wait_mixed(objects, timeout):
    deadline = None if timeout is None else time.monotonic() + timeout
    with selectors.PollSelector() as selector:
        for each in objects:
            selector.register(each, selectors.EVENT_READ)
        while True:
            selected = [key.fileobj for key, _ in selector.select(timeout)]
            ready = []
            for each in selected:
                if not isinstance(each, Connection) or each.poll():
                    ready.append(each)
                else:
                    each._in.rearm()  # another process was faster
            if deadline is not None:
                timeout = deadline - time.monotonic()
            if ready or timeout is not None and timeout <= 0:
                return ready

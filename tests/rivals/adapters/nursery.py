# SPDX-License-Identifier: Apache-2.0
"""Where processes get objects that are inherited, not opened, as those of multiprocessing.

The process that makes the objects forks a nursery, which has them. Any other process gives the nursery its standard
input, output and error and its processors over a Unix socket; a child that the nursery forks does its work there, and
the process itself waits until that has ended. For the runner all are as those of other systems; only the pid that works
is another one. A child ends when its process does, by SIGIO, however that was killed.
"""
import contextlib
import fcntl
import os
import pickle
import select
import socket
import sys
from multiprocessing import util


def _address(name):
    return f"\0rivals-{name}"  # in no directory, whose path may be too long


def begin(name, context, work):
    """Forks a nursery, whose children, processes of the context, call work(argv). It ends when nobody has the
    descriptor that this returns open."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(_address(name))
    listener.listen(64)
    ends, lifeline = os.pipe()
    with standard_files_aside() as aside:
        if os.fork() == 0:
            # No child of multiprocessing's: the others end after this process, which would wait for all of those.
            try:
                _close(lifeline, *aside)
                _nurse(listener, ends, context, work)
            finally:
                os._exit(0)
    listener.close()
    os.close(ends)
    return lifeline


def ask(name, argv):
    """Has a child of the nursery do the work of this process; returns its exit status."""
    with socket.socket(socket.AF_UNIX) as nursery:
        nursery.connect(_address(name))
        message = pickle.dumps((argv, os.sched_getaffinity(0)))
        socket.send_fds(nursery, [message], [0, 1, 2])
        return (nursery.recv(1) or b"\1")[0]


def _nurse(listener, ends, context, work):
    while True:
        readable, _, _ = select.select([listener, ends], [], [])
        if ends in readable:
            return
        asker, _ = listener.accept()
        message, descriptors, _, _ = socket.recv_fds(asker, 65536, 3)
        context.Process(target=_hatch, args=(listener, asker, descriptors, *pickle.loads(message), work)).start()
        asker.close()
        _close(*descriptors)


def _hatch(listener, asker, descriptors, argv, processors, work):
    listener.close()
    os.sched_setaffinity(0, processors)
    for standard, descriptor in enumerate(descriptors):
        os.dup2(descriptor, standard)
    _close(*descriptors)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    _tell_by_sigio(asker)  # which ends this process when who asked is gone
    status = [1]
    # After all that threads of queues have still to send.
    util.Finalize(None, lambda: asker.send(bytes(status)), exitpriority=-100)
    work(argv)
    status[0] = 0


def _tell_by_sigio(descriptor):
    """SIGIO, which ends a process, comes when there is something to read, or the other side has ended."""
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)


def end_with(ends, lifeline, aside):
    """In a process that serves the others: it ends when they have, in whatever way."""
    _close(lifeline, *aside)
    _tell_by_sigio(ends)


@contextlib.contextmanager
def standard_files_aside():
    """What is started within has no standard files of this process, whose end they shall tell. Yields descriptors that
    are to be closed there."""
    aside = [os.dup(descriptor) for descriptor in range(3)]
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    os.close(null)
    try:
        yield aside
    finally:
        for descriptor, kept in enumerate(aside):
            os.dup2(kept, descriptor)
        _close(*aside)


def _close(*descriptors):
    for descriptor in descriptors:
        os.close(descriptor)

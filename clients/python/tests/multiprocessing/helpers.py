# SPDX-License-Identifier: Apache-2.0
"""What the tests of shmd.multiprocessing share."""
import contextlib
import os
import signal
import time

import pytest

import shmd.multiprocessing as mp

METHODS = ("fork", "spawn", "forkserver")


def run(method, target, *args):
    """Runs target in a process of a start method, and returns its exit code."""
    process = mp.get_context(method).Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


def until(condition, what, seconds=60):
    """Polls until condition() is true; AssertionError after a watchdog's time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        os.sched_yield()


def asleep(pid):
    """Whether the main thread of a process sleeps."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "S"


@contextlib.contextmanager
def interrupted():
    """Its body is interrupted, as by Ctrl-C, once it sleeps; that ends it with KeyboardInterrupt."""
    parent, (read, write) = os.getpid(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.read(read, 1)
            until(lambda: asleep(parent), "it sleeps")
            os.kill(parent, signal.SIGINT)
        finally:
            os._exit(0)
    try:
        with pytest.raises(KeyboardInterrupt):
            os.write(write, b"x")
            yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(read)
        os.close(write)


class Killed:
    """A child that does something, says so, and is killed in the middle of it."""

    def __init__(self, begin, *args):
        read, write = os.pipe()
        alive, self._alive = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            try:
                os.close(self._alive)
                begin(*args)
                os.write(write, b"x")
                os.read(alive, 1)  # which ends with the parent, at the latest
            finally:
                os._exit(1)
        os.close(alive)
        os.close(write)
        assert os.read(read, 1) == b"x", "the child failed"
        os.close(read)

    def kill(self):
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)
        os.close(self._alive)
        return self._child

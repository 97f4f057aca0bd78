# SPDX-License-Identifier: Apache-2.0
"""What the tests of shmd.multiprocessing share."""
import os
import signal
import time

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

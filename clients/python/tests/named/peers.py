"""Other processes, and waiting for them."""

import os
import subprocess
import sys
import time

import shmd

PROGRAM = """
import sys, shmd
client = shmd.connect(sys.argv[1])
space = {"shmd": shmd, "client": client}
for line in sys.stdin:
    code = eval(line)
    try:
        try:
            result = eval(code, space)
        except SyntaxError:
            result = exec(code, space)
        print(repr((True, result if isinstance(result, (int, float, str, bytes, list, type(None))) else repr(result))))
    except BaseException as error:
        print(repr((False, type(error).__name__ + ": " + str(error))))
    sys.stdout.flush()
"""


class Peer:
    """A process that runs what it is told, and may be killed."""

    def __init__(self, socket):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, code):
        self.process.stdin.write(repr(code) + "\n")
        self.process.stdin.flush()

    def end(self):
        line = self.process.stdout.readline()
        assert line, "the peer died"
        good, result = eval(line)
        if not good:
            raise PeerError(result)
        return result

    def run(self, code):
        """What the expression is there, or None for statements; PeerError with what it raised."""
        self.begin(code)
        return self.end()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.kill()
        self.process.communicate()


class PeerError(Exception):
    pass


def until(condition, what="it", seconds=60):
    """Polls until the condition is true."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"{what} is not so within {seconds} s"
        os.sched_yield()


def asleep(thread):
    """Whether the kernel says that the thread sleeps."""
    with open(f"/proc/self/task/{thread.native_id}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "S"


def forked(function):
    """Runs the function in a forked child; whether it returned."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


def make(kind, client, name=None, **options):
    """An object of any kind, with what its class needs besides."""
    extra = {
        shmd.Value: lambda: ["i"],
        shmd.Array: lambda: ["d", (2, 3)],
        shmd.Barrier: lambda: [2],
        shmd.Condition: lambda: [shmd.Mutex.create(client)],
    }
    return kind.create(client, name, *extra.get(kind, list)(), **options)


KINDS = [
    shmd.Mutex,
    shmd.Semaphore,
    shmd.Event,
    shmd.Condition,
    shmd.Barrier,
    shmd.RWLock,
    shmd.Value,
    shmd.Array,
    shmd.Queue,
    shmd.Stream,
    shmd.Pipe,
]

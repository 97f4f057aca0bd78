# SPDX-License-Identifier: Apache-2.0
"""The Python side of the protocol between shmd-rivals and its adapters, which ../doc.go describes: what rival.h is
for C. Arguments, `ready`, `go N`, `done`, samples, and messages whose bytes are checked.

An adapter's main() makes one Rival and calls serve(). Operations are counted from 0 over all
`go`s. Nothing here is thread-safe; a forked child has a copy of its own.
"""
import array
import os
import random
import sys
import time

ANY = -1
_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
# With verify a message's bytes are those from here on of one long row of random bytes.
_SHIFTS = 4093
# Longer messages are written and compared where they are, in a system that has them in memory of both sides; for
# shorter ones a copy costs less than the calls.
_COPIED_MAX = 4096
_SECOND_ROLES = ("pong", "take", "waiter")


def _keys(words):
    return dict(word.split("=", 1) for word in words)


class Unsupported(Exception):
    """What the system cannot do; the runner shows the reason."""


class Rival:
    """What the runner asked for, and the messages of that."""

    def __init__(self, argv):
        self.workload, self.role = argv[:2]
        self.keys = keys = _keys(argv[2:])
        self.name = keys.get("name", "rival")
        self.dir = keys.get("dir", ".")
        self.samples = keys.get("samples")
        self.size = int(keys.get("size", 8))  # bytes, a multiple of 8
        self.batch = int(keys.get("batch", 1))
        self.index = int(keys.get("index", 0))
        self.producers = int(keys.get("producers", 1))
        self.consumers = int(keys.get("consumers", 1))
        self.processes = int(keys.get("processes", 1))
        self.verify = keys.get("verify", "0") != "0"
        self.touch = keys.get("touch", "1") != "0"
        self.in_place = self.size > _COPIED_MAX and not self.verify
        self.spins = keys.get("wait", "block") == "spin"
        self.makes = self.index == 0 and self.role not in _SECOND_ROLES
        if self.size <= 0 or self.size % 8:
            raise SystemExit(f"size={self.size} is no multiple of 8")
        self.sum = 0  # of what was put or taken in this `go`: both sides' must agree
        self._done = 0
        self._samples_ns = array.array("Q")
        self._last = {}  # number of each producer's last message
        self._pool = random.Random(1).randbytes(self.size + _SHIFTS)
        self.body = self._pool[:max(0, self.size - 16)]  # between the first and the last word
        self.message = self._make_whole if self.verify else self._make
        self.check = self._check_whole if self.verify else self._check_touched if self.touch else self._check

    # --- Messages. The first and the last word are the number, which has the producer's index in the upper 16 bits.
    # --- What is between is the same in each, or with verify depends on the number.

    def number(self, i):
        return self.index << 48 | i

    def expected(self, i):
        """The number of the next message of oneway, if there is but one producer and one consumer."""
        return i if self.producers <= 1 and self.consumers <= 1 else ANY

    @property
    def queue_max(self):
        """How many messages a bounded queue shall hold."""
        return 1024 if self.size <= 4096 else 64 if self.size <= 65536 else 8

    def _make(self, number):
        word = number.to_bytes(8, "little")
        return word + self.body + word if self.size > 8 else word

    def _whole(self, number):
        begin = number % _SHIFTS
        return self._pool[begin:begin + self.size - 16]

    def _count(self, number):
        self.sum = (self.sum + (number + 1) * _GOLDEN + self.size // 8) & _MASK

    def _make_whole(self, number):
        word = number.to_bytes(8, "little")
        self._count(number)
        return word + self._whole(number) + word if self.size > 8 else word

    def _check(self, message, number):
        if len(message) != self.size:
            raise SystemExit(f"a message of {len(message)} bytes instead of {self.size}")
        return self.check_number(int.from_bytes(message[:8], "little"), number)

    def check_number(self, got, number):
        if got != number and number != ANY:
            raise SystemExit(f"message {got:x} instead of {number:x}")
        return got

    def _check_touched(self, message, number):
        self._check(message, number)
        if self.size > 8 and not message.startswith(self.body, 8):
            raise SystemExit(f"message {number:x} is damaged")

    def _check_whole(self, message, number):
        got = self._check(message, number)
        producer, i = got >> 48, got & (1 << 48) - 1
        if i <= self._last.get(producer, -1):
            raise SystemExit(f"message {got:x} came after a later one, or twice")
        self._last[producer] = i
        if message[-8:] != message[:8]:
            raise SystemExit(f"message {got:x} has another one's end")
        if self.size > 8 and not message.startswith(self._whole(got), 8):
            raise SystemExit(f"message {got:x} is damaged")
        self._count(got)

    # --- The protocol.

    def serve(self, run):
        """Answers the runner's lines. run(turns, count) does one operation for each of turns, their numbers."""
        for line in sys.stdin:
            command, count = line.split()
            if command != "go":
                raise SystemExit(f"no command: {line}")
            self._go(run, int(count))

    def _go(self, run, count):
        self.sum = 0
        turns = range(self._done, self._done + count)
        begin = time.monotonic_ns()
        if run(self._timed(turns) if self.samples else turns, count) == "answered":
            return
        end = time.monotonic_ns()
        self._done += count
        if self.samples:
            with open(self.samples, "wb") as file:
                self._samples_ns.tofile(file)
        say(f"done {end - begin} begin={begin} end={end}" + (f" sum={self.sum}" if self.verify else ""))

    def _timed(self, turns):
        """The turns; notes how long each takes, from when it is given to when the next is asked for."""
        del self._samples_ns[:]
        note, now = self._samples_ns.append, time.monotonic_ns
        last = now()
        for i in turns:
            yield i
            at = now()
            note(at - last)
            last = at


def hold(acquire):
    """run of the owner of `recovery`, which is killed then."""
    def run(turns, count):
        acquire()
        say("held")
        return "answered"
    return run


def wait(acquire):
    """run of the waiter of `recovery`, and of the sleeper of `idle`, who waits until it is killed."""
    def run(turns, count):
        say("waiting")
        acquire()
        say(f"done {time.monotonic_ns()}")
        return "answered"
    return run


def say(line):
    print(line, flush=True)


def python():
    """What runs this, for `describe`."""
    return "CPython " + sys.version.split()[0]


def main(describe, start):
    """Runs an adapter: describe() gives its line, start(argv) makes or opens the objects, says `ready`
    and serves."""
    if sys.argv[1:2] == ["describe"]:
        say(describe(_keys(sys.argv[2:])))
        return
    if len(sys.argv) < 3:
        raise SystemExit(f"usage: {os.path.basename(sys.argv[0])} WORKLOAD ROLE KEY=VALUE..., or describe")
    try:
        start(sys.argv[1:])
    except Unsupported as reason:
        say(f"unsupported {reason}")

#!/usr/bin/env python3
"""Two processes with multiprocessing.Queue: what messenger.c is for our queues.

Usage: mpqueue.py CPU CPU: where the two run. Commands, each answered by nanoseconds for
one turn; messages have 64 bytes and are counted from 0:
    way N    N messages from one to the other
    trip N   N times a message there and the answer back
"""

import multiprocessing
import os
import sys
import time

BYTES = 64


def message(i):
    return i.to_bytes(8, "little") + bytes(BYTES - 8)


def expect(got, i):
    if got != message(i):
        raise SystemExit(f"mpqueue: {got!r} instead of message {i}")


def far(cpu, there, back):
    os.sched_setaffinity(0, {cpu})
    while (command := there.get()) is not None:
        name, count = command
        for i in range(count):
            got = there.get()
            expect(got, i)
            if name == "trip":
                back.put(got)
        back.put("done")


def measure(name, count, there, back):
    there.put((name, count))
    begin = time.monotonic_ns()
    for i in range(count):
        there.put(message(i))
        if name == "trip":
            expect(back.get(), i)
    if back.get() != "done":
        raise SystemExit("mpqueue: more answers than messages")
    return (time.monotonic_ns() - begin) / count


def main():
    near_cpu, far_cpu = map(int, sys.argv[1:])
    context = multiprocessing.get_context("fork")
    there, back = context.Queue(), context.Queue()
    other = context.Process(target=far, args=(far_cpu, there, back))
    other.start()
    os.sched_setaffinity(0, {near_cpu})
    for line in sys.stdin:
        name, count = line.split()
        print(measure(name, int(count), there, back), flush=True)
    there.put(None)
    other.join()


main()

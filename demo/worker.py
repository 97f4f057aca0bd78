# SPDX-License-Identifier: Apache-2.0
"""worker.py LIST NUMBER WORKERS [victim] - a worker of the demo that has a socket
and msgpack and nothing else: no shared memory, no client library. It takes part
in full, and its death is noticed as that of any other. worker.go and c/worker.c
do the same; wire/PROTOCOL.md describes each call. It finds the daemon by
SHMD_SOCKET.
"""

import os
import socket
import sys
import time
import uuid

import msgpack

FREE, DONE = 0, 1 << 31  # a claim: free, or a worker's number, in the end with DONE
BLOCK = 256  # claims to read at once


class ShmdError(Exception):
    """The daemon's answer to a call that failed: a number of its status table, its name, a sentence."""

    def __init__(self, code, name, text):
        super().__init__(f"{text} [{name}]")
        self.code = code


class Connection:
    """MessagePack-RPC over the daemon's socket."""

    def __init__(self, path, software):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.unpacker = msgpack.Unpacker()
        self.last_id = 0
        self.call("hello", 1, 1, uuid.uuid4().bytes, software)

    def pipeline(self, *calls):
        """Sends several calls at once, each (method, *params), and returns their results.
        They start in order, but one that has to wait does not hold up the next."""
        ids, data = [], b""
        for method, *params in calls:
            self.last_id += 1
            ids.append(self.last_id)
            data += msgpack.packb([0, self.last_id, method, params])
        self.socket.sendall(data)
        answers = {}
        while len(answers) < len(ids):
            for _, number, error, result in self.unpacker:
                answers[number] = error, result
            if len(answers) < len(ids):
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionError("the daemon has closed the connection")
                self.unpacker.feed(data)
        for error, _ in answers.values():
            if error is not None:
                raise ShmdError(*error)
        return [answers[number][1] for number in ids]

    def call(self, method, *params):
        return self.pipeline((method, *params))[0]


class Worker:
    def __init__(self, paths, number, workers, victim):
        self.paths, self.number, self.victim = paths, number, victim
        self.cursor = (number - 1) * len(paths) // workers  # where to look for the next free claim
        self.kept = None  # the claim that a victim takes first and never gives up
        self.shmd = Connection(os.environ["SHMD_SOCKET"], f"demo worker {number} (python)")
        names = "demo/claims", "demo/results", "demo/workers", "demo/progress"
        opened = self.shmd.pipeline(*(("open", name) for name in names))
        self.claims, self.results, self.workers, self.progress = (o["handle"] for o in opened)

    def run(self):
        if self.victim:  # before the others start, so that it surely gets one
            self.kept = self.claim()
        print("ready", flush=True)
        if not sys.stdin.readline():
            sys.exit("nobody said go")
        while True:
            # Before looking, so that no change after the look goes unnoticed.
            version = self.shmd.call("version", self.progress)
            file = self.claim()
            if file is not None:
                self.measure(file)
                continue
            # Every file is taken. Those of a worker that died come back.
            if self.finished():
                return
            self.shmd.call("wait_change", self.progress, version)

    def claim(self):
        """Takes a free file; None if there is none."""
        left = len(self.paths)
        while left > 0:
            start = self.cursor
            count = min(BLOCK, left, len(self.paths) - start)
            values = self.shmd.call("read", self.claims, start, count)["values"]
            for file, claim in enumerate(values, start):
                self.cursor = (file + 1) % len(self.paths)
                if claim == FREE and self.shmd.call("compare_exchange", self.claims, file, FREE, self.number)[0]:
                    return file
            left -= count
        return None

    def measure(self, file):
        """Counts one file and says so on the board."""
        with open(self.paths[file], "rb") as f:
            data = f.read()
        # split() without arguments splits bytes at just our six kinds of space.
        row = [len(data), data.count(b"\n"), len(data.split())]
        self.shmd.call("write", self.results, 3 * file, row)
        self.lock()
        _, counted = self.shmd.pipeline(
            ("set", self.claims, file, self.number | DONE),
            ("get", self.progress),
        )
        # Between the two stores: what the lock guards is inconsistent here.
        if self.victim and 3 * (counted + 1) >= len(self.paths):
            self.hold()
        self.shmd.pipeline(("set", self.progress, 0, counted + 1), ("unlock", self.progress))

    def finished(self):
        """Whether every file is done."""
        self.lock()
        if self.victim:
            self.hold()
        counted, _ = self.shmd.pipeline(("get", self.progress), ("unlock", self.progress))
        return counted == len(self.paths)

    def lock(self):
        """Takes the lock, and repairs what it guards if its last owner died."""
        notice = self.shmd.call("lock", self.progress)
        if notice is not None:
            self.repair(notice)

    def repair(self, notice):
        """Counts anew and frees the claims of the dead."""
        locked_ns = time.monotonic_ns()
        pids, counted = self.shmd.pipeline(("read", self.workers), ("get", self.progress))
        dead = pids["values"].index(notice["pid"])
        starts = range(0, len(self.paths), BLOCK)
        reads = (("read", self.claims, start, min(BLOCK, len(self.paths) - start)) for start in starts)
        claims = [claim for block in self.shmd.pipeline(*reads) for claim in block["values"]]
        recount = sum(claim & DONE != 0 for claim in claims)
        lost = [file for file, claim in enumerate(claims) if claim == dead]
        self.shmd.pipeline(
            *(("set", self.claims, file, FREE) for file in lost),
            ("set", self.progress, 0, recount),
            ("mark_consistent", self.progress),
        )
        print(
            f"repair pid={notice['pid']} worker={dead} claims={len(lost)} counted={counted} recount={recount}"
            f" locked_ns={locked_ns} repaired_ns={time.monotonic_ns()}",
            flush=True,
        )

    def hold(self):
        """Says that the lock and a claim are held, and waits to be killed."""
        print("holding", self.kept, flush=True)
        sys.stdin.readline()
        sys.exit("the victim was not killed")


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: worker.py LIST NUMBER WORKERS [victim]")
    with open(sys.argv[1], "rb") as f:
        paths = f.read().split(b"\0")[:-1]
    worker = Worker(paths, int(sys.argv[2]), int(sys.argv[3]), len(sys.argv) > 4)
    worker.run()
    worker.shmd.call("bye")


main()

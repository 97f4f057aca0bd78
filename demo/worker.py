# SPDX-License-Identifier: Apache-2.0
"""worker.py NUMBER [victim] - a worker of the demo that has a socket and msgpack
and nothing else: no shared memory, no client library. It takes part in full, and
its death is noticed as that of any other. worker.go, c/worker.c and worker.sh do
the same; wire/PROTOCOL.md describes each call. It finds the daemon by SHMD_SOCKET.
"""

import os
import socket
import sys
import time
import uuid

import msgpack

WOULD_BLOCK, ENDED = 2, 9  # codes of the daemon's status table
COLUMNS, WORKER = 5, 4  # of a row of the results: bytes, lines, words, deliveries, worker
BLOCK = 256  # rows to read at once


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
    def __init__(self, number, victim):
        self.number, self.victim = number, victim
        self.kept = None  # the message that a victim takes first, and dies with
        self.shmd = Connection(os.environ["SHMD_SOCKET"], f"demo worker {number} (python)")
        names = "demo/queue", "demo/files", "demo/results", "demo/progress"
        opened = self.shmd.pipeline(*(("open", name) for name in names))
        self.queue, self.files, self.results, self.progress = (o["handle"] for o in opened)
        self.total = opened[2]["length"] // COLUMNS

    def run(self):
        if self.victim:  # before the others start, so that it surely gets one
            self.kept = self.shmd.call("lease", self.queue)
        print("ready", flush=True)
        if not sys.stdin.readline():
            sys.exit("nobody said go")
        while True:
            try:
                lease = self.next()
            except ShmdError as error:
                if error.code == ENDED:
                    return
                raise
            self.work(lease)

    def next(self):
        """Takes a lease on a message. A victim goes on to the message that it kept when a third
        is done, or when there is no other."""
        if not self.victim:
            return self.shmd.call("lease", self.queue)
        if 3 * self.shmd.call("get", self.progress) >= self.total:
            return self.kept
        try:
            return self.shmd.call("lease", self.queue, 0)
        except ShmdError as error:
            if error.code == WOULD_BLOCK:
                return self.kept
            raise

    def work(self, lease):
        """Measures a file, and says so on the board. Doing it twice does no harm."""
        (file, path), deliveries = lease["message"], lease["deliveries"]
        if deliveries > 1:
            print(f"redelivered {file} deliveries={deliveries} leased_ns={time.monotonic_ns()}", flush=True)
        self.shmd.call("acquire", self.files)
        with open(path, "rb") as f:
            data = f.read()
        if lease is not self.kept:  # with which the victim keeps the permit
            self.shmd.call("release", self.files)
        # split() without arguments splits bytes at just our six kinds of space.
        row = [len(data), data.count(b"\n"), len(data.split()), deliveries]
        self.shmd.call("write", self.results, file * COLUMNS, row)
        self.count(file, lease)
        self.shmd.call("ack", self.queue, lease["lease"])

    def count(self, file, lease):
        """Counts the file, unless it is counted already: a worker may die when it has counted,
        and not acknowledged yet."""
        self.lock()
        mark = file * COLUMNS + WORKER
        by, counted = self.shmd.pipeline(("get", self.results, mark), ("get", self.progress))
        if by == 0:
            self.shmd.call("set", self.progress, 0, counted + 1)
            # Between the two stores: what the lock guards is inconsistent here.
            if lease is self.kept:
                self.hold(file)
            self.shmd.call("set", self.results, mark, self.number)
        self.shmd.call("unlock", self.progress)

    def lock(self):
        """Takes the lock, and repairs what it guards if its last owner died."""
        notice = self.shmd.call("lock", self.progress)
        if notice is not None:
            self.repair(notice)

    def repair(self, notice):
        """Counts anew."""
        locked_ns = time.monotonic_ns()
        blocks = ((start, min(BLOCK, self.total - start)) for start in range(0, self.total, BLOCK))
        reads = (("read", self.results, start * COLUMNS, rows * COLUMNS) for start, rows in blocks)
        counted, *results = self.shmd.pipeline(("get", self.progress), *reads)
        recount = sum(worker != 0 for block in results for worker in block["values"][WORKER::COLUMNS])
        self.shmd.pipeline(("set", self.progress, 0, recount), ("mark_consistent", self.progress))
        print(
            f"repair pid={notice['pid']} counted={counted} recount={recount}"
            f" locked_ns={locked_ns} repaired_ns={time.monotonic_ns()}",
            flush=True,
        )

    def hold(self, file):
        """Says that a lease, a permit and the lock are held, and waits to be killed."""
        print("holding", file, flush=True)
        sys.stdin.readline()
        sys.exit("the victim was not killed")


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: worker.py NUMBER [victim]")
    worker = Worker(int(sys.argv[1]), len(sys.argv) > 2)
    worker.run()
    worker.shmd.call("bye")


main()

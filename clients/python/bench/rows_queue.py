# SPDX-License-Identifier: Apache-2.0
"""Queues and pipes between two processes."""
import atexit


def _answer(requests, answers):
    for message in iter(requests.get, None):
        answers.put(message)


def _take(queue, done):
    while True:
        count = queue.get()
        if count is None:
            return
        for _ in range(count):
            queue.get()
        done.put(None)


def _child(face, target, *args, end):
    # By fork: what is measured does not depend on how the process began.
    process = face.get_context("fork").Process(target=target, args=args, daemon=True)
    process.start()
    atexit.register(end)
    return process


def _round_trip(message, count):
    def row(face):
        requests, answers = face.Queue(), face.Queue()
        _child(face, _answer, requests, answers, end=lambda: requests.put(None))

        def work():
            for _ in range(count):
                requests.put(message)
                answers.get()
            return count
        return work
    return row


def _throughput(message, count):
    def row(face):
        queue, done = face.Queue(), face.Queue()
        _child(face, _take, queue, done, end=lambda: queue.put(None))

        def work():
            queue.put(count)
            for _ in range(count):
                queue.put(message)
            done.get()
            return count
        return work
    return row


def _echo(connection):
    while True:
        message = connection.recv()
        if message is None:
            return
        connection.send(message)


def _pipe(message, count):
    def row(face):
        ours, theirs = face.Pipe()
        _child(face, _echo, theirs, end=lambda: ours.send(None))

        def work():
            for _ in range(count):
                ours.send(message)
                ours.recv()
            return count
        return work
    return row


ROWS = [
    ("Queue: an int there and back", 5, _round_trip(1, 100)),
    ("Queue: 1 KiB, one way", 4, _throughput(b"x" * 1024, 1000)),
    ("Queue: 1 MiB, one way", 20, _throughput(b"x" * (1 << 20), 20)),
    ("Queue: a dict, one way", None, _throughput({"name": "job", "size": 3, "parts": [1, 2, 3]}, 1000)),
    ("Pipe: an int there and back", None, _pipe(1, 100)),
    ("Pipe: 1 MiB there and back", None, _pipe(b"x" * (1 << 20), 10)),
]

# SPDX-License-Identifier: Apache-2.0
"""Locks, semaphores and shared values, when nobody else wants them."""

# So short that most rounds meet nobody else on the processor.
N = 1000


def _pair(make):
    def row(face):
        lock = make(face)

        def work():
            for _ in range(N):
                lock.acquire()
                lock.release()
            return N
        return work
    return row


def _with(make):
    def row(face):
        lock = make(face)

        def work():
            for _ in range(N):
                with lock:
                    pass
            return N
        return work
    return row


def _read(face):
    value = face.Value("i", 1)

    def work():
        for _ in range(N):
            value.value
        return N
    return work


def _write(face):
    value = face.Value("d", 1)

    def work():
        for _ in range(N):
            value.value = 2.5
        return N
    return work


def _read_item(face):
    array = face.Array("i", 100)

    def work():
        for _ in range(N):
            array[7]
        return N
    return work


def _write_item(face):
    array = face.Array("i", 100)

    def work():
        for _ in range(N):
            array[7] = 1
        return N
    return work


def _event(face):
    event = face.Event()

    def work():
        for _ in range(N // 10):
            event.set()
            event.clear()
        return N // 10
    return work


ROWS = [
    ("Lock acquire+release", 1.0, _pair(lambda face: face.Lock())),
    ("RLock acquire+release", None, _pair(lambda face: face.RLock())),
    ("Semaphore acquire+release", 1.0, _pair(lambda face: face.Semaphore(1))),
    ("BoundedSemaphore acquire+release", None, _pair(lambda face: face.BoundedSemaphore(1))),
    ("with Lock", None, _with(lambda face: face.Lock())),
    ("Value read with lock", 2.0, _read),
    ("Value write with lock", 2.0, _write),
    ("Array item read with lock", None, _read_item),
    ("Array item write with lock", None, _write_item),
    ("Event set+clear", None, _event),
]

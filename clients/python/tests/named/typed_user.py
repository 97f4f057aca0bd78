"""What a user with types writes: mypy checks it, and that the wrong lines, and no others, are wrong."""

import ctypes

from typing_extensions import assert_type

import shmd
import shmd.multiprocessing as mp
from shmd.multiprocessing.queues import Queue


def named(client: shmd.Client) -> None:
    queue = shmd.Queue.create(client, "jobs", raw=True)
    with queue.lease(timeout=1) as lease:
        assert_type(bytes(lease), bytes)
    assert_type(queue.take_many(3), list[bytes])
    counts = queue.counts()
    assert_type(counts.ready, int)
    queue.put("text")  # type: ignore[arg-type]
    shmd.Value.open(client, code="x")  # type: ignore[arg-type]
    try:
        with shmd.Mutex.open(client, "lock") as notice:
            assert_type(notice, "shmd.Notice | None")
    except shmd.NotFound as error:
        assert_type(error.code, int)
    shmd.NoSuchThing  # type: ignore[attr-defined]


async def awaited(client: shmd.Client) -> bytes:
    return await shmd.Queue.open(client, "jobs").take_async()


def work(numbers: "Queue[int]", lock: mp.synchronize.Lock) -> None:
    with lock:
        assert_type(numbers.get(timeout=1.5), int)
    numbers.put("one")  # type: ignore[arg-type]


def main() -> None:
    number = mp.Value(ctypes.c_int, 7)
    assert_type(number.value, int)
    with number:
        number.value += 1
    mp.Array("i", 5)[1:3] = [1, 2]
    assert_type(mp.Array("c", b"hello").value, bytes)
    ours, theirs = mp.Pipe()
    assert_type(ours.recv_bytes(), bytes)
    process = mp.Process(target=work, args=(mp.Queue(), mp.Lock()))
    process.start()
    event = mp.get_context("spawn").Event()
    assert_type(event.wait(0.1), bool)
    mp.Lock().acquire(timeout="long")  # type: ignore[arg-type]

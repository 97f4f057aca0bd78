"""asyncio: coroutines wait for objects that other processes change, and may be cancelled."""

import asyncio
import gc

import pytest

import shmd
from shmd import aio


def run(coroutine):
    result = asyncio.run(asyncio.wait_for(coroutine, 60))
    assert not aio._watches
    return result


def test_queue(client, peer, name):
    queue = shmd.Queue.create(client, name, raw=True, maxsize=2)
    back = shmd.Queue.create(client, name + ".back", raw=True)
    peer.run(f"queue = shmd.Queue.open(client, {name!r}); back = shmd.Queue.open(client, {name + '.back'!r})")
    peer.begin("for _ in range(100): back.put(queue.take())")

    async def both():
        async def put():
            for i in range(100):
                await queue.put_async(b"%d" % i)

        async def take():
            return [await back.take_async() for _ in range(100)]

        return (await asyncio.gather(put(), take()))[1]

    assert run(both()) == [b"%d" % i for i in range(100)]
    peer.end()
    for part in ("", ".back"):
        client.unlink(name + part)


def test_many_wait_for_one(client):
    semaphore = shmd.Semaphore.create(client)

    async def main():
        tasks = [asyncio.create_task(semaphore.acquire_async()) for _ in range(20)]
        await asyncio.sleep(0)
        for _ in range(20):
            semaphore.release()
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    run(main())
    with pytest.raises(shmd.WouldBlock):
        semaphore.acquire(timeout=0)


def test_cancelled_takes_nothing(client):
    queue = shmd.Queue.create(client, raw=True)

    async def main():
        lost = asyncio.create_task(queue.take_async())
        kept = asyncio.create_task(queue.take_async())
        await asyncio.sleep(0.01)
        lost.cancel()
        with pytest.raises(asyncio.CancelledError):
            await lost
        queue.put(b"x")
        assert await kept == b"x"

    run(main())
    assert queue.counts().ready == 0


def test_every_wait(client):
    event = shmd.Event.create(client)
    value = shmd.Value.create(client, None, "i")
    array = shmd.Array.create(client, None, "i", 2)
    lock = shmd.RWLock.create(client)
    mutex = shmd.Mutex.create(client)
    queue = shmd.Queue.create(client, raw=True)
    stream = shmd.Stream.create(client)
    stream.claim("producer")
    stream.claim("consumer")
    pipe = shmd.Pipe.create(client)
    pipe.claim(0)
    flow = shmd.Pipe.create(client, bytes=True)
    flow.claim(0)

    async def main():
        waits = asyncio.gather(
            event.wait_async(),
            value.wait_change_async(value.version()),
            array.wait_change_async(array.version()),
            stream.recv_async(),
            queue.lease_async(),
        )
        await asyncio.sleep(0.01)
        event.set()
        value.value = 1
        array[0] = 1
        await stream.send_async(b"x")
        await queue.put_async(b"y")
        results = await waits
        assert results[0] is None and results[1] == value.version() and results[3] == b"x"
        results[4].ack()
        assert await mutex.lock_async() is None and await lock.read_lock_async() is None
        mutex.unlock()
        lock.read_unlock()
        await pipe.send_async(b"z")
        assert await flow.write_async(b"z") == 1
        assert await queue.put_many_async([b"1", b"2"]) == 2 and await queue.take_many_async(5) == [b"1", b"2"]

    run(main())


def test_errors_come_out(client):
    queue = shmd.Queue.create(client, raw=True)

    async def main():
        waiting = asyncio.create_task(queue.take_async())
        await asyncio.sleep(0.01)
        queue.shutdown()
        with pytest.raises(shmd.Ended):
            await waiting

    run(main())


def test_several_loops(client):
    """A loop that ended in the middle leaves nothing that the next one trips over."""
    event = shmd.Event.create(client)

    async def abandoned():
        asyncio.get_running_loop().create_task(event.wait_async())
        await asyncio.sleep(0.01)

    for _ in range(3):
        asyncio.run(abandoned())
        gc.collect()
    event.set()
    run(event.wait_async())


def test_pollable(client):
    import select

    queue = shmd.Queue.create(client, raw=True)
    with shmd.Pollable(queue, "message") as pollable:
        assert pollable.object is queue
        poll = select.poll()
        poll.register(pollable, select.POLLIN)
        assert poll.poll(0) == []
        queue.put(b"x")
        assert poll.poll(60000) == [(pollable.fileno(), select.POLLIN)]
        assert queue.take(0) == b"x"
        pollable.rearm()
        assert poll.poll(0) == []
    with pytest.raises(ValueError):
        shmd.Pollable(queue, "permit")
    with pytest.raises(ValueError):
        shmd.Pollable(shmd.Barrier.create(client, None, 2))
    with pytest.raises(TypeError):
        shmd.Pollable(5)


def test_wait_any(client):
    queue = shmd.Queue.create(client, raw=True)
    event = shmd.Event.create(client)
    value = shmd.Value.create(client, None, "i")
    version = value.version()
    items = [queue, (event, "set"), (value, "change", version)]
    with pytest.raises(shmd.WouldBlock):
        shmd.wait_any(items, 0)
    with pytest.raises(shmd.TimedOut):
        shmd.wait_any(items, timeout=0.001)
    value.value = 1
    assert shmd.wait_any(items) == 2
    event.set()
    assert shmd.wait_any(items) == 1
    queue.put(b"x")
    assert shmd.wait_any(items) == 0
    assert shmd.wait_any([(queue, "slot")]) == 0
    for bad in ([], [5], [()], [(queue, "set")], [queue] * 128):
        with pytest.raises((TypeError, ValueError)):
            shmd.wait_any(bad, 0)
    event.close()
    with pytest.raises(shmd.Closed):
        shmd.wait_any([event], 0)

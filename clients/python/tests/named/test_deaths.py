"""What a process that is killed held comes back, and who comes next is told."""

import pytest

import shmd
from peers import PeerError, until


def test_mutex(client, peer, name):
    mutex = shmd.Mutex.create(client, name)
    peer.run(f"mutex = shmd.Mutex.open(client, {name!r}); mutex.lock()")
    with pytest.raises(BlockingIOError):
        mutex.lock(0)
    peer.kill()
    notice = mutex.lock(60)
    assert notice.deaths == 1 and notice.pid == peer.process.pid and notice.died_realtime_ns > 0
    assert mutex.notice() == notice
    mutex.unlock()
    with mutex as again:
        assert again == notice  # until it is marked consistent
        mutex.mark_consistent()
    with mutex as none:
        assert none is None
    client.unlink(name)


def test_strict_mutex(client, peer, name):
    mutex = shmd.Mutex.create(client, name, strict=True)
    peer.run(f"mutex = shmd.Mutex.open(client, {name!r}); mutex.lock()")
    peer.kill()
    assert mutex.lock(60) is not None
    mutex.unlock()
    with pytest.raises(shmd.NotRecoverable):
        mutex.lock()
    client.unlink(name)


@pytest.mark.parametrize("kind", ["Value", "Array"])
def test_lock_of_data(client, peer, name, kind):
    data = getattr(shmd, kind).create(client, name, "i", *([] if kind == "Value" else [4]))
    peer.run(f"data = shmd.{kind}.open(client, {name!r}); data.lock()")
    peer.kill()
    assert data.lock(60).deaths == 1
    data.mark_consistent()
    data.unlock()
    client.unlink(name)


def test_writer_of_an_array(client, peer, name):
    array = shmd.Array.create(client, name, "i", 4, init=[1, 2, 3, 4])
    peer.run(f"array = shmd.Array.open(client, {name!r}); array.lock(); array.begin_write(); memoryview(array)[0] = 9")
    with pytest.raises(shmd.WouldBlock):
        array.read(timeout=0)
    peer.kill()
    snapshot = array.read(timeout=60)
    assert snapshot.owner_died and snapshot.tolist() == [9, 2, 3, 4]
    with array.writing() as notice:
        assert notice.deaths == 1
        memoryview(array)[0] = 1
        array.mark_consistent()
    assert not array.read().owner_died
    client.unlink(name)


def test_rwlock(client, peer, name):
    lock = shmd.RWLock.create(client, name)
    peer.run(f"lock = shmd.RWLock.open(client, {name!r}); lock.write_lock()")
    with pytest.raises(shmd.WouldBlock):
        lock.read_lock(0)
    peer.kill()
    with lock.reading(60) as notice:
        assert notice.deaths == 1
    with lock.writing():
        lock.mark_consistent()
    with lock.reading() as notice:
        assert notice is None
    client.unlink(name)


def test_semaphore_with_undo(client, peer, name):
    semaphore = shmd.Semaphore.create(client, name, initial=3, maximum=3, undo=True)
    peer.run(f"semaphore = shmd.Semaphore.open(client, {name!r}); semaphore.acquire(2)")
    assert semaphore.permits() == (1, 3, 0, 3)
    with pytest.raises(shmd.WouldBlock):
        semaphore.acquire(3, 0)
    peer.kill()
    semaphore.acquire(3, 60)
    with pytest.raises(shmd.NotOwner):
        semaphore.release(4)
    semaphore.release(3)
    client.unlink(name)


def test_condition(client, peer, name):
    mutex = shmd.Mutex.create(client)
    condition = shmd.Condition.create(client, name, mutex)
    peer.run(f"condition = shmd.Condition.open(client, {name!r}); condition.lock()")
    peer.kill()
    with condition as notice:
        assert notice.deaths == 1
        condition.mark_consistent()
        with pytest.raises(shmd.TimedOut):
            while True:
                condition.wait(0.001)  # a death may end a wait that nobody notified
    client.unlink(name)


def test_party_of_a_barrier(client, peer, name):
    barrier = shmd.Barrier.create(client, name, 3)
    peer.run(f"barrier = shmd.Barrier.open(client, {name!r}, party=True)")
    peer.begin("barrier.wait()")
    until(lambda: barrier.state().waiting == 1, "the party")
    peer.kill()
    with pytest.raises(shmd.PeerDied, match=str(peer.process.pid)) as raised:
        barrier.wait(60)
    assert isinstance(raised.value, EOFError) and raised.value.object == name
    state = barrier.state()
    assert state.broken and state.reasons == shmd.BROKEN_BY_DEATH and barrier.notice().pid == peer.process.pid
    assert barrier.reset().deaths == 1
    assert not barrier.state().broken
    client.unlink(name)


def test_consumer_of_a_queue(client, peer, name):
    queue = shmd.Queue.create(client, name, raw=True, deliveries_max=2)
    queue.put(b"job")
    peer.run(f"queue = shmd.Queue.open(client, {name!r}); lease = queue.lease()")
    assert peer.run("bytes(lease)") == b"job"
    assert queue.counts().leased == 1
    peer.kill()
    lease = queue.lease(60)
    assert lease.deliveries == 2 and bytes(lease) == b"job"
    lease.nack()
    assert queue.counts().dead == 1
    with queue.take_dead() as dead:
        assert bytes(dead) == b"job"
    queue.join(0)
    client.unlink(name)


def test_producer_of_a_queue(client, peer, name):
    queue = shmd.Queue.create(client, name, raw=True, maxsize=1)
    peer.run(f"queue = shmd.Queue.open(client, {name!r}); reservation = queue.reserve(4)")
    with pytest.raises(shmd.WouldBlock):
        queue.put(b"x", 0)
    peer.kill()
    queue.put(b"x", 60)
    assert queue.take() == b"x"
    client.unlink(name)


def test_stream(client, peer, name):
    stream = shmd.Stream.create(client, name)
    stream.claim("consumer")
    peer.run(f"stream = shmd.Stream.open(client, {name!r}); stream.claim('producer'); stream.send(b'last')")
    with pytest.raises(shmd.Taken):
        stream.claim("producer")
    peer.kill()
    assert stream.recv() == b"last"
    with pytest.raises(shmd.PeerDied):
        stream.recv(60)
    client.unlink(name)


def test_pipe(client, peer, name):
    pipe = shmd.Pipe.create(client, name)
    assert pipe.claim() == 0
    assert peer.run(f"pipe = shmd.Pipe.open(client, {name!r})") is None
    assert peer.run("pipe.claim()") == 1
    peer.run("pipe.send(b'last')")
    peer.kill()
    assert pipe.recv() == b"last"
    with pytest.raises(EOFError):
        pipe.recv(60)
    with pytest.raises(shmd.PeerDied):
        pipe.send(b"x")
    client.unlink(name)


def test_waiter_is_killed(client, peer, name):
    """Nobody hangs who notifies, sets or puts for somebody who is gone."""
    event = shmd.Event.create(client, name + "/event")
    queue = shmd.Queue.create(client, name + "/queue", raw=True)
    peer.run(f"queue = shmd.Queue.open(client, {name + '/queue'!r})")
    peer.begin("queue.take()")
    peer.kill()
    event.set()
    event.wait(0)
    queue.put(b"x")
    assert queue.take(60) == b"x"
    for part in ("/event", "/queue"):
        client.unlink(name + part)


def test_peer_says_what_it_raised(peer):
    with pytest.raises(PeerError, match="NotFound"):
        peer.run("shmd.Mutex.open(client, 'no/such')")

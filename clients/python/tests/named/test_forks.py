"""A forked child has every object, holds no lock of its parent's, and its parent may go."""

import os
import signal
import subprocess
import sys
import threading

import pytest

import shmd
from peers import KINDS, forked, make, until


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_objects_are_there(client, kind):
    made = make(kind, client)
    assert forked(lambda: kind.open(client, id=made.id).close() or made.close())
    assert not made.closed and kind.open(client, id=made.id).id == made.id


def test_locks_are_not_held(client):
    mutex = shmd.Mutex.create(client, recursive=True)
    lock = shmd.RWLock.create(client)
    semaphore = shmd.Semaphore.create(client, initial=1, maximum=1, undo=True)

    def child():
        for call in (lambda: mutex.lock(0), lambda: lock.write_lock(0), lambda: lock.read_lock(0)):
            with pytest.raises(shmd.WouldBlock):
                call()
        for call in (mutex.unlock, lock.write_unlock, semaphore.release):
            with pytest.raises(shmd.NotOwner):
                call()

    with mutex, lock.writing(), semaphore:
        assert forked(child)
        mutex.lock(0)  # still ours: it is recursive
        mutex.unlock()


def test_views_stay_valid(client):
    array = shmd.Array.create(client, None, "i", 4)
    value = shmd.Value.create(client, None, "q")
    view, scalar = memoryview(array), memoryview(value)

    def grandchild():
        view[1] = 22
        scalar[()] = 33
        assert array[0] == 11 and value.value == 33

    def child():
        view[0] = 11
        assert array[0] == 11
        array[3] = 44
        assert view[3] == 44
        assert forked(grandchild)
        assert memoryview(array).tolist() == [11, 22, 0, 44]

    assert forked(child)
    assert view.tolist() == [11, 22, 0, 44] and scalar[()] == 33
    view.release()
    scalar.release()
    array.close()


def test_views_that_outlive_their_object(client):
    array = shmd.Array.create(client, None, "i", 4, init=[1, 2, 3, 4])
    view = memoryview(array)
    del array

    def child():
        assert view.tolist() == [1, 2, 3, 4]
        view.release()

    assert forked(child)
    assert view[3] == 4


def test_parent_goes_first(client):
    """An object that is only the parent's is the child's, though the parent exits at once."""
    program = """
import os, sys, shmd
value = shmd.Value.create(shmd.connect(sys.argv[1]), None, "i", init=5)
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    os.read(read, 1)  # which ends when the parent has
    print(value.fetch_add(1), value.value, flush=True)
os._exit(0)
"""
    out = subprocess.run([sys.executable, "-c", program, client.socket], stdout=subprocess.PIPE, text=True, check=True)
    assert out.stdout == "5 6\n"


def test_with_threads_waiting(client):
    """Other threads of the parent wait, in every way, while it forks."""
    event = shmd.Event.create(client)
    queue = shmd.Queue.create(client, raw=True)
    mutex = shmd.Mutex.create(client)
    condition = shmd.Condition.create(client, None, mutex)
    started = []

    def waits_for_condition():
        with condition:
            started.append(1)
            condition.wait_for(event.is_set)

    threads = [threading.Thread(target=target) for target in (event.wait, queue.take, waits_for_condition)]
    for thread in threads:
        thread.start()
    until(lambda: started, "the condition")

    def child():
        with pytest.raises(shmd.WouldBlock):
            event.wait(0)
        queue.put(b"from the child")
        with condition:
            event.set()
            condition.notify_all()

    for _ in range(3):
        assert forked(lambda: event.is_set() and None)
    assert forked(child)
    for thread in threads:
        thread.join()


def test_leases_stay_with_the_parent(client):
    queue = shmd.Queue.create(client, raw=True)
    queue.put(b"job")
    lease = queue.lease()

    def child():
        with pytest.raises(shmd.NotOwner, match="parent"):
            lease.ack()
        with pytest.raises(BufferError):
            bytes(lease)
        with pytest.raises(shmd.WouldBlock):
            queue.take(0)

    assert forked(child)
    lease.ack()
    queue.join(0)


def test_ends_stay_with_the_parent(client):
    pipe = shmd.Pipe.create(client)
    pipe.claim(0)

    def child():
        with pytest.raises(shmd.Taken):
            pipe.claim(0)
        assert pipe.claim(1) == 1
        pipe.send(b"from the child")
        assert pipe.recv() == b"to the child"

    child_pid = os.fork()
    if child_pid == 0:
        status = 1
        try:
            child()
            status = 0
        finally:
            os._exit(status)
    assert pipe.recv() == b"from the child"
    pipe.send(b"to the child")
    assert os.waitpid(child_pid, 0)[1] == 0
    with pytest.raises(EOFError):
        pipe.recv()


def test_handler_forks_inside_of_a_wait(client):
    """The child waits on, by its own handle."""
    event = shmd.Event.create(client)
    go = shmd.Event.create(client)
    children = []

    def handler(number, frame):
        child = os.fork()
        if child == 0:
            children.clear()
            go.set()
        else:
            children.append(child)

    before = signal.signal(signal.SIGUSR1, handler)
    parent = os.getpid()
    kicker = threading.Thread(target=lambda: (os.kill(parent, signal.SIGUSR1), go.wait(), event.set()))
    kicker.start()
    try:
        event.wait()
    finally:
        if os.getpid() != parent:
            os._exit(0 if event.is_set() else 1)
        signal.signal(signal.SIGUSR1, before)
    kicker.join()
    assert os.waitpid(children[0], 0)[1] == 0


def test_without_a_daemon(binary, tmp_path):
    """A child that cannot come back says so at the first use, and not in os.fork()."""
    path = str(tmp_path / "s")
    daemon = subprocess.Popen([binary, "serve", "--socket", path, "--keeper", "none"], stderr=subprocess.PIPE)
    assert b"ready" in daemon.stderr.readline()
    other = shmd.connect(path, reattach_timeout=0)
    event = shmd.Event.create(other, set=True)
    daemon.kill()
    daemon.communicate()
    assert event.is_set()  # mapped objects go on

    def child():
        with pytest.raises((shmd.NoDaemon, shmd.Lost)):
            event.is_set()

    assert forked(child)
    assert event.is_set()

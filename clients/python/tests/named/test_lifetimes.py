"""Objects collected in any order, closed while in use, and a process that exits in the middle."""

import gc
import os
import random
import subprocess
import sys
import threading
import weakref

import pytest

import shmd
from peers import KINDS, make, until


def test_collected_in_any_order(client, socket):
    seed = int(os.environ.get("SHMD_TEST_SEED") or random.randrange(2**32))
    print(f"seed {seed}: SHMD_TEST_SEED={seed} repeats it")
    order = random.Random(seed)
    for _ in range(20):
        other = shmd.connect(socket)
        things = [make(kind, other) for kind in KINDS]
        queue = shmd.Queue.create(other, raw=True)
        queue.put(b"x")
        array = shmd.Array.create(other, None, "i", 4)
        things += [queue, queue.lease(), queue.reserve(), array, memoryview(array), array.read(), other]
        mutex = shmd.Mutex.create(other)
        mutex.lock()
        things += [mutex, shmd.Condition.create(other, None, mutex), shmd.Pollable(queue)]
        del other, queue, array, mutex
        order.shuffle(things)
        while things:
            things.pop()
            if order.random() < 0.2:
                gc.collect()


def test_weak_references(client):
    event = shmd.Event.create(client)
    weak = weakref.ref(event)
    assert weak() is event
    del event
    assert weak() is None


def test_close_waits_for_who_is_inside(client):
    """Who closes goes on; the handle goes when the last thread is back."""
    event = shmd.Event.create(client)
    other = shmd.Event.open(client, id=event.id)
    inside = threading.Event()
    results = []

    def wait():
        inside.set()
        try:
            results.append(event.wait())
        except shmd.Closed:
            results.append("too late")

    thread = threading.Thread(target=wait)
    thread.start()
    inside.wait()
    event.close()
    with pytest.raises(shmd.Closed):
        event.wait(0)
    other.set()
    thread.join()
    assert results in ([None], ["too late"])


def test_views_forbid_to_close(client):
    array = shmd.Array.create(client, None, "i", 4)
    view = memoryview(array)
    with pytest.raises(BufferError, match="1 views"):
        array.close()
    assert array[0] == 0
    view.release()
    array.close()


def test_pollable_outlives_close(client):
    event = shmd.Event.create(client)
    pollable = shmd.Pollable(event)
    event.close()
    pollable.rearm()
    pollable.close()
    with pytest.raises(shmd.Closed):
        pollable.fileno()


def ends(program, *arguments):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program, *arguments], stderr=subprocess.PIPE, text=True, timeout=60
    )


def test_exit_with_held_locks(client, name):
    """The next owner gets a notice; the exit says nothing."""
    mutex = shmd.Mutex.create(client, name)
    array = shmd.Array.create(client, name + ".a", "i", 4)
    done = ends(
        "import sys, shmd\n"
        "client = shmd.connect(sys.argv[1])\n"
        "mutex = shmd.Mutex.open(client, sys.argv[2])\n"
        "array = shmd.Array.open(client, sys.argv[2] + '.a')\n"
        "mutex.lock(); array.lock(); array.begin_write(); view = memoryview(array)\n",
        client.socket,
        name,
    )
    assert done.returncode == 0 and done.stderr == ""
    assert mutex.lock(60).deaths == 1
    assert array.lock(60).deaths == 1
    client.unlink(name)
    client.unlink(name + ".a")


def test_exit_with_waiting_threads(client):
    """Daemon threads wait in every way while the interpreter ends."""
    done = ends(
        "import sys, threading, shmd\n"
        "client = shmd.connect(sys.argv[1])\n"
        "event = shmd.Event.create(client)\n"
        "queue = shmd.Queue.create(client, raw=True)\n"
        "mutex = shmd.Mutex.create(client); mutex.lock()\n"
        "condition = shmd.Condition.create(client, None, shmd.Mutex.create(client))\n"
        "value = shmd.Value.create(client, None, 'i')\n"
        "def wait():\n"
        "    with condition: condition.wait()\n"
        "for target in (event.wait, queue.take, mutex.lock, wait, lambda: value.wait_change(0),\n"
        "               lambda: shmd.wait_any([event, queue])):\n"
        "    threading.Thread(target=target, daemon=True).start()\n",
        client.socket,
    )
    assert done.returncode == 0 and done.stderr == ""


def test_exit_inside_of_a_finalizer(client):
    """Objects that modules hold go in any order."""
    done = ends(
        "import sys, shmd\n"
        "class Holder:\n"
        "    def __init__(self): self.mutex = shmd.Mutex.create(shmd.connect(sys.argv[1])); self.mutex.lock()\n"
        "    def __del__(self): self.mutex.unlock()\n"
        "holder = Holder(); again = [holder]; again.append(again)\n"
        "sys.modules['elsewhere'] = holder\n",
        client.socket,
    )
    assert done.returncode == 0 and done.stderr == ""


def test_handles_do_not_leak(client, peer):
    """A thousand objects that are gone leave no descriptor and no mapping."""
    value = shmd.Value.create(client, None, "i")

    def counts():
        with open("/proc/self/maps") as maps:
            return len(os.listdir("/proc/self/fd")), sum("shmd" in line for line in maps)

    before = counts()
    for _ in range(1000):
        shmd.Value.open(client, id=value.id).fetch_add(1)
    assert counts() == before and value.value == 1000


def test_many_threads(client):
    """One handle, many threads, no exclusion but its own."""
    mutex = shmd.Mutex.create(client)
    value = shmd.Value.create(client, None, "q")
    queue = shmd.Queue.create(client, raw=True, maxsize=16)

    def work():
        for _ in range(200):
            with mutex:
                value.value = value.value + 1
            queue.put(b"x")

    def drain():
        for _ in range(200):
            queue.take()

    threads = [threading.Thread(target=target) for target in (work, work, work, drain, drain, drain)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value.value == 600 and until(lambda: queue.counts().ready == 0)

# SPDX-License-Identifier: Apache-2.0
"""Forks with threads, objects that go in any order, pickles that outlive their sender, and a daemon that is killed."""
import gc
import os
import pickle
import random
import subprocess
import sys
import threading

import pytest
from helpers import METHODS, Killed, run

import shmd.multiprocessing as mp


def forked(work):
    """The exit status of a forked child that does work."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_fork_while_threads_wait():
    lock, event, condition = mp.Lock(), mp.Event(), mp.Condition()
    lock.acquire()
    got = []

    def wait_for_lock():
        got.append(lock.acquire())

    def wait_for_condition():
        with condition:
            got.append(condition.wait())
    threads = [threading.Thread(target=t) for t in (wait_for_lock, lambda: got.append(event.wait()), wait_for_condition)]
    for thread in threads:
        thread.start()

    def child():
        assert not lock.acquire(False)
        lock.release()
        event.set()
        with condition:
            condition.notify_all()
        assert mp.Lock().acquire()
    while any(thread.is_alive() for thread in threads):
        assert forked(child) == 0 or not threads[0].is_alive()
    assert got == [True] * 3


def test_threads_fork_at_once():
    lock, outcomes = mp.Lock(), []

    def child():
        with lock:
            pass

    def fork():
        for _ in range(5):
            outcomes.append(forked(child))
    threads = [threading.Thread(target=fork) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [0] * 15


def test_grandchildren():
    lock, counter = mp.Lock(), mp.Value("i", 0)

    def add(depth):
        with lock:
            counter.value += 1
        if depth:
            assert forked(lambda: add(depth - 1)) == 0
    assert forked(lambda: add(3)) == 0
    assert counter.value == 4


def test_inherited_memory_stays():
    numpy = pytest.importorskip("numpy")
    raw = mp.RawArray("i", 100)
    view = numpy.frombuffer(raw, "i4")

    def child():
        view[7] = 42
        raw[8] = 43
    assert forked(child) == 0
    assert (view[7], view[8]) == (42, 43)


def test_the_parent_forgets_what_the_child_has():
    go = mp.Event()
    lock = mp.Lock()
    held, hold = os.pipe()

    def child():
        os.close(hold)
        os.read(held, 1)  # until the parent has closed its end
        with lock:
            go.set()
    child_pid = os.fork()
    if child_pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    lock = None
    gc.collect()
    os.close(hold)
    assert go.wait(60)
    os.waitpid(child_pid, 0)
    os.close(held)


def make():
    """Objects that refer to each other."""
    lock = mp.RLock()
    value = mp.Value("i", 1, lock=lock)
    array = mp.Array("d", 3, lock=lock)
    return [lock, mp.Condition(lock), value, array, value.get_obj(), array.get_obj(), mp.Event(), mp.Barrier(1)]


def test_collected_in_any_order():
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    for _ in range(20):
        objects = make()
        cycle = {"objects": list(objects)}
        cycle["itself"] = cycle
        choose.shuffle(objects)
        del cycle
        while objects:
            objects.pop()
            if choose.random() < 0.3:
                gc.collect()
    gc.collect()


def test_the_interpreter_ends_with_anything_alive():
    script = """
import shmd.multiprocessing as mp, threading
lock = mp.RLock(); lock.acquire()
event, barrier, condition = mp.Event(), mp.Barrier(2), mp.Condition()
threading.Thread(target=event.wait, daemon=True).start()
threading.Thread(target=barrier.wait, daemon=True).start()
value = mp.Value('i', 1, lock=lock)
view = memoryview(mp.RawArray('i', 3))
class Last:
    def __del__(self):
        value.value += 1
last = Last()
last.itself = last
print("end")
"""
    for _ in range(3):
        result = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


SENDER = """
import pickle, sys
import shmd.multiprocessing as mp
lock = mp.Lock()
lock.acquire()
lock.release()
value = mp.Value('i', 42)
sys.stdout.buffer.write(pickle.dumps((lock, value, mp.Event(), mp.Condition(), mp.Array('c', b'hello'))))
"""


def test_a_pickle_outlives_its_sender():
    mp.Lock()  # the daemon is this process's
    data = subprocess.run([sys.executable, "-c", SENDER], stdout=subprocess.PIPE, check=True).stdout
    lock, value, event, condition, text = pickle.loads(data)
    with lock, condition:
        assert (value.value, event.is_set(), text.value) == (42, False, b"hello")


def _use(objects):
    lock, condition, value, array, *_ = objects
    with lock:
        value.value += 1
        array[0] = 2.5
        condition.notify_all()


@pytest.mark.parametrize("method", METHODS)
def test_objects_of_one_start_method_in_another(method):
    objects = make()
    for made in METHODS:
        context = mp.get_context(made)
        event = context.Event()
        assert run(method, event.set) == 0
        assert event.is_set()
    assert run(method, _use, objects[:4]) == 0
    assert objects[2].value == 2 and objects[3][0] == 2.5


def test_the_daemon_is_killed():
    script = """
import os, signal, subprocess, sys, threading
import shmd, shmd.multiprocessing as mp
lock, value = mp.Lock(), mp.Value('i', 0)
pid = int(sys.argv[1])
def add():
    for _ in range(100):
        with lock, value:
            value.value += 1
os.kill(pid, signal.SIGKILL)
threads = [threading.Thread(target=add) for _ in range(3)]
[t.start() for t in threads], [t.join() for t in threads]
print(value.value)
try:
    mp.Lock()
except shmd.Error as error:
    print(type(error).__name__)
"""
    # One of its own, since the others use theirs.
    begin = """
import glob, os, sys
import shmd.multiprocessing as mp
mp.Lock()
socket = os.environ["SHMD_SOCKET"].encode()
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        with open(path, "rb") as file:
            command = file.read().split(b"\\0")
    except OSError:
        continue
    if b"serve" in command and socket in command:
        sys.argv = ["", path.split("/")[2]]
        break
"""
    environment = {k: v for k, v in os.environ.items() if k != "SHMD_SOCKET"}
    result = subprocess.run([sys.executable, "-c", begin + script], env=environment, stdout=subprocess.PIPE, text=True)
    assert result.stdout.splitlines()[0] == "300"
    assert result.stdout.splitlines()[1] in ("Lost", "NoDaemon")


def test_a_killed_sender(tmp_path):
    path = tmp_path / "pickle"
    Killed(lambda: path.write_bytes(pickle.dumps(mp.Value("i", 7)))).kill()
    assert pickle.loads(path.read_bytes()).value == 7

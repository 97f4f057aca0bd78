# SPDX-License-Identifier: Apache-2.0
"""Lock, RLock and the semaphores: multiprocessing's edges, and what it does not have."""
import multiprocessing
import pickle
import signal
import threading
import warnings

import pytest
from helpers import METHODS, Killed, interrupted, run, until

import shmd
import shmd.multiprocessing as mp

KINDS = {"Lock": (), "RLock": (), "Semaphore": (1,), "BoundedSemaphore": (1,)}


def outcome(call, *args, **keywords):
    """What a call returns or raises, with the words."""
    try:
        return call(*args, **keywords)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("args, keywords", [
    ((True, 0.01), {}), ((True, 0), {}), ((True, -1), {}), ((False,), {}), ((False, 5), {}), ((), {"timeout": -3}),
    ((), {"block": False}), ((), {"block": True, "timeout": 0.01}), ((0, None), {}),
])
def test_acquire_as_multiprocessing_does(kind, args, keywords):
    for face in mp, multiprocessing:
        lock = getattr(face, kind)(*KINDS[kind])
        assert lock.acquire(*args, **keywords) is True
        assert lock.acquire(*args, **keywords) is (kind == "RLock")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("args, keywords", [((True, "x"), {}), ((), {"blocking": False}), ((1, 2, 3), {})])
def test_bad_arguments(kind, args, keywords):
    for face in mp, multiprocessing:
        with pytest.raises(TypeError):
            getattr(face, kind)(*KINDS[kind]).acquire(*args, **keywords)


@pytest.mark.parametrize("kind", ["Lock", "RLock", "BoundedSemaphore"])
def test_released_too_often(kind):
    faces = [getattr(face, kind)(*KINDS[kind]) for face in (mp, multiprocessing)]
    ours, theirs = (outcome(lock.release) for lock in faces)
    assert ours == theirs and issubclass(ours[0], (ValueError, AssertionError))


@pytest.mark.parametrize("value", [-1, 2**31, -2**31 - 1, 1.5, "x", None])
@pytest.mark.parametrize("kind", ["Semaphore", "BoundedSemaphore"])
def test_values_of_semaphores(kind, value):
    ours, theirs = (outcome(getattr(face, kind), value) for face in (mp, multiprocessing))
    assert ours[0] is theirs[0]


def test_a_semaphore_has_a_maximum():
    for face in mp, multiprocessing:
        full = face.Semaphore(2**31 - 1)
        with pytest.raises(ValueError, match="released too many times"):
            full.release()
        with pytest.raises(TypeError):
            full.release(2)
        none = face.BoundedSemaphore(0)
        assert none.acquire(False) is False
        with pytest.raises(ValueError):
            none.release()


def test_reprs():
    for face in mp, multiprocessing:
        lock, rlock, semaphore, bounded = face.Lock(), face.RLock(), face.Semaphore(2), face.BoundedSemaphore(2)
        assert repr(lock) == "<Lock(owner=None)>"
        assert repr(rlock) == "<RLock(None, 0)>"
        assert repr(semaphore) == "<Semaphore(value=2)>"
        assert repr(bounded) == "<BoundedSemaphore(value=2, maxvalue=2)>"
        lock.acquire(), rlock.acquire(), rlock.acquire(), bounded.acquire()
        assert repr(lock) == "<Lock(owner=MainProcess)>"
        assert repr(rlock) == "<RLock(MainProcess, 2)>"
        assert repr(bounded) == "<BoundedSemaphore(value=1, maxvalue=2)>"
        seen = []
        thread = threading.Thread(target=lambda: seen.extend([repr(lock), repr(rlock)]))
        thread.start(), thread.join()
        assert seen == ["<Lock(owner=SomeOtherThread)>", "<RLock(SomeOtherThread, nonzero)>"]


def test_repr_of_another_process():
    lock, rlock = mp.Lock(), mp.RLock()
    killed = Killed(lambda: (lock.acquire(), rlock.acquire()))
    assert repr(lock) == "<Lock(owner=SomeOtherProcess)>"
    assert repr(rlock) == "<RLock(SomeOtherProcess, nonzero)>"
    killed.kill()


def test_a_lock_has_no_owner():
    lock = mp.Lock()
    lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start(), thread.join()
    assert lock.acquire(False)
    assert run("fork", lock.release) == 0
    assert lock.acquire(False)


def test_an_rlock_belongs_to_its_thread():
    lock, seen = mp.RLock(), []
    lock.acquire()
    thread = threading.Thread(target=lambda: seen.append(outcome(lock.release)))
    thread.start(), thread.join()
    assert seen == [(AssertionError, "attempt to release recursive lock not owned by thread")]


def _release_inherited(lock):
    assert lock._count() == 0
    with pytest.raises(AssertionError):
        lock.release()


def test_a_forked_child_holds_nothing():
    lock = mp.RLock()
    with lock:
        assert run("fork", _release_inherited, lock) == 0


def _add(lock, counter, n):
    for _ in range(n):
        with lock:
            counter.value += 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_mutual_exclusion(kind, method):
    lock, counter = getattr(mp, kind)(*KINDS[kind]), mp.RawValue("i", 0)
    context = mp.get_context(method)
    children = [context.Process(target=_add, args=(lock, counter, 500)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert counter.value == 1500


@pytest.mark.parametrize("kind", KINDS)
def test_pickles_to_any_process(kind):
    lock = getattr(mp, kind)(*KINDS[kind])
    again = pickle.loads(pickle.dumps(lock))
    assert type(again) is type(lock)
    assert lock.acquire(False)
    if kind != "RLock":
        assert not again.acquire(False)
    lock.release()
    assert again.acquire(False)


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_owner_killed(kind):
    lock = getattr(mp, kind)()
    killed = Killed(lock.acquire)
    assert not lock.acquire(False)
    pid = killed.kill()
    with pytest.warns(shmd.OwnerDiedWarning, match=f"process {pid} died holding"):
        assert lock.acquire() is True
    lock.release()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lock.acquire() is True  # told once


def test_owner_killed_and_warnings_are_errors():
    lock = mp.Lock()
    Killed(lock.acquire).kill()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(shmd.OwnerDiedWarning):
            lock.acquire()
        assert lock.acquire(False), "an exception must not leave it held"


def test_a_waiter_gets_the_lock_of_a_killed_owner():
    lock, got = mp.Lock(), []
    killed = Killed(lock.acquire)

    def wait():
        with warnings.catch_warnings(record=True):
            got.append(lock.acquire())
    thread = threading.Thread(target=wait)
    thread.start()
    killed.kill()
    thread.join()
    assert got == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_signals_end_a_wait(kind, sigint):
    lock = getattr(mp, kind)(*KINDS[kind])
    killed = Killed(lock.acquire)
    with interrupted():
        lock.acquire()
    killed.kill()


def test_a_wait_goes_on_after_a_signal():
    semaphore, handled = mp.Semaphore(0), []

    def handler(*_):
        handled.append(1)
        semaphore.release()
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert semaphore.acquire() and handled == [1]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_unheld_threads_run_while_one_waits():
    lock, ran = mp.Lock(), threading.Event()
    lock.acquire()
    thread = threading.Thread(target=lambda: (ran.set(), lock.acquire()))
    thread.start()
    until(ran.is_set, "the other thread")
    lock.release()
    thread.join()


def _exit_holding(lock):
    lock.acquire()


@pytest.mark.parametrize("method", METHODS)
def test_exit_with_a_held_lock(method):
    lock = mp.RLock()
    assert run(method, _exit_holding, lock) == 0
    with pytest.warns(shmd.OwnerDiedWarning):
        assert lock.acquire(True, 60)

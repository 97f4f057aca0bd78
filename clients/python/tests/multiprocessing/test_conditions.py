# SPDX-License-Identifier: Apache-2.0
"""Conditions, events and barriers: multiprocessing's edges, and deaths that do not hang anybody."""
import multiprocessing
import os
import pickle
import signal
import sys
import threading

import pytest
from helpers import METHODS, Killed, interrupted, run, until

import shmd
import shmd.multiprocessing as mp

# Before, an event and a barrier tell nothing of themselves.
TELLING = sys.version_info >= (3, 11)


def raised(call, *args):
    try:
        return call(*args)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("call", ["wait", "notify", "notify_all"])
def test_a_condition_that_is_not_held(call):
    ours, theirs = (raised(getattr(face.Condition(), call)) for face in (mp, multiprocessing))
    assert ours == theirs and ours[0] is AssertionError


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_wait_times_out(kind, timeout):
    for face in mp, multiprocessing:
        condition = face.Condition(getattr(face, kind)())
        with condition:
            assert condition.wait(timeout) is False


@pytest.mark.parametrize("value", ["yes", 0, None])
def test_wait_for_returns_the_predicate(value):
    for face in mp, multiprocessing:
        condition = face.Condition()
        with condition:
            assert condition.wait_for(lambda: value, 0.01) is value
            assert condition.wait_for(lambda: value, -1) is value


def test_notify_of_none():
    for face in mp, multiprocessing:
        condition = face.Condition()
        with condition:
            assert [condition.notify(0), condition.notify(-3), condition.notify(), condition.notify_all()] == [None] * 4


def test_wait_releases_all_of_a_recursive_lock():
    condition, seen = mp.Condition(), []

    def notify():
        with condition:
            seen.append(condition._lock._count())
            condition.notify()
    thread = threading.Thread(target=notify)
    with condition, condition:
        thread.start()
        assert condition.wait() is True
        assert condition._lock._count() == 2
    thread.join()
    assert seen == [1]
    assert repr(condition._lock) == "<RLock(None, 0)>"


def test_a_try_of_wait_lets_others_in():
    condition, done = mp.Condition(), []

    def other():
        with condition:
            done.append(1)
    thread = threading.Thread(target=other)
    with condition:
        thread.start()
        while not done:
            assert condition.wait(0) is False
    thread.join()


def test_conditions_share_a_lock():
    lock = mp.RLock()
    first, second = mp.Condition(lock), mp.Condition(lock)
    with first:
        second.notify()
        assert second.wait(0) is False


def test_a_condition_of_something_else():
    with pytest.raises(TypeError, match="a Lock or RLock of shmd.multiprocessing"):
        mp.Condition(multiprocessing.Lock())


def _notify_all(condition):
    with condition:
        condition.notify_all()


@pytest.mark.parametrize("method", METHODS)
def test_notified_from_another_process(method):
    condition = mp.Condition()
    process = mp.get_context(method).Process(target=_notify_all, args=(condition,))
    with condition:
        process.start()
        assert condition.wait()
    process.join()


def _wait_for_ever(condition):
    with condition:
        condition.wait()


def test_a_dead_waiter_hangs_nobody():
    condition = mp.Condition()
    context = mp.get_context("fork")
    child = context.Process(target=_wait_for_ever, args=(condition,))
    child.start()

    def notify():  # the child sleeps when somebody can be notified
        with condition:
            condition.notify_all()
        return not child.is_alive()
    until(notify, "the child to be notified")
    child = context.Process(target=_wait_for_ever, args=(condition,))
    child.start()
    child.kill()
    child.join()
    with condition:
        condition.notify()
        condition.notify_all()


def test_the_lock_of_a_condition_whose_owner_was_killed():
    condition = mp.Condition()
    Killed(condition.acquire).kill()
    with pytest.warns(shmd.OwnerDiedWarning):
        condition.acquire()
    condition.notify()
    condition.release()


def test_a_signal_ends_a_wait(sigint):
    condition, event, barrier = mp.Condition(), mp.Event(), mp.Barrier(2)
    waits = [condition.wait, event.wait, barrier.wait]
    with condition:
        for wait in waits:
            with interrupted():
                wait()
        condition.notify()  # held


def test_event():
    for face in mp, multiprocessing:
        event = face.Event()
        assert [event.is_set(), event.wait(0), event.wait(-1), event.wait(0.01)] == [False] * 4
        assert not TELLING or "unset>" in repr(event) and repr(event).startswith("<Event at 0x")
        assert event.set() is None and event.set() is None
        assert [event.is_set(), event.wait(), event.wait(0)] == [True] * 3
        assert not TELLING or repr(event).endswith(" set>")
        assert event.clear() is None and not event.is_set()


def test_set_and_cleared_at_once():
    event, woken = mp.Event(), []
    thread = threading.Thread(target=lambda: woken.append(event.wait()))
    thread.start()

    def pulse():
        event.set()
        event.clear()
        return not thread.is_alive()
    until(pulse, "the waiter")
    assert woken == [True]


def test_set_in_a_signal_handler_during_a_wait():
    event = mp.Event()
    before = signal.signal(signal.SIGALRM, lambda *_: event.set())
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert event.wait() is True
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("method", METHODS)
def test_event_of_another_process(method):
    event = mp.Event()
    assert run(method, event.set) == 0
    assert event.is_set() and pickle.loads(pickle.dumps(event)).is_set()


def test_barrier():
    for face in mp, multiprocessing:
        barrier = face.Barrier(1)
        assert [barrier.wait(), barrier.wait(0), barrier.parties, barrier.n_waiting, barrier.broken] == \
            [0, 0, 1, 0, False]
        assert not TELLING or "waiters=0/1>" in repr(barrier)
        barrier.abort()
        assert barrier.broken and (not TELLING or "broken>" in repr(barrier))
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait()
        barrier.reset()
        assert barrier.wait() == 0


@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_a_barrier_breaks_by_a_timeout(timeout):
    for face in mp, multiprocessing:
        for barrier, args in (face.Barrier(2), (timeout,)), (face.Barrier(2, None, timeout), ()):
            with pytest.raises(threading.BrokenBarrierError):
                barrier.wait(*args)
            assert barrier.broken
            with pytest.raises(threading.BrokenBarrierError):
                barrier.wait()


def test_parties_of_a_barrier():
    for parties in 0, -1:
        with pytest.raises(ValueError, match="parties must be > 0"):
            mp.Barrier(parties)


def _fail():
    raise LookupError("on purpose")


def test_an_action_that_fails_breaks_the_barrier():
    for face in mp, multiprocessing:
        barrier, outcomes = face.Barrier(2, _fail), []
        thread = threading.Thread(target=lambda: outcomes.append(raised(barrier.wait)))
        thread.start()
        outcomes.append(raised(barrier.wait))
        thread.join()
        assert {kind for kind, _ in outcomes} == {LookupError, threading.BrokenBarrierError}
        assert barrier.broken


def _arrive(barrier):
    barrier.wait()


@pytest.mark.parametrize("method", METHODS)
def test_who_leaves_in_order_breaks_nothing(method):
    barrier = mp.Barrier(2)
    process = mp.get_context(method).Process(target=_arrive, args=(barrier,))
    process.start()
    assert barrier.wait() in (0, 1)
    process.join()
    assert process.exitcode == 0 and not barrier.broken
    process = mp.get_context(method).Process(target=_arrive, args=(barrier,))
    process.start()
    barrier.wait()
    process.join()
    assert not barrier.broken


def _tell(barrier, told):
    told.put(raised(barrier.wait)[0].__name__)


def test_a_party_that_was_stopped_for_too_long():
    barrier, told = mp.Barrier(2), mp.SimpleQueue()
    process = mp.get_context("fork").Process(target=_tell, args=(barrier, told))
    process.start()
    until(lambda: barrier.n_waiting == 1, "the child to arrive")
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    barrier.wait()
    for _ in range(100):
        thread = threading.Thread(target=barrier.wait)
        thread.start()
        barrier.wait()
        thread.join()
    os.kill(process.pid, signal.SIGCONT)
    assert told.get() == "BrokenBarrierError"
    process.join()
    assert not barrier.broken


def test_a_killed_party_breaks_the_barrier():
    barrier, outcomes = mp.Barrier(3), []
    killed = Killed(lambda: threading.Thread(target=barrier.wait, daemon=True).start())
    until(lambda: barrier.n_waiting == 1, "the child to arrive")
    thread = threading.Thread(target=lambda: outcomes.append(raised(barrier.wait)))
    thread.start()
    pid = killed.kill()
    thread.join()
    assert outcomes[0][0] is threading.BrokenBarrierError and str(pid) in outcomes[0][1]
    assert barrier.broken
    barrier.reset()
    assert not barrier.broken


def test_pickles():
    for obj in mp.Condition(), mp.Condition(mp.Lock()), mp.Event(), mp.Barrier(1):
        again = pickle.loads(pickle.dumps(obj))
        assert type(again) is type(obj)
    assert again.wait() == 0

# SPDX-License-Identifier: Apache-2.0
"""Workers are killed at random moments while they use an object: those that are left go on, and it works after all."""
import os
import random
import signal
import threading
import warnings

import pytest
from helpers import until

import shmd.multiprocessing as mp

KILLS = 25
WORKERS = 3
SEED = int(os.environ.get("SHMD_SEED", random.SystemRandom().randrange(1 << 32)))


class Locks:
    """Each worker adds to a counter under a lock."""

    def __init__(self, kind):
        self.lock = getattr(mp, kind)()

    def work(self):
        with self.lock:
            pass

    def check(self):
        assert self.lock.acquire(True, 60)
        self.lock.release()


class Values:
    def __init__(self):
        self.value, self.array = mp.Value("q", 0), mp.Array("q", 8)

    def work(self):
        with self.value:
            self.value.value += 1
        self.array[:] = [self.value.value] * 8

    def check(self):
        assert self.value.acquire(True, 60) and self.array.acquire(True, 60)
        with self.array:  # a slice is written under the lock: of a dead writer it may be half
            self.array[:] = [1] * 8
            assert self.array[:] == [1] * 8


class Conditions:
    """Each worker waits a moment, and wakes one."""

    def __init__(self):
        self.condition = mp.Condition()

    def work(self):
        with self.condition:
            self.condition.wait(0.001)
            self.condition.notify()

    def check(self):
        woken = []

        def wait():
            with self.condition:
                woken.append(self.condition.wait(60))
        thread = threading.Thread(target=wait)
        thread.start()
        while thread.is_alive():
            assert self.condition.acquire(True, 60)
            self.condition.notify_all()
            self.condition.release()
        assert woken == [True]


class Events:
    def __init__(self):
        self.event = mp.Event()

    def work(self):
        self.event.set()
        self.event.wait()
        self.event.clear()

    def check(self):
        self.event.set()
        assert self.event.wait(60)


class Barriers:
    """The workers meet; who finds the barrier broken mends it."""

    def __init__(self):
        self.barrier = mp.Barrier(2)

    def work(self):
        try:
            self.barrier.wait(0.1)
        except threading.BrokenBarrierError:
            self.barrier.reset()

    def meet(self, met):
        try:
            met.add(self.barrier.wait(60))
        except threading.BrokenBarrierError:
            pass

    def check(self):
        met = set()
        for _ in range(KILLS + WORKERS + 1):  # each death, of which the daemon may hear only now, breaks one meeting
            self.barrier.reset()
            thread = threading.Thread(target=self.meet, args=(met,))
            thread.start()
            self.meet(met)
            thread.join()
            if met == {0, 1}:
                return
            met.clear()
        raise AssertionError("they never meet")


def _loop(subject, turns):
    warnings.simplefilter("ignore")
    while True:
        subject.work()
        with turns.get_lock():
            turns.value += 1


CASES = {"Lock": lambda: Locks("Lock"), "RLock": lambda: Locks("RLock"), "Value and Array": Values,
         "Condition": Conditions, "Event": Events, "Barrier": Barriers}


@pytest.mark.filterwarnings("ignore::shmd.OwnerDiedWarning")
@pytest.mark.parametrize("case", CASES)
def test_killed_at_random(case):
    print(f"SHMD_SEED={SEED}")
    choose = random.Random(f"{SEED} {case}")
    subject, turns = CASES[case](), mp.Value("q", 0)
    context = mp.get_context("fork")

    def start():
        worker = context.Process(target=_loop, args=(subject, turns), daemon=True)
        worker.start()
        return worker
    workers = [start() for _ in range(WORKERS)]
    for _ in range(KILLS):
        goal = turns.value + choose.randrange(1, 30)
        until(lambda: turns.value >= goal, "the workers to go on")
        victim = choose.randrange(WORKERS)
        os.kill(workers[victim].pid, signal.SIGKILL)
        workers[victim].join()
        workers[victim] = start()
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.join()
    subject.check()

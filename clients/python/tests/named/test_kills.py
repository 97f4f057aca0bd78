"""Processes are killed at random moments while they use an object, the daemon too: those that are left go on, nothing is
held for ever, and what was half done is told.

SHMD_SEED gives the random numbers of a run again, SHMD_KILLS how many are killed.
"""

import contextlib
import ctypes
import os
import random
import signal
import struct
import subprocess
import sys
import threading

import pytest

import shmd
from peers import until

KILLS = int(os.environ.get("SHMD_KILLS", 12))
WORKERS = 3
SEED = int(os.environ.get("SHMD_SEED", 0)) or random.SystemRandom().getrandbits(32)
DEAD = KILLS + WORKERS  # at the end all are killed
MESSAGE = struct.Struct("<q")
PR_SET_PDEATHSIG = 1


class Pair:
    """Two numbers that a lock keeps equal, but for who died between their stores: that is told."""

    def __init__(self, client):
        self.cells = shmd.Array.create(client, None, "q", 2, lock=False)

    def change(self, notice, mark_consistent):
        cells = self.cells
        if notice is not None:
            cells[1] = cells[0]
            mark_consistent()
        assert cells[0] == cells[1]
        cells[0] += 1
        cells[1] += 1


class Case:
    """What workers do with an object, and whether it works when they are dead."""

    def look(self):
        """What the parent does while they work."""


class Mutexes(Case):
    options = {}

    def __init__(self, client):
        self.pair = Pair(client)
        self.mutex = shmd.Mutex.create(client, **self.options)

    def work(self):
        with self.mutex as notice:
            self.pair.change(notice, self.mutex.mark_consistent)

    def check(self):
        self.pair.change(self.mutex.lock(60), self.mutex.mark_consistent)
        self.mutex.unlock()


class StrictMutexes(Mutexes):
    options = {"strict": True}


class RecursiveMutexes(Mutexes):
    options = {"recursive": True}

    def work(self):
        with self.mutex as notice:
            self.mutex.lock()
            self.pair.change(notice, self.mutex.mark_consistent)
            self.mutex.unlock()


class RWLocks(Case):
    def __init__(self, client):
        self.pair = Pair(client)
        self.lock = shmd.RWLock.create(client)

    def work(self):
        with self.lock.writing() as notice:
            self.pair.change(notice, self.lock.mark_consistent)
        with self.lock.reading() as notice:
            assert notice is not None or self.pair.cells[0] == self.pair.cells[1]

    def check(self):
        with self.lock.writing(60) as notice:
            self.pair.change(notice, self.lock.mark_consistent)


class Arrays(Case):
    """Snapshots are whole, or say that a writer died."""

    def __init__(self, client):
        self.array = shmd.Array.create(client, None, "i", 8)

    def work(self):
        with self.array.writing() as notice, memoryview(self.array) as view:
            number = view[0] + 1
            for i in range(8):
                view[i] = number
            if notice is not None:
                self.array.mark_consistent()
        snapshot = self.array.read()
        assert snapshot.owner_died or len(set(snapshot)) == 1

    def check(self):
        with self.array.writing(60) as notice:
            if notice is not None:
                self.array.mark_consistent()
        assert not self.array.read(timeout=60).owner_died


class Semaphores(Case):
    """What the killed held comes back, once."""

    def __init__(self, client):
        self.semaphore = shmd.Semaphore.create(client, initial=2, maximum=4, undo=True)

    def work(self):
        with self.semaphore:
            assert self.semaphore.permits().held == 1
        assert self.semaphore.permits().total == 2

    def check(self):
        self.semaphore.acquire(2, 60)
        assert self.semaphore.permits()[:3] == (0, 2, 2)


class Events(Case):
    def __init__(self, client):
        self.event = shmd.Event.create(client, auto_reset=True)

    def work(self):
        self.event.set()
        with contextlib.suppress(shmd.TimedOut):
            self.event.wait(0.001)

    def check(self):
        self.event.set()
        self.event.wait(60)
        assert not self.event.is_set()


class Conditions(Case):
    def __init__(self, client):
        self.pair = Pair(client)
        self.condition = shmd.Condition.create(client, None, shmd.Mutex.create(client))

    def work(self):
        with self.condition as notice:
            self.pair.change(notice, self.condition.mark_consistent)
            with contextlib.suppress(shmd.TimedOut):
                self.condition.wait(0.001)
            self.condition.notify()

    def check(self):
        self.pair.change(self.condition.lock(60), self.condition.mark_consistent)
        self.condition.notify_all()
        self.condition.unlock()


class Barriers(Case):
    """Who finds the barrier broken mends it."""

    def __init__(self, client):
        self.barrier = shmd.Barrier.create(client, None, 2)

    def work(self):
        try:
            self.barrier.wait(0.1)
        except (shmd.Broken, shmd.PeerDied, shmd.TimedOut, shmd.OutcomeUnknown):
            self.barrier.reset()

    def meet(self, met):
        with contextlib.suppress(shmd.Broken, shmd.PeerDied, shmd.OutcomeUnknown):
            met.add(self.barrier.wait(60))

    def check(self):
        for _ in range(DEAD + 1):  # each death, of which the daemon may hear only now, breaks one meeting
            met = set()
            self.barrier.reset()
            thread = threading.Thread(target=self.meet, args=(met,))
            thread.start()
            self.meet(met)
            thread.join()
            if met == {0, 1}:
                return
        raise AssertionError("they never meet")


class Queues(Case):
    """Each number is put in place and leased: it arrives, though twice if who had it died before it said so."""

    MAXSIZE = 64

    def __init__(self, client):
        self.queue = shmd.Queue.create(client, raw=True, maxsize=self.MAXSIZE, slot_size=8)
        self.next = shmd.Value.create(client, None, "q")
        self.arrived = shmd.Array.create(client, None, "i", 1 << 20)

    def work(self):
        with self.queue.reserve() as reservation:
            MESSAGE.pack_into(reservation, 0, self.next.fetch_add(1))
        with self.queue.lease() as lease:
            self.arrived.fetch_add(MESSAGE.unpack(bytes(lease))[0], 1)

    def check(self):
        until(lambda: self.queue.counts()[1:3] == (0, 0), "that nothing is leased or reserved")
        while self.queue.counts().ready:
            self.arrived.fetch_add(MESSAGE.unpack(self.queue.take(0))[0], 1)
        self.queue.join(0)
        assert self.queue.counts().free == self.MAXSIZE
        times = self.arrived.read(0, self.next.value).tolist()
        assert times.count(0) <= DEAD, "more are missing than were killed between a number and its put"
        assert sum(n - 1 for n in times if n > 1) <= DEAD, "more came again than were killed between take and ack"


class Streams(Case):
    """One of them sends, until it dies."""

    def __init__(self, client):
        self.stream = shmd.Stream.create(client)
        self.stream.claim("consumer")
        self.next = shmd.Value.create(client, None, "q")
        self.got, self.deaths = [], 0

    def work(self):
        while True:
            try:
                self.stream.claim("producer")
                break
            except shmd.Taken:
                os.sched_yield()
        self.stream.send(MESSAGE.pack(self.next.fetch_add(1)))

    def look(self):
        with contextlib.suppress(shmd.WouldBlock):
            while True:
                try:
                    self.got.append(MESSAGE.unpack(self.stream.recv(0))[0])
                except shmd.PeerDied:
                    self.deaths += 1

    def check(self):
        def free():
            self.look()
            with contextlib.suppress(shmd.Taken):
                self.stream.claim("producer")
                return True

        until(free, "that the last death is known")
        self.stream.send(MESSAGE.pack(self.next.fetch_add(1)))
        assert MESSAGE.unpack(self.stream.recv(60))[0] == self.next.value - 1
        assert self.got == sorted(set(self.got)), "one came twice, or before another"
        assert self.next.value - 1 - len(self.got) <= DEAD and 0 < self.deaths <= DEAD


CASES = [
    Mutexes,
    StrictMutexes,
    RecursiveMutexes,
    RWLocks,
    Arrays,
    Semaphores,
    Events,
    Conditions,
    Barriers,
    Queues,
    Streams,
]


def start(case, turns):
    """A forked worker, which ends with this process at the latest."""
    child = os.fork()
    if child == 0:
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            while True:
                case.work()
                turns.fetch_add(1)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(1)
    return child


def kill(worker):
    """Whether it had not failed before."""
    os.kill(worker, signal.SIGKILL)
    return os.WTERMSIG(os.waitpid(worker, 0)[1]) == signal.SIGKILL


def kill_at_random(make, client, between=lambda order: None):
    """Kills one worker after the other, and between two of them does what is asked for."""
    print(f"SHMD_SEED={SEED}")
    order = random.Random(f"{SEED} {make.__name__}")
    case, turns = make(client), shmd.Value.create(client, None, "q", lock=False)

    def progress(goal):
        case.look()
        return turns.value >= goal

    workers = []
    try:
        while len(workers) < WORKERS:
            workers.append(start(case, turns))
        for _ in range(KILLS):
            goal = turns.value + order.randrange(1, 30)
            until(lambda: progress(goal), "that they go on")
            assert kill(workers.pop(order.randrange(WORKERS))), "a worker failed"
            between(order)
            workers.append(start(case, turns))
    finally:
        failed = [worker for worker in workers if not kill(worker)]
    assert not failed, "a worker failed"
    case.check()


@pytest.mark.parametrize("make", CASES)
def test_workers_are_killed(make, client):
    kill_at_random(make, client)


@pytest.mark.parametrize("make", CASES)
def test_the_daemon_is_killed_too(make, binary, tmp_path):
    """After every fourth death, on average, it learns of that from its successor."""
    path = str(tmp_path / "s")

    def serve():
        daemon = subprocess.Popen([binary, "serve", "--socket", path], stderr=subprocess.PIPE)
        while b"ready" not in daemon.stderr.readline():
            assert daemon.poll() is None
        return daemon

    daemons = [serve()]

    def replace(order):
        if order.randrange(4) == 0:
            daemons[-1].kill()
            daemons[-1].communicate()
            daemons.append(serve())

    try:
        with shmd.connect(path) as client:
            kill_at_random(make, client, replace)
    finally:
        daemons[-1].send_signal(signal.SIGINT)  # for good, with its keeper
        daemons[-1].communicate()

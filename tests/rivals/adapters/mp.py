#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An adapter of shmd-rivals: Python's multiprocessing, and shmd.multiprocessing in its place.

Keys of its own: module=multiprocessing | shmd.multiprocessing; kind=Queue | SimpleQueue | Pipe | shared_memory | Lock |
Semaphore | Value | Manager, by default what the workload is named after, and Queue for messages.

The objects of multiprocessing are inherited, not opened. So the process that makes them (index 0 of the first role)
begins a nursery, and the work of every other process that the runner starts is done by a child of that: see nursery.py.
"""
import importlib
import operator
import os
import pickle
import resource
import sys
import warnings
from multiprocessing import managers, resource_tracker

import nursery
import rival as protocol
from rival import Unsupported, say

# The words of the two sides of a ring are in pages of their own.
_APART = 4096


# --- Ways of sending: each makes {role: (call, ...)} of what both sides call.

def _pair(first, second, put="put", get="get"):
    """Both sides' two calls, of queues there and back."""
    return {"ping": (getattr(first, put), getattr(second, get)), "pong": (getattr(second, put), getattr(first, get))}


def _trip_queue(face, rival):
    return _pair(face.Queue(), face.Queue())


def _trip_simple_queue(face, rival):
    return _pair(face.SimpleQueue(), face.SimpleQueue())


def _trip_manager(face, rival):
    manager = rival.manager()
    return _pair(manager.Queue(), manager.Queue())


def _trip_pipe(face, rival):
    near, far = face.Pipe()
    return {"ping": (near.send_bytes, near.recv_bytes), "pong": (far.send_bytes, far.recv_bytes)}


class _Ring:
    """Messages in a block of shared memory, of one who puts and one who takes. Who waits asleep does so on two
    semaphores, one for free slots and one for filled; who spins looks at the count of the other side. A message in place
    is put and taken by its number."""

    def __init__(self, face, rival, slots):
        self._block = rival.block(2 * _APART + slots * rival.size)
        self._slots, self._spins, self._touch, self._body = slots, rival.spins, rival.touch, rival.body
        self._free, self._filled = face.Semaphore(slots), face.Semaphore(0)
        buffer = self._block.buf
        self._counts = buffer[:2 * _APART].cast("Q")
        self._places = [buffer[at:at + rival.size] for at in range(2 * _APART, len(buffer), rival.size)][:slots]
        self._write, self._read = _copy, bytes
        if rival.in_place:
            self._places = [(place.cast("Q"), place[8:-8]) for place in self._places]
            self._write, self._read = self._fill, self._look
        self._put = self._taken = 0

    def put(self, message):
        counts = self._counts
        if self._spins:
            while self._put - counts[_APART // 8] == self._slots:
                pass
        else:
            self._free.acquire()
        self._write(self._places[self._put % self._slots], message)
        self._put += 1
        if self._spins:
            counts[0] = self._put
        else:
            self._filled.release()

    def get(self):
        counts = self._counts
        if self._spins:
            while counts[0] == self._taken:
                pass
        else:
            self._filled.acquire()
        message = self._read(self._places[self._taken % self._slots])
        self._taken += 1
        if self._spins:
            counts[_APART // 8] = self._taken
        else:
            self._free.release()
        return message

    def _fill(self, place, number):
        words, body = place
        words[0] = number
        if self._touch:
            body[:] = self._body
            words[-1] = number

    def _look(self, place):
        words, body = place
        if self._touch and not self._body.startswith(body):  # which compares without a copy
            raise SystemExit(f"message {words[0]:x} is damaged")
        return words[0]


def _copy(place, message):
    place[:] = message


def _trip_shared_memory(face, rival):
    return _pair(_Ring(face, rival, 1), _Ring(face, rival, 1))


def _way(queue):
    return {"put": (queue.put,), "take": (queue.get,)}


def _way_queue(face, rival):
    return _way(face.Queue(-(-rival.queue_max // rival.batch)))


def _way_simple_queue(face, rival):
    return _way(face.SimpleQueue())


def _way_manager(face, rival):
    return _way(rival.manager().Queue(-(-rival.queue_max // rival.batch)))


def _way_pipe(face, rival):
    if rival.batch > 1:
        raise Unsupported("send_bytes sends one message")
    if face.__name__ == "multiprocessing":
        _single(rival, "an end that two processes use at once is corrupted")
    far, near = face.Pipe(duplex=False)
    return {"put": (near.send_bytes,), "take": (far.recv_bytes,)}


def _way_shared_memory(face, rival):
    _single(rival, "a ring of shared memory is written here for one on each side")
    if rival.batch > 1:
        raise Unsupported("a ring of shared memory is written here for single messages")
    return _way(_Ring(face, rival, rival.queue_max))


def _single(rival, reason):
    if rival.producers > 1 or rival.consumers > 1:
        raise Unsupported(reason)


def _ping(rival, send, receive):
    make, check = rival.message, rival.check

    def run(turns, count):
        for i in turns:
            send(make(i))
            check(receive(), i)
    return run


def _pong(rival, send, receive):
    make, check = rival.message, rival.check

    def run(turns, count):
        for i in turns:
            check(receive(), i)
            send(make(i))
    return run


def _put(rival, put):
    make, number, batch = rival.message, rival.index << 48, rival.batch

    def run(turns, count):
        for i in turns:
            put(make(number | i))

    def run_batches(turns, count):
        # A batch is a list, which is pickled as one.
        turns = iter(turns)
        for _ in range(_batches(count, batch)):
            put([make(number | next(turns)) for _ in range(batch)])
    return run if batch == 1 else run_batches


def _take(rival, get):
    check, expected, batch = rival.check, rival.expected, rival.batch
    single = rival.producers <= 1 and rival.consumers <= 1

    def run(turns, count):
        for i in turns:
            check(get(), i if single else protocol.ANY)

    def run_batches(turns, count):
        turns = iter(turns)
        for _ in range(_batches(count, batch)):
            for message in get():
                check(message, expected(next(turns)))
    return run if batch == 1 else run_batches


def _batches(count, batch):
    if count % batch:
        raise SystemExit(f"{count} messages are no multiple of a batch of {batch}")
    return count // batch


# --- Locks and numbers. What is counted stands in shared memory.

def _locks(make):
    def made(face, rival):
        return {"worker": (make(face, rival), face.RawValue("q"))}
    return made


def _locked(rival, lock, counter):
    def run(turns, count):
        for _ in turns:
            with lock:
                counter.value += 1
    return run


def _acquired(rival, semaphore, counter):
    acquire, release = semaphore.acquire, semaphore.release

    def run(turns, count):
        for _ in turns:
            acquire()
            release()
    return run


def _counter_value(face, rival):
    value = face.Value("q")
    return {"worker": (value.get_lock(), value)}


def _counter_manager(face, rival):
    return {"worker": (rival.manager().Lock(), rival.manager().Value("q", 0))}


def _value_value(face, rival):
    return {"worker": (face.Value("q"),)}


def _value_manager(face, rival):
    return {"worker": (rival.manager().Value("q", 0),)}


def _value_shared_memory(face, rival):
    return {"worker": (rival.block(8),)}


def _written(rival, value):
    def run(turns, count):
        for i in turns:
            value.value = i
            value.value

    def run_block(turns, count):
        words = value.buf[:8].cast("Q")
        for i in turns:
            words[0] = i
            words[0]
        words.release()
    return run if hasattr(value, "value") else run_block


def _recovery(make):
    def made(face, rival):
        lock = make(face, rival)
        return {"owner": (lock,), "waiter": (lock,)}
    return made


def _owner(rival, lock):
    return protocol.hold(lock.acquire)


def _waiter(rival, lock):
    return protocol.wait(lock.acquire)


# --- One process.

def _sleeper(make):
    def made(face, rival):
        way = make(face, rival)
        return {"sleeper": way["take"] + way["put"]}
    return made


def _asleep(rival, get, put):  # a pipe that nobody can write to has ended
    return protocol.wait(get)


def _maker(make):
    return lambda face, rival: {"maker": (lambda: make(face, rival),)}


def _made(rival, make):
    kept = []

    def run(turns, count):
        kept.extend(make() for _ in turns)
    return run


def _value_of_8(face, rival):
    return face.Value("q")


def _block_of_8(face, rival):
    return rival.block(8)


def _opener_shared_memory(face, rival):
    name = rival.block(rival.size).name

    def once():
        rival.shared_memory(name).close()
    return {"opener": (once,)}


def _opener_pickled(make):
    def made(face, rival):
        original = make(face, rival)
        if face.__name__ == "multiprocessing" and rival.kind != "Manager":
            raise Unsupported("an object is inherited, not opened")
        pickled = pickle.dumps(original)

        def once(original=original):  # which is not to end
            pickle.loads(pickled)
        return {"opener": (once,)}
    return made


def _opened(rival, once):
    def run(turns, count):
        for _ in turns:
            once()
    return run


def _new(kind):
    return lambda face, rival: getattr(rival.manager() if rival.kind == "Manager" else face, kind)()


# By workload and kind: what makes the objects of each role; and by role, what uses them.
_WAYS = {"Queue": _way_queue, "SimpleQueue": _way_simple_queue, "Manager": _way_manager, "Pipe": _way_pipe,
         "shared_memory": _way_shared_memory}
_LOCKS = {"Lock": _new("Lock"), "RLock": _new("RLock"), "Manager": _new("Lock")}
_WORKS = {
    "lock": {kind: _locks(make) for kind, make in _LOCKS.items()},
    "semaphore": {"Semaphore": _locks(lambda face, rival: face.Semaphore(1)),
                  "Manager": _locks(lambda face, rival: rival.manager().Semaphore(1))},
    "counter": {"Value": _counter_value, "Manager": _counter_manager},
    "value": {"Value": _value_value, "Manager": _value_manager, "shared_memory": _value_shared_memory},
    "roundtrip": {"Queue": _trip_queue, "SimpleQueue": _trip_simple_queue, "Manager": _trip_manager,
                  "Pipe": _trip_pipe, "shared_memory": _trip_shared_memory},
    "oneway": _WAYS,
    "idle": {kind: _sleeper(make) for kind, make in _WAYS.items()},
    "recovery": {kind: _recovery(make) for kind, make in _LOCKS.items()},
    "attach": {"Queue": _opener_pickled(_new("Queue")), "Manager": _opener_pickled(_new("Queue")),
               "Lock": _opener_pickled(_new("Lock")), "shared_memory": _opener_shared_memory},
    "memory": {"Queue": _maker(_new("Queue")), "Manager": _maker(_new("Queue")), "Lock": _maker(_new("Lock")),
               "Value": _maker(_value_of_8), "shared_memory": _maker(_block_of_8)},
}
_USES = {
    ("lock", "worker"): _locked, ("semaphore", "worker"): _acquired, ("counter", "worker"): _locked,
    ("value", "worker"): _written, ("roundtrip", "ping"): _ping, ("roundtrip", "pong"): _pong,
    ("oneway", "put"): _put, ("oneway", "take"): _take, ("idle", "sleeper"): _asleep, ("recovery", "owner"): _owner,
    ("recovery", "waiter"): _waiter, ("attach", "opener"): _opened, ("memory", "maker"): _made,
}
_KINDS = {"lock": "Lock", "recovery": "Lock", "semaphore": "Semaphore", "counter": "Value", "value": "Value"}


class MpRival(protocol.Rival):
    def __init__(self, argv):
        super().__init__(argv)
        self.kind = self.keys.get("kind", _KINDS.get(self.workload, "Queue"))
        if "socket" in self.keys:
            os.environ["SHMD_SOCKET"] = self.keys["socket"]
        self._face = importlib.import_module(self.keys.get("module", "multiprocessing"))
        self._manager, self._blocks = None, []
        if self.kind == "shared_memory" and self.in_place:
            self.message, self.check = operator.index, self.check_number  # what a ring takes and gives

    def manager(self):
        """The server of objects that others reach by a socket; the first call starts it."""
        if self._face.__name__ != "multiprocessing":
            raise Unsupported("its managers are those of multiprocessing")
        if self._manager is None:
            self._manager = managers.SyncManager()
            with nursery.standard_files_aside() as aside:
                self._manager.start(nursery.end_with, (*os.pipe(), aside))
        return self._manager

    def block(self, size):
        with nursery.standard_files_aside():
            resource_tracker.ensure_running()
        made = self.shared_memory(f"{self.name}-{len(self._blocks)}", create=True, size=size)
        self._blocks.append(made)
        return made

    def shared_memory(self, *args, **keys):
        return importlib.import_module(self._face.__name__ + ".shared_memory").SharedMemory(*args, **keys)

    def start(self):
        if (self.workload, self.role) not in _USES or self.kind not in _WORKS[self.workload]:
            raise Unsupported("has no such operation")
        if self.spins and self.kind != "shared_memory":
            raise Unsupported("waits asleep")
        if not self.makes:
            raise SystemExit(nursery.ask(self.name, sys.argv[1:]))
        if self.kind == "Manager":
            self.manager()
        objects = _WORKS[self.workload][self.kind](self._face, self)
        lifeline = nursery.begin(self.name, self._face.get_context("fork"), lambda argv: MpRival(argv).work(objects))
        try:
            self.work(objects)
        finally:
            os.close(lifeline)
            for block in self._blocks:
                block.unlink()

    def work(self, objects):
        run = _USES[self.workload, self.role](self, *objects[self.role])
        say("ready" + (f" pids={self._manager._process.pid}" if self._manager and self.makes else ""))
        self.serve(run)


def _describe(keys):
    return f"{protocol.python()}, processes by fork"


def _start(rival_argv):
    warnings.simplefilter("ignore")  # of a lock whose owner died
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    MpRival(rival_argv).start()


if __name__ == "__main__":
    protocol.main(_describe, _start)

"""Python's signal handlers run in each wait; one that raises ends it, and nothing is lost."""

import signal
import threading

import pytest

import shmd
from peers import asleep, until


class Raised(Exception):
    pass


def waits(client):
    """Every wait, and what makes it end well."""
    held = threading.Event()
    free = threading.Event()
    mutex = shmd.Mutex.create(client)
    data = shmd.Array.create(client, None, "i", 4)
    bracket = shmd.Array.create(client, None, "i", 4)
    value = shmd.Value.create(client, None, "i")
    watched = shmd.Value.open(client, id=value.id, read_only=True)
    lock = shmd.RWLock.create(client)
    writer = shmd.RWLock.create(client)
    event = shmd.Event.create(client)
    automatic = shmd.Event.create(client, auto_reset=True)
    semaphore = shmd.Semaphore.create(client)
    undo = shmd.Semaphore.create(client, maximum=2, undo=True)
    empty = shmd.Queue.create(client, raw=True)
    full = shmd.Queue.create(client, raw=True, maxsize=1)
    full.put(b"x")
    stream = shmd.Stream.create(client)
    stream.claim("consumer")
    pipe = shmd.Pipe.create(client)
    pipe.claim(0)
    pipe.claim(1)
    guard = shmd.Mutex.create(client)
    condition = shmd.Condition.create(client, None, guard)
    barrier = shmd.Barrier.create(client, None, 2)

    def hold():
        with mutex, lock.writing(), writer.reading(), data, bracket.writing():
            held.set()
            free.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()

    def release():
        free.set()
        holder.join()

    def in_condition(call):
        def wait():
            with condition:
                try:
                    call()
                finally:
                    with pytest.raises(shmd.Deadlock):  # it is held, whatever happened
                        guard.lock(0)

        return wait

    return release, {
        "mutex": mutex.lock,
        "lock of an array": data.lock,
        "array write": lambda: data.write([1, 2]),
        "array read": bracket.read,
        "value change": lambda: value.wait_change(value.version()),
        "value change, read-only": lambda: watched.wait_change(watched.version()),
        "array read, read-only": lambda: shmd.Array.open(client, id=bracket.id, read_only=True).read(),
        "read lock": lock.read_lock,
        "write lock": writer.write_lock,
        "event": event.wait,
        "automatic event": automatic.wait,
        "semaphore": semaphore.acquire,
        "semaphore with undo": undo.acquire,
        "two permits": lambda: undo.acquire(2),
        "take": empty.take,
        "take many": lambda: empty.take_many(5),
        "lease": empty.lease,
        "put": lambda: full.put(b"y"),
        "put many": lambda: full.put_many([b"y"]),
        "reserve": full.reserve,
        "join": full.join,
        "stream": stream.recv,
        "pipe": lambda: pipe.recv(end=0),
        "condition": in_condition(condition.wait),
        "condition, for a predicate": in_condition(lambda: condition.wait_for(lambda: False)),
        "barrier": barrier.wait,
        "any of several": lambda: shmd.wait_any([empty, event]),
        "with a mutex": lambda: mutex.__enter__(),
        "with a semaphore": lambda: semaphore.__enter__(),
    }


def interrupted(call, handler):
    """Makes the call while SIGALRM comes again and again."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        return call()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_handlers_end_every_wait(client):
    release, calls = waits(client)
    count = 0

    def handler(number, frame):
        nonlocal count
        count += 1
        if count % 3 == 0:  # the ones before end nothing
            raise Raised

    try:
        for name, call in calls.items():
            count = 0
            try:
                interrupted(call, handler)
            except Raised:
                assert count >= 3, name
            else:
                pytest.fail(name + ": the handler did not end it")
    finally:
        release()


def test_control_c(client):
    event = shmd.Event.create(client)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main = threading.main_thread()
        kicker = threading.Thread(
            target=lambda: (until(lambda: asleep(main)), signal.pthread_kill(main.ident, signal.SIGINT))
        )
        with pytest.raises(KeyboardInterrupt):
            kicker.start()
            event.wait()
        kicker.join()
    finally:
        signal.signal(signal.SIGINT, before)


def test_handler_that_ends_the_wait_well(client):
    event = shmd.Event.create(client)
    semaphore = shmd.Semaphore.create(client)
    assert interrupted(event.wait, lambda number, frame: event.set()) is None
    assert interrupted(semaphore.acquire, lambda number, frame: semaphore.release()) is None


def test_timeouts_pass_all_the_same(client):
    event = shmd.Event.create(client)
    with pytest.raises(shmd.TimedOut):
        interrupted(lambda: event.wait(0.05), lambda number, frame: None)


def test_other_threads_wait_on(client):
    """Handlers are the main thread's: a wait of another thread does not end by them."""
    event = shmd.Event.create(client)
    done = []
    thread = threading.Thread(target=lambda: (event.wait(), done.append(1)))
    thread.start()
    ready = shmd.Event.create(client)
    with pytest.raises(Raised):
        interrupted(ready.wait, raises)
    signal.pthread_kill(thread.ident, signal.SIGWINCH)
    assert not done
    event.set()
    thread.join()
    assert done


def raises(number, frame):
    raise Raised


def test_waits_release_the_gil(client):
    """While one thread waits another computes, and lets it go."""
    for kind, wait, go in (
        (shmd.Event, lambda o: o.wait(), lambda o: o.set()),
        (shmd.Semaphore, lambda o: o.acquire(), lambda o: o.release()),
        (shmd.Queue, lambda o: o.take(), lambda o: o.put(b"\xc0")),
    ):
        made = kind.create(client)
        thread = threading.Thread(target=wait, args=(made,))
        thread.start()
        until(lambda: sum(range(1000)), "a sum")
        go(made)
        thread.join()


@pytest.mark.parametrize("bad", ["1", [], b"", object()])
def test_bad_timeouts(client, bad):
    event = shmd.Event.create(client)
    with pytest.raises(TypeError):
        event.wait(bad)
    with pytest.raises(TypeError):
        event.wait(timeout=bad)


def test_timeouts(client):
    event = shmd.Event.create(client)
    for seconds in (0, -1, -0.5, float("-inf")):
        with pytest.raises(shmd.WouldBlock):
            event.wait(seconds)
    for seconds in (1e-9, 0.001, True and 0.001):
        with pytest.raises(TimeoutError):
            event.wait(seconds)
    with pytest.raises(ValueError):
        event.wait(float("nan"))
    event.set()
    for seconds in (None, 1, 10**12, float("inf")):
        event.wait(seconds)
    with pytest.raises(TypeError):
        event.wait(1, 2)
    with pytest.raises(TypeError):
        event.wait(seconds=1)

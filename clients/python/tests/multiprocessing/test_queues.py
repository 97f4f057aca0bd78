# SPDX-License-Identifier: Apache-2.0
"""Queue, JoinableQueue and SimpleQueue: multiprocessing's edges, and what it does not have."""
import gc
import multiprocessing
import os
import pickle
import queue as standard
import threading
from multiprocessing.reduction import ForkingPickler

import pytest
from helpers import METHODS, Killed, interrupted, run, until

import shmd
import shmd.multiprocessing as mp
from shmd.multiprocessing import queues

FACES = (mp, multiprocessing)


def outcome(call, *args, **keywords):
    """What a call returns, or the class of what it raises."""
    try:
        return call(*args, **keywords)
    except Exception as error:
        return type(error)


# ---- edges ----

def test_names_of_arguments():
    for face in FACES:
        queue = face.Queue(maxsize=2)
        queue.put(obj=1, block=True, timeout=5)
        queue.put_nowait(obj=2)
        assert [queue.get(block=True, timeout=5), queue.get(timeout=5)] == [1, 2]
        assert outcome(queue.put_nowait, item=1) is outcome(queue.put_nowait) is TypeError
        simple = face.SimpleQueue()
        simple.put(obj=3)
        assert simple.get() == 3


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue"])
@pytest.mark.parametrize("args, keywords", [
    ((False,), {}), ((False, None), {}), ((False, 5), {}), ((True, 0), {}), ((True, -1), {}), ((True, 0.01), {}),
    ((), {"timeout": 0}), ((), {"block": False}), ((True, "x"), {}), ((), {"timeout": "x"}), ((), {"blocking": False}),
])
def test_full_and_empty(kind, args, keywords):
    for face in FACES:
        queue = getattr(face, kind)(1)
        got, put = outcome(queue.get, *args, **keywords), None
        queue.put(1)
        until(lambda: not queue.empty(), "the feeder puts")
        put = outcome(queue.put, 2, *args, **keywords)
        if face is mp:
            expected = got, put
        assert (got, put) == expected
    assert got in (standard.Empty, TypeError) and put in (standard.Full, TypeError)


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue"])
def test_closed(kind):
    for face in FACES:
        queue = getattr(face, kind)()
        with pytest.raises(AssertionError, match="not closed"):
            queue.join_thread()
        queue.close()
        queue.close()
        queue.join_thread()
        for call in (lambda: queue.put(1), lambda: queue.get(), lambda: queue.put_nowait(1), lambda: queue.get_nowait()):
            with pytest.raises(ValueError, match="^Queue .* is closed$"):
                call()
        assert queue.qsize() == 0 and not queue.full()


def test_sizes():
    for face in FACES:
        queue = face.Queue(2)
        assert (queue.qsize(), queue.empty(), queue.full()) == (0, True, False)
        queue.put(1)
        queue.put(2)
        until(lambda: not queue.empty(), "the feeder puts")
        assert (queue.qsize(), queue.full()) == (2, True)
        assert queue.get() == 1
        assert (queue.qsize(), queue.full()) == (1, False)
        until(lambda: not queue.empty(), "the feeder puts")
        assert queue.get_nowait() == 2
    assert queue.empty()


def test_a_simple_queue_that_is_closed():
    for face in FACES:
        queue = face.SimpleQueue()
        queue.put(1)
        assert queue.get() == 1 and queue.empty()
        queue.close()
        queue.close()
        for call in (lambda: queue.put(1), queue.get, queue.empty):
            with pytest.raises(OSError, match="^handle is closed$"):
                call()
        with pytest.raises(TypeError):
            queue.get(False)


def test_empty_of_a_queue_that_is_closed():
    for face in FACES:
        for kind in (face.Queue, face.JoinableQueue):
            queue = kind()
            queue.close()
            queue.join_thread()
            assert queue.empty()
            queue = kind()
            queue.put(1)
            queue.close()
            queue.join_thread()
            with pytest.raises(OSError, match="is closed"):
                queue.empty()


def test_task_done_too_often():
    for face in FACES:
        queue = face.JoinableQueue()
        with pytest.raises(ValueError, match=r"^task_done\(\) called too many times$"):
            queue.task_done()
        queue.join()
        queue.put(1)
        queue.get()
        queue.task_done()
        queue.join()
        with pytest.raises(ValueError):
            queue.task_done()


# ---- what is put ----

VALUES = [None, 0, -1, 1 << 100, 1.5, "", "ü" * 300, b"", b"x" * 1024, [1, [2, {"a": (3,)}]], {1: {2}}, range(3),
          ValueError("x").args, b"y" * 4096, b"z" * 70000, bytearray(b"w" * 200000), [b"v" * 100000, "u" * 100000, 3]]


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_values(kind):
    queue = getattr(mp, kind)()
    for value in VALUES:
        queue.put(value)
        assert queue.get() == value


def test_a_long_message():
    queue = mp.Queue()
    message = os.urandom(1 << 20) * 64
    queue.put(message)
    assert queue.get() == message


class Unpicklable:
    def __reduce__(self):
        raise ZeroDivisionError("as told")


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_what_cannot_be_pickled_raises_in_put(kind):
    queue = getattr(mp, kind)()
    with pytest.raises(ZeroDivisionError, match="as told"):
        queue.put(Unpicklable())
    with pytest.raises((AttributeError, pickle.PicklingError)):
        queue.put(lambda: None)
    assert queue.empty()
    queue.put("next")
    assert queue.get() == "next"


def test_what_cannot_be_pickled_with_the_switch(monkeypatch, capsys):
    monkeypatch.setenv(queues.FEEDER_ERRORS, "1")
    queue = mp.Queue(1)
    queue.put(Unpicklable())
    assert "ZeroDivisionError: as told" in capsys.readouterr().err
    queue.put(2)
    assert queue.get() == 2


class Unreadable:
    def __reduce__(self):
        return int, ("no number",)


def test_what_cannot_be_unpickled_is_gone():
    for face in FACES:
        queue = face.Queue()
        queue.put(Unreadable())
        queue.put(1)
        with pytest.raises(ValueError):
            queue.get()
        assert queue.get() == 1


class Nested:
    """Puts into a queue while it is pickled."""

    def __init__(self, queue):
        self.queue = queue

    def __reduce__(self):
        self.queue.put("inner")
        return str, ("outer",)


def test_put_inside_of_put():
    queue = mp.Queue()
    queue.put([Nested(queue), 1])
    assert [queue.get(), queue.get()] == ["inner", ["outer", 1]]


class Forks:
    """Forks while it is pickled; the child goes on with that, and puts more."""

    def __reduce__(self):
        return int, (min(os.fork(), 1),)


def test_fork_inside_of_put():
    queue, parent = mp.Queue(), os.getpid()
    queue.put(("forks", Forks()))
    if os.getpid() != parent:
        queue.put("child")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
    assert sorted((queue.get() for _ in range(3)), key=str) == [("forks", 0), ("forks", 1), "child"]


class Reduced:
    pass


def test_reductions_of_multiprocessing():
    queue = mp.Queue()
    queue.put(1)
    ForkingPickler.register(Reduced, lambda _: (str, ("reduced",)))
    try:
        queue.put((Reduced(), threading.Event().is_set))
    except TypeError:
        queue.put(Reduced())
    finally:
        del ForkingPickler._extra_reducers[Reduced]
    assert queue.get() == 1
    assert queue.get() == "reduced"


def test_a_put_object_is_let_go():
    queue = mp.Queue()
    thing = {"a": Reduced()}
    count = len([o for o in gc.get_objects() if isinstance(o, Reduced)])
    queue.put(thing)
    del thing
    gc.collect()
    assert len([o for o in gc.get_objects() if isinstance(o, Reduced)]) == count - 1


# ---- without maxsize ----

MANY = 3 * queues.SLOTS


def test_more_than_the_slots_take():
    queue = mp.Queue()
    for i in range(MANY):
        queue.put(i)
    assert queue.qsize() == MANY and not queue.full()
    assert [queue.get() for _ in range(MANY)] == list(range(MANY))
    assert queue.empty()


def put_many(queue, count, cancel=False):
    if cancel:
        queue.cancel_join_thread()
    for i in range(count):
        queue.put(i)


@pytest.mark.parametrize("method", METHODS)
def test_a_process_flushes_what_it_put(method):
    queue = mp.Queue()
    process = mp.get_context(method).Process(target=put_many, args=(queue, MANY))
    process.start()
    assert [queue.get() for _ in range(MANY)] == list(range(MANY))
    process.join()
    assert process.exitcode == 0 and queue.empty()


def test_a_process_that_does_not_wait():
    queue = mp.Queue()
    assert run("fork", put_many, queue, MANY, True) == 0
    assert queue.qsize() == queues.SLOTS
    assert [queue.get() for _ in range(queues.SLOTS)] == list(range(queues.SLOTS))


def test_close_and_join_thread_flush():
    queue = mp.Queue()
    put_many(queue, MANY)
    queue.close()
    again = pickle.loads(pickle.dumps(queue))
    got = []
    thread = threading.Thread(target=lambda: got.extend(again.get() for _ in range(MANY)))
    thread.start()
    queue.join_thread()
    thread.join()
    assert got == list(range(MANY))


def test_a_child_has_not_what_its_parent_put_aside():
    queue = mp.Queue()
    put_many(queue, queues.SLOTS + 10)
    assert run("fork", put_many, queue, 0) == 0
    assert [queue.get() for _ in range(queues.SLOTS + 10)] == list(range(queues.SLOTS + 10))
    assert queue.empty()


def test_a_queue_collects():
    queue = mp.Queue()
    identity = queue.id
    client = queue.client
    del queue
    gc.collect()
    with pytest.raises(shmd.NotFound):
        client.destroy(identity)


# ---- processes ----

def get_and_put(requests, answers):
    for message in iter(requests.get, None):
        answers.put((message, os.getpid()))


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
@pytest.mark.parametrize("method", METHODS)
def test_start_methods(method, kind):
    requests, answers = getattr(mp, kind)(), getattr(mp, kind)()
    process = mp.get_context(method).Process(target=get_and_put, args=(requests, answers))
    process.start()
    for value in VALUES[1:]:
        requests.put(value)
        assert answers.get() == (value, process.pid)
    requests.put(None)
    process.join()
    assert process.exitcode == 0


def test_pickled_to_a_process_that_runs():
    ways = mp.Queue()
    process = mp.get_context("spawn").Process(target=hand_over, args=(ways,))
    process.start()
    fresh = mp.JoinableQueue(3)
    ways.put(fresh)
    assert fresh.get() == "here"
    fresh.task_done()
    fresh.join()
    process.join()


def hand_over(ways):
    ways.get().put("here")


def test_the_sender_may_exit_before_it_is_unpickled():
    line = mp.SimpleQueue()
    assert run("fork", make_and_send, line) == 0
    assert line.get().get() == "from who is gone"


def make_and_send(line):
    queue = mp.Queue()
    queue.put("from who is gone")
    line.put(queue)


def test_pickled_once_and_unpickled_twice():
    queue = mp.Queue()
    text = pickle.dumps(queue)
    first, second = pickle.loads(text), pickle.loads(text)
    first.put(1)
    assert second.get() == 1


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_a_signal_ends_a_wait(kind, sigint):
    queue = getattr(mp, kind)()
    with interrupted():
        queue.get()
    queue.put(1)
    assert queue.get() == 1


def test_a_signal_ends_a_wait_for_room(sigint):
    queue = mp.Queue(1)
    queue.put(1)
    with interrupted():
        queue.put(2)
    assert queue.get() == 1 and queue.empty()


def test_threads():
    queue, got = mp.Queue(10), []
    takers = [threading.Thread(target=lambda: got.extend(iter(queue.get, None))) for _ in range(4)]
    putters = [threading.Thread(target=lambda n=n: [queue.put(n * 500 + i) for i in range(500)]) for n in range(4)]
    for thread in takers + putters:
        thread.start()
    for thread in putters:
        thread.join()
    for _ in takers:
        queue.put(None)
    for thread in takers:
        thread.join()
    assert sorted(got) == list(range(2000))


def test_the_reader_of_a_simple_queue_is_a_connection():
    queue = mp.SimpleQueue()
    assert mp.connection.wait([queue._reader], 0) == []
    assert multiprocessing.connection.wait([queue._reader], 0) == []
    queue.put("x")
    assert multiprocessing.connection.wait([queue._reader]) == [queue._reader]
    assert queue._reader.recv() == "x"
    queue._writer.send("y")
    assert queue.get() == "y"


# ---- task_done and join ----

def test_maxsize_counts_what_is_not_got():
    queue = mp.JoinableQueue(2)
    for i in range(100):
        queue.put(i)
        assert queue.get() == i
    queue.put(1)
    queue.put(2)
    assert queue.full()
    with pytest.raises(standard.Full):
        queue.put(3, timeout=0.01)
    putter = threading.Thread(target=queue.put, args=(3,))
    putter.start()
    assert [queue.get() for _ in range(3)] == [1, 2, 3]
    putter.join()
    for _ in range(103):
        queue.task_done()
    queue.join()


def join_and_tell(queue, told):
    queue.join()
    told.put("joined")


@pytest.mark.parametrize("method", METHODS)
def test_join_waits_for_others(method):
    queue, told = mp.JoinableQueue(), mp.Queue()
    queue.put(1)
    process = mp.get_context(method).Process(target=join_and_tell, args=(queue, told))
    process.start()
    queue.get()
    assert told.empty()
    queue.task_done()
    assert told.get() == "joined"
    process.join()


def test_what_a_killed_process_had_got_is_got_again():
    queue = mp.JoinableQueue()
    for i in range(5):
        queue.put(i)
    killed = Killed(lambda: [queue.get() for _ in range(3)])
    assert queue.qsize() == 2
    killed.kill()
    until(lambda: queue.qsize() == 5, "the daemon to hear of the death")
    assert [queue.get() for _ in range(5)] == list(range(5))
    for _ in range(5):
        queue.task_done()
    queue.join()


def get_and_go(queue):
    assert queue.get() == 1


@pytest.mark.parametrize("method", METHODS)
def test_what_a_process_that_ends_had_got_stays_unfinished(method):
    queue = mp.JoinableQueue()
    queue.put(1)
    queue.put(2)
    assert run(method, get_and_go, queue) == 0
    assert queue.get() == 2 and queue.empty()
    queue.task_done()
    assert queue._unfinished() == 1
    queue.task_done()  # whoever says it
    queue.join()


def get_and_stay(queue, got, end):
    got.put(queue.get())
    end.get()


def test_another_process_may_say_that_it_is_done():
    queue, got, end = mp.JoinableQueue(), mp.Queue(), mp.Queue()
    queue.put(1)
    process = mp.get_context("fork").Process(target=get_and_stay, args=(queue, got, end))
    process.start()
    assert got.get() == 1
    queue.task_done()
    queue.join()
    with pytest.raises(ValueError):
        queue.task_done()
    end.put(None)
    process.join()


def test_more_got_than_slots(monkeypatch):
    monkeypatch.setattr(queues, "SLOTS_MAX", 256)
    queue = mp.JoinableQueue()
    for i in range(1000):
        queue.put(i)
    assert [queue.get() for _ in range(1000)] == list(range(1000))
    assert queue._held() == queue._unfinished() + queue._held() - queue._counts()[1] == 1000
    for _ in range(999):
        queue.task_done()
    assert queue._unfinished() == 1
    queue.task_done()
    queue.join()

# SPDX-License-Identifier: Apache-2.0
"""Pipe, Connection and wait: multiprocessing's edges, and what it does not have."""
import multiprocessing
import os
import pickle
import selectors
import socket
import threading

import pytest
from helpers import METHODS, Killed, interrupted, run, until

import shmd.multiprocessing as mp
from shmd import _shmd
from shmd.multiprocessing import connection

FACES = (mp, multiprocessing)


def outcome(call, *args, **keywords):
    """What a call returns, or the class and the words of what it raises."""
    try:
        return call(*args, **keywords)
    except Exception as error:
        return type(error), str(error)


def same(call):
    """Does something with the two ends of a pipe of ours and of multiprocessing's, and returns what both gave."""
    ours, theirs = (call(*face.Pipe()) for face in FACES)
    assert ours == theirs
    return ours


# ---- edges ----

def test_names_of_arguments():
    for face in FACES:
        a, b = face.Pipe()
        a.send(obj=1)
        a.send_bytes(buf=b"xyz", offset=1, size=1)
        assert [b.poll(timeout=5), b.recv(), b.recv_bytes(maxlength=1)] == [True, 1, b"y"]
        assert outcome(a.send, message=1)[0] is outcome(a.send)[0] is TypeError


@pytest.mark.parametrize("args", [
    (b"abcdef",), (b"abcdef", 2), (b"abcdef", 6), (b"abcdef", 2, 3), (b"abcdef", 0, 0), (b"abcdef", 0, 6), (b"", 0, 0),
    (b"abcdef", -1), (b"abcdef", 7), (b"abcdef", 2, -1), (b"abcdef", 2, 5), (b"abcdef", 2, None), (bytearray(b"xyz"), 1),
    (memoryview(b"abcdef")[1:3],), ("text",), (3,), (b"a", 0, 1, 2), (b"abc", "x"),
])
def test_send_bytes(args):
    def both(a, b):
        sent = outcome(a.send_bytes, *args)
        if sent is not None:
            return sent[0], sent[1] if sent[0] is ValueError else None
        return b.recv_bytes()
    same(both)


@pytest.mark.parametrize("size, offset", [(6, 0), (10, 0), (10, 4), (10, 5), (3, 0), (6, 1), (6, 6), (6, 7), (6, -1)])
def test_recv_bytes_into(size, offset):
    def both(a, b):
        a.send_bytes(b"abcdef")
        a.send_bytes(b"next")
        into = bytearray(size)
        got = outcome(b.recv_bytes_into, into, offset)
        if isinstance(got, tuple) and got[0] is multiprocessing.BufferTooShort:
            got = got[0]
        return got, bytes(into), b.recv_bytes()
    same(both)


def test_too_short_has_the_message():
    a, b = mp.Pipe()
    a.send_bytes(b"abcdef")
    with pytest.raises(multiprocessing.BufferTooShort) as caught:
        b.recv_bytes_into(bytearray(3))
    assert caught.value.args == (b"abcdef",)


@pytest.mark.parametrize("duplex", [True, False])
@pytest.mark.parametrize("maxlength", [None, 6, 7, 5, 0, -1])
def test_maxlength(maxlength, duplex):
    states = []
    for face in FACES:
        a, b = face.Pipe(duplex)
        (a if duplex else b).send_bytes(b"abcdef")
        reader = b if duplex else a
        states.append((outcome(reader.recv_bytes, maxlength), reader.closed, reader.readable, reader.writable))
    assert states[0] == states[1]


def test_directions():
    for face in FACES:
        reader, writer = face.Pipe(False)
        assert (reader.readable, reader.writable, writer.readable, writer.writable) == (True, False, False, True)
        for call in (lambda: reader.send(1), lambda: reader.send_bytes(b"x")):
            assert outcome(call) == (OSError, "connection is read-only")
        for call in (writer.recv, writer.recv_bytes, lambda: writer.recv_bytes_into(bytearray(1)), writer.poll):
            assert outcome(call) == (OSError, "connection is write-only")
        writer.send([1, 2])
        assert reader.recv() == [1, 2]


def test_closed():
    for face in FACES:
        a, b = face.Pipe()
        with a as entered:
            assert entered is a and not a.closed
        assert a.closed
        a.close()
        for call in (lambda: a.send(1), lambda: a.send_bytes(b""), a.recv, a.recv_bytes, a.poll, a.fileno):
            assert outcome(call) == (OSError, "handle is closed")
        assert b.poll() is True
        assert outcome(b.recv) == (EOFError, "") and outcome(b.recv_bytes) == (EOFError, "")
        with pytest.raises(BrokenPipeError):
            b.send(1)


def test_what_was_sent_comes_before_the_end():
    def both(a, b):
        for i in range(3):
            a.send(i)
        a.send_bytes(b"")
        a.close()
        return [b.recv() for _ in range(3)], b.recv_bytes(), outcome(b.recv), outcome(b.recv)
    same(both)


@pytest.mark.parametrize("timeout", [0, 0.0, -1, 0.01, None, "x"])
def test_poll(timeout):
    def both(a, b):
        empty = None if timeout is None else outcome(b.poll, timeout)
        a.send_bytes(b"")
        full = outcome(b.poll, timeout)
        return (empty, full) if timeout != "x" else (empty[0], full if full is True else full[0])
    if timeout == "x":
        for face in FACES:
            with pytest.raises(TypeError):
                face.Pipe()[0].poll(timeout)
    else:
        assert same(both) == (None if timeout is None else False, True)


# ---- messages ----

@pytest.mark.parametrize("size_bytes", [0, 1, 511, 512, 513, 1024, 1025, 4096, 4097, 65536, 1 << 20, 64 << 20])
def test_sizes(size_bytes):
    a, b = mp.Pipe()
    message = os.urandom(min(size_bytes, 4096)) * (size_bytes // 4096 or 1)
    a.send_bytes(message)
    assert b.recv_bytes() == message
    a.send([message, 1])
    assert b.recv() == [message, 1]
    into = bytearray(len(message))
    a.send_bytes(message)
    assert b.recv_bytes_into(into) == len(message) and into == message


def test_numpy_arrays():
    numpy = pytest.importorskip("numpy")
    a, b = mp.Pipe()
    array = numpy.arange(300000, dtype="d").reshape(300, 1000)
    a.send(array)
    got = b.recv()
    assert (got == array).all()
    got[0, 0] = 7
    assert array[0, 0] == 0


def echo(end, answers):
    for _ in range(answers):
        end.send(end.recv())
    end.close()


@pytest.mark.parametrize("method", METHODS)
def test_start_methods(method):
    ours, theirs = mp.Pipe()
    process = mp.get_context(method).Process(target=echo, args=(theirs, 3))
    process.start()
    theirs.close()
    for value in ("x", list(range(1000)), b"y" * 3000000):
        ours.send(value)
        assert ours.recv() == value
    with pytest.raises(EOFError):
        ours.recv()
    process.join()
    assert process.exitcode == 0


# ---- the end of the other side ----

def use_nothing(end):
    pass


@pytest.mark.parametrize("method", METHODS)
def test_the_end_of_a_process_that_never_used_its_end(method):
    ours, theirs = mp.Pipe()
    process = mp.get_context(method).Process(target=use_nothing, args=(theirs,))
    process.start()
    theirs.close()
    with pytest.raises(EOFError):
        ours.recv()
    process.join()


def test_killed_before_it_used_its_end():
    ours, theirs = mp.Pipe()
    killed = Killed(ours.close)
    theirs.close()
    assert not ours.poll(0)
    killed.kill()
    with pytest.raises(EOFError):
        ours.recv()
    with pytest.raises(BrokenPipeError):
        ours.send(1)


def test_a_close_in_a_process_that_never_used_it_gives_nothing_up():
    ours, theirs = mp.Pipe()
    assert run("fork", close_both, ours, theirs) == 0
    ours.send(1)
    assert theirs.recv() == 1


def close_both(a, b):
    a.close()
    b.close()


def test_who_waits_for_room_is_told_of_the_end():
    ours, theirs = mp.Pipe()
    ours.send(0)
    killed = Killed(lambda: (ours.close(), theirs.recv()))
    theirs.close()
    told = []

    def fill():
        with pytest.raises(BrokenPipeError):
            while True:
                ours.send(b"x" * 600)
        told.append("broken")
    look = _shmd.QueueCore()
    look._open(ours._out.client, ours._out.id, 0)
    thread = threading.Thread(target=fill)
    thread.start()
    until(lambda: look._counts()[0] == connection.SLOTS, "it fills")
    killed.kill()
    thread.join()
    assert told == ["broken"]


def send_and_end(end, i):
    end.send(i)


@pytest.mark.parametrize("method", METHODS)
def test_one_process_after_the_other_at_the_same_end(method):
    ours, theirs = mp.Pipe()
    for i in range(3):
        process = mp.get_context(method).Process(target=send_and_end, args=(theirs, i))
        process.start()
        assert ours.recv() == i
        process.join()
    assert not ours.poll(0)
    theirs.close()
    assert ours.poll(None)
    with pytest.raises(EOFError):
        ours.recv()


def test_many_processes_at_the_same_end():
    ours, theirs = mp.Pipe()
    processes = [mp.get_context("fork").Process(target=send_many, args=(theirs, n)) for n in range(4)]
    for process in processes:
        process.start()
    theirs.close()
    got = []
    with pytest.raises(EOFError):
        while True:
            got.append(ours.recv())
    assert sorted(got) == sorted((n, i) for n in range(4) for i in range(200))
    for process in processes:
        process.join()


def send_many(end, n):
    for i in range(200):
        end.send((n, i))


def relay(first, second):
    second.send(first.recv())


@pytest.mark.parametrize("method", METHODS)
def test_two_children(method):
    a, b = mp.Pipe()
    c, d = mp.Pipe()
    context = mp.get_context(method)
    children = [context.Process(target=send_and_end, args=(a, "x")), context.Process(target=relay, args=(b, c))]
    for child in children:
        child.start()
    for end in a, b, c:
        end.close()
    assert d.recv() == "x"
    with pytest.raises(EOFError):
        d.recv()
    for child in children:
        child.join()


def test_the_parent_may_go_before_the_child_is_there():
    ours, theirs = mp.Pipe()
    assert run("fork", leave_to_a_child, ours, theirs) == 0
    theirs.close()
    assert ours.recv() == "from the grandchild"
    with pytest.raises(EOFError):
        ours.recv()


def leave_to_a_child(ours, theirs):
    ours.close()
    if os.fork() == 0:
        theirs.send("from the grandchild")
        os._exit(0)


# ---- passing on ----

def test_an_end_is_passed_on():
    ours, theirs = mp.Pipe()
    line, to_child = mp.Pipe()
    process = mp.get_context("spawn").Process(target=receive_end, args=(line,))
    process.start()
    to_child.send(theirs)
    theirs.close()
    assert ours.recv() == "by who was given it"
    process.join()
    with pytest.raises(EOFError):
        ours.recv()


def receive_end(line):
    line.recv().send("by who was given it")


def test_pickles():
    reader, writer = mp.Pipe(False)
    again = pickle.loads(pickle.dumps(reader))
    assert (again.readable, again.writable) == (True, False)
    writer.send(1)
    reader.close()
    assert again.recv() == 1
    again.close()
    with pytest.raises(OSError, match="handle is closed"):
        pickle.dumps(again)


# ---- wait, fileno ----

WAITS = [connection.wait, multiprocessing.connection.wait]


@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("timeout", [0, -1, 0.01])
def test_wait_for_nothing(wait, timeout):
    a, b = mp.Pipe()
    assert wait([a, b], timeout) == []
    assert wait([], timeout) == []


@pytest.mark.parametrize("wait", WAITS)
def test_wait(wait):
    pipes = [mp.Pipe() for _ in range(5)]
    readers = [a for a, _ in pipes]
    for turn in range(3):
        pipes[turn][1].send(turn)
        assert wait(readers) == [readers[turn]]
        assert readers[turn].recv() == turn
        assert wait(readers, 0) == []
    for _, b in pipes[1:3]:
        b.send(1)
    assert set(wait(readers, 5)) == set(readers[1:3])
    for reader in readers[1:3]:
        reader.recv()
    pipes[4][1].close()
    assert wait(readers) == [readers[4]]
    with pytest.raises(EOFError):
        readers[4].recv()


@pytest.mark.parametrize("wait", WAITS)
def test_wait_for_mixed(wait):
    a, b = mp.Pipe()
    c, d = multiprocessing.Pipe()
    e, f = socket.socketpair()
    process = mp.get_context("fork").Process(target=echo, args=(b, 1))
    process.start()
    b.close()
    everything = [a, c, e, process.sentinel]
    assert wait(everything, 0) == []
    d.send(1)
    assert wait(everything) == [c]
    c.recv()
    f.send(b"x")
    assert wait(everything) == [e]
    e.recv(1)
    a.send("back")
    assert a in wait(everything)
    assert a.recv() == "back"
    process.join()
    assert set(wait(everything, 5)) >= {process.sentinel}
    until(lambda: a in wait(everything, 0), "the end of the other side")
    e.close()
    f.close()


def test_wait_wakes():
    pipes = [mp.Pipe() for _ in range(3)]
    process = mp.get_context("fork").Process(target=send_and_end, args=(pipes[1][1], "late"))
    process.start()
    assert connection.wait([a for a, _ in pipes]) == [pipes[1][0]]
    process.join()


def test_a_descriptor_tells_at_once():
    a, b = mp.Pipe()
    for _ in range(100):
        assert multiprocessing.connection.wait([a], 0) == []
        b.send(1)
        assert multiprocessing.connection.wait([a], 0) == [a]
        a.recv()


def test_selectors():
    a, b = mp.Pipe()
    with selectors.DefaultSelector() as selector:
        selector.register(a, selectors.EVENT_READ)
        for turn in range(3):
            assert selector.select(0) == []
            b.send(turn)
            b.send(-turn)
            assert selector.select() and a.recv() == turn
            assert selector.select() and a.recv() == -turn
        b.close()
        assert selector.select() and a.poll()


def test_a_descriptor_in_a_child():
    a, b = mp.Pipe()
    a.fileno()
    assert run("fork", wait_there, a, b) == 0


def wait_there(a, b):
    assert multiprocessing.connection.wait([a], 0) == []
    b.send(1)
    assert multiprocessing.connection.wait([a]) == [a]


def test_a_signal_ends_a_wait(sigint):
    a, b = mp.Pipe()
    for call in (a.recv, lambda: a.poll(None), lambda: connection.wait([a, b])):
        with interrupted():
            call()


def test_listener_and_client_are_the_standard_ones():
    with connection.Listener() as listener:
        client = connection.Client(listener.address)
        with listener.accept() as accepted:
            a, b = mp.Pipe()
            accepted.send(a)
            client.recv().send("over both")
            assert b.recv() == "over both"
        client.close()


def test_the_switch(monkeypatch):
    monkeypatch.setenv(connection.STANDARD_PIPE, "1")
    assert isinstance(mp.Pipe()[0], multiprocessing.connection.Connection)

"""Values and arrays: what each type code takes and refuses, buffers, numpy, shapes, snapshots, atomics."""

import math
import struct
import threading

import pytest

import shmd
from peers import until

INTEGERS = {"b": (1, True), "B": (1, False), "h": (2, True), "H": (2, False), "i": (4, True), "I": (4, False),
            "l": (8, True), "L": (8, False), "q": (8, True), "Q": (8, False)}  # fmt: skip
CODES = "cbB?uhHiIlLqQfde"


@pytest.mark.parametrize("code", INTEGERS)
def test_integers(client, code):
    size, signed = INTEGERS[code]
    low, high = (-(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1) if signed else (0, 2 ** (8 * size) - 1)
    value = shmd.Value.create(client, None, code)
    assert value.value == 0 and value.code == code and value.itemsize == size
    for number in (low, high, 1, 0):
        value.value = number
        assert value.value == number
        assert memoryview(value).tobytes() == number.to_bytes(size, "little", signed=signed)
    for number in (low - 1, high + 1, 2**64, -(2**63) - 1, 2**200):
        with pytest.raises(shmd.OutOfRange, match=f"value .* {low} to {high}"):
            value.value = number
    for bad in (1.5, "1", None, b"1"):
        with pytest.raises(TypeError):
            value.value = bad
    assert value.value == 0


@pytest.mark.parametrize("code", "fde")
def test_floats(client, code):
    value = shmd.Value.create(client, None, code, init=1.5)
    form = "<" + code
    for number in (0.0, -0.0, 1.0, -2.5, 0.1, math.pi, 65504.0, 6e-8, 6e-5, 2049.0, 2051.0, math.inf, -math.inf, 5):
        value.value = number
        assert memoryview(value).tobytes() == struct.pack(form, number), number
        assert value.value == struct.unpack(form, struct.pack(form, number))[0]
    value.value = math.nan
    assert math.isnan(value.value)
    for number in {"f": [1e39, -1e300], "e": [65520.0, 1e10], "d": []}[code]:
        with pytest.raises(shmd.OutOfRange):
            value.value = number
    with pytest.raises(TypeError):
        value.value = "1.0"


def test_halves_as_struct_rounds_them(client):
    import random

    value = shmd.Value.create(client, None, "e")
    for bits in range(0, 0x7C00, 7):
        number = struct.unpack("<e", struct.pack("<H", bits))[0]
        value.value = number
        assert value.value == number
    seed = random.randrange(2**32)
    print("seed", seed)
    order = random.Random(seed)
    for _ in range(2000):
        number = order.uniform(-1, 1) * 2.0 ** order.randrange(-30, 15)
        value.value = number
        assert memoryview(value).tobytes() == struct.pack("<e", number), number


def test_characters(client):
    one = shmd.Value.create(client, None, "c", init=b"x")
    assert one.value == b"x"
    one.value = bytearray(b"y")
    assert one.value == b"y"
    for bad in (b"", b"xy", 1, "x"):
        with pytest.raises(TypeError):
            one.value = bad
    wide = shmd.Value.create(client, None, "u", init="ß")
    for character in "a€\U0001f600\ud800":
        wide.value = character
        assert wide.value == character
    for bad in ("", "ab", b"a", 1):
        with pytest.raises(TypeError):
            wide.value = bad
    memoryview(wide).cast("B")[3] = 0xFF  # somebody scribbles
    with pytest.raises(ValueError, match="no character"):
        wide.load()
    truth = shmd.Value.create(client, None, "?")
    for given in (True, False, 5, [], "x"):
        truth.value = given
        assert truth.value is bool(given)


def test_atomics(client):
    value = shmd.Value.create(client, None, "i", init=5)
    assert value.fetch_add(3) == 5 and value.exchange(1) == 8
    assert value.compare_exchange(2, 9) == (False, 1) and value.compare_exchange(expected=1, desired=9) == (True, 1)
    value.value = 2**31 - 1
    with pytest.raises(OverflowError):
        value.fetch_add(1)
    assert value.value == 2**31 - 1
    small = shmd.Value.create(client, None, "h")
    with pytest.raises(shmd.Unsupported):
        small.fetch_add(1)
    array = shmd.Array.create(client, None, "d", (2, 2), init=[1, 2, 3, 4])
    assert array.fetch_add((1, 0), 0.5) == 3 and array.exchange(-1, 9) == 4
    assert array.compare_exchange((0, 0), 1, 7) == (True, 1)
    assert list(array) == [7, 2, 3.5, 9]
    value.value = 0
    threads = [threading.Thread(target=lambda: [value.fetch_add(1) for _ in range(1000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value.value == 4000


def test_changes(client, peer, name):
    value = shmd.Value.create(client, name, "i")
    version = value.version()
    with pytest.raises(shmd.WouldBlock):
        value.wait_change(version, 0)
    peer.run(f"value = shmd.Value.open(client, {name!r})")
    peer.begin("value.wait_change(value.version())")
    until(lambda: value.store(7) or peer.process.stdout.readable())
    assert value.wait_change(version, 60) > version
    read_only = shmd.Value.open(client, name, read_only=True)
    assert read_only.wait_change(version, 60) == value.version()
    client.unlink(name)


@pytest.mark.parametrize("code", CODES)
def test_buffers(client, code):
    array = shmd.Array.create(client, None, code, (3, 2))
    with memoryview(array) as view:
        assert view.shape == (3, 2) and view.itemsize == array.itemsize and view.c_contiguous and not view.readonly
        assert view.format == {"u": "w"}.get(code, code) and view.nbytes == 6 * array.itemsize
        assert view.strides == (2 * array.itemsize, array.itemsize)
        flat = view.cast("B")
        flat[0] = 1
    assert array.shape == (3, 2) and array.code == code and len(array) == 6
    assert bytes(array)[:2] == b"\x01\x00"
    read_only = shmd.Array.open(client, id=array.id, read_only=True)
    assert memoryview(read_only).readonly
    for call in (lambda: read_only.write(array), read_only.lock, read_only.begin_write):
        with pytest.raises(PermissionError):
            call()
    snapshot = read_only.read()
    assert bytes(snapshot) == bytes(array) and snapshot.shape == (3, 2) and snapshot.code == code
    assert array.read().tolist() == snapshot.tolist() == list(array) == list(snapshot)


def test_numpy(client):
    numpy = pytest.importorskip("numpy")
    array = shmd.Array.create(client, None, "d", (2, 3, 4))
    view = numpy.asarray(array)
    assert view.shape == (2, 3, 4) and view.dtype == numpy.float64 and view.flags.writeable
    view[1, 2, 3] = 7
    assert array[1, 2, 3] == 7 and array[-1] == 7  # no copy
    assert numpy.shares_memory(view, numpy.asarray(array))
    with array.writing():
        view[...] = numpy.arange(24).reshape(2, 3, 4)
    snapshot = numpy.asarray(array.read())
    assert (snapshot == view).all() and not numpy.shares_memory(snapshot, view)
    array.write(view * 2)
    assert view[1, 2, 3] == 46
    array.write(view[0, 0] * 0, start=12)
    assert not view[1, 0].any()
    with pytest.raises(TypeError, match="format"):
        array.write(view.astype("f"))
    with pytest.raises(ValueError):
        array.write(view.T)
    read_only = numpy.asarray(shmd.Array.open(client, id=array.id, read_only=True))
    assert not read_only.flags.writeable
    with pytest.raises(ValueError):
        read_only[0, 0, 0] = 1
    scalar = numpy.asarray(shmd.Value.create(client, None, "i", init=5))
    assert scalar.shape == () and scalar == 5
    del array  # the view keeps the memory
    assert view[1, 2, 3] == 46
    for code in CODES.replace("u", "").replace("c", ""):
        assert numpy.asarray(shmd.Array.create(client, None, code, 3)).dtype == numpy.dtype(code)


def test_elements(client):
    array = shmd.Array.create(client, None, "i", (2, 3), init=range(6))
    assert [array[i, j] for i in range(2) for j in range(3)] == list(range(6))
    assert array[-1] == array[-1, -1] == array.load((1, 2)) == 5
    array[0, 0] = 9
    array.store(1, 8)
    assert list(array) == [9, 8, 2, 3, 4, 5]
    for bad in (6, -7, (2, 0), (0, 3), (0, -4), (0,), (0, 0, 0)):
        with pytest.raises(IndexError):
            array[bad]
        with pytest.raises(IndexError):
            array[bad] = 1
    for bad in ("0", 1.0, slice(0, 2), None):
        with pytest.raises(TypeError):
            array[bad]
    with pytest.raises(TypeError):
        del array[0]
    with pytest.raises(shmd.OutOfRange) as raised:
        array[0] = 2**31
    assert raised.value.object == array.id
    with pytest.raises(shmd.BadIndex, match="array .*: index -7 is outside of a length of 6"):
        array[-7]
    with pytest.raises(shmd.BadIndex):
        array[2**100]


def test_read_and_write(client):
    array = shmd.Array.create(client, None, "h", 5, init=[1, 2])
    assert array.read(1, 3).tolist() == [2, 0, 0] and array.read(5).tolist() == []
    array.write([7, 8], start=3)
    array.write((), start=5)
    array.write(iter([5]))
    array.write(struct.pack("<h", 6) and memoryview(struct.pack("<2h", 6, 6)).cast("h"), 1)
    assert array.read().tolist() == [5, 6, 6, 7, 8]
    for start, count in ((0, 6), (6, 0), (5, 1), (3, 3)):
        with pytest.raises(IndexError):
            array.read(start, count)
    with pytest.raises(IndexError):
        array.write([1], 5)
    with pytest.raises(OverflowError):
        array.write([40000])
    with pytest.raises(TypeError):
        array.write(b"12")
    letters = shmd.Array.create(client, None, "c", 5, init=b"hello")
    letters.write(b"J")
    assert bytes(letters) == b"Jello" and letters.read().tolist()[0] == b"J"


def test_snapshots_are_whole(client):
    """While one thread writes in brackets another never sees half of a write."""
    array = shmd.Array.create(client, None, "q", 64)
    stop = threading.Event()

    def write():
        view = memoryview(array)
        number = 0
        while not stop.is_set():
            number += 1
            with array.writing():
                for i in range(64):
                    view[i] = number
        view.release()

    thread = threading.Thread(target=write)
    thread.start()
    last = 0
    for _ in range(200):
        snapshot = array.read()
        assert len(set(snapshot.tolist())) == 1 and snapshot.version >= last
        last = snapshot.version
    stop.set()
    thread.join()


def test_brackets(client):
    array = shmd.Array.create(client, None, "i", 2)
    with pytest.raises(shmd.NotOwner):
        array.begin_write()
    with array:
        with pytest.raises(shmd.Invalid):
            array.end_write()
        array.begin_write()
        with pytest.raises(shmd.Invalid):
            array.unlock()
        array.end_write()
    with pytest.raises(ZeroDivisionError):
        with array.writing():
            1 / 0
    assert array.lock(0) is None
    array.unlock()
    bare = shmd.Array.create(client, None, "i", 2, lock=False)
    with pytest.raises(shmd.Unsupported):
        bare.lock()
    bare.write([1, 2])
    mutex = shmd.Mutex.create(client)
    guarded = shmd.Value.create(client, None, "i", lock=mutex)
    with guarded:
        with pytest.raises(shmd.Deadlock):
            mutex.lock(0)


def test_messages(client):
    queue = shmd.Queue.create(client, raw=True, maxsize=3, slot_size=64, message_max=1 << 20)
    for message in (b"", b"x", bytes(64), bytearray(1000), memoryview(bytes(1 << 20))):
        queue.put(message)
        assert queue.take() == bytes(message)
    with pytest.raises(shmd.TooLarge):
        queue.put(bytes((1 << 20) + 1))
    with pytest.raises(TypeError):
        queue.put("text")
    assert queue.put_many([b"1", b"2", b"3", b"4"]) == 3 and queue.put_many([]) == 0
    with pytest.raises(shmd.WouldBlock):
        queue.put(b"5", 0)
    leases = queue.lease_many(2) + queue.lease_many(2, 0)
    assert [bytes(lease) for lease in leases] == [b"1", b"2", b"3"]
    assert queue.ack_many(leases[:2]) == 2 and queue.nack_many(leases[2:]) == 1
    with pytest.raises(shmd.NotOwner) as raised:
        queue.ack_many(leases)
    assert raised.value.count == 2  # which were acknowledged already
    leases[0].ack()
    with pytest.raises(shmd.NotOwner):
        leases[0].nack()
    with pytest.raises(BufferError):
        memoryview(leases[0])
    with queue.lease() as lease, memoryview(lease) as view:
        assert view.readonly and bytes(view) == b"3" and lease.deliveries == 2
        with pytest.raises(BufferError):
            lease.ack()
    with pytest.raises(ZeroDivisionError):
        with queue.reserve(5):
            1 / 0
    with queue.reserve(5) as reservation:
        memoryview(reservation)[:] = b"12345"
    reservation = queue.reserve()
    memoryview(reservation)[:2] = b"ab"
    reservation.commit(2)
    with pytest.raises(shmd.NotOwner):
        reservation.abort()
    assert queue.take_many(9) + queue.take_many(9) == [b"12345", b"ab"]
    queue.shutdown()
    with pytest.raises(EOFError):
        queue.take()
    with pytest.raises(shmd.Ended):
        queue.put(b"x")
    assert queue.counts().closed and queue.maxsize == 3 and queue.message_max == 1 << 20 and queue.raw
    packed = shmd.Queue.create(client, lease_timeout=1.5)
    assert packed.lease_timeout == 1.5 and not packed.raw
    with pytest.raises(shmd.BadType):
        packed.put(b"\xc1")
    packed.put(b"\x05")
    with packed.lease() as lease:
        lease.extend(10)
        with pytest.raises(shmd.Invalid):
            lease.extend(0)


def test_long_messages_of_pipes_and_streams(client):
    pipe = shmd.Pipe.create(client, capacity=4096)
    pipe.claim(0)
    pipe.claim(1)
    message = bytes(range(256)) * 4096
    sender = threading.Thread(target=pipe.send, args=(message,), kwargs={"end": 0})
    sender.start()
    assert pipe.recv(end=1) == message
    sender.join()
    assert pipe.send_many([b"a", b"", b"b"], end=1) == 3
    assert [pipe.recv(end=0) for _ in range(3)] == [b"a", b"", b"b"]
    with pytest.raises(shmd.Unsupported):
        pipe.read(1, end=0)
    flow = shmd.Pipe.create(client, bytes=True, capacity=4096)
    flow.claim(0)
    flow.claim(1)
    assert flow.bytes and flow.write(bytes(10000), end=0) == 4096 and len(flow.read(10000, end=1)) == 4096
    flow.shut(0)
    with pytest.raises(EOFError):
        flow.read(1, end=1)
    stream = shmd.Stream.create(client, capacity=65536)
    stream.claim("producer")
    stream.claim("consumer")
    for size in (0, 1, 4096, 4097, 20000, stream.message_max):
        stream.send(message[:size])
        assert stream.recv() == message[:size]
    with pytest.raises(shmd.TooLarge):
        stream.send(bytes(stream.message_max + 1))
    with pytest.raises(ValueError):
        stream.claim("both")
    assert stream.send_many([b"1", b"2"]) == 2 and stream.recv_many(9) == [b"1", b"2"]
    stream.retire("producer")
    with pytest.raises(shmd.Ended):
        stream.recv()

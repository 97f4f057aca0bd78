# SPDX-License-Identifier: Apache-2.0
"""Value, Array and their kin: multiprocessing's edges; other languages, tickets and deaths."""
import ctypes
import gc
import multiprocessing
import pickle
import threading

import pytest
from helpers import METHODS, Killed, run

import shmd
import shmd.multiprocessing as mp

CODES = "cubBhHiIlLqQfd"
INTEGERS = "bBhHiIlLqQ"


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]


def outcome(call, *args):
    try:
        return call(*args)
    except Exception as error:
        return type(error), str(error)


def both(do):
    """do(face) for both faces: they must agree."""
    ours, theirs = do(mp), do(multiprocessing)
    assert ours == theirs
    return ours


@pytest.mark.parametrize("code", CODES)
def test_a_new_value(code):
    both(lambda face: face.Value(code).value)
    both(lambda face: repr(face.Value(code)))
    both(lambda face: face.RawValue(code).value)
    both(lambda face: repr(face.RawValue(code)))


@pytest.mark.parametrize("value", [0, 1, -1, 127, 128, 255, 300, 2**31, 2**63, -2**63, 2**64, 2**70, True])
@pytest.mark.parametrize("code", INTEGERS)
def test_integers_wrap(code, value):
    def do(face):
        number = face.Value(code, value)
        first = number.value
        number.value = 0
        number.value = value
        assert number.value == first == number.get_obj().value
        return first
    both(do)


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("value", [1.5, "x", b"x", b"xy", "xy", None, float("inf"), 10**400, [], 1 + 2j])
def test_what_a_value_takes(code, value):
    def do(face):
        number = face.Value(code)
        result = outcome(setattr, number, "value", value)
        return result, repr(number.value)
    both(do)


@pytest.mark.parametrize("code", ["x", "?", "e", "n", "ii", 3, None])
def test_unknown_types(code):
    for name in "Value", "RawValue":
        both(lambda face: outcome(getattr(face, name), code)[0])
    both(lambda face: outcome(face.Array, code, 3)[0])


def test_locks_of_a_value():
    for face in mp, multiprocessing:
        assert type(face.Value("i", lock=None).get_lock()).__name__ == "RLock"
        lock = face.Lock()
        value = face.Value("i", 5, lock=lock)
        assert value.get_lock() is lock and value.value == 5
        value.value = 6
        with value:
            assert not lock.acquire(False)
        assert not hasattr(face.Value("i", lock=False), "get_lock")
    both(lambda face: outcome(lambda: face.Value("i", 5, lock="navalue")))
    both(lambda face: outcome(lambda: face.Array("i", 5, lock="navalue")))


def test_a_foreign_lock():
    lock = threading.Lock()
    value, array = mp.Value("i", 1, lock=lock), mp.Array("i", 3, lock=lock)
    value.value += 1
    array[1] = 5
    assert value.value == 2 and array[:] == [0, 5, 0] and not lock.locked()
    with pytest.raises(TypeError):
        value.value = "x"
    assert not lock.locked()


def test_a_failed_access_leaves_the_lock_free():
    value, array = mp.Value("i", 1), mp.Array("i", 3)
    for call in (lambda: setattr(value, "value", "x"), lambda: array[7], lambda: array.__setitem__(0, "x")):
        with pytest.raises((TypeError, IndexError)):
            call()
    assert repr(value.get_lock()) == repr(array.get_lock()) == "<RLock(None, 0)>"


def _access(name):
    def do(face):
        array = face.Array("i", range(10))
        checks = {
            "index": lambda: (array[0], array[-1], array[-10]),
            "out": lambda: array[10],
            "slice": lambda: (array[2:5], array[::-2], array[-3:]),
            "assign": lambda: (array.__setitem__(slice(2, 5), [7, 8, 9]), array[:]),
            "assign step": lambda: (array.__setitem__(slice(0, 4, 2), [1, 1]), array[:]),
            "assign wrong": lambda: array.__setitem__(slice(2, 5), [7]),
            "assign out": lambda: array.__setitem__(10, 1),
            "delete": lambda: array.__delitem__(0),
            "length": lambda: len(array),
            "iterate": lambda: list(array),
            "contains": lambda: (3 in array, 11 in array),
        }
        return outcome(checks[name]) if name != "delete" else outcome(checks[name])[0] is not None
    return do


@pytest.mark.parametrize("name", ["index", "out", "slice", "assign", "assign step", "assign wrong", "assign out",
                                  "delete", "length", "iterate", "contains"])
def test_access_to_an_array(name):
    both(_access(name))


@pytest.mark.parametrize("size", [0, 1, 1000, -1])
def test_sizes(size):
    both(lambda face: outcome(lambda: list(face.Array("d", size)))[:1])
    both(lambda face: outcome(lambda: list(face.RawArray("d", size)))[:1])


def test_what_an_array_is_made_of():
    both(lambda face: outcome(lambda: face.Array("i", (i for i in range(3))))[0])
    both(lambda face: face.Array("i", (1, 2.0 and 2, 3))[:])
    both(lambda face: outcome(lambda: face.Array("i", [1.5])))
    both(lambda face: face.Array("u", "hello")[:])


def test_strings():
    def do(face):
        text = face.Array("c", b"hello")
        seen = [text.value, text.raw, text[0], text[1:3]]
        text.value = b"ab"
        seen += [text.value, text.raw]
        text.raw = b"xyz"
        seen += [text.value, text.raw, outcome(setattr, text, "value", b"too long"), outcome(setattr, text, "raw", "x")]
        text.value = b"12345"
        return seen + [text.value, repr(type(text).__name__)]
    both(do)


def test_structures():
    def do(face):
        point = face.Value(Point, 3, 2)
        point.x *= 2
        point.y += 0.5
        raw = face.RawValue(Point, 1)
        points = face.Array(Point, [(1, 2.0), (3, 4.0)])
        points[0].x = 9
        return (point.x, point.y, raw.x, raw.y, type(point).__name__, [(p.x, p.y) for p in points],
                outcome(lambda: point.z)[0])
    both(do)


def test_copy_and_synchronized():
    for face in mp, multiprocessing:
        point = face.RawValue(Point, 1, 2.0)
        copied = face.sharedctypes.copy(point)
        point.x = 5
        assert (copied.x, copied.y) == (1, 2.0)
        assert face.sharedctypes.copy(Point(7, 8)).x == 7
        wrapper = face.sharedctypes.synchronized(point)
        assert wrapper.x == 5 and wrapper.get_obj() is point
        with pytest.raises(AssertionError, match="already synchronized"):
            face.sharedctypes.synchronized(wrapper)


def test_memoryviews():
    numpy = pytest.importorskip("numpy")
    raw = mp.RawArray("d", 4)
    assert memoryview(raw).format == "<d"
    with pytest.raises(TypeError):
        memoryview(mp.Array("d", 4))
    view = numpy.frombuffer(raw)
    view[:] = 7
    assert list(raw) == [7.0] * 4
    locked = mp.Array("i", 3)
    numpy.frombuffer(locked.get_obj(), "i4")[1] = 5
    assert locked[:] == [0, 5, 0]


def _double(*objects):
    for obj in objects:
        if hasattr(obj, "value"):
            obj.value *= 2
        elif hasattr(obj, "x"):
            obj.x *= 2
        else:
            for i in range(len(obj)):
                obj[i] *= 2


@pytest.mark.parametrize("method", METHODS)
def test_shared_with_a_process(method):
    objects = [mp.Value("i", 1), mp.RawValue("d", 1), mp.Array("h", 3), mp.RawArray("q", [1, 2]), mp.Value(Point, 4),
               mp.Array("c", 20), mp.Value("i", 3, lock=mp.Lock())]
    objects[5].value = b"ab"
    assert run(method, _double, *objects) == 0
    assert [o.value for o in objects if hasattr(o, "value")] == [2, 2.0, b"abab", 6]
    assert objects[3][:] == [2, 4] and objects[4].x == 8


def test_pickles_to_any_process():
    nested = mp.RawArray(ctypes.c_int * 2, 2)
    nested[1][0] = 5
    for obj in mp.Value("i", 1), mp.Array("h", 3), mp.RawValue(Point, 1), mp.Value(Point, 1), nested, mp.Array("c", 3):
        again = pickle.loads(pickle.dumps(obj))
        assert type(again) is type(obj)
    again = pickle.loads(pickle.dumps(nested))
    assert again[1][0] == 5


def test_a_pickle_outlives_its_object():
    value = mp.Value("i", 42)
    data = pickle.dumps(value)
    del value
    gc.collect()
    assert pickle.loads(data).value == 42


def _hold_and_write(value):
    value.acquire()
    value.get_obj().value = 7


def test_the_lock_of_a_value_whose_owner_was_killed():
    value = mp.Value("i", 1)
    Killed(_hold_and_write, value).kill()
    with pytest.warns(shmd.OwnerDiedWarning):
        assert value.value == 7
    value.value = 8
    assert value.value == 8


def test_other_handles_see_a_change_and_the_lock():
    value, array = mp.Value("i", 1), mp.Array("i", 4)
    client = value.get_lock().client
    named = shmd.Value.open(client, id=value.get_obj()._shmd_handle.id)
    before = named.version()
    value.value = 5
    assert named.load() == 5 and named.version() != before
    before = named.version()
    value.value = True
    assert named.load() == 1 and named.version() != before
    others = shmd.Array.open(client, id=array.get_obj()._shmd_handle.id)
    before = others.version()
    array[1:3] = [8, 9]
    assert others.version() != before
    assert list(others.read()) == [0, 8, 9, 0]


def test_memory_is_given_back():
    gc.collect()
    for _ in range(3):
        arrays = [mp.RawArray("i", 100) for _ in range(50)]
        assert all(list(array[:3]) == [0, 0, 0] for array in arrays)
        for array in arrays:
            array[0] = 1

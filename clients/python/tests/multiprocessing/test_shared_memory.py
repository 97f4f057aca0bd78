# SPDX-License-Identifier: Apache-2.0
"""SharedMemory and ShareableList: multiprocessing's edges, and what goes wrong there."""
import os
import pickle

import pytest
from helpers import METHODS, Killed, run

import shmd
from shmd.multiprocessing import shared_memory


@pytest.fixture
def name():
    """A name that is unlinked at the end."""
    name = f"test-{os.getpid()}"
    yield name
    try:
        shared_memory.SharedMemory(name).unlink()
    except FileNotFoundError:
        pass


def test_a_block(name):
    block = shared_memory.SharedMemory(name, create=True, size=5000)
    other = shared_memory.SharedMemory(name, size=9)
    assert (block.size, other.size, len(other.buf), block.name) == (5000, 5000, 5000, name)
    block.buf[:3] = b"abc"
    assert bytes(other.buf[:4]) == b"abc\0"
    assert repr(block) == f"SharedMemory({name!r}, size=5000)"
    again = pickle.loads(pickle.dumps(block))
    assert bytes(again.buf[:3]) == b"abc"
    for each in block, other, again:
        each.close()
        each.close()
        assert each.buf is None and each.size == 5000
    block.unlink()
    with pytest.raises(FileNotFoundError):
        block.unlink()


def test_files_exceptions(name):
    with pytest.raises(FileNotFoundError) as missing:
        shared_memory.SharedMemory(name)
    assert missing.value.filename == "/" + name
    shared_memory.SharedMemory(name, create=True, size=1)
    with pytest.raises(FileExistsError):
        shared_memory.SharedMemory(name, create=True, size=1)
    for arguments in ({"create": True}, {"create": True, "size": -1}, {}, {"size": 5}):
        with pytest.raises(ValueError):
            shared_memory.SharedMemory(**arguments)
    with pytest.raises(OSError, match="not ok"):
        shared_memory.SharedMemory("not ok", create=True, size=1)
    with pytest.raises((shmd.NoSpace, shmd.Quota, shmd.TooLarge, shmd.OutOfRange)):
        shared_memory.SharedMemory(create=True, size=1 << 50)


def test_close_with_views():
    block = shared_memory.SharedMemory(create=True, size=10)
    view = block.buf[2:4]
    with pytest.raises(BufferError):
        block.close()
    view[0] = 7
    view.release()
    block.close()
    block.unlink()


def test_a_name_of_its_own():
    blocks = [shared_memory.SharedMemory(create=True, size=1) for _ in range(3)]
    assert len({block.name for block in blocks}) == 3
    for block in blocks:
        assert block.name.startswith("psm_")
        block.unlink()


def _attach(name):
    block = shared_memory.SharedMemory(name)
    block.buf[0] = 9


@pytest.mark.parametrize("method", METHODS)
def test_neither_exit_nor_kill_takes_it_away(name, method):
    block = shared_memory.SharedMemory(name, create=True, size=1)
    assert run(method, _attach, name) == 0
    Killed(_attach, name).kill()
    assert block.buf[0] == 9
    block.buf[0] = 8
    again = shared_memory.SharedMemory(name)
    assert again.buf[0] == 8


ITEMS = ["hello", b"bytes\0\0", "zwölf Boxkämpfer", -273.154, 100, None, True, False, 2**63 - 1, -2**63, "", b"",
         "\0"]


def test_a_list_keeps_what_it_is_given():
    made = shared_memory.ShareableList(ITEMS)
    again = shared_memory.ShareableList(name=made.shm.name)
    assert list(again) == ITEMS and [type(i) for i in again] == [type(i) for i in ITEMS]
    assert len(made) == len(ITEMS) and made.count(100) == 1 and made.index(None) == 5
    assert repr(made) == f"ShareableList({ITEMS!r}, name={made.shm.name!r})"
    made[-1] = b"a\0"
    assert again[len(ITEMS) - 1] == b"a\0"
    made.shm.unlink()


def test_lists_refuse():
    made = shared_memory.ShareableList(["12345678", 1])
    made[0] = "äöüäöüäö"  # 16 bytes, as many as there are
    for index, value, error in ((0, "x" * 17, ValueError), (5, 1, IndexError), (-3, 1, IndexError), (0, [], KeyError)):
        with pytest.raises(error):
            made[index] = value
    for index in 2, -3:
        with pytest.raises(IndexError):
            made[index]
    with pytest.raises(TypeError):
        made[0:1]
    with pytest.raises(ValueError, match="not in this container"):
        made.index("x")
    assert made[0] == "äöüäöüäö"
    made.shm.unlink()


def test_an_empty_list():
    made = shared_memory.ShareableList()
    assert list(made) == [] and made.format == ""
    made.shm.unlink()

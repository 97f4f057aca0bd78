# SPDX-License-Identifier: Apache-2.0
"""Blocks of shared memory by name, and lists in them, with the manners of multiprocessing.shared_memory.

A block is a shmd array of bytes of that name, for every language. It lives until it is unlinked, whoever ends or is
killed: no resource tracker takes it away. Its size is exactly what was asked for, in every process, and memory that
there is not is refused when it is created, not when it is touched.
"""
import errno
import os
import struct
import types
from functools import partial
from multiprocessing import shared_memory as _standard

import shmd

from . import _client
from .synchronize import SEATS_MAX

__all__ = ["SharedMemory", "ShareableList"]

_USE_POSIX = True
_SHM_NAME_PREFIX = _standard._SHM_NAME_PREFIX


class SharedMemory:
    """A block of shared memory: a new one of size bytes if create is true, else the one of that name.

    track is taken for the sake of CPython 3.13, and has no effect. Raises ValueError for a size that is not above 0
    when a block is created and for no name when none is, FileExistsError, FileNotFoundError, OSError for a name that
    is none, and shmd.NoSpace or shmd.Quota if there is no memory for it.
    """

    _name = None
    _array = None
    _buf = None
    _flags = os.O_RDWR
    _mode = 0o600

    def __init__(self, name=None, create=False, size=0, *, track=True):
        if not size >= 0:
            raise ValueError("'size' must be a positive integer")
        if create:
            self._flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
            if size == 0:
                raise ValueError("'size' must be a positive number different from zero")
        if name is None and not self._flags & os.O_EXCL:
            raise ValueError("'name' can only be None if create=True")
        if name is None:
            self._array = self._create_anywhere(size)
        else:
            self._name = "/" + name
            self._array = self._create(size) if create else self._attach()
        self._buf = memoryview(self._array)
        self._size = self._buf.nbytes

    def _create_anywhere(self, size):
        while True:
            self._name = _standard._make_filename()
            try:
                return self._create(size)
            except FileExistsError:
                continue

    def _create(self, size):
        return self._try(lambda client: shmd.Array.create(
            client, self.name, "B", size, lock=False, mode=self._mode, seats_max=SEATS_MAX))

    def _attach(self):
        return self._try(lambda client: shmd.Array.open(client, self.name, "B"))

    def _try(self, call):
        """What call(client) returns, with the exceptions of files."""
        try:
            return call(_client.default())
        except shmd.NotFound:
            code = errno.ENOENT
        except shmd.Exists:
            code = errno.EEXIST
        except shmd.BadName as error:
            raise OSError(errno.EINVAL, str(error), self._name) from None
        raise OSError(code, os.strerror(code), self._name)

    def __del__(self):
        try:
            self.close()
        except (OSError, BufferError):
            pass  # the memory stays mapped as long as there are views of it

    def __reduce__(self):
        return type(self), (self.name, False, self.size)

    def __repr__(self):
        return f"{type(self).__name__}({self.name!r}, size={self.size})"

    @property
    def buf(self):
        """A memoryview of the block; None when it is closed."""
        return self._buf

    @property
    def name(self):
        """The name, by which others attach."""
        return self._name[1:] if self._name.startswith("/") else self._name

    @property
    def size(self):
        """Size in bytes."""
        return self._size

    def close(self):
        """Ends the access of this object; the block goes on. Raises BufferError while there are views of buf."""
        if self._buf is not None:
            self._buf.release()
            self._buf = None
        if self._array is not None:
            self._array.close()

    def unlink(self):
        """Takes the name away; the memory goes with the last who has it. FileNotFoundError: it is gone already."""
        if self._name:
            self._try(lambda client: client.unlink(self.name))


_COUNT = struct.Struct("<q")
# offset and capacity in bytes, length of a str or bytes, and its type.
_RECORD = struct.Struct("<qqq8s")
_ALIGNMENT = 8
_KINDS = {int: b"int", float: b"float", bool: b"bool", str: b"str", bytes: b"bytes", type(None): b"none"}
_PACKINGS = {b"int": "q", b"float": "d", b"bool": "xxxxxxx?", b"none": "xxxxxx?x"}


def _encoded(value):
    """Its kind, and its bytes. KeyError: it is of no type that a list takes."""
    kind = _KINDS[type(value)]
    if kind in (b"str", b"bytes"):
        return kind, value.encode() if kind == b"str" else value
    return kind, struct.pack(_PACKINGS[kind], value if value is not None else False).rjust(_ALIGNMENT, b"\0")


def _capacity(value, data):
    """The bytes that an item gets: as many as in CPython, where a str counts by its characters, but enough."""
    if not isinstance(value, (str, bytes)):
        return _ALIGNMENT
    return max(_ALIGNMENT * (len(value) // _ALIGNMENT + 1), -(-len(data) // _ALIGNMENT) * _ALIGNMENT)


class ShareableList:
    """A list in a block of shared memory: of a fixed number of int (64 bits), float, bool, str, bytes and None.

    sequence: the items of a new list; None attaches to the one of that name. Items may change their type; a str or
    bytes must fit where the first one was, with its length rounded up to 8 bytes. Nothing guards an item against
    being read while it is written. Raises what SharedMemory does, KeyError for an item of another type, struct.error
    for an int beyond 64 bits, ValueError "exceeds available storage", IndexError.
    """

    def __init__(self, sequence=None, *, name=None):
        if name is not None and sequence is None:
            self.shm = SharedMemory(name)
            return
        items = [(*_encoded(value), value) for value in sequence or ()]
        sizes = [_capacity(value, data) for _, data, value in items]
        start = _COUNT.size + _RECORD.size * len(items)
        self.shm = SharedMemory(name, create=True, size=start + sum(sizes))
        _COUNT.pack_into(self.shm.buf, 0, len(items))
        for position, (kind, data, _) in enumerate(items):
            self._write(position, start, sizes[position], kind, data)
            start += sizes[position]

    def _write(self, position, offset, capacity, kind, data):
        self.shm.buf[offset:offset + len(data)] = data
        _RECORD.pack_into(self.shm.buf, _COUNT.size + position * _RECORD.size, offset, capacity, len(data), kind)

    def _record(self, position, message):
        """offset, capacity, length and kind of an item."""
        count = len(self)
        position = position if position >= 0 else position + count
        if not 0 <= position < count:
            raise IndexError(message)
        offset, capacity, length, kind = _RECORD.unpack_from(
            self.shm.buf, _COUNT.size + position * _RECORD.size)
        return position, offset, capacity, length, kind.rstrip(b"\0")

    def _get_packing_format(self, position):
        _, _, capacity, _, kind = self._record(position, "Requested position out of range.")
        return _PACKINGS.get(kind, f"{capacity}s")

    def __getitem__(self, position):
        _, offset, _, length, kind = self._record(position, "index out of range")
        data = bytes(self.shm.buf[offset:offset + length])
        if kind == b"str":
            return data.decode()
        if kind == b"bytes":
            return data
        value, = struct.unpack(_PACKINGS[kind], data)
        return None if kind == b"none" else value

    def __setitem__(self, position, value):
        position, offset, capacity, _, _ = self._record(position, "assignment index out of range")
        kind, data = _encoded(value)
        if len(data) > capacity:
            raise ValueError("bytes/str item exceeds available storage")
        self._write(position, offset, capacity, kind, data)

    def __reduce__(self):
        return partial(type(self), name=self.shm.name), ()

    def __len__(self):
        return _COUNT.unpack_from(self.shm.buf, 0)[0]

    def __repr__(self):
        return f"{type(self).__name__}({list(self)}, name={self.shm.name!r})"

    @property
    def format(self):
        """The struct format of the items, one behind the other."""
        return "".join(self._get_packing_format(i) for i in range(len(self)))

    def count(self, value):
        """How many items are equal to value."""
        return sum(value == item for item in self)

    def index(self, value):
        """The index of the first item that is equal to value; ValueError: there is none."""
        for position, item in enumerate(self):
            if value == item:
                return position
        raise ValueError(f"{value!r} not in this container")

    __class_getitem__ = classmethod(types.GenericAlias)

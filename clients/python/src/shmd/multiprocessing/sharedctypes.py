# SPDX-License-Identifier: Apache-2.0
"""ctypes objects in shared memory, with the manners of multiprocessing.sharedctypes.

A scalar lies in a shmd value, an array in a shmd array, anything else in an array of bytes; other languages open
them by their id. Integers that do not fit wrap, as ctypes has it. The objects pickle to any process of this daemon's,
with any pickler. Without a lock (RawValue, RawArray, get_obj()) an access is plain memory: it neither waits, nor is
it told to those who wait for changes.
"""
import ctypes
import weakref

import shmd
from shmd import _shmd

from . import _client
from .synchronize import SEATS_MAX, RLock

__all__ = ["RawValue", "RawArray", "Value", "Array", "copy", "synchronized"]

typecode_to_type = {
    "c": ctypes.c_char, "u": ctypes.c_wchar,
    "b": ctypes.c_byte, "B": ctypes.c_ubyte,
    "h": ctypes.c_short, "H": ctypes.c_ushort,
    "i": ctypes.c_int, "I": ctypes.c_uint,
    "l": ctypes.c_long, "L": ctypes.c_ulong,
    "q": ctypes.c_longlong, "Q": ctypes.c_ulonglong,
    "f": ctypes.c_float, "d": ctypes.c_double,
}

# ctypes type -> the type code of the item in shmd; all others are bytes.
_codes = {type_: code for code, type_ in typecode_to_type.items()} | {ctypes.c_bool: "?"}

# ctypes type -> its subclass whose instances know their memory, and pickle.
_shared_types = weakref.WeakKeyDictionary()


class _Shared:
    """Mixed into the type of an object that lies in shared memory."""

    __slots__ = ()

    def __reduce__(self):
        return _rebuild_named, (_named(self._shmd_type), self._shmd_handle)

    def __repr__(self):
        if isinstance(self, ctypes._SimpleCData):
            return f"{type(self).__name__}({self.value!r})"
        return super().__repr__()


def _shared_type(type_):
    try:
        return _shared_types[type_]
    except KeyError:
        names = {"__module__": type_.__module__, "__qualname__": type_.__qualname__, "_shmd_type": type_}
        made = _shared_types[type_] = type(type_)(type_.__name__, (_Shared, type_), names)
        return made


def _named(type_):
    """What a type is pickled as: of arrays, which have no name, what they consist of."""
    if issubclass(type_, ctypes.Array) and type_ is type_._type_ * type_._length_:
        return _named(type_._type_), type_._length_
    return type_


def _typed(named):
    if isinstance(named, tuple):
        return _typed(named[0]) * named[1]
    return named


def _rebuild_named(named, handle):
    return _rebuild(_typed(named), handle)


def _rebuild(type_, handle):
    """The ctypes object of a type in the memory of a handle."""
    obj = _shared_type(type_).from_buffer(handle)
    obj._shmd_handle = handle
    _client.adopt(handle.client)
    return obj


def _new(type_, lock=False):
    """A zeroed ctypes object in shared memory; lock is the RLock that guards it, or False."""
    options = {"lock": lock, "seats_max": SEATS_MAX}
    client = _client.default()
    code = _codes.get(type_)
    if code is not None:
        return _rebuild(type_, shmd.Value.create(client, None, code, **options))
    item = getattr(type_, "_type_", None) if issubclass(type_, ctypes.Array) else None
    if item in _codes:
        code, length = _codes[item], type_._length_
    else:
        code, length = "B", ctypes.sizeof(type_)
    return _rebuild(type_, shmd.Array.create(client, None, code, max(length, 1), **options))


def _item_type(typecode_or_type):
    return typecode_to_type.get(typecode_or_type, typecode_or_type)


def _make_value(typecode_or_type, args, lock):
    type_ = _item_type(typecode_or_type)
    ctypes.sizeof(type_)  # TypeError: this type has no size
    obj = _new(type_, lock)
    obj.__init__(*args)
    return obj


def _make_array(typecode_or_type, size_or_initializer, lock):
    type_ = _item_type(typecode_or_type)
    if isinstance(size_or_initializer, int):
        return _new(type_ * size_or_initializer, lock)
    type_ = type_ * len(size_or_initializer)
    obj = _new(type_, lock)
    obj.__init__(*size_or_initializer)
    return obj


def RawValue(typecode_or_type, *args):
    """A ctypes object in shared memory, made of args; without a lock."""
    return _make_value(typecode_or_type, args, False)


def RawArray(typecode_or_type, size_or_initializer):
    """A ctypes array in shared memory, of a size and zero, or of the items of a sequence; without a lock."""
    return _make_array(typecode_or_type, size_or_initializer, False)


def _with_lock(make, lock):
    """What make(lock for shmd) returns, with a wrapper around it if lock is not False."""
    if lock is False:
        return make(False)
    if lock in (True, None):
        lock = RLock()
    if not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    # The lock of the memory itself, for other languages too, if it has the owner that such a lock needs.
    own = isinstance(lock, RLock)
    return _wrap(make(lock if own else False), lock, own)


def Value(typecode_or_type, *args, lock=True, ctx=None):
    """A ctypes object in shared memory, made of args, and its lock: True or None for a new RLock, a lock, or False for
    the bare object. Raises TypeError for an unknown type, AttributeError for what is no lock."""
    return _with_lock(lambda own: _make_value(typecode_or_type, args, own), lock)


def Array(typecode_or_type, size_or_initializer, *, lock=True, ctx=None):
    """A ctypes array in shared memory, of a size or of the items of a sequence, and its lock, as for Value()."""
    return _with_lock(lambda own: _make_array(typecode_or_type, size_or_initializer, own), lock)


def copy(obj):
    """A copy of a ctypes object in shared memory of its own, without a lock."""
    type_ = getattr(type(obj), "_shmd_type", type(obj))
    new = _new(type_)
    ctypes.memmove(ctypes.addressof(new), ctypes.addressof(obj), ctypes.sizeof(type_))
    return new


def synchronized(obj, lock=None, ctx=None):
    """A wrapper that holds a lock, None for a new RLock, around each access to a ctypes object."""
    assert not isinstance(obj, SynchronizedBase), "object already synchronized"
    return _wrap(obj, lock or RLock(), False)


def _wrap(obj, lock, own):
    """own: lock is the one that the memory of obj was created with."""
    if isinstance(obj, ctypes._SimpleCData):
        wrapper = Synchronized(obj, lock)
    elif isinstance(obj, ctypes.Array):
        wrapper = (SynchronizedString if obj._type_ is ctypes.c_char else SynchronizedArray)(obj, lock)
    else:
        wrapper = _structure_class(getattr(type(obj), "_shmd_type", type(obj)))(obj, lock)
    handle = getattr(obj, "_shmd_handle", None)
    if handle is not None:
        wrapper._bind(handle, own)
        wrapper._own = own
    return wrapper


class SynchronizedBase(_shmd.SynchronizedBase):
    """A ctypes object and its lock. acquire(), release() and `with` are those of the lock."""

    _own = False

    def __reduce__(self):
        return _wrap, (self._obj, self._lock, self._own)


class Synchronized(_shmd.SynchronizedValue, SynchronizedBase):
    """A scalar: value."""


class SynchronizedArray(_shmd.SynchronizedArray, SynchronizedBase):
    """An array: indices and slices."""


class SynchronizedString(_shmd.SynchronizedString, SynchronizedArray):
    """An array of chars: also value, up to the first NUL, and raw."""


_structure_classes = weakref.WeakKeyDictionary()


def _field_property(name):
    def get(self):
        with self:
            return getattr(self._obj, name)

    def set(self, value):
        with self:
            setattr(self._obj, name, value)

    return property(get, set)


def _structure_class(type_):
    """The class of wrappers for a structure, with a property for each of its fields."""
    try:
        return _structure_classes[type_]
    except KeyError:
        names = {field[0]: _field_property(field[0]) for field in type_._fields_}
        made = type("Synchronized" + type_.__name__, (SynchronizedBase,), names)
        _structure_classes[type_] = made
        return made

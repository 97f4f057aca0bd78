"""What `with` statements hold, other than a lock of its own."""

import contextlib

from shmd import _shmd


@contextlib.contextmanager
def _writing(self, timeout=None):
    """Locks the array, waiting up to timeout seconds, and opens a bracket around writes through a view:
    read() sees none of them or all. `with array.writing() as notice:`; the notice is that of lock().
    """
    notice = self.lock(timeout)
    try:
        self.begin_write()
        try:
            yield notice
        finally:
            self.end_write()
    finally:
        self.unlock()


@contextlib.contextmanager
def _read_locked(self, timeout=None):
    """Reads, waiting up to timeout seconds. `with lock.reading() as notice:`; the notice is that of read_lock()."""
    notice = self.read_lock(timeout)
    try:
        yield notice
    finally:
        self.read_unlock()


@contextlib.contextmanager
def _write_locked(self, timeout=None):
    """Writes, waiting up to timeout seconds. `with lock.writing() as notice:`; the notice is that of write_lock()."""
    notice = self.write_lock(timeout)
    try:
        yield notice
    finally:
        self.write_unlock()


def install():
    """Makes them methods of their classes."""
    _shmd.Array.writing = _writing
    _shmd.RWLock.reading = _read_locked
    _shmd.RWLock.writing = _write_locked

# SPDX-License-Identifier: Apache-2.0
"""The connection that this process makes objects with."""
import os
import threading

from . import daemon

_lock = threading.Lock()
_default = None


def default():
    """The client of this process: connected at the first call, to the daemon that there is, else to a private one.
    Raises shmd.Error if there is none and none can be started. Thread-safe; a forked child has its own."""
    global _default
    client = _default
    if client is None:
        with _lock:
            client = _default
            if client is None:
                client = _default = daemon.connect()
    return client


def adopt(client):
    """An object came from another process by client: what this process makes shall be where that is."""
    global _default
    if _default is None:
        with _lock:
            if _default is None:
                _default = client


def _after_fork():
    global _lock
    _lock = threading.Lock()  # another thread of the parent may have held it


os.register_at_fork(after_in_child=_after_fork)

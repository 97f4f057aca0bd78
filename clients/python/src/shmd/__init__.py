"""Typed shared memory, locks and queues by name, that survive the death of their holder."""

from shmd._shmd import Client, Handle, Mutex, Notice, Value
from shmd._shmd import version as __version__
from shmd.errors import *
from shmd.errors import __all__ as _errors

connect = Client

__all__ = ["Client", "Handle", "Mutex", "Notice", "Value", "connect", *_errors]

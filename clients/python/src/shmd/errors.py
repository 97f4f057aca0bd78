"""The exceptions of shmd: one class for each status code."""

import re as _re


class Error(Exception):
    """What every call of shmd may raise.

    code: the number of the status, as on the wire and in every language.
    name: its symbolic name, "NOT_FOUND".
    object: name or id of the object that it is about, or None.
    """

    code: int = 0
    object: "str | int | None" = None

    @property
    def name(self) -> str:
        return _re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).upper() if self.code else "UNKNOWN"

    def __reduce__(self):
        return type(self), self.args, self.__dict__.copy()


class WouldBlock(Error, BlockingIOError):
    """The timeout was 0, and it could not be done at once."""

    code = 2


class TimedOut(Error, TimeoutError):
    """The timeout passed first."""

    code = 3


class Cancelled(Error):
    """The call was cancelled before it was granted."""

    code = 4


class Closed(Error, ValueError):
    """The handle or the client was closed by this process."""

    code = 5


class Removed(Error):
    """The object was destroyed."""

    code = 6


class Lost(Error, ConnectionError):
    """The daemon is gone; mapped objects go on working, control calls do not."""

    code = 7


class NotRecoverable(Error):
    """A strict lock was unlocked after its owner's death without being marked consistent."""

    code = 8


class Ended(Error, EOFError):
    """The queue was shut down, or the other side of a stream or pipe closed it."""

    code = 9


class Broken(Error):
    """The barrier is broken by a timeout, an abort or a failed action, until it is reset."""

    code = 10


class PeerDied(Error, EOFError):
    """A party of the barrier, or the other side of a stream or pipe, died."""

    code = 11


class OutcomeUnknown(Error):
    """The operation may have taken effect or not."""

    code = 12


class Taken(Error):
    """Another client has the role."""

    code = 13


class Invalid(Error, ValueError):
    """An argument is outside its documented domain."""

    code = 20


class BadName(Error, ValueError):
    """The name breaks the naming rule."""

    code = 21


class BadType(Error, TypeError):
    """An unknown type code, or a value of the wrong type."""

    code = 22


class OutOfRange(Error, OverflowError):
    """A value does not fit its type code."""

    code = 23


class BadIndex(Error, IndexError):
    """An index or slice is outside the array."""

    code = 24


class NotFound(Error, LookupError):
    """No object has that name or id."""

    code = 25


class Exists(Error, FileExistsError):
    """An object of that name exists already."""

    code = 26


class KindMismatch(Error, TypeError):
    """The object is of another kind."""

    code = 27


class TypeMismatch(Error, TypeError):
    """The object has another type code."""

    code = 28


class ShapeMismatch(Error, ValueError):
    """The object has another shape."""

    code = 29


class OptionMismatch(Error, ValueError):
    """The object exists with other creation options."""

    code = 30


class Permission(Error, PermissionError):
    """Mode, owner or read-only access forbid it."""

    code = 31


class NotOwner(Error):
    """The caller does not hold the lock, lease, reservation or role.

    count: of ack_many() and nack_many(), how many leases were ended before it.
    """

    code = 32
    count = 0


class Deadlock(Error):
    """The caller holds this non-recursive lock already."""

    code = 33


class SeatsFull(Error):
    """The object has as many clients as it has seats."""

    code = 34


class Quota(Error):
    """The user's quota is exhausted."""

    code = 35


class NoSpace(Error, MemoryError):
    """The daemon's memory budget or the machine's memory is exhausted."""

    code = 36


class TooLarge(Error, ValueError):
    """A message or a request exceeds a limit."""

    code = 37


class BadFrame(Error):
    """The bytes are not a well-formed message."""

    code = 38


class UnknownMethod(Error):
    """The daemon has no such method: it is older than this package."""

    code = 39


class BadParams(Error, ValueError):
    """Wrong number or wrong types of parameters."""

    code = 40


class Version(Error):
    """Package and daemon speak no common protocol, or know no common layout."""

    code = 41


class Corrupt(Error):
    """The shared bytes break an invariant: somebody has scribbled over them."""

    code = 42


class Unsupported(Error):
    """The object or its type code does not offer this operation."""

    code = 43


class Busy(Error):
    """Too many calls of this connection are waiting already."""

    code = 44


class BadHandle(Error):
    """The connection has no such handle."""

    code = 45


class Identity(Error, PermissionError):
    """The daemon could not prove who this process is."""

    code = 46


class NoDaemon(Error, ConnectionError):
    """Nobody listens on the socket."""

    code = 47


class Forked(Error):
    """The handle belongs to the parent process."""

    code = 48


class Overflow(Error, OverflowError):
    """A counter is at its maximum."""

    code = 49


class System(Error, OSError):
    """The operating system refused; the message carries its error."""

    code = 50


class Internal(Error):
    """The daemon failed; its log says more."""

    code = 51


class OwnerDiedWarning(RuntimeWarning):
    """A lock of shmd.multiprocessing was acquired whose owner died: what it guards may be half done."""


BY_CODE = {
    error.code: error
    for error in list(globals().values())
    if isinstance(error, type) and issubclass(error, Error) and error.code
}

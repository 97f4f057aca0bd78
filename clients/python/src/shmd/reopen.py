"""How pickled objects come back: by the daemon's socket and their id."""

from shmd import _shmd

_clients = {}


def client(socket):
    """The client of this process for pickled objects of the daemon at this path (None: the default)."""
    found = _clients.get(socket)
    if found is None or found.closed:
        found = _clients[socket] = _shmd.Client(socket)
    return found


def reopen(kind, socket, id, name, read_only):
    """Opens the object of the class `kind` that has this id; `name` is for its repr."""
    return kind.open(client(socket), id=id, read_only=read_only)

"""How pickled objects come back: by the daemon's socket, their id, and a ticket."""

from shmd import _shmd
from shmd.errors import NotFound

_clients: "dict[str, _shmd.Client]" = {}


def client(socket):
    """The client of this process for pickled objects of the daemon at this path."""
    found = _clients.get(socket)
    if found is None or found.closed:
        found = _clients[socket] = _shmd.Client(socket)
    return found


def reopen(kind, socket, id, name, read_only, ticket):
    """Opens the object of the class `kind` that has this id, and calls it by the name."""
    try:
        return kind.open(client(socket), name, id=id, read_only=read_only, ticket=ticket)
    except NotFound:
        # The ticket is for the first who opens it, and for a minute.
        return kind.open(client(socket), name, id=id, read_only=read_only)

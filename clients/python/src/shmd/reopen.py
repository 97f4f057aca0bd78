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


def by_ticket(open, ticket):
    """What open(ticket) returns, else open(None): the ticket is for the first who opens it, and for a minute."""
    try:
        return open(ticket)
    except NotFound:
        return open(None)


def reopen(kind, socket, id, name, read_only, ticket):
    """Opens the object of the class `kind` that has this id, and calls it by the name."""
    return by_ticket(
        lambda ticket: kind.open(client(socket), name, id=id, read_only=read_only, ticket=ticket), ticket
    )

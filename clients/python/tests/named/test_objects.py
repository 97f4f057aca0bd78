"""Every kind by name, id and pickle, between processes that have nothing to do with each other."""

import pickle
import subprocess
import sys

import pytest

import shmd
from peers import KINDS, PeerError, make


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_opened_by_name_and_id(client, peer, name, kind):
    made = make(kind, client, name)
    assert made.created and made.name == name and not made.read_only and not made.closed
    again = kind.open(client, name)
    assert not again.created and again.id == made.id
    assert peer.run(f"shmd.{kind.__name__}.open(client, {name!r}).id") == made.id
    assert peer.run(f"shmd.{kind.__name__}.open(client, id={made.id}).id") == made.id
    with pytest.raises(shmd.Exists) as raised:
        make(kind, client, name)
    assert raised.value.object == name and raised.value.code == 26 and raised.value.name == "EXISTS"
    other = shmd.Event if kind is not shmd.Event else shmd.Mutex
    with pytest.raises(shmd.KindMismatch):
        other.open(client, name)
    client.unlink(name)
    with pytest.raises(LookupError):
        kind.open(client, name)
    assert repr(made).startswith(f"<shmd.{kind.__name__} '{name}' id=")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_closed(client, kind):
    made = make(kind, client)
    made.close()
    made.close()
    assert made.closed and "closed" in repr(made)
    for method in dir(kind):
        if method.startswith("_") or method in ("create", "open", "open_or_create", "close"):
            continue
        if method.endswith("_async") or method in ("writing", "reading"):
            continue
        if not callable(getattr(kind, method)):
            if method in ("client", "name", "id", "created", "read_only", "closed"):
                continue
            with pytest.raises(shmd.Closed):
                getattr(made, method)
            continue
        for arguments in ([], [b"1"], [0], ["producer"], [0, 1], [0, 0, 1], [[]], [lambda: True]):
            try:
                getattr(made, method)(*arguments)
            except TypeError:
                continue
            except shmd.Closed:
                break
            pytest.fail(f"{method} works on a closed object")
        else:
            pytest.fail(f"{method} does not say that the object is closed")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_pickled(client, socket, kind):
    """The sender has closed it, and is gone, before the receiver opens it."""
    program = (
        "import sys, pickle, shmd; sys.path.insert(0, sys.argv[2]); from peers import make; "
        "made = make(getattr(shmd, sys.argv[3]), shmd.connect(sys.argv[1])); "
        "sys.stdout.write(pickle.dumps(made).hex())"
    )
    directory = __file__.rsplit("/", 1)[0]
    sent = subprocess.run(
        [sys.executable, "-c", program, socket, directory, kind.__name__], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    received = pickle.loads(bytes.fromhex(sent))
    assert type(received) is kind and received.id > 0
    again = pickle.loads(bytes.fromhex(sent))  # the ticket is used, the object is there
    assert again.id == received.id


def test_pickle_keeps_name_and_access(client, name):
    value = shmd.Value.create(client, name, "i", init=7)
    copy = pickle.loads(pickle.dumps(shmd.Value.open(client, name, read_only=True)))
    assert copy.name == name and copy.read_only and copy.value == 7
    with pytest.raises(PermissionError):
        copy.value = 8
    client.unlink(name)
    assert value.value == 7


def test_subclasses_pickle(client):
    counter = Counter.create(client, None, "q", init=1)
    assert counter.twice() == 2
    assert pickle.loads(pickle.dumps(counter)).twice() == 2


class Counter(shmd.Value):
    def twice(self):
        return 2 * self.value


def test_ticket(client, socket):
    event = shmd.Event.create(client, set=True)
    ticket = event.ticket()
    number = event.id
    event.close()
    with pytest.raises(shmd.NotFound):
        shmd.Event.open(client, id=number, ticket=bytes(16))
    assert shmd.Event.open(client, id=number, ticket=ticket).is_set()
    with pytest.raises(shmd.NotFound):
        shmd.Event.open(client, id=number, ticket=ticket)
    with pytest.raises(TypeError):
        shmd.Event.open(client, id=number, ticket=b"short")


def test_options(client, name):
    with pytest.raises(TypeError, match="no option 'recursve'"):
        shmd.Mutex.create(client, recursve=True)
    with pytest.raises(TypeError, match="no option 'maxsize'"):
        shmd.Mutex.create(client, maxsize=4)
    with pytest.raises(TypeError, match="needs the argument 'code'"):
        shmd.Value.create(client, None)
    with pytest.raises(TypeError, match="no type code"):
        shmd.Value.create(client, None, "z")
    with pytest.raises(ValueError, match="lifetime"):
        shmd.Mutex.create(client, lifetime="long")
    with pytest.raises(OverflowError):
        shmd.Semaphore.create(client, initial=-1)
    with pytest.raises(OverflowError):
        shmd.Semaphore.create(client, initial=2**32)
    with pytest.raises(shmd.Invalid):
        shmd.Mutex.create(client, recursive=True, unlock_any=True)
    with pytest.raises(TypeError, match="Client"):
        shmd.Mutex.create(None)
    with pytest.raises(TypeError, match="name"):
        shmd.Mutex.create(client, 5)
    with pytest.raises(shmd.BadName):
        shmd.Mutex.create(client, "no spaces")
    with pytest.raises(TypeError, match="Mutex"):
        shmd.Condition.create(client, None, shmd.Event.create(client))
    with pytest.raises(ValueError, match="dimensions"):
        shmd.Array.create(client, None, "i", (1,) * 9)
    shmd.Array.create(client, name, "i", (2, 3))
    with pytest.raises(shmd.ShapeMismatch):
        shmd.Array.open_or_create(client, name, "i", (3, 2))
    with pytest.raises(shmd.TypeMismatch):
        shmd.Array.open(client, name, "f")
    assert not shmd.Array.open_or_create(client, name, "i", (2, 3)).created
    client.unlink(name)


def test_client(client, socket, name):
    with pytest.raises(shmd.NoDaemon) as raised:
        shmd.connect("/no/such/socket")
    assert isinstance(raised.value, ConnectionError)
    with pytest.raises(TypeError):
        shmd.connect(5)
    with pytest.raises(TypeError):
        shmd.connect(socket, software=5)
    assert client.socket == socket
    event = shmd.Event.create(client, name)
    client.chmod(name, 0o644)
    client.chmod(event.id, 0o600)
    client.chown(name, -1, -1)
    with pytest.raises(shmd.Invalid):
        client.chmod(name, 0o7777)
    client.destroy(event.id)
    with pytest.raises(shmd.Removed):
        event.wait()
    with pytest.raises(shmd.NotFound):
        client.unlink(name)
    with shmd.connect(socket, software="tests", reattach_timeout=1) as other:
        mutex = shmd.Mutex.create(other)
    assert other.closed
    assert mutex.lock() is None  # its objects go on
    with pytest.raises(shmd.Closed):
        shmd.Mutex.create(other)
    with pytest.raises(shmd.Closed):
        other.unlink("x")


def test_destroyed(client, peer, name):
    event = shmd.Event.create(client, name)
    peer.run(f"event = shmd.Event.open(client, {name!r})")
    peer.begin("event.wait()")
    client.destroy(name)
    with pytest.raises(PeerError, match="Removed"):
        peer.end()
    with pytest.raises(shmd.Removed):
        event.set()

"""One exception for each status, which the table of status/ says, and no other."""

import pathlib
import pickle
import re

import pytest

import shmd
from shmd import _shmd, errors


def test_table():
    """That of the library which the extension is made of."""
    library = {code: _shmd.status_name(code) for code in range(2, 1000) if _shmd.status_name(code) != "UNKNOWN"}
    assert {code: error("").name for code, error in errors.BY_CODE.items()} == library


def test_table_of_go():
    source = pathlib.Path(__file__).parents[4] / "status" / "code.go"
    if not source.exists():
        pytest.skip("not in the repository")
    names = dict(re.findall(r'^\t\{(\w+), "([A-Z_]+)", "', source.read_text(), re.MULTILINE))
    codes = dict(re.findall(r"^\t(\w+) Code = (\d+)$", source.read_text(), re.MULTILINE))
    assert names and set(names) == set(codes)
    for go, name in names.items():
        code = int(codes[go])
        if code > 1:
            assert errors.BY_CODE[code].__name__ == go and errors.BY_CODE[code]("").name == name


def test_classes():
    for code, error in errors.BY_CODE.items():
        assert issubclass(error, shmd.Error) and error.code == code and error.__doc__
        assert getattr(shmd, error.__name__) is error
    for error, kin in {
        shmd.TimedOut: TimeoutError,
        shmd.NotFound: LookupError,
        shmd.Permission: PermissionError,
        shmd.Ended: EOFError,
        shmd.PeerDied: EOFError,
        shmd.Closed: ValueError,
        shmd.OutOfRange: OverflowError,
        shmd.BadType: TypeError,
        shmd.NoDaemon: ConnectionError,
        shmd.System: OSError,
    }.items():
        assert issubclass(error, kin)


def test_what_they_say(client, name):
    event = shmd.Event.create(client, name)
    with pytest.raises(shmd.WouldBlock) as raised:
        event.wait(0)
    error = raised.value
    assert str(error) == f"event {name}: would block"
    assert (error.code, error.name, error.object) == (2, "WOULD_BLOCK", name)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is shmd.WouldBlock and (str(copy), copy.object) == (str(error), name)
    nameless = shmd.Mutex.create(client)
    with pytest.raises(shmd.NotOwner, match=f"mutex {nameless.id}: not held") as raised:
        nameless.unlock()
    assert raised.value.object == nameless.id
    with pytest.raises(shmd.NotFound) as raised:
        shmd.Event.open(client, id=2**63)
    assert raised.value.object == 2**63
    client.unlink(name)


def test_everything_has_a_manual():
    for name in shmd.__all__:
        thing = getattr(shmd, name)
        assert isinstance(thing, int) or thing.__doc__, name
        if isinstance(thing, type) and thing.__module__ == "shmd":
            for member, value in vars(thing).items():
                if not member.startswith("_"):
                    assert value.__doc__, f"{name}.{member}"

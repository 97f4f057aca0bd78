"""Every test has a watchdog; the objects are with the daemon of $SHMD_SOCKET, or with one of this run."""

import ctypes
import faulthandler
import os
import pathlib
import signal
import subprocess
import tempfile

import pytest

import shmd
from peers import Peer

# Ends a test that hangs, with all its threads' stacks; never tuned.
WATCHDOG_SECONDS = 120
PR_SET_PDEATHSIG = 1  # the watchdog ends this process without a word


@pytest.fixture(autouse=True)
def watchdog():
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(scope="session")
def binary():
    return os.environ.get("SHMD_BIN") or str(pathlib.Path(shmd.__file__).parent / "_bin/shmd")


@pytest.fixture(scope="session")
def socket(binary):
    given = os.environ.get("SHMD_SOCKET")
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/s"
        daemon = subprocess.Popen(
            [binary, "serve", "--socket", path, "--keeper", "none"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
        )
        assert b"ready" in daemon.stderr.readline()
        yield path
        daemon.terminate()
        daemon.communicate()


@pytest.fixture
def client(socket):
    return shmd.connect(socket)


@pytest.fixture
def peer(socket):
    """A process that has nothing to do with this one."""
    with Peer(socket) as peer:
        yield peer


@pytest.fixture
def name(request):
    """A name that no other test has."""
    return "py/" + str(os.getpid()) + "/" + "".join(c if c.isalnum() else "." for c in request.node.name)[:80]

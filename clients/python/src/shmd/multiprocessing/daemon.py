# SPDX-License-Identifier: Apache-2.0
"""The daemon that the objects of a process are with: the one that there is, else a private one.

$SHMD_SOCKET says which; else it is that of $XDG_RUNTIME_DIR/shmd/shmd.sock or /run/shmd/shmd.sock if one listens
there. If none does, this process starts one for itself and its descendants, who find it by $SHMD_SOCKET. It ends
when they have, also if they are killed: it holds the reading end of a pipe that they hold the writing end of.
"""
import os
import shutil
import socket as sockets
import subprocess
import tempfile

import shmd
from shmd import reopen

# Longer paths do not fit the address of a Unix socket.
_PATH_MAX = 107

# The writing end of the pipe, which forked children hold too; never closed.
_lifeline = None


def connect():
    """The client of this process for the daemon that there is, or of a private one that this starts.

    Raises shmd.NoDaemon if $SHMD_SOCKET names a daemon that is not there, or if a private one cannot be started, and
    what else shmd.connect() raises.
    """
    given = os.environ.get("SHMD_SOCKET")
    for path in [given] if given else _usual_paths():
        if given or _listens(path):
            return reopen.client(path)
    return reopen.client(_start())


def program():
    """The path of the daemon's program: that of this package, else the one on $PATH; None: there is none."""
    carried = os.path.join(os.path.dirname(shmd.__file__), "_bin", "shmd")
    return carried if os.access(carried, os.X_OK) else shutil.which("shmd")


def _usual_paths():
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return [os.path.join(d, "shmd.sock") for d in ([os.path.join(runtime, "shmd")] if runtime else []) + ["/run/shmd"]]


def _listens(path):
    with sockets.socket(sockets.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _directory():
    """A directory for the socket, whose path is short enough."""
    for parent in (os.environ.get("XDG_RUNTIME_DIR"), tempfile.gettempdir(), "/tmp"):
        if parent and os.access(parent, os.W_OK) and len(os.fsencode(parent)) + len("/shmd-xxxxxxxx/sock") <= _PATH_MAX:
            return tempfile.mkdtemp(prefix="shmd-", dir=parent)
    raise _no_daemon("there is no directory for its socket that can be written and whose path is short")


def _no_daemon(why):
    return shmd.NoDaemon(f"no daemon runs, and a private one cannot be started: {why}; start one by `shmd serve`, and "
                         "set SHMD_SOCKET if its socket is in no usual place")


def _start():
    """Starts a private daemon, and returns the path of its socket."""
    global _lifeline
    found = program()
    if found is None:
        raise _no_daemon("this package was built without the program, and there is no shmd on $PATH")
    path = os.path.join(_directory(), "sock")
    line, held = os.pipe()
    ready, told = os.pipe()
    try:
        with tempfile.TemporaryFile() as log:
            _spawn([found, "serve", "--socket", path, "--config", "", "--keeper", "none", "--log-level", "error",
                    "--ready-fd", str(told), "--lifeline-fd", str(line)], [told, line], log)
            os.close(told)
            told = -1
            if os.read(ready, 1) == b"":
                log.seek(0)
                raise _no_daemon(log.read().decode(errors="replace").strip() or f"{found} ended at once")
    except BaseException as error:
        os.close(held)
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)
        if isinstance(error, OSError):
            raise _no_daemon(str(error)) from error
        raise
    finally:
        for descriptor in (line, ready, told):
            if descriptor >= 0:
                os.close(descriptor)
    _lifeline = held
    os.environ["SHMD_SOCKET"] = path
    return path


def _spawn(command, descriptors, log):
    """Runs a command that is no child of this process, which os.wait() would tell of, and in a session of its own:
    Ctrl-C is for the script."""
    subprocess.run(["/bin/sh", "-c", '"$@" &', "sh", *command], pass_fds=descriptors, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=log, start_new_session=True, check=True)

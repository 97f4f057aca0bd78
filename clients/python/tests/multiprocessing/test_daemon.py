# SPDX-License-Identifier: Apache-2.0
"""The private daemon: started by the first object, found by descendants, gone with the last of them."""
import os
import pathlib
import signal
import subprocess
import sys

import pytest
from helpers import asleep, until

SAY = "import os, sys; print(os.environ['SHMD_SOCKET'], flush=True)"


@pytest.fixture
def environment(tmp_path):
    """Of a process that finds no daemon, and whose lines are written whole, beside those of its children."""
    environment = {k: v for k, v in os.environ.items() if k not in ("SHMD_SOCKET", "PYTHONUNBUFFERED")}
    environment["XDG_RUNTIME_DIR"] = str(tmp_path)
    return environment


def start(script, environment):
    return subprocess.Popen([sys.executable, "-c", script], env=environment, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def gone(socket):
    until(lambda: not pathlib.Path(socket).parent.exists(), "the daemon to end and take its directory with it")


def test_it_ends_with_the_script(environment):
    script = start(f"import shmd.multiprocessing as mp; mp.Lock(); {SAY}", environment)
    out, _ = script.communicate()
    assert script.returncode == 0 and out.startswith(environment["XDG_RUNTIME_DIR"] + "/shmd-")
    gone(out.strip())


def test_importing_starts_none(environment):
    script = start("import shmd.multiprocessing as mp, os; mp.Lock, mp.Queue; print('SHMD_SOCKET' in os.environ)",
                   environment)
    assert script.communicate()[0] == "False\n"


def test_it_ends_when_the_script_is_killed(environment):
    script = start(f"import shmd.multiprocessing as mp; lock = mp.Lock(); lock.acquire(); {SAY}; sys.stdin.read()",
                   environment)
    socket = script.stdout.readline().strip()
    assert os.path.exists(socket)
    script.kill()
    script.communicate()
    gone(socket)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_that_outlives_a_killed_script_keeps_it(environment, tmp_path, method):
    path = tmp_path / "script.py"
    path.write_text(f"""
import os
import sys
import shmd.multiprocessing as mp

def work(lock, go):
    print("child", flush=True)
    go.wait()
    with mp.Lock(), lock:
        print("went on", flush=True)

if __name__ == "__main__":
    lock, go = mp.Lock(), mp.Event()
    mp.get_context({method!r}).Process(target=work, args=(lock, go)).start()
    print(os.environ["SHMD_SOCKET"], go._event.id, flush=True)
    sys.stdin.read()
""")
    script = subprocess.Popen([sys.executable, path], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    lines = sorted([script.stdout.readline(), script.stdout.readline()])
    assert lines[1] == "child\n"
    socket, event = lines[0].split()
    script.kill()
    script.wait()
    assert os.path.exists(socket)
    environment["SHMD_SOCKET"] = socket
    subprocess.run([sys.executable, "-c", f"import shmd; shmd.Event.open(shmd.connect(), id={event}).set()"],
                   env=environment, check=True)
    assert script.stdout.readline() == "went on\n"
    script.communicate()
    gone(socket)


def test_two_threads_start_one(environment):
    script = start(f"""
import shmd.multiprocessing as mp, threading
made = []
threads = [threading.Thread(target=lambda: made.append(mp.Lock())) for _ in range(5)]
[t.start() for t in threads], [t.join() for t in threads]
assert len({{lock.client.socket for lock in made}}) == 1
{SAY}""", environment)
    out, _ = script.communicate()
    assert script.returncode == 0
    gone(out.strip())


def test_os_wait_does_not_meet_it(environment):
    script = start("""
import shmd.multiprocessing as mp, os
mp.Lock()
try:
    os.wait()
except ChildProcessError:
    print("no child")""", environment)
    assert script.communicate()[0] == "no child\n"


def test_ctrl_c_is_for_the_script(environment):
    script = subprocess.Popen(
        [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
         f"import shmd.multiprocessing as mp; lock = mp.Lock(); lock.acquire(); {SAY}\n"
         "try:\n    lock.acquire()\nexcept KeyboardInterrupt:\n    mp.Lock(); print('alive')"],
        env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    script.stdout.readline()
    until(lambda: asleep(script.pid), "it waits for the lock")
    os.killpg(script.pid, signal.SIGINT)
    assert script.communicate()[0] == "alive\n"


def test_a_daemon_that_is_named_must_be_there(environment):
    environment["SHMD_SOCKET"] = "/nonexistent/socket"
    script = start("""
import shmd, shmd.multiprocessing as mp
try:
    mp.Lock()
except shmd.NoDaemon as error:
    print(error)""", environment)
    assert "/nonexistent/socket" in script.communicate()[0]


def test_no_program(environment):
    script = start("""
import shmd, shmd.multiprocessing as mp
from shmd.multiprocessing import daemon
daemon.program = lambda: None
try:
    mp.Lock()
except shmd.NoDaemon as error:
    print(error)
daemon.program = lambda: "/bin/false"
try:
    mp.Lock()
except shmd.NoDaemon as error:
    print(error)
""", environment)
    lines = script.communicate()[0].splitlines()
    assert len(lines) == 2 and all("shmd serve" in line for line in lines)
    assert not [p for p in os.listdir(environment["XDG_RUNTIME_DIR"]) if p.startswith("shmd-")]

# SPDX-License-Identifier: Apache-2.0
"""The scripts in examples/python/multiprocessing, and the examples of multiprocessing's own documentation."""
import os
import pathlib
import re
import struct
import subprocess
import sys
import zlib

import pytest

import shmd
from shmd.multiprocessing import _client

ROOT = pathlib.Path(__file__).parents[4]
EXAMPLES = ROOT / "examples/python/multiprocessing"


def script(path, *args, **environment):
    # A line in one piece: with PYTHONUNBUFFERED print() writes it and its end apart.
    environment = {**os.environ, "PYTHONUNBUFFERED": "", **environment}
    result = subprocess.run([sys.executable, path, *args], env=environment, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    return result.stdout


def test_tickets():
    out = script(EXAMPLES / "tickets.py")
    assert out.startswith("with the lock 2000 of 2000 tickets were sold\n")
    # What is sold without it is any number from 2000 on: that depends on who was interrupted where.
    assert int(re.search(r"without it (\d+)", out)[1]) >= 2000


def test_traffic_light():
    lines = script(EXAMPLES / "traffic_light.py").splitlines()
    assert "unset> 0 cars" in lines[0] and lines[-1] == "green: 3 cars have passed"
    assert sorted(lines[1:-1]) == [f"car {n} goes" for n in range(3)]


def test_start_line():
    assert script(EXAMPLES / "start_line.py").splitlines() == ["ready"] * 3 + ["go!"] + ["runs"] * 3


def test_arrays():
    assert script(EXAMPLES / "arrays.py") == "[0, 1, 4, 9, 16] b'HELLO'\n"


def test_plot(tmp_path):
    build = pathlib.Path(os.environ.get("SHMD_BUILD", ROOT / "build"))
    socket = _client.default().socket
    subprocess.run([build / "examples/c/curve"], env={**os.environ, "SHMD_SOCKET": socket}, check=True)
    out = script(EXAMPLES / "plot.py", tmp_path / "curve.png", SHMD_SOCKET=socket)
    assert out == f"plotted 400 elements into {tmp_path}/curve.png\n"
    data = (tmp_path / "curve.png").read_bytes()
    assert data.startswith(b"\x89PNG") and struct.unpack(">II", data[16:24]) == (400, 200)
    length, = struct.unpack(">I", data[33:37])
    pixels = zlib.decompress(data[41:41 + length])
    columns = [[pixels[row * 401 + 1 + x] for row in range(200)] for x in range(400)]
    assert columns[0][0] == 0 and all(0 in column for column in columns)  # it begins at the top, and has no gap
    shmd.connect(socket).unlink("example/curve")


# Of the sections "Exchanging objects between processes", "Synchronization between processes" and "Sharing state
# between processes"; code in Python's documentation is licensed under the Zero-Clause BSD license, too.
DOCUMENTATION = {
    "queue": ("""
from multiprocessing import Process, Queue

def f(q):
    q.put([42, None, 'hello'])

if __name__ == '__main__':
    q = Queue()
    p = Process(target=f, args=(q,))
    p.start()
    print(q.get())    # prints "[42, None, 'hello']"
    p.join()
""", r"\[42, None, 'hello'\]\n"),
    "pipe": ("""
from multiprocessing import Process, Pipe

def f(conn):
    conn.send([42, None, 'hello'])
    conn.close()

if __name__ == '__main__':
    parent_conn, child_conn = Pipe()
    p = Process(target=f, args=(child_conn,))
    p.start()
    print(parent_conn.recv())   # prints "[42, None, 'hello']"
    p.join()
""", r"\[42, None, 'hello'\]\n"),
    "lock": ("""
from multiprocessing import Process, Lock

def f(l, i):
    l.acquire()
    try:
        print('hello world', i)
    finally:
        l.release()

if __name__ == '__main__':
    lock = Lock()

    for num in range(10):
        Process(target=f, args=(lock, num)).start()
""", r"(hello world \d\n){10}"),
    "shared memory": ("""
from multiprocessing import Process, Value, Array

def f(n, a):
    n.value = 3.1415927
    for i in range(len(a)):
        a[i] = -a[i]

if __name__ == '__main__':
    num = Value('d', 0.0)
    arr = Array('i', range(10))

    p = Process(target=f, args=(num, arr))
    p.start()
    p.join()

    print(num.value)
    print(arr[:])
""", r"3.1415927\n\[0, -1, -2, -3, -4, -5, -6, -7, -8, -9\]\n"),
    "manager": ("""
from multiprocessing import Process, Manager

def f(d, l):
    d[1] = '1'
    d['2'] = 2
    d[0.25] = None
    l.reverse()

if __name__ == '__main__':
    with Manager() as manager:
        d = manager.dict()
        l = manager.list(range(10))

        p = Process(target=f, args=(d, l))
        p.start()
        p.join()

        print(d)
        print(l)
""", r"\{1: '1', '2': 2, 0.25: None\}\n\[9, 8, 7, 6, 5, 4, 3, 2, 1, 0\]\n"),
}


@pytest.mark.parametrize("name", DOCUMENTATION)
def test_documentation(name, tmp_path):
    text, expected = DOCUMENTATION[name]
    path = tmp_path / "example.py"
    path.write_text(text.replace("from multiprocessing import", "from shmd.multiprocessing import"))
    assert re.fullmatch(expected, script(path))

# SPDX-License-Identifier: Apache-2.0
"""Putters, getters and peers of pipes that are killed at random moments under load; every object is accounted for.

SHMD_SEED gives the random numbers of a run again, SHMD_KILLS how many are killed.
"""
import itertools
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys

import pytest
from helpers import until

import shmd.multiprocessing as mp

KILLS = int(os.environ.get("SHMD_KILLS", 12))
RECORD = struct.Struct("<IQ")
END = None


@pytest.fixture
def dice(request):
    seed = int(os.environ.get("SHMD_SEED", 0)) or random.SystemRandom().getrandbits(32)
    print(f"SHMD_SEED={seed}")
    return random.Random(seed)


class Log:
    """What a process says that it has done; whole records survive its death."""

    def __init__(self, directory, name):
        self.path = directory / name
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, who, number):
        os.write(self._file, RECORD.pack(who, number))

    def read(self):
        data = self.path.read_bytes()
        return list(RECORD.iter_unpack(data[:len(data) // RECORD.size * RECORD.size]))

    def count(self):
        return self.path.stat().st_size // RECORD.size


class Child:
    """A forked process that runs act(log), and its log."""

    def __init__(self, directory, name, act):
        self.log = Log(directory, name)
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                act(self.log)
                status = 0
            finally:
                os._exit(status)

    def kill_after(self, records, over=lambda: False):
        """Kills it once it has written so many more records, or all is over: it may be anywhere by then."""
        wanted = self.log.count() + records
        until(lambda: self.log.count() >= wanted or over(), "it goes on")
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def join(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def padding(dice_seed, number):
    """Bytes that make a message short, as long as a slot, or longer."""
    return b"x" * (0, 600, 1500, 5000)[(number * 7 + dice_seed) % 4 if number % 50 == 0 else 0]


def put_all(queue, who, first, count=None):
    def act(log):
        number = first
        while count is None or number < first + count:
            queue.put((who, number, padding(who, number)))
            log.write(who, number)
            number += 1
    return act


def get_all(queue, done=lambda: None):
    def act(log):
        while True:
            item = queue.get()
            if item is END:
                done()
                return
            log.write(item[0], item[1])
            done()
    return act


def in_order(records, returned=0):
    """Nobody has what a putter put in another order than it did, but for what those killed in a get gave back."""
    last, behind = {}, 0
    for who, number in records:
        behind += number < last.get(who, -1)
        last[who] = max(number, last.get(who, -1))
    assert behind <= returned


@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue", "SimpleQueue"])
def test_putters_are_killed(kind, tmp_path, dice):
    queue = getattr(mp, kind)(*[] if kind == "SimpleQueue" else [100])
    done = queue.task_done if kind == "JoinableQueue" else lambda: None
    getters = [Child(tmp_path, f"get{n}", get_all(queue, done)) for n in range(2)]
    putters = []
    for who in range(KILLS):
        putters.append(Child(tmp_path, f"put{who}", put_all(queue, who, 0)))
        putters[-1].kill_after(dice.randrange(1, 200))
    for _ in getters:
        queue.put(END)
    assert [getter.join() for getter in getters] == [0, 0]
    got = [getter.log.read() for getter in getters]
    for records in got:
        in_order(records)
    everything = sorted(got[0] + got[1])
    for who, putter in enumerate(putters):
        said = len(putter.log.read())
        numbers = [number for w, number in everything if w == who]
        # All that it said it had put, and maybe the one more, which it had no time to say.
        assert numbers == list(range(len(numbers))) and len(numbers) - said in (0, 1)


def test_getters_are_killed(tmp_path, dice):
    queue = mp.Queue(100)
    putter = Child(tmp_path, "put", put_all(queue, 0, 0, 1 << 30))
    getters = [Child(tmp_path, f"get{n}", get_all(queue)) for n in range(2)]
    for n in range(KILLS):
        victim = dice.randrange(2)
        getters[victim].kill_after(dice.randrange(1, 200))
        getters.append(getters[victim])
        getters[victim] = Child(tmp_path, f"again{n}", get_all(queue))
    putter.kill_after(1)
    for _ in range(2):
        queue.put(END)
    assert [getter.join() for getter in getters[:2]] == [0, 0]
    records = [getter.log.read() for getter in getters]
    for each in records:
        in_order(each, KILLS)
    numbers = sorted(number for each in records for _, number in each)
    assert len(numbers) == len(set(numbers)), "one was got twice"
    missing = set(range(numbers[-1] + 1)) - set(numbers)
    # What the killed had got and had no time to write down.
    assert len(missing) <= KILLS and putter.log.count() - len(numbers) <= KILLS


def test_getters_of_a_joinable_queue_are_killed(tmp_path, dice):
    queue = mp.JoinableQueue()
    count = 3000
    putter = Child(tmp_path, "put", put_all(queue, 0, 0, count))
    getters = [Child(tmp_path, f"get{n}", get_all(queue, queue.task_done)) for n in range(2)]
    kills = 0

    def nearly_over():
        return sum(getter.log.count() for getter in getters) >= count - 500
    while kills < KILLS and not nearly_over():
        victim = dice.randrange(2)
        getters[victim].kill_after(dice.randrange(1, 100), nearly_over)
        getters.append(getters[victim])
        getters[victim] = Child(tmp_path, f"again{kills}", get_all(queue, queue.task_done))
        kills += 1
    assert putter.join() == 0
    queue.join()
    numbers = sorted(number for getter in getters for _, number in getter.log.read())
    assert set(numbers) == set(range(count)), "one is missing"
    assert len(numbers) <= count + kills  # written down, and got again by another
    for _ in range(2):
        queue.put(END)
    assert [getter.join() for getter in getters[:2]] == [0, 0]


@pytest.mark.parametrize("size_bytes", [10, 100000])
def test_peers_of_pipes_are_killed(size_bytes, tmp_path, dice):
    for n in range(KILLS):
        ours, theirs = mp.Pipe()

        def send(log):
            ours.close()
            number = 0
            while True:
                theirs.send((number, b"x" * size_bytes))
                log.write(0, number)
                number += 1
        peer = Child(tmp_path, f"peer{n}", send)
        theirs.close()
        after, got = dice.randrange(1, 50), []
        while len(got) < after:
            got.append(ours.recv()[0])
        os.kill(peer.pid, signal.SIGKILL)
        os.waitpid(peer.pid, 0)
        with pytest.raises(EOFError):
            while True:
                got.append(ours.recv()[0])
        assert got == list(range(len(got))) and len(got) - peer.log.count() in (0, 1)
        with pytest.raises(BrokenPipeError):
            ours.send(1)


def test_the_readers_of_a_pipe_are_killed(tmp_path, dice):
    ours, theirs = mp.Pipe()

    def send(log):
        ours.close()
        for number in itertools.count():
            theirs.send(number)
            log.write(0, number)

    def receive(log):
        theirs.close()
        while True:
            log.write(0, ours.recv())
    writer = Child(tmp_path, "put", send)
    readers = []
    for n in range(KILLS):
        readers.append(Child(tmp_path, f"get{n}", receive))
        readers[-1].kill_after(dice.randrange(1, 100))
    theirs.close()
    writer.kill_after(0)
    rest = []
    with pytest.raises(EOFError):
        while True:
            rest.append(ours.recv())
    numbers = [number for reader in readers for _, number in reader.log.read()] + rest
    sent = max(numbers) + 1
    assert len(numbers) == len(set(numbers)), "one was received twice"
    assert sent - writer.log.count() in (0, 1) and sent - len(numbers) <= KILLS


# ---- the daemon is killed ----

PROGRAM = """
import os, sys
import shmd.multiprocessing as mp

def work(requests, answers, end):
    for item in iter(requests.get, None):
        answers.put(item)
        requests.task_done()
    end.send("done")

if __name__ == "__main__":
    requests, answers = mp.JoinableQueue(), mp.Queue()
    ours, theirs = mp.Pipe()
    workers = [mp.get_context("fork").Process(target=work, args=(requests, answers, theirs)) for _ in range(2)]
    for worker in workers:
        worker.start()
    print("ready", flush=True)
    sent, got = 0, []
    for line in sys.stdin:
        for _ in range(int(line)):
            requests.put((sent, b"x" * (100000 if sent % 20 == 0 else 10)))
            sent += 1
        while len(got) < sent:
            got.append(answers.get()[0])
        print(len(got), flush=True)
    requests.join()
    for _ in workers:
        requests.put(None)
    for worker in workers:
        assert ours.recv() == "done"
        worker.join()
    theirs.close()
    try:
        ours.recv()
    except EOFError:
        print("exact" if sorted(got) == list(range(sent)) else "wrong")
"""


def serve(binary, path):
    daemon = subprocess.Popen([binary, "serve", "--socket", path, "--log-level", "error"])
    until(lambda: pathlib.Path(path).exists() and answers(binary, path), "it serves")
    return daemon


def answers(binary, path):
    return subprocess.run([binary, "ls"], env={**os.environ, "SHMD_SOCKET": path}, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def test_the_daemon_is_killed_under_load(tmp_path, dice):
    binary = mp.daemon.program()
    path = str(tmp_path / "s")
    daemon = serve(binary, path)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    user = subprocess.Popen([sys.executable, program], env={**os.environ, "SHMD_SOCKET": path}, stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    try:
        assert user.stdout.readline() == "ready\n"
        total = 0
        for _ in range(3):
            count = dice.randrange(200, 400)
            user.stdin.write(f"{count}\n")
            user.stdin.flush()
            daemon.kill()
            daemon.wait()
            daemon = serve(binary, path)
            total += count
            assert user.stdout.readline() == f"{total}\n"
        user.stdin.close()
        assert user.stdout.readline() == "exact\n"
        assert user.wait() == 0
    finally:
        user.kill()
        user.wait()
        daemon.send_signal(signal.SIGINT)
        daemon.wait()

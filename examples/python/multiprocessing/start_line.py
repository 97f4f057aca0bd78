"""Runners meet at the start, a barrier; its action is the shot, and nobody runs before."""

import shmd.multiprocessing as multiprocessing

RUNNERS = 3


def shot():
    print("go!", flush=True)


def run(start):
    print("ready", flush=True)
    start.wait()
    print("runs", flush=True)


if __name__ == "__main__":
    start = multiprocessing.Barrier(RUNNERS, action=shot)
    runners = [multiprocessing.Process(target=run, args=(start,)) for _ in range(RUNNERS)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()

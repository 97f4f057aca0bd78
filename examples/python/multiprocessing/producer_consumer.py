"""Two producers, three consumers: each job is done although a consumer is killed in the middle of one."""

import os
import signal

import shmd.multiprocessing as multiprocessing

JOBS = 200


def produce(jobs, first):
    for number in range(first, first + JOBS // 2):
        jobs.put(number)


def consume(jobs, results, unlucky):
    while True:
        number = jobs.get()
        if number == unlucky.value:
            unlucky.value = -1
            os.kill(os.getpid(), signal.SIGKILL)  # another gets this job again
        results.put((number, number ** 2))
        jobs.task_done()


if __name__ == "__main__":
    jobs, results = multiprocessing.JoinableQueue(maxsize=20), multiprocessing.Queue()
    unlucky = multiprocessing.Value("i", JOBS // 3)
    for _ in range(3):
        multiprocessing.Process(target=consume, args=(jobs, results, unlucky), daemon=True).start()
    producers = [multiprocessing.Process(target=produce, args=(jobs, n * JOBS // 2)) for n in range(2)]
    for producer in producers:
        producer.start()
    for producer in producers:
        producer.join()
    jobs.join()
    done = dict(results.get() for _ in range(JOBS))
    print(f"{len(done)} jobs of {JOBS} are done, the last gave {done[JOBS - 1]}")

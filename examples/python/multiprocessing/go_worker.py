"""Jobs for workers in Go: start examples/go/worker once or more, with the same daemon."""

import shmd
import shmd.multiprocessing as multiprocessing

TEXTS = [f"job {n}" for n in range(100)]


def produce(first):
    # Opened by name: this process need not descend from who made the queue.
    with shmd.connect() as client:
        jobs = shmd.Queue.open_or_create(client, "example/jobs", raw=True)
        for text in TEXTS[first::2]:
            jobs.put(text.encode())


if __name__ == "__main__":
    with shmd.connect() as client:
        jobs = shmd.Queue.open_or_create(client, "example/jobs", raw=True)
        answers = shmd.Queue.open_or_create(client, "example/answers", raw=True)
        producers = [multiprocessing.Process(target=produce, args=(n,)) for n in range(2)]
        for producer in producers:
            producer.start()
        done = sorted(bytes(answers.take()).decode() for _ in TEXTS)
        for producer in producers:
            producer.join()
        jobs.shutdown()  # the workers end
        client.unlink("example/jobs")
        client.unlink("example/answers")
        print(f"{len(done)} answers came from Go, the first is {done[0]!r}")

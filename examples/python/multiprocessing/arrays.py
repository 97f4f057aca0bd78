"""Two arrays that a process fills and another reads."""

import shmd.multiprocessing as multiprocessing


def fill(squares, text):
    for i in range(len(squares)):
        squares[i] = i * i
    text.value = text.value.upper()


if __name__ == "__main__":
    squares = multiprocessing.Array("i", 5)
    text = multiprocessing.Array("c", b"hello")
    process = multiprocessing.Process(target=fill, args=(squares, text))
    process.start()
    process.join()
    print(squares[:], text.value)

"""Clerks sell the same tickets: with a lock each is sold once, without one some are sold twice."""

import shmd.multiprocessing as multiprocessing

TICKETS = 2000
CLERKS = 4


def sell(left, sold, lock):
    """Sells tickets while there are any. lock is None, or guards a look at what is left and the sale."""
    mine = 0
    while True:
        if lock:
            lock.acquire()
        number = left.value
        if number > 0:
            left.value = number - 1
        if lock:
            lock.release()
        if number <= 0:
            break
        mine += 1
    with sold.get_lock():
        sold.value += mine


def day(lock):
    left, sold = multiprocessing.Value("i", TICKETS), multiprocessing.Value("i", 0)
    clerks = [multiprocessing.Process(target=sell, args=(left, sold, lock)) for _ in range(CLERKS)]
    for clerk in clerks:
        clerk.start()
    for clerk in clerks:
        clerk.join()
    return sold.value


if __name__ == "__main__":
    print(f"with the lock {day(multiprocessing.Lock())} of {TICKETS} tickets were sold")
    print(f"without it {day(None)}")

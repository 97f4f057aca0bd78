"""Cars wait at a red light, an event, and go when it is green."""

import shmd.multiprocessing as multiprocessing


def drive(number, green, passed):
    green.wait()
    with passed.get_lock():
        passed.value += 1
    print(f"car {number} goes", flush=True)


if __name__ == "__main__":
    green, passed = multiprocessing.Event(), multiprocessing.Value("i", 0)
    cars = [multiprocessing.Process(target=drive, args=(number, green, passed)) for number in range(3)]
    for car in cars:
        car.start()
    print("red:", green, passed.value, "cars have passed", flush=True)
    green.set()
    for car in cars:
        car.join()
    print("green:", passed.value, "cars have passed")

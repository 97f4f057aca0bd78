#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast shmd.multiprocessing is beside the standard module.

    bench.py [--rounds N] [ROW...]

Each row is measured in turns, a round of the one and a round of the other, so that both meet the same machine. What
is printed is how many times as fast shmd is: the least, the median and the greatest of the rounds, and what is asked
for. Exit status 1 if a median is below that.
"""
import argparse
import importlib
import multiprocessing
import statistics
import sys
import time

import shmd.multiprocessing

# Modules whose ROWS are measured: (name, times as fast as is asked for, make), where make(face) returns a function
# that does the thing once or many times, and how often it did.
MODULES = ["rows_sync", "rows_queue", "rows_import"]


def measure(work):
    """Seconds for one time."""
    began = time.perf_counter()
    count = work()
    return (time.perf_counter() - began) / count


def ratios(make, rounds):
    """How many times as fast shmd was, by round; and the medians of both in seconds."""
    standard, ours = make(multiprocessing), make(shmd.multiprocessing)
    measure(standard), measure(ours)  # what is cold
    pairs = [(measure(standard), measure(ours)) for _ in range(rounds)]
    return [s / o for s, o in pairs], statistics.median(s for s, _ in pairs), statistics.median(o for _, o in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("rows", nargs="*")
    options = parser.parse_args()
    rows = [row for module in MODULES for row in importlib.import_module(module).ROWS]
    print(f"{'times as fast as multiprocessing':40} {'min':>7} {'median':>7} {'max':>7} {'asked':>6}"
          f" {'theirs':>10} {'ours':>10}")
    slow = 0
    for name, asked, make in rows:
        if options.rows and not any(wanted in name for wanted in options.rows):
            continue
        found, theirs, ours = ratios(make, options.rounds)
        median = statistics.median(found)
        slow += asked is not None and median < asked
        print(f"{name:40} {min(found):7.2f} {median:7.2f} {max(found):7.2f} {asked or '-':>6}"
              f" {theirs * 1e6:8.2f}us {ours * 1e6:8.2f}us", flush=True)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())

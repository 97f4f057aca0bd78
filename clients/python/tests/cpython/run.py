#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs CPython's own tests of multiprocessing over shmd.multiprocessing, and prints a table of its classes.

    run.py [--method fork] [--class _TestLock] [--short] [--write FILE] [--jobs N]

Each class runs in a process of its own, under each start method, with a watchdog. --short takes the classes that
are quick and cover each kind of object. --write puts the table into a file, between its markers. Exit status: 0 if
every test passed or is not applicable, 1 if not.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import platform
import signal
import subprocess
import sys
import tempfile
import unittest

try:
    import suite
except ImportError as error:
    if not (error.name or "").startswith("test"):
        raise
    sys.exit(f"{sys.executable} came without CPython's own tests ({error}); on Debian and Ubuntu they are in "
             f"libpython{sys.version_info.major}.{sys.version_info.minor}-testsuite")
import verdicts

HERE = pathlib.Path(__file__).parent
METHODS = ("fork", "spawn", "forkserver")
# Ends a class that hangs in spite of CPython's own time-outs; never tuned.
WATCHDOG_SECONDS = 900
SHORT = ("_TestLock", "_TestSemaphore", "_TestCondition", "_TestEvent", "_TestBarrier", "_TestValue", "_TestArray",
         "_TestSharedCTypes", "_TestQueue", "_TestPoll", "TestSimpleQueue")
BEGIN, END = "<!-- begin: table of CPython's tests -->\n", "<!-- end: table of CPython's tests -->\n"


class Run:
    """One class under one start method."""

    def __init__(self, method, name, tests):
        self.method, self.name = method, name
        self.not_applicable = {t for t in tests if verdicts.reason_not_applicable(name, t)}
        self.tests = [t for t in tests if t not in self.not_applicable]
        self.outcomes = {}  # test -> (outcome, text)
        self.log = ""

    def go(self):
        environments = [{}]
        deviations = {t: verdicts.DEVIATIONS[f"{self.name}.{t}"] for t in self.tests
                      if f"{self.name}.{t}" in verdicts.DEVIATIONS}
        environments += [dict(e) for e in {tuple(sorted(d[0].items())) for d in deviations.values()}]
        for environment in environments:
            wanted = [t for t in self.tests if deviations.get(t, ({},))[0] == environment]
            if wanted:
                self._run(wanted, environment)
        for test in self.tests:
            self.outcomes.setdefault(test, ("failed", f"it did not finish:\n{self.log[-2000:]}"))
        return self

    def _run(self, tests, environment):
        read, write = os.pipe()
        with tempfile.TemporaryFile("w+", errors="replace") as log, os.fdopen(read) as lines:
            process = subprocess.Popen(
                [sys.executable, HERE / "one.py", self.method, self.name, str(write), *tests],
                pass_fds=[write], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **environment})
            os.close(write)
            try:
                process.wait(WATCHDOG_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGABRT)
                process.wait()
            for line in lines:
                test, outcome, text = json.loads(line)
                if self.outcomes.get(test, ("",))[0] != "failed":
                    self.outcomes[test] = (outcome, text)
            log.seek(0)
            self.log += log.read()

    def failures(self):
        for test, (outcome, text) in self.outcomes.items():
            allowed = verdicts.SKIPPED_UPSTREAM.get(f"{self.name}.{test}")
            if outcome == "failed":
                yield test, text
            elif outcome == "skipped" and not (allowed and text.startswith(allowed)):
                yield test, f"it skipped itself, which the table does not allow: {text}"

    def passed(self):
        return sum(outcome == "passed" for outcome, _ in self.outcomes.values())


def row(name, runs, all_tests):
    """One row of the table."""
    cells = []
    for method in METHODS:
        run = runs.get((method, name))
        cells.append("-" if run is None or not run.tests else f"{run.passed()}/{len(run.tests)}")
    reasons = []
    if name in verdicts.NOT_APPLICABLE:
        reasons.append(verdicts.NOT_APPLICABLE[name])
    for test in all_tests:
        key = f"{name}.{test}"
        if key in verdicts.NOT_APPLICABLE:
            reasons.append(f"`{test}`: {verdicts.NOT_APPLICABLE[key]}")
        if key in verdicts.DEVIATIONS:
            environment, reason = verdicts.DEVIATIONS[key]
            switch = " ".join(f"{k}={v}" for k, v in environment.items())
            reasons.append(f"`{test}`: passes with `{switch}`: {reason}")
        if key in verdicts.SKIPPED_UPSTREAM:
            reasons.append(f"`{test}`: skips itself where it says \"{verdicts.SKIPPED_UPSTREAM[key]} ...\"")
    return f"| `{name}` | {len(all_tests)} | {' | '.join(cells)} | {'; '.join(reasons)} |"


def table(runs):
    lines = [f"CPython {platform.python_version()}: passed/run under each start method.", "",
             "| class | tests | fork | spawn | forkserver | not applicable, and why |", "|---|---|---|---|---|---|"]
    lines += [row(name, runs, tests_of(base)) for name, base in suite.classes()]
    return "\n".join(lines) + "\n"


def tests_of(base):
    return unittest.defaultTestLoader.getTestCaseNames(base)


def write(path, text):
    old = path.read_text()
    before, _, rest = old.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        sys.exit(f"{path} has no markers for the table")
    path.write_text(f"{before}{BEGIN}{text}{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", action="append", choices=METHODS)
    parser.add_argument("--class", dest="classes", action="append")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    known = dict(suite.classes())
    classes = options.classes or (SHORT if options.short else known)
    wanted = [Run(method, name, tests_of(known[name])) for name in classes for method in options.method or METHODS]
    wanted = [run for run in wanted if run.tests]
    failed, runs = 0, {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for run in pool.map(Run.go, wanted):
            runs[run.method, run.name] = run
            print(f"{run.method:10} {run.name:30} {run.passed()}/{len(run.tests)}", flush=True)
            for test, text in run.failures():
                failed += 1
                print(f"FAILED {run.method} {run.name}.{test}: {text}\n{run.log[-3000:]}", flush=True)
    if options.write:
        write(options.write, table(runs))
    print(f"{sum(run.passed() for run in runs.values())} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

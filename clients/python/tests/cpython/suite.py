# SPDX-License-Identifier: Apache-2.0
"""CPython's own tests of multiprocessing, from the installed Python, over shmd.multiprocessing.

`test._test_multiprocessing` is loaded, never copied: its module-level names are bound to ours, and each of its classes
gets a subclass here, in a module per start method, so that spawned children can import it as well.
SHMD_CPYTHON_OVER=standard runs the same over the standard module: what fails or skips there is no matter of ours.
"""
import importlib
import multiprocessing
import os
import sys
import unittest

import test._test_multiprocessing as upstream

OVER = os.environ.get("SHMD_CPYTHON_OVER", "shmd")
# The names of the face that ProcessesMixin hands to the tests; the others there are those of the standard module.
OWN = ("Pipe", "Queue", "JoinableQueue", "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event",
       "Barrier", "Value", "Array", "RawValue", "RawArray")


def _redirect():
    """Binds the names of upstream to the face under test, and returns the face."""
    if OVER == "standard":
        return multiprocessing
    import shmd.multiprocessing as face
    upstream.multiprocessing = face
    upstream.wait = face.connection.wait
    upstream.Value, upstream.copy = face.sharedctypes.Value, face.sharedctypes.copy
    upstream.shared_memory = face.shared_memory
    return face


# Here, since a spawned child imports this module, as the main one does, but maybe not the one of the class.
_FACE = _redirect()


def _mixin(face):
    names = {name: staticmethod(getattr(face, name)) for name in OWN}
    # A subclass, since upstream asks isinstance(self, ProcessesMixin).
    return type("FaceMixin", (upstream.ProcessesMixin,), {"connection": face.connection, **names})


def _check_invariant(self, cond):
    """Of _TestCondition, which looks into CPython's three semaphores: nobody sleeps, so no notification is left over
    for who comes later."""
    with cond:
        cond.notify_all()
        self.assertFalse(cond.wait(0))


# What a test looks into that ours has not, as a shim: class -> names.
_SHIMS = {"_TestCondition": {"check_invariant": _check_invariant}}


def _is_mixed(base):
    return issubclass(base, upstream.BaseTestCase) and base is not upstream.BaseTestCase


def classes():
    """The name of each class with tests in upstream, and the class, in the order of the file."""
    return [(name, base) for name, base in vars(upstream).items()
            if isinstance(base, type) and base.__module__ == upstream.__name__
            and (_is_mixed(base) or issubclass(base, unittest.TestCase))]


def install(namespace, start_method):
    """Puts the tests of a start method into a module, as upstream.install_tests_in_module_dict does."""
    theirs = {"__name__": namespace["__name__"]}
    upstream.install_tests_in_module_dict(theirs, start_method)
    namespace.update(setUpModule=theirs["setUpModule"], tearDownModule=theirs["tearDownModule"])
    mixin = _mixin(_FACE)
    for name, base in classes():
        if not _is_mixed(base):
            bases = (base,)
        elif "processes" in base.ALLOWED_TYPES:
            bases = (base, mixin, unittest.TestCase)
        else:
            continue
        shims = {} if OVER == "standard" else _SHIMS.get(name, {})
        namespace[name] = type(name, bases, {"__module__": namespace["__name__"], "__qualname__": name, **shims})


def run(start_method, name, methods, report):
    """Runs methods of one class, verbosely; report is called with (method, outcome, text) for each."""
    module = importlib.import_module(f"cpython_{start_method}")

    class Result(unittest.TextTestResult):
        def addSuccess(self, test):
            super().addSuccess(test)
            report(test._testMethodName, "passed", "")

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            report(getattr(test, "_testMethodName", "(class)"), "skipped", reason)

        def addFailure(self, test, err):
            super().addFailure(test, err)
            report(test._testMethodName, "failed", self.failures[-1][1])

        def addError(self, test, err):
            super().addError(test, err)
            report(getattr(test, "_testMethodName", "(class)"), "failed", self.errors[-1][1])

        def addSubTest(self, test, subtest, err):
            super().addSubTest(test, subtest, err)
            if err is not None:
                report(test._testMethodName, "failed", str(err[1]))

    tests = unittest.TestSuite(map(getattr(module, name), methods))
    unittest.TextTestRunner(stream=sys.stderr, verbosity=2, resultclass=Result).run(tests)

# SPDX-License-Identifier: Apache-2.0
"""Modules of multiprocessing that this package has not are the standard ones: `from shmd.multiprocessing.pool
import Pool` gives multiprocessing.pool.Pool."""
import importlib
import importlib.machinery
import importlib.util
import sys

# The modules that this package has itself; the others are those of multiprocessing.
OWN_MODULES = frozenset({"connection", "daemon", "queues", "shared_memory", "sharedctypes", "synchronize"})


class _Finder:
    """Finds shmd.multiprocessing.X, which does not exist, in multiprocessing.X."""

    def __init__(self, package):
        self._prefix = package + "."

    def find_spec(self, fullname, path=None, target=None):
        name = fullname[len(self._prefix):]
        if not fullname.startswith(self._prefix) or name.startswith("_") or name.split(".")[0] in OWN_MODULES:
            return None
        standard = f"multiprocessing.{name}"
        if importlib.util.find_spec(standard) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, _Alias(standard))


class _Alias:
    """Loads a module that another name has already, and leaves it what it was."""

    def __init__(self, standard):
        self._standard = standard

    def create_module(self, spec):
        module = importlib.import_module(self._standard)
        self._spec = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self._spec


def install(package):
    """Makes the modules of multiprocessing importable below package."""
    sys.meta_path.append(_Finder(package))

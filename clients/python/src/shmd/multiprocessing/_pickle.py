# SPDX-License-Identifier: Apache-2.0
"""How the extension pickles: as multiprocessing's ForkingPickler does, with what was registered there."""
import copyreg
import pickle
from multiprocessing.reduction import ForkingPickler

from shmd import _shmd

try:
    from _pickle import Pickler, loads
except ImportError:  # without the C accelerator
    from pickle import Pickler, loads

# Every Python that is supported reads it, whatever the others are.
PROTOCOL = min(5, pickle.HIGHEST_PROTOCOL)


class _Reductions(dict):
    """What ForkingPickler makes its dispatch table of for each object that it pickles, always current."""

    def __missing__(self, cls):
        reduce = ForkingPickler._extra_reducers.get(cls) or copyreg.dispatch_table.get(cls)
        if reduce is None:
            raise KeyError(cls)
        return reduce


_shmd._pickle_with(Pickler, loads, _Reductions(), PROTOCOL)

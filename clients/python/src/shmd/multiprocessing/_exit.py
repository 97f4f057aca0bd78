# SPDX-License-Identifier: Apache-2.0
"""What a process closes when it ends in order, so that its end is not taken for a death."""
import os
import weakref
from multiprocessing import util

_live: "weakref.WeakSet" = weakref.WeakSet()


def close_at_exit(handle):
    """handle, which is closed when this process ends, unless it is killed."""
    _live.add(handle)
    return handle


def _close_all():
    for handle in list(_live):
        handle.close()


def _arm(_=None):
    # Behind everything that multiprocessing does at exit, as to join children and to flush queues.
    util.Finalize(None, _close_all, exitpriority=-100)


_arm()
# multiprocessing forgets its finalizers in a child, and runs those that are registered after that; a child that
# somebody else forked keeps them, but they are of another process.
util.register_after_fork(_arm, _arm)
os.register_at_fork(after_in_child=_arm)

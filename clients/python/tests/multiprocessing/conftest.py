# SPDX-License-Identifier: Apache-2.0
"""Every test has a watchdog, and the objects are with one private daemon."""
import faulthandler
import signal

import pytest

# Ends a test that hangs, with all its threads' stacks; never tuned.
WATCHDOG_SECONDS = 120


@pytest.fixture(autouse=True)
def watchdog():
    faulthandler.dump_traceback_later(WATCHDOG_SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def sigint():
    """SIGINT raises KeyboardInterrupt, also where a shell ignores it in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)

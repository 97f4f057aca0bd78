# SPDX-License-Identifier: Apache-2.0
"""one.py START_METHOD CLASS DESCRIPTOR METHOD...: runs methods of one class of CPython's tests, and writes a line of
JSON for each to the descriptor."""
import json
import os
import signal
import sys

import suite

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it runs in the background
    start_method, name, descriptor, *methods = sys.argv[1:]
    os.set_inheritable(int(descriptor), False)
    with open(int(descriptor), "w", buffering=1) as out:
        suite.run(start_method, name, methods, lambda *outcome: print(json.dumps(outcome), file=out))

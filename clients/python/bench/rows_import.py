# SPDX-License-Identifier: Apache-2.0
"""What importing costs, in a process of its own."""
import subprocess
import sys


def _import(face):
    code = f"import {face.__name__} as m; m.Lock, m.Queue, m.Process"

    def work():
        subprocess.run([sys.executable, "-c", code], check=True)
        return 1
    return work


# At most 50 ms beyond multiprocessing's own: see the two columns of times.
ROWS = [("import", None, _import)]

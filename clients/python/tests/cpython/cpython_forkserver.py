# SPDX-License-Identifier: Apache-2.0
"""CPython's tests under forkserver."""
import suite

suite.install(globals(), "forkserver")

# SPDX-License-Identifier: Apache-2.0
"""CPython's tests under spawn."""
import suite

suite.install(globals(), "spawn")

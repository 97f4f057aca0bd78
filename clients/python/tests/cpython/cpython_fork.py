# SPDX-License-Identifier: Apache-2.0
"""CPython's tests under fork."""
import suite

suite.install(globals(), "fork")

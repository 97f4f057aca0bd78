# SPDX-License-Identifier: Apache-2.0
"""The scripts in examples/python/multiprocessing that use queues."""
import os
import shutil
import subprocess

import pytest
from test_examples import EXAMPLES, ROOT, script

from shmd.multiprocessing import _client


def test_producer_consumer():
    assert script(EXAMPLES / "producer_consumer.py") == "200 jobs of 200 are done, the last gave 39601\n"


@pytest.mark.skipif(shutil.which("go") is None, reason="no Go tool here")
def test_workers_in_go(tmp_path):
    binary = tmp_path / "worker"
    subprocess.run(["go", "build", "-o", binary, "./examples/go/worker"], cwd=ROOT, check=True,
                   env={**os.environ, "CGO_ENABLED": "0"})
    socket = _client.default().socket
    workers = [subprocess.Popen([binary], env={**os.environ, "SHMD_SOCKET": socket}, stdout=subprocess.PIPE, text=True)
               for _ in range(2)]
    assert script(EXAMPLES / "go_worker.py", SHMD_SOCKET=socket) == "100 answers came from Go, the first is 'JOB 0'\n"
    done = 0
    for worker in workers:
        out, _ = worker.communicate()
        assert worker.returncode == 0
        done += int(out.removeprefix("the worker has done ").removesuffix(" jobs\n"))
    assert done == 100

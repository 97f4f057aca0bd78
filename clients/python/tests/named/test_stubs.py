"""What the stubs say is there, and all of it, with these parameters; and users are told their mistakes."""

import os
import pathlib
import subprocess
import sys

import pytest

import shmd

HERE = pathlib.Path(__file__).parent
pytest.importorskip("mypy")


def run(tmp_path, module, *arguments):
    """Runs a tool of mypy's over the package that is imported here."""
    place = pathlib.Path(shmd.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(place), "MYPYPATH": str(place)}
    if place.name == "site-packages":
        del environment["MYPYPATH"]  # where it looks anyhow
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stdout


def test_stubs_are_as_the_modules(tmp_path):
    allowed = ["--allowlist", HERE / "stubs.allowed", "--ignore-unused-allowlist"]
    run(tmp_path, "mypy.stubtest", "shmd", "--ignore-disjoint-bases", *allowed)


def test_a_typed_user(tmp_path):
    run(tmp_path, "mypy", "--strict", "--warn-unused-ignores", HERE / "typed_user.py")

"""What the stubs say is there, and all of it; and with these parameters."""

import ast
import inspect
import pathlib

import shmd
from shmd import _shmd

# Of shmd.multiprocessing, which its own modules wrap, and of the interpreter.
PRIVATE = {"_after_fork_in_child", "_before_fork"}


def stub():
    path = pathlib.Path(shmd.__file__).parent / "_shmd.pyi"
    return ast.parse(path.read_text())


def members(body):
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name, node
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id, node


def test_every_class_has_its_members():
    classes = {name: node for name, node in members(stub().body) if isinstance(node, ast.ClassDef)}
    public = {name for name in shmd.__all__ if isinstance(getattr(shmd, name), type)}
    public -= {name for name in public if getattr(shmd, name).__module__ == "shmd.errors"}
    assert set(classes) == public
    for name, node in classes.items():
        real = {member for member in vars(getattr(_shmd, name)) if not member.startswith("_")}
        real -= {"n_fields", "n_sequence_fields", "n_unnamed_fields"}
        said = {member for member, _ in members(node.body) if not member.startswith("_")}
        assert said == real, name


def test_parameters():
    checked = 0
    for name, node in members(stub().body):
        if not isinstance(node, ast.ClassDef):
            continue
        for member, function in members(node.body):
            if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)) or member.startswith("_"):
                continue
            real = getattr(getattr(_shmd, name), member)
            if not callable(real):
                continue
            try:
                signature = inspect.signature(real)
            except ValueError:
                continue
            said = [a.arg for a in function.args.posonlyargs + function.args.args]
            assert said[1:] == list(signature.parameters)[1:] or said[1:] == list(signature.parameters), (name, member)
            checked += 1
    assert checked > 60

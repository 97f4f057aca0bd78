"""Builds the extension over the C library's sources, statically, and the daemon where Go is there."""

import os
import pathlib
import shutil
import subprocess
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
# The sdist carries what it needs of the repository.
ROOT = HERE / "vendor" if (HERE / "vendor").is_dir() else HERE.parent.parent
CARRIED = ["clients/c", "include", "cmd", "ctypes", "daemon", "shm", "status", "wire", "clients/go", "go.mod", "go.sum",
           "LICENSE"]
STABLE_ABI = sys.version_info >= (3, 11)


def flags(option):
    for name in ("msgpack", "msgpack-c", "msgpackc"):
        found = subprocess.run(["pkg-config", option, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if found.returncode == 0:
            return found.stdout.split()
    return ["-lmsgpackc"] if option == "--libs" else []


def archive():
    """msgpack's archive, so that the wheel stands alone; None where there is none."""
    for name in ("libmsgpack-c.a", "libmsgpackc.a"):
        path = subprocess.run([os.environ.get("CC", "cc"), f"-print-file-name={name}"], stdout=subprocess.PIPE, text=True)
        if path.returncode == 0 and os.path.isabs(path.stdout.strip()):
            return path.stdout.strip()
    return None


class Build(build_ext):
    def build_extension(self, extension):
        library = sorted(str(path) for path in (ROOT / "clients/c").glob("*.c"))
        options = ["-std=gnu11", "-fvisibility=hidden", "-pthread", *flags("--cflags")]
        extension.extra_compile_args += options
        extension.include_dirs.append(str(ROOT / "include"))
        extension.extra_objects += self.compiler.compile(
            library, output_dir=os.path.join(self.build_temp, "libshmd"), include_dirs=[str(ROOT / "include")],
            extra_postargs=options)
        static = archive()
        extension.extra_link_args += ["-pthread", static] if static else ["-pthread", *flags("--libs")]
        super().build_extension(extension)
        self.build_daemon()

    def build_daemon(self):
        go = shutil.which("go")
        if go is None:
            print("shmd: no Go tool here, so the package carries no daemon: install shmd by itself", file=sys.stderr)
            return
        package = pathlib.Path(self.get_ext_fullpath("shmd._shmd")).resolve().parent
        environment = dict(os.environ, CGO_ENABLED="0")
        subprocess.run([go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(package / "_bin/shmd"), "./cmd/shmd"],
                       cwd=ROOT, env=environment, check=True)


class Carry(sdist):
    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        for name in CARRIED:
            source, target = ROOT / name, pathlib.Path(base_dir) / "vendor" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("*_test.go", "testdata"), dirs_exist_ok=True)
            else:
                shutil.copy(source, target)


setup(
    ext_modules=[Extension(
        "shmd._shmd",
        sources=sorted(str(path.relative_to(HERE)) for path in (HERE / "src/ext").glob("*.c")),
        depends=sorted(str(path.relative_to(HERE)) for path in (HERE / "src/ext").glob("*.h")),
        define_macros=[("Py_LIMITED_API", "0x030b0000")] if STABLE_ABI else [],
        py_limited_api=STABLE_ABI,
    )],
    cmdclass={"build_ext": Build, "sdist": Carry},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE_ABI else {},
)

"""The commands for those who work on this repository: its tests and its benchmark."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import Mistake
from sandbox.laptop import bootstrap, paths
from sandbox.laptop.terminal import say

if TYPE_CHECKING:
    import argparse

OURS = paths.ROOT / "sandbox"


def test(arguments: argparse.Namespace) -> int:
    """run all tests: the student's and the sandbox's own"""
    os.chdir(paths.ROOT)
    files = [word.split("::")[0] for word in arguments.pytest if not word.startswith("-")]
    named = list(filter(os.path.exists, files))
    for file in files:
        if file.endswith(".py") and file not in named:  # pytest would run nothing and not say why
            raise Mistake(
                f"there is no file {file!r}, expected one like test_hello_world.py",
                "type `git ls-files '*test_*.py'` to see which there are",
            )
    words = ["-m", "pytest", "-p", "no:cacheprovider", *arguments.pytest]
    if named and not any(Path(name).resolve().is_relative_to(OURS) for name in named):
        # -B: nothing is left beside the student's files.
        if status := subprocess.call([str(bootstrap.students_python()), "-B", *words]):
            say("hint: mend what it says, then type the same again")
        raise SystemExit(status)
    bootstrap.add_test_packages()
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(paths.FOLDER / "hypothesis")
    if not named:
        # Pushes wait for the disk and for each other: five processes keep two cores busy, each with
        # its own sandbox, and take the files in the order of sandbox/conftest.py.
        words += ["test_hello_world.py", "sandbox", "-n", "5", "--dist", "loadfile"]
        words += ["--no-loadscope-reorder"]
    os.execv(paths.PYTHON, [str(paths.PYTHON), *words])


def benchmark(arguments: argparse.Namespace) -> int:
    """measure a push against the bare commands, on a fresh clone; takes minutes"""
    bootstrap.add_test_packages()
    script = OURS / "tests" / "benchmark.py"
    os.execv(paths.PYTHON, [str(paths.PYTHON), str(script), str(arguments.runs)])

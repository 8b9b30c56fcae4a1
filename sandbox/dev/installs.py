"""What a fresh clone costs, beside the bare installs of the same packages, and what it leaves."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from pathlib import Path
from typing import Any

from sandbox.dev.pushes import answer, timed
from sandbox.dev.student import PYTHON, Student
from sandbox.laptop.bootstrap import pin_of
from sandbox.laptop.paths import FOLDER
from sandbox.laptop.terminal import say


def own_caches(folder: Path) -> dict[str, str]:
    """Return settings by which uv and pip keep what they download in a folder, empty at first."""
    return {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}


def bare(clone: Student, folder: Path) -> None:
    """Install what `up` and its first build install, and do nothing else."""
    ours, build = folder / "ours", folder / "build"
    uv = ours / "bin" / "uv"
    clone.type(PYTHON, "-m", "venv", ours)
    clone.type(ours / "bin" / "pip", "install", "-q", pin_of("uv"))
    clone.type(uv, "pip", "install", "-q", "-p", ours, "-r", "sandbox/requirements.txt")
    clone.type(uv, "venv", "-q", build)
    clone.type(uv, "pip", "install", "-q", "-p", build, "-r", "requirements.txt")


def first_answer(clone: Student) -> None:
    """Bring a sandbox up, and see its endpoint answer."""
    url = clone.sandbox("up").stdout.splitlines()[0]
    if answer(url) != "hello user":
        raise RuntimeError("the endpoint did not answer")


def size_of(folder: Path) -> dict[str, int]:
    """Return how much of a disk a folder takes, in bytes, and how many entries it has."""
    found = {"bytes": 0, "entries": 0}
    seen = set()
    for path, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            with contextlib.suppress(OSError):
                state = os.lstat(os.path.join(path, name))
                found["entries"] += 1
                if (state.st_dev, state.st_ino) not in seen:
                    found["bytes"] += 512 * state.st_blocks
                seen.add((state.st_dev, state.st_ino))
    return found


def fresh(folder: Path, runs: int, found: dict[str, Any]) -> list[Student]:
    """Measure fresh clones beside bare installs, in turn, and return the clones.

    Of each pair of clones the first one's cache is empty, and the second one finds the same there
    as `up` finds after a `down`.
    """
    taken: dict[str, list[float]] = {}
    clones = []
    for run in range(runs):
        say(f"Fresh clone beside the bare installs: {run + 1} of {runs}")
        here = folder / str(run)
        beside = Student(here / "bare", own_caches(here / "bare" / "cache"), "clone")
        clone = Student(here / "first", own_caches(here / "cache"), "clone")
        again = Student(here / "again", own_caches(here / "cache"), "clone")
        turns = [
            ("bare installs", functools.partial(bare, beside, here / "bare")),
            ("fresh clone, empty caches", functools.partial(first_answer, clone)),
        ]
        turns = turns[:: 1 if run % 2 else -1]  # neither is always the first
        turns.append(("fresh clone, packages in the cache", functools.partial(first_answer, again)))
        for name, action in turns:
            taken.setdefault(name, []).append(timed(action))
            for each in (clone, again):
                if (each.clone / FOLDER.name).exists():
                    each.settle()  # the next one shall have the machine for itself
        clones += [clone, again]
    found |= taken
    return clones


def down(clones: list[Student]) -> dict[str, list[float]]:
    """Take clones down, and measure it against `rm -rf` of the same tree."""
    taken: dict[str, list[float]] = {"rm -rf": [], "down": []}
    for number, clone in enumerate(clones):
        say(f"`down` beside `rm -rf`: {number + 1} of {len(clones)}")
        copy = clone.home.parent / "copy"
        subprocess.run(["cp", "-a", clone.clone / FOLDER.name, copy], check=True)
        remove = functools.partial(subprocess.run, ["rm", "-rf", copy], check=True)
        turns = [("rm -rf", remove), ("down", functools.partial(clone.sandbox, "down"))]
        for name, action in turns[:: 1 if number % 2 else -1]:
            taken[name].append(timed(action))
    return taken

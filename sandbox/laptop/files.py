"""Files of ours: written in one step, read with care, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox import Mistake
from sandbox.laptop.paths import FOLDER


def write(path: Path, text: str) -> None:
    """Write a file in one step, so that a reader or a crash sees the old text or the new."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def place_programs(folder: Path, programs: Mapping[str, str]) -> None:
    """See to it that a folder holds these programs and nothing else: a build may change it."""
    with contextlib.suppress(OSError, ValueError):
        there = [*folder.iterdir()]
        known = {path.name: path.read_text() for path in there} == programs
        if known and all(os.access(path, os.X_OK) and not path.is_symlink() for path in there):
            return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in programs.items():
        write(folder / name, text)
        (folder / name).chmod(0o755)


def read_json(path: Path) -> Any:
    """Return what a JSON file of ours says, or None if it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file of ours; an empty one if there is none."""
    found = read_json(path)
    return found if isinstance(found, dict) else {}


@contextlib.contextmanager
def lock(name: str, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of that name while the block runs; yield False if another process has it.

    Raises Mistake if the sandbox is taken down meanwhile.
    """
    path = FOLDER / f"{name}.lock"
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(open(path, "a"))
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            # `down` has removed it while this process waited, and `up` may have made another.
            gone = not os.path.samestat(os.fstat(stream.fileno()), path.stat())
        except BlockingIOError:
            yield False
            return
        except FileNotFoundError:
            gone = True
        if gone:
            raise taken_down()
        yield True


def taken_down() -> Mistake:
    """Return the mistake of somebody who goes on after a `down`."""
    return Mistake("the sandbox has been taken down meanwhile", "type `python3 -m sandbox up`")

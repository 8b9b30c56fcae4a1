"""Files of ours: written in one step, read with care, and locks between processes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox import Mistake
from sandbox.laptop.paths import FOLDER


def write(path: Path, text: str, mode: int | None = None) -> None:
    """Write a file in one step, so that a reader or a crash sees the old text or the new.

    One that is as it should be already stays: the disk need not be waited for.
    """
    with contextlib.suppress(OSError, ValueError):
        now, data = path.lstat(), text.encode()
        is_so = stat.S_ISREG(now.st_mode) and mode in (None, stat.S_IMODE(now.st_mode))
        if is_so and now.st_size == len(data) and path.read_bytes() == data:
            return
    part = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
    try:
        with open(part, "x", encoding="utf-8") as stream:
            stream.write(text)
        flush(part)
        if mode is not None:
            part.chmod(mode)
        if path.is_dir():
            delete(path)  # also a link to a folder, which could be anybody's
        os.replace(part, path)
        flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """See to it that a file, or which files a folder has, outlasts a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def delete(path: Path) -> None:
    """Delete whatever is there, also what is read-only; raises OSError if some of it stays."""
    with contextlib.suppress(OSError):
        path.unlink()  # also a link to a folder, of which no more may go
        return
    said = ""
    # `rm` is quicker than shutil.rmtree.
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if os.path.lexists(path) and not path.is_symlink():
            words = [*command, "--", str(path)]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True)
            said = done.stderr.decode(errors="replace").strip() or said
    if os.path.lexists(path):
        raise OSError(f"{path} could not be removed: {said[:800]}")


def make_folder(path: Path) -> bool:
    """See to it that a folder is one, no link and open to nobody else; tell if it is a new one."""
    is_new = path.is_symlink() or not path.is_dir()
    if is_new:
        delete(path)
        path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    return is_new


def write_programs(folder: Path, programs: Mapping[str, str]) -> None:
    """See to it that a folder holds these programs and nothing else: a build may change it."""
    with lock("programs"):
        make_folder(folder)
        for path in folder.iterdir():
            if path.name not in programs:
                delete(path)
        for name, text in programs.items():
            write(folder / name, text, 0o755)


def read_json(path: Path) -> Any:
    """Return what a JSON file of ours says, or None if it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
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

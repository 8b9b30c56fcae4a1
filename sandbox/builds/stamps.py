"""What tells whether a file of an environment was touched."""

# Standard library only: the `pip` of a build loads it.
from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path


def top(name: str) -> str:
    """Return the entry of bin/ or site-packages/ in which a file is, or nothing elsewhere."""
    parts = name.split(os.sep)
    length = {"bin": 2, "lib": 4}.get(parts[0], 0)
    return os.sep.join(parts[:length])


def stamps(tree: Path) -> dict[str, str]:
    """Return for each file of a tree what changes with it.

    That is its inode and ctime, which no write leaves alone. Entries of bin/ and site-packages/
    themselves are moved about, and so their ctime changes: they have a hash.
    """
    found = {}
    start = len(str(tree)) + 1
    for folder, folders, files in os.walk(tree):
        for name in (*files, *folders):
            path = os.path.join(folder, name)
            state, short = os.lstat(path), path[start:]
            if stat.S_ISLNK(state.st_mode):
                found[short] = os.readlink(path)
            elif stat.S_ISDIR(state.st_mode):
                continue
            elif short.count(os.sep) < 4 and top(short) == short:
                found[short] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            else:
                found[short] = f"{state.st_ino} {state.st_ctime_ns} {state.st_size}"
    return found

"""The folder that the clone is in: what its path may hold, and where it was when `up` last ran."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
from pathlib import Path

from sandbox import Mistake
from sandbox.laptop import files
from sandbox.laptop.paths import FOLDER, ROOT, cache, outside
from sandbox.laptop.terminal import busy, say

NOTE = FOLDER / "place"
ASIDE = f"{FOLDER.name}-down-"
# What is no character of text, what ends a path in PATH, and what the AWS CLI takes for a variable
# in the path of its own files: it expands them, there is no quoting.
REFUSED = (
    (re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]"), "a character that no terminal shows"),
    (re.compile(r":"), "a colon, which no folder named in PATH may have"),
    (re.compile(r"\$(\w+|\{[^}]*\})"), "what the AWS CLI takes for a variable, and replaces"),
)


def refuse_path() -> None:
    """Raise Mistake if some program that is needed cannot work in a folder of this name."""
    for pattern, why in REFUSED:
        if found := pattern.search(str(ROOT)):
            raise Mistake(
                f"the path of this folder, {str(ROOT)!r}, has {why}: {found[0]!r}",
                f"rename the folder, as with `mv {shlex.quote(str(ROOT))} ~/hello-user`",
            )


def note() -> None:
    """Write down that the sandbox was made here, and clear up where it was before."""
    if was := left():
        shutil.rmtree(outside(was), ignore_errors=True)
    files.write(NOTE, str(ROOT))


def before() -> Path | None:
    """Return where the clone was when its sandbox was made, or None if that is here."""
    with contextlib.suppress(OSError, ValueError):
        known = Path(NOTE.read_text(encoding="utf-8"))
        # One folder can have two names, as on a disk that knows no capitals.
        if known != ROOT and not (known.exists() and os.path.samefile(known, ROOT)):
            return known
    return None


def left() -> Path | None:
    """Return where the clone was when its sandbox was made, if it was moved and not copied."""
    was = before()
    return None if was is None or was.exists() else was


def refuse_another() -> None:
    """Raise Mistake if the sandbox was made in another folder than the one it is in."""
    if was := before():
        how = "is a copy of" if was.exists() else "was moved here from"
        raise Mistake(
            f"this clone {how} {was}, and its sandbox works only there",
            "type `python3 -m sandbox up`: it sets the sandbox up here, with all builds so far",
        )


def set_aside() -> None:
    """Give the sandbox's folder another name, so that `up` can start before all is deleted."""
    import uuid

    for root in filter(None, (ROOT, left())):
        shutil.rmtree(outside(root), ignore_errors=True)
    try:
        os.rename(FOLDER, FOLDER.with_name(f"{ASIDE}{uuid.uuid4().hex[:8]}"))
    except OSError:  # as on a mount point
        shutil.rmtree(FOLDER, ignore_errors=True)


def remove_downloads() -> None:
    """Delete what uv and pip have downloaded for the sandboxes of all clones.

    Raises Mistake if it cannot be deleted.
    """
    folder = cache()
    with busy(f"Removing {folder}: what was downloaded for the sandboxes of all clones"):
        delete(folder)


def delete(folder: Path) -> None:
    """Delete a folder; raises Mistake if some of it stays."""
    try:
        files.delete(folder)
    except OSError as error:
        raise Mistake(str(error), f"type `rm -rf {shlex.quote(str(folder))}`") from None


def remove() -> bool:
    """Delete what was set aside, also by a `down` that did not get to its end; tell if any was.

    Raises Mistake if it cannot be deleted.
    """
    found = list(ROOT.glob(f"{ASIDE}*"))
    for folder in found:
        with busy(f"Removing {FOLDER.name}/: some ten thousand files"):
            delete(folder)
    if found:
        say("Nothing of the sandbox is left but your commits")
    return bool(found)

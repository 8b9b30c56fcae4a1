"""The folder that the clone is in: what its path may hold, and where it was when `up` last ran."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shlex
import shutil
from pathlib import Path

from sandbox import Mistake
from sandbox.laptop import files
from sandbox.laptop.paths import FOLDER, ROOT, outside, runs_programs
from sandbox.laptop.terminal import busy, say

NOTE = FOLDER / "place"
# What is no character of text, what ends a path in PATH, and what the AWS CLI takes for a variable
# in the path of its own files: it expands them, there is no quoting.
REFUSED = (
    (re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]"), "a character that no terminal shows"),
    (re.compile(r":"), "a colon, which no folder named in PATH may have"),
    (re.compile(r"\$(\w+|\{[^}]*\})"), "what the AWS CLI takes for a variable, and replaces"),
)


def refuse_path() -> None:
    """Raise Mistake if some program that is needed cannot work in this folder."""
    move = f"`mv {shlex.quote(str(ROOT))} ~/hello-user`"
    for pattern, why in REFUSED:
        if found := pattern.search(str(ROOT)):
            raise Mistake(
                f"the path of this folder, {str(ROOT)!r}, has {why}: {found[0]!r}",
                f"rename the folder, as with {move}",
            )
    if not runs_programs(ROOT):
        raise Mistake(
            f"no program can run in {ROOT}: its disk is mounted with the option noexec",
            f"move the folder to another disk, as with {move}",
        )


def refuse_foreign() -> None:
    """Raise Mistake if the sandbox is another user's, as after a `sudo`."""
    if FOLDER.is_dir() and not os.access(FOLDER, os.R_OK | os.W_OK | os.X_OK):
        owner = f"#{FOLDER.stat().st_uid}"
        with contextlib.suppress(KeyError):
            owner = FOLDER.owner()
        raise Mistake(
            f"{FOLDER} belongs to {owner}, and only {owner} may open it",
            f"type `sudo -u {shlex.quote(owner)} python3 -m sandbox down`, which removes it, "
            "then `python3 -m sandbox up`",
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
    """Give what is the sandbox's other names, so that `up` can start before all is deleted."""
    name = f"-down-{os.urandom(4).hex()}"
    outsides = [outside(root) for root in filter(None, (ROOT, left()))]
    for number, folder in enumerate(outsides):
        with contextlib.suppress(OSError):  # there is none, or it is another user's
            os.rename(folder, f"{outsides[0]}{name}{number}")
    try:
        os.rename(FOLDER, f"{FOLDER}{name}")
    except OSError:  # as on a mount point
        for each in FOLDER.iterdir():
            delete(each)


def delete(path: Path) -> None:
    """Delete what is there; raises Mistake with what is still there."""
    try:
        files.delete(path)
    except OSError as error:
        owner = "what stays is another user's, or on a disk that cannot be written: "
        raise Mistake(str(error), f"{owner}type `sudo rm -rf {shlex.quote(str(path))}`") from None


def remove() -> bool:
    """Delete what was set aside, also by a `down` that did not get to its end; tell if any was.

    Raises Mistake if it cannot be deleted.
    """
    found = [
        folder
        for place in (FOLDER, outside(ROOT))
        for folder in place.parent.glob(f"{glob.escape(place.name)}-down-*")
    ]
    if found:
        with busy(f"Removing {FOLDER.name}/: some ten thousand files"):
            for folder in found:
                delete(folder)
        say("Nothing of the sandbox is left in this clone but your commits")
    return bool(found)

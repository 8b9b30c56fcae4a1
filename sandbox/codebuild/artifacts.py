"""The files that a buildspec names, for its artifacts and its reports, as CodeBuild looks for them.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html#build-spec.artifacts
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.codebuild.buildspec import Files
from sandbox.codebuild.log import Log

if TYPE_CHECKING:
    from sandbox.codebuild.part import Part

ALLOW = "allow it in BuildRole of template.yml, then type `python3 -m sandbox up`"
SHOWN = 20  # names
MOST = 10_000  # files of one pattern that are looked at: a bound of this laptop
# Finds the files that a buildspec names, with the names that they get.
Find = Callable[[Files], dict[Path, str]]
# Returns why the build's role may not do some of these actions on a resource, or nothing.
Refusal = Callable[[list[str], str], str]


def files(part: Part) -> Files:
    """Read which files the artifacts, or a report group, name; raises BuildspecError."""
    return Files(
        part["files"].texts(),
        part["base-directory"].text() or ".",
        part["discard-paths"].text().lower() in ("yes", "true"),
        part["exclude-paths"].texts(),
    )


class NoFiles(Exception):
    """Nothing is where the buildspec says; the message is CodeBuild's."""


def find(files: Files, source: Path, log: Log) -> dict[Path, str]:
    """Return the files that a buildspec names, none beyond the source's folder, and their names.

    Raises NoFiles if there is none.
    """
    log.line(f"Expanding base directory path: {files.base_directory}")
    log.line("Assembling file list")
    log.line(f"Expanding {files.base_directory}")
    bases = [base for base in matching(files.base_directory, source, source) if base.is_dir()]
    if not bases:
        raise NoFiles(f"no matching base directory path found for {files.base_directory}")
    log.line(f"Expanding file paths for base directory {files.base_directory}")
    log.line("Assembling file list")
    found: dict[Path, str] = {}
    for pattern in files.patterns:
        log.line(f"Expanding {pattern}")
        known = len(found)
        for base in bases:
            for path in matching(pattern, base, source):
                if path.is_file():
                    name = path.name if files.discard_paths else str(path.relative_to(base))
                    found[path] = log.shown(name)
        if len(found) == known:
            log.line(f"Skipping invalid file path {pattern}")
    for base in bases:
        for pattern in files.exclude:
            for path in matching(pattern, base, source):
                found.pop(path, None)
    if not found:
        raise NoFiles("no matching artifact paths found")
    log.line(f"Found {len(found)} file(s)")
    return found


def store(
    files: Files | None, place: str, find: Find, refusal: Refusal, log: Log
) -> tuple[str, str]:
    """Say what CodeBuild would put into S3; return why the build fails for it, and a hint."""
    if not files:
        log.note(f"artifacts: the buildspec names none, though the project has {place} for them")
        return "", ""
    try:
        found = find(files)
    except NoFiles as error:
        return str(error), "let a command make what `artifacts:` in the buildspec names"
    if refusal(["s3:PutObject"], f"arn:aws:s3:::{place}"):
        return "Error in UPLOAD_ARTIFACTS phase: AccessDenied: Access Denied", ALLOW
    named = ", ".join([*found.values()][:SHOWN]) + (", …" if len(found) > SHOWN else "")
    log.note(f"artifacts: {len(found)} file(s) would go to s3://{place}: {named}")
    return "", ""


def matching(pattern: str, base: Path, source: Path) -> Iterator[Path]:
    """Yield what a pattern names below a folder; nothing if it is no pattern at all."""
    wanted = pattern.removeprefix(str(base)).lstrip("/")
    root = source.resolve()
    try:
        paths = base.glob(wanted) if glob.has_magic(wanted) else iter([base / wanted])
        for path in sorted(islice(paths, MOST)):
            if path.exists() and path.resolve().is_relative_to(root):
                yield path
    except (OSError, ValueError, NotImplementedError, IndexError, RuntimeError):
        return

"""The record of each build, below .sandbox/builds/."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.codebuild.project import Request
from sandbox.laptop.files import read_object, write
from sandbox.laptop.paths import BUILDS

# A build that waits or runs; every other status, also one that a later version may know, is an end.
# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html, buildStatus
UNFINISHED = ("QUEUED", "IN_PROGRESS")
KEPT = 100  # the newest builds, of which all is kept; of older ones the record, which `up` needs
GONE = f"[sandbox] this log is gone: those of the last {KEPT} builds are kept\n"
# What every record has, and as what.
NEEDED: dict[str, type | tuple[type, ...]] = {
    "number": int,
    "id": str,
    "commit": str,
    "submitted": (int, float),
    "status": str,
}


@dataclass(frozen=True, kw_only=True)
class Build(Request):
    """One build, as its record says; times are in seconds since 1970."""

    registry: dict[str, str] = field(default_factory=dict)  # the way to packages, as variables
    status: str = "QUEUED"
    phase: str | None = None
    reason: str = ""
    said: str = ""
    hint: str = ""
    ended: float | None = None
    live_before: str | None = None
    live_after: str | None = None
    released: str | None = None
    exported: dict[str, str] = field(default_factory=dict)
    # What a page of the console shows without reading more; the test cases are in reports.json.
    phases: list[dict[str, Any]] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    reports: list[dict[str, Any]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        return BUILDS / str(self.number)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def progress(self) -> Path:
        return self.folder / "progress"

    @property
    def stop_mark(self) -> Path:
        """Return the file that asks for the build's end."""
        return self.folder / "stop"

    @property
    def cases(self) -> Path:
        return self.folder / "reports.json"

    @property
    def has_ended(self) -> bool:
        return self.status not in UNFINISHED

    def change(self, **values: Any) -> Build:
        """Write a changed record and return it."""
        changed = dataclasses.replace(self, **values)
        write(record_of(self.number), json.dumps(dataclasses.asdict(changed), indent=1))
        return changed


def record_of(number: int) -> Path:
    """Return the file of a build's record."""
    return BUILDS / str(number) / "build.json"


def load(number: int) -> Build | None:
    """Return the record of that number, or None if there is none that can be read.

    Another version of this program may have written it: keys that are not known are passed over.
    """
    found = read_object(record_of(number))
    if not all(isinstance(found.get(name), kind) for name, kind in NEEDED.items()):
        return None
    # Records were once without it: what a green build left live was what it had put live.
    found.setdefault("released", found.get("live_after"))
    known = {each.name for each in dataclasses.fields(Build)}
    with contextlib.suppress(TypeError):  # a key is missing that has no default
        return Build(**{name: value for name, value in found.items() if name in known})
    return None


def numbers() -> list[int]:
    """Return the numbers of all builds, the oldest first."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(entry.name) for entry in os.scandir(BUILDS) if entry.name.isdigit())
    return []


def newest_first() -> Iterator[Build]:
    """Yield the builds, the newest first."""
    return filter(None, map(load, reversed(numbers())))


def unreadable() -> list[Path]:
    """Return the records that are there and cannot be read."""
    return [record_of(number) for number in numbers() if load(number) is None]


def unfinished() -> list[Build]:
    """Return the builds that have not ended, the oldest first."""
    found = []
    for build in newest_first():
        if build.has_ended:
            break  # builds end in the order of their numbers: a worker that cannot write that ends
        found.append(build)
    return found[::-1]


def thin() -> None:
    """Delete the logs and reports of all but the newest builds."""
    for number in numbers()[:-KEPT]:
        with contextlib.suppress(OSError):
            if record_of(number).with_name("log").stat().st_size == len(GONE):
                continue  # most are, after each build
            build = load(number)
            if build and build.has_ended:
                write(build.log, GONE)
                for left in (build.progress, build.cases, build.stop_mark):
                    left.unlink(missing_ok=True)


def green_versions() -> list[str]:
    """Return the versions that green builds have put live, the last one first."""
    return [
        build.released for build in newest_first() if build.status == "SUCCEEDED" and build.released
    ]

"""The record of each build, below .sandbox/builds/."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.codebuild.project import Request
from sandbox.codebuild.reports import Report
from sandbox.laptop.files import read_object, write
from sandbox.laptop.paths import BUILDS

# A build that waits or runs; every other status, also one that a later version may know, is an end.
# https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html, buildStatus
UNFINISHED = ("QUEUED", "IN_PROGRESS")
LATEST = 1e11  # seconds since 1970; what is later is no time


@dataclass(frozen=True, kw_only=True)
class Build(Request):
    """One build, as its record says; times are in seconds since 1970."""

    project: str = "hello_user"  # when records did not say so, there was no other
    token: str = ""  # of who has asked for it, so that asking twice is one build
    registry: dict[str, str] = field(default_factory=dict)  # the way to packages, as variables
    status: str = "QUEUED"
    phase: str | None = None
    reason: str = ""
    said: str = ""
    hint: str = ""
    place: int | None = None  # the byte of the log at which the line begins that `said` is of
    ended: float | None = None
    live_before: str | None = None
    live_after: str | None = None
    released: str | None = None
    taken_back: str = ""  # what a red build had done to an alias
    exported: dict[str, str] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()  # without their cases, which are in reports.json

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
    def sent(self) -> Path:
        """Return the file that says how much of the log its log stream has."""
        return self.folder / "sent"

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
    # Records were once without it: what a green build left live was what it had put live.
    found.setdefault("released", found.get("live_after"))
    with contextlib.suppress(TypeError, ValueError):
        build: Build = made(Build, found)
        return build if build.number == number else None
    return None


def made(kind: Any, value: Any) -> Any:
    """Return what was read from JSON as this type; raises TypeError or ValueError if it is none."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        types_of = fields_of(kind)
        return kind(
            **{name: made(types_of[name], value[name]) for name in types_of if name in value}
        )
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:  # with None
        return None if value is None else made(inner[0], value)
    if origin is dict:
        return {made(inner[0], name): made(inner[1], each) for name, each in dict(value).items()}
    if origin is tuple:
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        return tuple(made(*pair) for pair in zip(kinds, value, strict=True))
    if kind is float and type(value) in (int, float) and 0 <= value < LATEST:
        return float(value)
    if type(value) is not kind or kind is float:
        raise TypeError(f"{value!r} is no {kind}")
    return value


@functools.cache
def fields_of(kind: Any) -> dict[str, Any]:
    """Return the fields of a dataclass with their types."""
    return typing.get_type_hints(kind)


def numbers() -> list[int]:
    """Return the numbers of all builds, the oldest first."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(entry.name) for entry in os.scandir(BUILDS) if entry.name.isdigit())
    return []


def newest_first() -> Iterator[Build]:
    """Yield the builds, the newest first."""
    return filter(None, map(load, reversed(numbers())))


def newest(project: str | None = None) -> Build | None:
    """Return the build that was asked for last, of all projects or of one."""
    return next((each for each in newest_first() if project in (None, each.project)), None)


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


def green() -> Iterator[Build]:
    """Yield the green builds that have put a version live, the newest first."""
    return (build for build in newest_first() if build.status == "SUCCEEDED" and build.released)

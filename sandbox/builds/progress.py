"""What a build has done so far: its phases and commands, where they are in its log, its variables.

The worker writes an event as it happens, one a line, so that whoever looks on sees it at once, and
a build that was killed has still told how far it came.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sandbox.builds.records import made


@dataclass(frozen=True)
class Command:
    """One command; `start`, `output` and `end` are bytes of the log, times seconds since 1970.

    `output` is where its own output begins, after CodeBuild's line on it.
    """

    text: str
    started: float
    start: int
    output: int | None = None
    end: int | None = None
    ended: float | None = None
    status: int | None = None


@dataclass(frozen=True)
class Phase:
    """One phase; `status` is IN_PROGRESS until it has ended."""

    name: str
    started: float
    start: int
    status: str = "IN_PROGRESS"
    code: str = ""
    message: str = ""
    end: int | None = None
    ended: float | None = None
    commands: tuple[Command, ...] = ()


@dataclass(frozen=True)
class Variable:
    """A variable that project or buildspec set; of a secret, `value` says where it is kept."""

    name: str
    kind: str
    value: str


@dataclass(frozen=True)
class Progress:
    """How far a build has come."""

    phases: tuple[Phase, ...] = ()
    variables: tuple[Variable, ...] = ()


def failing(phases: Iterable[Phase], name: str | None, reason: str) -> Command | None:
    """Return the command for which a build has failed in the phase of that name, if it was one."""
    failed = [
        command
        for phase in phases
        if phase.name == name
        for command in phase.commands
        if command.status and command.output is not None and command.end is not None
    ]
    ends = [f": {each.text}. Reason: exit status {each.status}" for each in failed]
    named = [each for each, end in zip(failed, ends, strict=True) if reason.endswith(end)]
    return next(reversed(named or failed), None)


def writer(path: Path) -> Callable[[dict[str, Any]], None]:
    """Return what writes events into a file; a full disk is no reason to end the build here."""

    def tell(event: dict[str, Any]) -> None:
        with contextlib.suppress(OSError), open(path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(event) + "\n")

    return tell


def read(path: Path) -> Progress:
    """Return what a file of events tells; empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return told(stream)
    except OSError:
        return Progress()


def told(lines: Iterable[str]) -> Progress:
    """Return what events tell, one a line; a line that is cut off is passed over."""
    phases: list[Phase] = []
    variables: list[Variable] = []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, IndexError, TypeError):
            event = json.loads(line)
            kind, at, offset = event["event"], made(float, event["at"]), made(int, event["offset"])
            if kind == "phase":
                phases.append(Phase(made(str, event["name"]), at, offset))
            elif kind == "variable":
                variables.append(made(Variable, event))
            elif kind == "phase ended":
                ended = {key: made(str, event[key]) for key in ("status", "code", "message")}
                phases[-1] = replace(phases[-1], end=offset, ended=at, **ended)
            else:
                phases[-1] = with_command(phases[-1], kind, at, offset, event)
    return Progress(tuple(phases), tuple(variables))


def with_command(phase: Phase, kind: str, at: float, offset: int, event: dict[str, Any]) -> Phase:
    """Return a phase with what an event tells of its last command."""
    if kind == "command":
        return replace(
            phase, commands=(*phase.commands, Command(made(str, event["text"]), at, offset))
        )
    *before, last = phase.commands
    if kind == "output":
        last = replace(last, output=offset)
    elif kind == "command ended":
        last = replace(last, end=offset, ended=at, status=made(int, event["status"]))
    return replace(phase, commands=(*before, last))

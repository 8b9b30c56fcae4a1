"""A buildspec that has been read: what the rest of the runner trusts."""

from __future__ import annotations

from dataclasses import dataclass, field

PHASES = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
SHELLS = {"sh": "sh", "/bin/sh": "sh", "bash": "bash", "/bin/bash": "bash"}
WINDOWS_SHELLS = ("powershell.exe", "cmd.exe")


@dataclass(frozen=True)
class OnFailure:
    """What follows a failed phase: `action` is None, ABORT, CONTINUE or RETRY."""

    action: str | None = None
    tries: int = 0
    pattern: str = ".*"


@dataclass(frozen=True)
class Phase:
    """One phase; an absent one has no commands and is still entered."""

    name: str
    present: bool = False
    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure()


@dataclass(frozen=True)
class Obstacle:
    """Why this machine does not run what CodeBuild would; line and column count from 1."""

    text: str
    hint: str
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True)
class ReportGroup:
    """What a build's test results are in; `files` are patterns below `base_directory`."""

    name: str
    files: tuple[str, ...]
    file_format: str = "JUNITXML"
    base_directory: str = "."
    discard_paths: bool = False


@dataclass(frozen=True)
class Buildspec:
    """A buildspec that CodeBuild reads; `warnings` are (line, text) of what is easily overlooked.

    It runs here if there are no `obstacles`; `scripts` are all commands with their lines.
    """

    version: str
    phases: dict[str, Phase]
    shell: str = ""  # as it is written
    variables: dict[str, str] = field(default_factory=dict)
    parameter_store: dict[str, str] = field(default_factory=dict)
    secrets_manager: dict[str, str] = field(default_factory=dict)
    exported_variables: tuple[str, ...] = ()
    runtimes: dict[str, str] = field(default_factory=dict)
    reports: tuple[ReportGroup, ...] = ()
    has_cache: bool = False
    warnings: tuple[tuple[int, str], ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()  # the section and the key
    obstacles: tuple[Obstacle, ...] = ()
    scripts: tuple[tuple[int, str], ...] = ()

"""A buildspec that has been read: what the rest of the runner trusts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

PHASES = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
SHELLS = {"": "sh", "sh": "sh", "/bin/sh": "sh", "bash": "bash", "/bin/bash": "bash"}
WINDOWS_SHELLS = ("powershell.exe", "cmd.exe")
READ_HERE = "JUNITXML"  # of the formats of a report; of the others only what they are


@dataclass(frozen=True)
class OnFailure:
    """What follows a failed phase: `action` is "", ABORT, CONTINUE or RETRY."""

    action: str = ""
    tries: int = 0
    pattern: str = ".*"


@dataclass(frozen=True)
class Phase:
    """One phase; one that the buildspec does not have is entered, too."""

    commands: tuple[str, ...] = ()
    finally_commands: tuple[str, ...] = ()
    on_failure: OnFailure = OnFailure()


class BuildspecError(Exception):
    """Why CodeBuild, or this laptop, does not run a buildspec; line and column count from 1."""

    def __init__(
        self,
        message: str,
        hint: str,
        line: int | None = None,
        column: int | None = None,
        code: str = "YAML_FILE_ERROR",
    ):
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code
        self.line, self.column = line, column
        self.place = f", line {line}, column {column}" if line else ""


@dataclass(frozen=True)
class Files:
    """Files that a buildspec names: patterns below `base_directory`, but those of `exclude`."""

    patterns: tuple[str, ...]
    base_directory: str = "."
    discard_paths: bool = False
    exclude: tuple[str, ...] = ()

    def expanded(self, expand: Callable[[str], str]) -> Files:
        """Return the same with the values of the variables that are named."""
        patterns, exclude = (tuple(map(expand, each)) for each in (self.patterns, self.exclude))
        return Files(patterns, expand(self.base_directory), self.discard_paths, exclude)


@dataclass(frozen=True)
class ReportGroup:
    """Where a build's test results are, and of which format."""

    name: str
    files: Files
    file_format: str = READ_HERE


@dataclass(frozen=True)
class Buildspec:
    """A buildspec that CodeBuild reads; it runs here if there are no `obstacles`.

    What follows `lines`, those of the file, is collected while it is read: `notes` are (line, text)
    of what is passed over or easily overlooked, `scripts` are all commands with their lines.
    """

    version: str = ""
    phases: dict[str, Phase] = field(default_factory=dict)  # in their order, by their names
    shell: str = ""  # as it is written
    variables: tuple[dict[str, str], ...] = ()  # in the form of a project's
    exported_variables: tuple[str, ...] = ()
    runtimes: dict[str, str] = field(default_factory=dict)
    reports: tuple[ReportGroup, ...] = ()
    artifacts: Files | None = None
    has_cache: bool = False
    lines: list[str] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)  # keys by their section
    notes: list[tuple[int | None, str]] = field(default_factory=list)
    obstacles: list[BuildspecError] = field(default_factory=list)
    scripts: list[tuple[int, str]] = field(default_factory=list)

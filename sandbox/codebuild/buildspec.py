"""A buildspec that has been read: what the rest of the runner trusts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

PHASES = ("INSTALL", "PRE_BUILD", "BUILD", "POST_BUILD")
SHELLS = {"sh": "sh", "/bin/sh": "sh", "bash": "bash", "/bin/bash": "bash"}
WINDOWS_SHELLS = ("powershell.exe", "cmd.exe")
READ_HERE = "JUNITXML"  # of the formats of a report; of the others only what they are
TEST_FORMATS = (
    READ_HERE,
    "CUCUMBERJSON",
    "NUNITXML",
    "NUNIT3XML",
    "TESTNGXML",
    "VISUALSTUDIOTRX",
)
COVERAGE_FORMATS = ("CLOVERXML", "COBERTURAXML", "JACOCOXML", "SIMPLECOV")


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
    artifacts: tuple[Files, ...] = ()  # the primary ones first
    has_cache: bool = False
    warnings: tuple[tuple[int, str], ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()  # the section and the key
    obstacles: tuple[Obstacle, ...] = ()
    scripts: tuple[tuple[int, str], ...] = ()

"""What can be said of a buildspec without running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.codebuild.buildspec import Buildspec
from sandbox.codebuild.reader import read
from sandbox.codebuild.source import runtimes


@dataclass(frozen=True)
class Answer:
    """A buildspec that can be run, and what a reader should know; lines count from 1."""

    spec: Buildspec
    warnings: tuple[tuple[int | None, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Return the answer for programs."""
        phases = {
            phase.name: {"commands": len(phase.commands), "finally": len(phase.finally_commands)}
            for phase in self.spec.phases.values()
            if phase.present
        }
        warnings = [{"line": line, "text": text} for line, text in self.warnings]
        found = {"valid": True, "version": self.spec.version}
        return found | {"phases": phases, "warnings": warnings}

    def as_text(self, name: str) -> Iterator[str]:
        """Yield the answer for a person, line by line."""
        present = [phase for phase in self.spec.phases.values() if phase.present]
        yield f"{name}: a buildspec of version {self.spec.version}"
        yield f"Phases found in YAML: {len(present)}"
        for phase in present:
            count = len(phase.finally_commands)
            last = f", and {count} in finally" if count else ""
            yield f" {phase.name}: {len(phase.commands)} commands{last}"
        for line, text in self.warnings:
            yield f"note{f', line {line}' if line else ''}: {text}"


def check(content: bytes, environment: Mapping[str, str]) -> Answer:
    """Read a buildspec; raises BuildspecError if CodeBuild or this machine would refuse it."""
    spec = read(content)
    here = [text for _, text in runtimes(spec, spec.variables, environment.get("PATH", "")) if text]
    return Answer(spec, (*spec.warnings, *((None, text) for text in here)))

"""What can be said of a buildspec without running it: is it one, and does it run here?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.codebuild.buildspec import SHELLS, Buildspec, BuildspecError
from sandbox.codebuild.reader import read
from sandbox.codebuild.shell import syntax_error
from sandbox.codebuild.source import runtimes


@dataclass(frozen=True)
class Answer:
    """A buildspec that CodeBuild reads; it runs here if there are no `reasons` against it.

    Lines count from 1.
    """

    spec: Buildspec
    reasons: tuple[BuildspecError, ...]
    warnings: tuple[tuple[int | None, str], ...]

    @property
    def phases(self) -> dict[str, dict[str, int]]:
        """Return how many commands each phase has that is there."""
        return {
            phase.name: {"commands": len(phase.commands), "finally": len(phase.finally_commands)}
            for phase in self.spec.phases.values()
            if phase.present
        }

    def as_json(self) -> dict[str, Any]:
        """Return the answer for programs."""
        return {
            "valid": True,
            "runs_here": not self.reasons,
            "reasons": [
                {"line": found.line, "text": found.message, "hint": found.hint}
                for found in self.reasons
            ],
            "version": self.spec.version,
            "phases": self.phases,
            "warnings": [{"line": line, "text": text} for line, text in self.warnings],
        }

    def as_text(self, name: str) -> Iterator[str]:
        """Yield the answer for a person, line by line; the last two are the verdicts."""
        yield f"{name}: a buildspec of version {self.spec.version}"
        yield f"Phases found in YAML: {len(self.phases)}"
        for phase, count in self.phases.items():
            last = f", and {count['finally']} in finally" if count["finally"] else ""
            yield f" {phase}: {count['commands']} commands{last}"
        for line, text in self.warnings:
            yield f"note{at(line)}: {text}"
        for found in self.reasons:
            yield f"not here{at(found.line)}: {found.message}"
            yield f"hint: {found.hint}"
        nothing = not self.spec.scripts and not self.reasons
        yield f"CodeBuild reads it: yes{', and it DOES NOTHING' if nothing else ''}"
        yield f"This laptop runs it: {'no' if self.reasons else 'yes'}"


def at(line: int | None) -> str:
    """Return the words for a line, if it is known."""
    return f", line {line}" if line else ""


def check(content: bytes, environment: Mapping[str, str]) -> Answer:
    """Read a buildspec; raises BuildspecError if CodeBuild would refuse it."""
    spec, path = read(content), environment.get("PATH", "")
    warnings: list[tuple[int | None, str]] = [*spec.notes]
    if spec.shell in SHELLS or not spec.shell:
        name = SHELLS.get(spec.shell, "sh")
        for line, command in spec.scripts:
            if said := syntax_error(name, command):
                warnings.append((line, f"{name} cannot read this command: {said}"))
        warnings.sort(key=lambda found: found[0] or 0)
    values = {item["name"]: item["value"] for item in spec.variables}
    found = [*runtimes(spec, values, path)]
    missing = [error for *_, error in found if error]
    if not missing:
        warnings += [(None, text) for _, text, _ in found if text]
    return Answer(spec, (*spec.obstacles, *missing), tuple(warnings))

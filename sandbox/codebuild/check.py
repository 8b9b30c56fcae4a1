"""What can be said of a buildspec without running it: is it one, and does it run here?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox.codebuild.buildspec import SHELLS, Buildspec, BuildspecError
from sandbox.codebuild.reader import read
from sandbox.codebuild.shell import syntax_error
from sandbox.codebuild.source import runtimes


def phases(spec: Buildspec) -> dict[str, dict[str, int]]:
    """Return how many commands each phase has that is there."""
    return {
        name: {"commands": len(phase.commands), "finally": len(phase.finally_commands)}
        for name, phase in spec.phases.items()
    }


def as_json(spec: Buildspec) -> dict[str, Any]:
    """Return the answer for programs."""
    return {
        "valid": True,
        "runs_here": not spec.obstacles,
        "reasons": [
            {"line": found.line, "text": found.message, "hint": found.hint}
            for found in spec.obstacles
        ],
        "version": spec.version,
        "phases": phases(spec),
        "warnings": [{"line": line, "text": text} for line, text in spec.notes],
    }


def as_text(spec: Buildspec, name: str) -> Iterator[str]:
    """Yield the answer for a person, line by line; the last two are the verdicts."""
    yield f"{name}: a buildspec of version {spec.version}"
    yield f"Phases found in YAML: {len(phases(spec))}"
    for phase, count in phases(spec).items():
        last = f", and {count['finally']} in finally" if count["finally"] else ""
        yield f" {phase}: {count['commands']} commands{last}"
    said = [("note", line, text) for line, text in spec.notes]
    said += [("not here", e.line, f"{e.message}\nhint: {e.hint}") for e in spec.obstacles]
    for kind, line, text in said:
        yield f"{kind}{f', line {line}' if line else ''}: {text}"
    nothing = not spec.scripts and not spec.obstacles
    yield f"CodeBuild reads it: yes{', and it DOES NOTHING' if nothing else ''}"
    yield f"This laptop runs it: {'no' if spec.obstacles else 'yes'}"


def check(content: bytes, environment: Mapping[str, str]) -> Buildspec:
    """Read a buildspec, and add what is known before it runs.

    Raises BuildspecError if CodeBuild would refuse it.
    """
    spec, path = read(content), environment.get("PATH", "")
    if name := SHELLS.get(spec.shell):
        for line, command in spec.scripts:
            if said := syntax_error(name, command):
                spec.notes.append((line, f"{name} cannot read this command: {said}"))
        spec.notes.sort(key=lambda found: found[0] or 0)
    values = {item["name"]: item["value"] for item in spec.variables}
    try:
        for _, text in runtimes(spec, values, path):
            spec.notes.extend([(None, text)] if text else [])
    except BuildspecError as error:
        spec.obstacles.append(error)
    return spec

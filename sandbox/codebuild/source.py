"""What the phase DOWNLOAD_SOURCE finds: the buildspec in a checkout, and the runtimes it names."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from sandbox.codebuild.buildspec import Buildspec, BuildspecError

PROGRAMS = {"golang": "go", "nodejs": "node"}  # the others are named as their runtime is


def is_inline(buildspec: str) -> bool:
    """Tell whether the project holds the buildspec itself and not the path of one."""
    return "\n" in buildspec


def find_buildspec(source: Path, name: str) -> bytes:
    """Return the buildspec's bytes; `name` is a path or the text itself.

    Raises BuildspecError if there is none.
    """
    if is_inline(name):
        return name.encode()
    if name.startswith("arn:"):
        raise BuildspecError(
            f"the project's buildspec is {name}; this laptop reads the one in the commit",
            "write `BuildSpec: buildspec.yml` in template.yml, then type `python3 -m sandbox up`",
        )
    path = source / name
    try:
        if not path.resolve().is_relative_to(source.resolve()):
            raise BuildspecError(
                f"{name} points out of the repository", "commit the buildspec itself, not a link"
            )
        return path.read_bytes()
    except (OSError, RuntimeError):
        message = f"stat {path}: no such file or directory"
        if name == "buildspec.yml":
            message = "YAML file does not exist"
        raise BuildspecError(
            message,
            f"type `git revert --no-edit HEAD` if this commit has deleted {name}, or "
            f"`git add {name}` if it is new (another ending, as .yaml, is not found), and push",
        ) from None


def runtimes(spec: Buildspec, variables: Mapping[str, str], path: str) -> Iterator[tuple[str, str]]:
    """Yield CodeBuild's line for each runtime, and what is done here instead or "".

    A version may name a variable; `path` is where the runtime's program is looked for. Raises
    BuildspecError if there is none.
    """
    if not spec.runtimes:
        yield "No runtime version selected in buildspec.", ""
    for name, written in spec.runtimes.items():
        version = Template(written).safe_substitute(variables)
        line = f"Selecting '{name}' runtime version '{version}' based on manual selections..."
        own = f"{sys.version_info[0]}.{sys.version_info[1]}"
        needed = PROGRAMS.get(name, name)
        program = sys.executable if name == "python" else shutil.which(needed, path=path)
        if not program:
            raise BuildspecError(
                f"the runtime {name} is not on this laptop, {needed!r} was not found",
                f"install it, or leave `{name}` out of runtime-versions",
            )
        if name != "python":
            yield line, f"runtime {name} {version}: the build uses {program} as it is"
        elif version in (own, f"{sys.version_info[0]}.x", "latest"):
            yield line, ""
        else:
            yield line, f"runtime python {version}: builds on this laptop run on its Python {own}"

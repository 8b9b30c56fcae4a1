"""What a `pip install` asks for, as long as uv must come to the very same answer.

That is a list of names with exact versions, from the index that the machine itself uses. Anything
else is pip's alone: other kinds of requirements, other options, and whatever a build tells pip by
variables or files, of which uv reads none (https://github.com/astral-sh/uv/issues/1859).
"""

# Standard library only: the `pip` of a build loads it.
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

PIN = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._ -]*\])?\s*==\s*[A-Za-z0-9][A-Za-z0-9.+!_-]*"
    r"(\s*;[\w\s.'\"<>=!~(),]*)?"  # a marker
)
# These say how pip goes about it, and not what it takes.
OPTIONS = {"-q", "--quiet", "--no-cache-dir", "--no-input", "--disable-pip-version-check"}
VARIABLES = {
    "PIP_CACHE_DIR",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_NO_CACHE_DIR",
    "PIP_NO_COLOR",
    "PIP_NO_INPUT",
    "PIP_NO_WARN_SCRIPT_LOCATION",
    "PIP_PROGRESS_BAR",
    "PIP_QUIET",
    "PIP_RETRIES",
    "PIP_ROOT_USER_ACTION",
    "PIP_TIMEOUT",
    "PIP_VERBOSE",
}
# What in the system's own pip.conf, which a machine on AWS has not, chooses what is taken.
INDEX = re.compile(
    r"(?im)^\s*(index[-_]url|extra[-_]index[-_]url|find[-_]links|no[-_]index)\s*[=:]"
)


def are_pins(lines: Sequence[str]) -> bool:
    """Tell whether all lines are names with exact versions."""
    return all(PIN.fullmatch(line) for line in lines)


def pins(arguments: Sequence[str], folder: Path) -> str:
    """Return what `pip install` with these arguments asks for, or nothing if it is more than pins.

    Only `-r FILE` and pins count, and only files that hold nothing but pins and comments.
    """
    wanted: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        lines = [word]
        if word == "-r" and rest:
            try:
                lines = (folder / rest.pop(0)).read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError):
                return ""
        elif word in OPTIONS:
            continue
        lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
        wanted += filter(None, lines)
    return "\n".join(wanted) if are_pins(wanted) else ""


def has_settings(env: Mapping[str, str], venv: Path, registry: Mapping[str, str]) -> bool:
    """Tell whether pip would heed anything but the `registry`, the variables of the machine."""
    for name, value in env.items():
        if name.startswith("PIP_") and name not in VARIABLES and registry.get(name) != value:
            return True
    home = Path(env.get("HOME", "/"))
    own = [
        home / ".pip" / "pip.conf",
        Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf",
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        venv / "pip.conf",
    ]
    if any(path.exists() for path in own):
        return True
    folders = (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep)
    shared = [Path(folder) / "pip" / "pip.conf" for folder in folders]
    shared += [Path("/etc/pip.conf"), Path("/Library/Application Support/pip/pip.conf")]
    return any(INDEX.search(text_of(path)) for path in shared)


def text_of(path: Path) -> str:
    """Return what a file holds, or nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""

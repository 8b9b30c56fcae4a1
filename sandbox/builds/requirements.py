"""What a `pip install` asks for, as long as uv may answer in pip's place.

That is a list of names with or without versions, from the index that the machine itself uses.
Anything else is pip's alone: other kinds of requirements, other options, and whatever a build tells
pip by variables or files, of which uv reads none (https://github.com/astral-sh/uv/issues/1859).
"""

# Standard library only, and little of it: each `pip` of a build waits for it.
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

MOST = 500  # characters of a line, and lines: a build may write anything
BY_NAME = re.compile(
    r"(?!\S*\.(whl|zip|t?gz|tbz|bz2|t?xz|lzma|tlz|tar)\b)[A-Za-z0-9][\w.-]*\s*"
    r"(\[[\w,. -]*\])?\s*((==|[~!<>]=|[<>])\s*\w[\w.*+!-]*\s*,?\s*)*"
    r"(;[\w\s.'\"<>=!~(),]*)?",  # a marker
    re.ASCII,
)
FILE = re.compile(r"(?:-r|--requirement=)(.+)")
# These say how pip goes about it, and not what it takes.
OPTIONS = {"-q", "--quiet", "--no-cache-dir", "--no-input", "--disable-pip-version-check"}
VARIABLES = re.compile(
    "PIP_(CACHE_DIR|DEFAULT_TIMEOUT|DISABLE_PIP_VERSION_CHECK|NO_CACHE_DIR|NO_COLOR|NO_INPUT|"
    "NO_WARN_SCRIPT_LOCATION|PROGRESS_BAR|QUIET|RETRIES|ROOT_USER_ACTION|TIMEOUT|VERBOSE)"
)
# What in the system's own pip.conf, which a machine on AWS has not, chooses what is taken.
INDEX = re.compile(
    r"(?im)^\s*(index[-_]url|extra[-_]index[-_]url|find[-_]links|no[-_]index)\s*[=:]"
)


def are_by_name(lines: Sequence[str]) -> bool:
    """Tell whether all lines are names of packages, with or without versions."""
    return len(lines) <= MOST and all(
        len(line) <= MOST and BY_NAME.fullmatch(line) for line in lines
    )


def wanted_by(arguments: Sequence[str], folder: Path) -> str:
    """Return the lines that a pip with these arguments is to install, or nothing if it is more."""
    if arguments[:1] != ["install"]:
        return ""
    lines: list[str] = []
    rest = [word for word in arguments[1:] if word not in OPTIONS]
    while rest:
        word = rest.pop(0)
        named = FILE.fullmatch(word)
        if named or (word in ("-r", "--requirement") and rest):
            try:
                path = folder / (named[1] if named else rest.pop(0))
                lines += path.read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError):
                return ""
        else:
            lines.append(word)
    lines = [*filter(None, (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines))]
    return "\n".join(lines) if are_by_name(lines) else ""


def has_settings(env: Mapping[str, str], venv: Path, registry: Mapping[str, str]) -> bool:
    """Tell whether pip would heed anything but the `registry`, the variables of the machine."""
    names = {name for name in env if name.startswith("PIP_") and not VARIABLES.fullmatch(name)}
    if any(registry.get(name) != env[name] for name in names):
        return True
    home = Path(env.get("HOME", "/"))
    of_build = (
        home / ".pip",
        Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "pip",
        home / "Library" / "Application Support" / "pip",
        venv,
    )
    if any((folder / "pip.conf").exists() for folder in of_build):
        return True
    folders = [f"{each}/pip" for each in (env.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")]
    folders += ["/etc", "/Library/Application Support/pip"]
    readable = [path for path in map("{}/pip.conf".format, folders) if os.access(path, os.R_OK)]
    return any(INDEX.search(Path(path).read_text(errors="replace")) for path in readable)

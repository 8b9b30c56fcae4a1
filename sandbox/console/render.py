"""Templates to HTML: all that is put into one is escaped, and shown as one harmless text."""

from __future__ import annotations

import functools
import re
import time
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from sandbox.console import key
from sandbox.fork import repository
from sandbox.laptop.terminal import harmless, one_line

TEMPLATES = Path(__file__).parent / "templates"
# The words of CodeBuild's console for each status, and the icon and colour that go with it.
STATUSES = {
    "SUCCEEDED": ("Succeeded", "good"),
    "FAILED": ("Failed", "bad"),
    "FAULT": ("Fault", "bad"),
    "TIMED_OUT": ("Timed out", "bad"),
    "ERROR": ("Error", "bad"),
    "STOPPED": ("Stopped", "idle"),
    "INCOMPLETE": ("Incomplete", "idle"),
    "SKIPPED": ("Skipped", "idle"),
    "UNKNOWN": ("Unknown", "idle"),
    "QUEUED": ("Queued", "busy"),
    "IN_PROGRESS": ("In progress", "busy"),
}
STAMP = re.compile(r"^(\[Container\] \S+ \S+ |\[sandbox\] )", re.MULTILINE)
subject = functools.lru_cache(512)(repository.subject)


def when(seconds: float | None) -> str:
    """Return a moment as this machine's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds)) if seconds else "–"


def iso(seconds: float | None) -> str:
    """Return a moment for programs."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds or 0))


def took(seconds: float | None) -> str:
    """Return a duration in a few characters."""
    if seconds is None:
        return "–"
    if seconds < 0.01:
        return "<0.01 s"
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def size(count: int) -> str:
    """Return a number of bytes in a few characters."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def label(status: str) -> str:
    """Return a status in the console's words."""
    return STATUSES.get(status, (status.title(), "idle"))[0]


def tone(status: str) -> str:
    """Return good, bad, busy or idle for a status."""
    return STATUSES.get(status, ("", "idle"))[1]


def stamped(text: str) -> Markup:
    """Return lines of CodeBuild's or of the sandbox's own, with their stamps marked."""
    marked = Markup('<span class="stamp">{}</span>').format
    parts = STAMP.split(harmless(text))  # each second one is a stamp
    return Markup("").join(marked(part) if at % 2 else part for at, part in enumerate(parts))


def coded(text: str) -> Markup:
    """Return a text in which what stands between backticks is code."""
    code = Markup("<code>{}</code>").format
    parts = re.split("`([^`]+)`", harmless(text))  # each second one is code
    return Markup("").join(code(part) if at % 2 else part for at, part in enumerate(parts))


@functools.cache
def environment() -> jinja2.Environment:
    """Return the environment of all templates."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=lambda value: harmless(value) if type(value) is str else value,  # not Markup
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        each.__name__: each for each in (when, iso, took, size, label, tone, stamped, coded)
    }
    made.filters |= {"line": one_line, "subject": subject}
    made.globals |= {"token": key.TOKEN}
    return made


def render(name: str, **values: Any) -> str:
    """Return a template with its values as HTML."""
    return environment().get_template(name).render(values)

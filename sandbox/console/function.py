"""The page of the function: its versions, the code in them, and what it has logged."""

from __future__ import annotations

import difflib
import io
import zipfile
from dataclasses import dataclass
from typing import Any

from sandbox.account import releases, stack
from sandbox.account.clients import client
from sandbox.laptop.network import direct, is_loopback

VERSIONS = 50  # the newest, on one page
FILES, TEXT = 20, 64 << 10  # of a version's code: so many files, and so many bytes of each
LINES = 100  # of the function's log


@dataclass(frozen=True)
class Version:
    """A published version of the function."""

    number: str
    commit: str
    size: int
    sha256: str
    modified: str


def versions() -> list[Version]:
    """Return the published versions, the newest first."""
    found = [
        Version(
            each["Version"],
            each.get("Description", ""),
            each.get("CodeSize", 0),
            each.get("CodeSha256", ""),
            each.get("LastModified", "")[:19].replace("T", " "),
        )
        for each in releases.versions()
    ]
    return found[::-1]


def code(version: str) -> dict[str, str]:
    """Return the files in a version's code as texts; what is no text is named only."""
    try:
        with zipfile.ZipFile(io.BytesIO(content_of(version))) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            return {entry.filename: text_of(archive, entry) for entry in entries[:FILES]}
    except Exception:  # zipfile raises whatever a broken archive brings it to
        return {}


def content_of(version: str) -> bytes:
    """Return a version's zip file."""
    name = stack.output("FunctionName")
    found = client("lambda").get_function(FunctionName=name, Qualifier=version)
    where = found["Code"].get("Location", "")
    if not is_loopback(where):
        return b""
    with direct().open(where, timeout=30) as answer:
        return bytes(answer.read())


def text_of(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    """Return the beginning of a file in an archive as text."""
    with archive.open(entry) as stream:
        data = stream.read(TEXT + 1)  # and no more, whatever it grows to
    if b"\0" in data:
        return f"({entry.file_size} bytes, which are no text)\n"
    more = "\n… and more\n" if len(data) > TEXT else ""
    return data[:TEXT].decode(errors="replace") + more


def difference(before: dict[str, str], after: dict[str, str]) -> list[tuple[str, str]]:
    """Return the lines of a unified diff, each with what it is: file, place, old, new or same."""
    kinds = {"---": "file", "+++": "file"}
    signs = {"@": "place", "-": "old", "+": "new"}
    lines = []
    for name in sorted({*before, *after}):
        for line in difflib.unified_diff(
            before.get(name, "").splitlines(),
            after.get(name, "").splitlines(),
            f"a/{name}",
            f"b/{name}",
            lineterm="",
        ):
            kind = kinds.get(line[:3]) or signs.get(line[:1], "same")
            lines.append((kind, line))
    return lines


def recent_lines(function: str) -> list[tuple[int, str]]:
    """Return the last lines that the function has logged: milliseconds since 1970, and text.

    The newest one is the first: it is in sight without scrolling.
    """
    logs = client("logs")
    group = f"/aws/lambda/{function}"
    streams: list[dict[str, Any]] = logs.describe_log_streams(
        logGroupName=group, orderBy="LastEventTime", descending=True, limit=5
    )["logStreams"]
    found: list[tuple[int, str]] = []
    for stream in streams:
        events = logs.get_log_events(
            logGroupName=group,
            logStreamName=stream["logStreamName"],
            limit=LINES,
            startFromHead=False,
        )["events"]
        found += [(event["timestamp"], event["message"].rstrip("\n")) for event in events]
    return sorted(found, key=lambda each: each[0])[-LINES:][::-1]

"""The function as its page shows it: its versions, the code in them, its log, its answers.

A page is made in the account's own process, which knows all that without asking itself.
"""

from __future__ import annotations

import difflib
import http.client
import io
import time
import zipfile
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

VERSIONS = 50  # the newest, on one page
FILES, TEXT = 20, 64 << 10  # of a version's code: so many files, and so many bytes of each
LINES = 100  # of the function's log
BODY = 64 << 10  # bytes of an answer
PATIENCE = 35  # seconds; API Gateway gives up after 30


@dataclass(frozen=True)
class Answer:
    """What the endpoint has answered to which address, and after how many milliseconds."""

    sent: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: str
    milliseconds: float
    is_cut: bool = False


def versions(name: str) -> dict[str, dict[str, Any]]:
    """Return what the account holds of a function's published versions, the newest first."""
    from sandbox.account import internals  # loads all of MiniStack

    found = (internals.functions.get(name) or {}).get("versions", {})
    return {number: found[number] for number in sorted(found, key=int, reverse=True)[:VERSIONS]}


def code(content: bytes | None) -> dict[str, str]:
    """Return the files in a zip file as texts; what is no text is named only."""
    try:
        with zipfile.ZipFile(io.BytesIO(content or b"")) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            return {entry.filename: text_of(archive, entry) for entry in entries[:FILES]}
    except Exception:  # zipfile raises whatever a broken archive brings it to
        return {}


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


def recent_lines(log_group: str) -> list[tuple[int, str]]:
    """Return the last lines in a log group: milliseconds since 1970, and text.

    The newest one is the first: it is in sight without scrolling.
    """
    from sandbox.account import internals

    group = internals.log_groups.get(log_group) or {}
    found = [
        (event["timestamp"], event["message"].rstrip("\n"))
        for stream in [*group.get("streams", {}).values()]
        for event in stream["events"][-LINES:]
    ]
    return sorted(found, key=lambda each: each[0])[-LINES:][::-1]


def call(url: str, query: str) -> Answer:
    """Call the endpoint as a browser would and return its answer; follows no redirection.

    Raises OSError if there is none.
    """
    parts = urlsplit(url)
    target = parts.path + ("?" + quote(query, safe="=&%+;,/?:@!$'()*~") if query else "")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    start = time.perf_counter()
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        body = response.read(BODY + 1)
        took = 1000 * (time.perf_counter() - start)
    except http.client.HTTPException as error:
        raise OSError(f"the answer is no HTTP: {error!r}") from None
    finally:
        connection.close()
    return Answer(
        f"{parts.scheme}://{parts.netloc}{target}",
        response.status,
        response.reason,
        tuple(response.getheaders()[:100]),
        body[:BODY].decode(errors="replace"),
        took,
        len(body) > BODY,
    )

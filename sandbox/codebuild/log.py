"""The log of one build: CodeBuild's lines, the text of what commands print, and our own notes."""

from __future__ import annotations

import datetime
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LIMIT = 128 << 20  # bytes of output that are kept; CloudWatch Logs has no such bound

# What a terminal acts on and does not show: colours and the cursor (CSI), titles and links (from
# START to END), and the short ones; each may begin with one character in place of two.
# https://ecma-international.org/publications-and-standards/standards/ecma-48/
CSI = rb"(?:\x1b\[|\xc2\x9b)[0-?]{0,4096}[ -/]{0,16}"
START = rb"(?:\x1b[\]PX^_]|\xc2[\x90\x98\x9d-\x9f])[^\x07\x1b\n]{0,4096}"
END, SHORT = rb"(?:\x07|\x1b\\|\xc2\x9c)", rb"\x1b[ -/]{0,16}"
HALF = rb"\xc2(?:[\x80-\x9f]|(?![\xa0-\xbf]))"
ESCAPE = rb"%s[@-~]?|%s?%s|%s[0-~]?|%s" % (CSI, START, END, SHORT, HALF)
ESCAPES = re.compile(ESCAPE)
BEGUN = re.compile(rb"(?:%s|%s\x1b?|%s|\xc2)\Z" % (CSI, START, SHORT))  # the end may come yet


def without_escapes(data: bytes, is_all: bool = True) -> tuple[bytes, bytes]:
    """Return what a terminal would show, and the end of it that may be half an escape sequence.

    Half a character is shown as what decoding makes of it, so that no two halves become one.
    """
    if b"\x1b" not in data and b"\xc2" not in data:
        return data, b""
    begun = None if is_all else BEGUN.search(data)
    end = begun.start() if begun else len(data)
    half = "\ufffd".encode()
    shown = ESCAPES.sub(lambda found: half if found[0] == b"\xc2" else b"", data[:end])
    return shown, data[end:]


class Log:
    """Appends to a log file, without escape sequences; what the build's secrets say is masked."""

    def __init__(
        self,
        path: Path,
        limit: int = LIMIT,
        tell: Callable[[dict[str, Any]], None] = lambda event: None,
    ):
        """Open a log; `tell` hears of each phase and command, and where in the log it is."""
        self.stream = open(path, "ab", buffering=0)
        self.limit, self.written, self.at_line_start = limit, 0, True
        self.secrets: set[bytes] = set()
        self.any_secret = re.compile(b"(?!)")
        self.raw = self.held = b""  # output that may be half an escape sequence, or half a secret
        self.tell = tell

    def line(self, text: str) -> None:
        """Write a line as CodeBuild's own: UTC, six digits of a second."""
        now = datetime.datetime.now(datetime.timezone.utc)
        self.own(f"[Container] {now:%Y/%m/%d %H:%M:%S.%f} {text}")

    def note(self, text: str) -> None:
        """Write a line of the sandbox's, which CodeBuild would not have."""
        self.own(f"[sandbox] {text}")

    def own(self, text: str) -> None:
        self.flush()
        start = b"" if self.at_line_start else b"\n"
        self.stream.write(start + self.clean(text) + b"\n")
        self.at_line_start = True

    def mark(self, event: str, **values: Any) -> None:
        """Tell what happens at this place of the log, with the time in seconds since 1970.

        What the build itself prints cannot forge it.
        """
        self.flush()
        shown = {
            name: self.shown(value) if isinstance(value, str) else value
            for name, value in values.items()
        }
        self.tell({"event": event, "at": time.time(), "offset": self.stream.tell(), **shown})

    def shown(self, text: str) -> str:
        """Return text as the log has it."""
        return self.clean(text).decode(errors="replace")

    def clean(self, text: str) -> bytes:
        return self.masked(without_escapes(text.encode(errors="surrogateescape"))[0])[0]

    def mask(self, values: Iterable[str]) -> None:
        """Mask these values from now on, as CodeBuild does: by exact text only."""
        for value in values:
            data = value.encode(errors="surrogateescape")
            self.secrets |= {data, without_escapes(data)[0]} - {b""}
        longest_first = sorted(self.secrets, key=len, reverse=True)  # one may begin another
        self.any_secret = re.compile(b"|".join(map(re.escape, longest_first)) or b"(?!)")

    def masked(self, data: bytes, is_all: bool = True) -> tuple[bytes, bytes]:
        """Return text without secrets, and the end of it in which one may have begun.

        Secrets are found from left to right, each where no longer one could be: so it makes no
        difference in which pieces a text comes.
        """
        parts: list[bytes] = []
        at = 0
        while True:
            end = len(data) if is_all else self.begun(data, at)
            found = self.any_secret.search(data, at)
            if not found or found.start() >= end:
                return b"".join([*parts, data[at:end]]), data[end:]
            parts += [data[at : found.start()], b"***"]
            at = found.end()

    def begun(self, data: bytes, at: int) -> int:
        """Return where, from `at` on, the rest is the first part of a secret; else the length."""
        return min(
            (
                start
                for secret in self.secrets
                for start in range(max(at, len(data) - len(secret) + 1), len(data))
                if data[start] == secret[0] and secret.startswith(data[start:])
            ),
            default=len(data),
        )

    def output(self, data: bytes, is_all: bool = False) -> None:
        """Write what a command prints, until the limit is reached; `is_all` holds nothing back."""
        text, self.raw = without_escapes(self.raw + data, is_all)
        text, self.held = self.masked(self.held + text, is_all)
        room = self.limit - self.written
        self.written += len(text)
        if kept := text[: max(room, 0)]:
            self.stream.write(kept)
            self.at_line_start = kept.endswith(b"\n")
        if len(text) > room >= 0:
            self.note(f"the log is full: output beyond {self.limit} bytes is not kept")

    def flush(self) -> None:
        if self.raw or self.held:
            self.output(b"", is_all=True)

    def end_output(self) -> None:
        """End a command's output as CodeBuild does: with one more line break."""
        self.flush()
        self.stream.write(b"\n")
        self.at_line_start = True

    def close(self) -> None:
        self.flush()
        self.stream.close()

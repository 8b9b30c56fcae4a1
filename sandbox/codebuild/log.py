"""The log of one build: CodeBuild's lines, the commands' output as it is, and our own notes."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

LIMIT = 128 << 20  # bytes of output that are kept; CloudWatch Logs has no such bound


class Log:
    """Appends to a log file; what the build's secrets say is masked in it."""

    def __init__(
        self,
        path: Path,
        limit: int = LIMIT,
        tell: Callable[[dict[str, Any]], None] = lambda event: None,
    ):
        """Open a log; `tell` hears of each phase and command, and where in the log it is."""
        self.stream = open(path, "ab", buffering=0)
        self.limit, self.written, self.at_line_start = limit, 0, True
        self.secrets: list[bytes] = []
        self.held = b""
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
        self.stream.write(start + self.masked(text.encode(errors="surrogateescape")) + b"\n")
        self.at_line_start = True

    def mark(self, event: str, **values: Any) -> None:
        """Tell what happens at this place of the log, with the time in seconds since 1970.

        What the build itself prints cannot forge it.
        """
        self.flush()
        shown = {name: self.shown(value) for name, value in values.items()}
        self.tell({"event": event, "at": time.time(), "offset": self.stream.tell(), **shown})

    def shown(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return self.masked(value.encode(errors="surrogateescape")).decode(errors="replace")

    def mask(self, values: Iterable[str]) -> None:
        """Mask these values from now on, as CodeBuild does: by exact text only."""
        found = {*self.secrets, *(value.encode() for value in values if value)}
        self.secrets = sorted(found, key=len, reverse=True)  # one may contain another

    def masked(self, data: bytes) -> bytes:
        for secret in self.secrets:
            data = data.replace(secret, b"***")
        return data

    def output(self, data: bytes) -> None:
        """Write a command's output as it is, until the limit is reached."""
        if self.secrets:
            # A secret may be cut in two: hold back what could be its first part.
            data = self.masked(self.held + data)
            keep = max(map(len, self.secrets)) - 1
            data, self.held = data[: len(data) - keep], data[len(data) - keep :] if keep else b""
        self.put(data)

    def put(self, data: bytes) -> None:
        room = self.limit - self.written
        self.written += len(data)
        if len(data) > room:
            data = data[: max(room, 0)]
            if room > 0:
                self.stream.write(data)
                self.at_line_start = data.endswith(b"\n")
                self.own(f"[sandbox] the log is full: output beyond {self.limit} bytes is not kept")
            return
        if data:
            self.stream.write(data)
            self.at_line_start = data.endswith(b"\n")

    def flush(self) -> None:
        held, self.held = self.held, b""
        self.put(held)

    def end_output(self) -> None:
        """End a command's output as CodeBuild does: with one more line break."""
        self.flush()
        self.stream.write(b"\n")
        self.at_line_start = True

    def close(self) -> None:
        self.flush()
        self.stream.close()

"""A build's log as a page shows it: a block for each command, and the lines between them.

Where a block begins the runner has told, so that nothing a build prints can forge one. A log may
have 128 MB: of each piece its first and last part are read, never the whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sandbox.builds.progress import Command, Phase
from sandbox.console.render import size as in_short

END = 48 << 10  # bytes that are shown of each end of a piece
WHOLE = 1536 << 10  # bytes that are shown of a log; then only so many of each end:
SHORT = 2 << 10
GUARD = "CODEBUILD_BUILD_SUCCEEDING"  # what a command in post_build asks before it releases
STOPPED = "This command is there to stop the release: the build has failed before it.\n"
Part = tuple[
    str, str
]  # what it is, if it is no plain text (left-out, failed, hint or note), and the text


@dataclass(frozen=True)
class Piece:
    """Bytes `start` to `end` of a log: a command's own output, or lines between commands."""

    phase: int
    start: int
    end: int
    command: Command | None = None

    @property
    def name(self) -> str:
        """Return what a page knows the piece by."""
        return f"{'command' if self.command else 'lines'}-{self.start}"


def pieces(phases: tuple[Phase, ...], size: int) -> list[Piece]:
    """Return the pieces of a log in their order; `size` is how much of it there is."""
    found, at = [], 0
    for index, phase in enumerate(phases):
        for command in phase.commands:
            found.append(Piece(index, at, command.start))
            output = size if command.output is None else command.output
            at = size if command.end is None else min(command.end, size)
            found.append(Piece(index, output, at, command))
        later = phases[index + 1].start if index + 1 < len(phases) else size
        found.append(Piece(index, at, min(later, size)))
        at = later
    found = found or [Piece(-1, 0, size)]
    return [piece for piece in found if piece.command or piece.end > piece.start]


def shown(
    path: Path, phases: tuple[Phase, ...], place: int | None = None, hint: str = ""
) -> list[tuple[Piece, list[Part]]]:
    """Return the pieces of a log with their text, together never more than a browser takes.

    At `place` is the line that tells why a command has failed, which is marked, and has the hint
    beside it. Raises OSError if the log cannot be read.
    """
    found, left = [], WHOLE
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        for piece in pieces(phases, size):
            at, parts, limit = piece.start, [], END if left > 0 else SHORT
            if piece.command and place is not None and at <= place <= piece.end:
                parts = [*text(stream, at, place, limit), *failure(stream, place, piece.end, hint)]
                at = stream.tell()
            elif piece.command and piece.command.status and GUARD in piece.command.text:
                parts = [("note", STOPPED)]
            parts += text(stream, at, piece.end, limit)
            left -= sum(len(each) for _, each in parts)
            found.append((piece, parts))
    return found


def text(stream: BinaryIO, start: int, end: int, limit: int) -> list[Part]:
    """Return bytes `start` to `end`, or so many of each end of them, and what is between."""
    stream.seek(start)
    head = stream.read(max(0, min(end - start, 2 * limit)))
    missing = end - start - 2 * limit
    if missing <= 0:
        return [("", head.decode(errors="replace"))]
    stream.seek(end - limit)
    return [
        ("", head[:limit].decode(errors="replace")),
        ("left-out", f"… {in_short(missing)} more in the raw log …\n"),
        ("", stream.read(limit).decode(errors="replace")),
    ]


def failure(stream: BinaryIO, place: int, end: int, hint: str) -> list[Part]:
    """Return the line that begins at a place, marked, and the hint; the stream is after them."""
    stream.seek(place)
    seen = stream.read(min(SHORT, end - place))
    # What pytest says of one assertion is not torn apart.
    [(first, more)] = re.findall(rb"\A(.*\n?)((?:E .*\n?)*)", seen)
    stream.seek(place + len(first) + len(more))
    said = [("failed", first.decode(errors="replace")), ("", more.decode(errors="replace"))]
    return [*said, ("hint", hint)] if first else [("failed hint", hint)]


def search(path: Path, wanted: str, most: int = 200) -> list[tuple[int, str]]:
    """Return the lines of a log that contain a text, in any case, with their numbers from 1."""
    found = []
    needle = wanted.lower().encode(errors="replace")
    with open(path, "rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(1 << 16), b""), 1):
            if needle in line.lower():
                found.append((number, line[:2000].decode(errors="replace")))
                if len(found) == most:
                    break
    return found

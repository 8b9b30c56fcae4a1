"""A build's log as a page shows it: a block for each command, and the lines between them.

Where a block begins the runner has told, so that nothing a build prints can forge one. A log may
have 128 MB: of each piece its first and last part are read, never the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sandbox.builds.progress import Command, Phase
from sandbox.console.render import size as in_short

END = 48 << 10  # bytes that are shown of each end of a piece
WHOLE = 1536 << 10  # bytes that are shown of a log; then only so many of each end:
SHORT = 2 << 10
Part = tuple[
    str, str
]  # what it is, if it is no plain text (left-out, failed or hint), and the text


@dataclass(frozen=True)
class Piece:
    """Bytes `start` to `end` of a log: a command's own output, or lines between commands."""

    phase: int
    start: int
    end: int | None  # None: it is still growing
    command: Command | None = None

    @property
    def name(self) -> str:
        """Return what a page knows the piece by."""
        return f"{'command' if self.command else 'lines'}-{self.start}"


def pieces(phases: tuple[Phase, ...], size: int) -> list[Piece]:
    """Return the pieces of a log in their order; `size` is how much of it there is."""
    found: list[Piece] = []
    at = 0
    for index, phase in enumerate(phases):
        for command in phase.commands:
            found.append(Piece(index, at, command.start))
            output = command.output if command.output is not None else size
            found.append(Piece(index, output, command.end, command))
            at = command.end if command.end is not None else size
        later = phases[index + 1].start if index + 1 < len(phases) else None
        running = phase.commands and phase.commands[-1].end is None and phase.ended is None
        if not running:
            found.append(Piece(index, at, later))
        at = later if later is not None else size
    if not phases:
        found.append(Piece(-1, 0, None))
    return [
        piece for piece in found if piece.command or piece.end is None or piece.end > piece.start
    ]


def shown(path: Path, phases: tuple[Phase, ...]) -> list[tuple[Piece, list[Part]]]:
    """Return the pieces of a log with their text, together never more than a browser takes.

    Raises OSError if the log cannot be read.
    """
    found, left = [], WHOLE
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        for piece in pieces(phases, size):
            limit = END if left > 0 else SHORT
            end = size if piece.end is None else min(piece.end, size)
            stream.seek(piece.start)
            head = stream.read(max(0, min(end - piece.start, 2 * limit)))
            parts = [("", head.decode(errors="replace"))]
            if missing := max(0, end - piece.start - 2 * limit):
                stream.seek(end - limit)
                parts = [
                    ("", head[:limit].decode(errors="replace")),
                    ("left-out", f"… {in_short(missing)} more in the raw log …\n"),
                    ("", stream.read(limit).decode(errors="replace")),
                ]
            left -= len(head)
            found.append((piece, parts))
    return found


def with_failure(parts: list[Part], told: str, hint: str) -> list[Part]:
    """Mark the line that tells why a command has failed, and put the hint beside it.

    Without such a line, the hint stands at the end.
    """
    for index, (kind, text) in enumerate(parts):
        lines = [f"{line}\n" for line in text.split("\n")]
        at = next((at for at, line in enumerate(lines) if told and line.strip() == told), None)
        if at is None or kind:
            continue
        after = at + 1
        while lines[at].startswith("E ") and lines[after : after + 1] and lines[after][:2] == "E ":
            after += 1  # what pytest says of one assertion is not torn apart
        marked = [("", "".join(lines[:at])), ("failed", lines[at])]
        marked += [("", "".join(lines[at + 1 : after])), ("hint", hint)]
        return [*parts[:index], *marked, ("", "".join(lines[after:])[:-1]), *parts[index + 1 :]]
    return [*parts, ("failed hint", hint)]


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

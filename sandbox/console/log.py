"""A build's log as a page shows it: a block for each command, and the lines between them.

Where a block begins the runner has told, so that nothing a build prints can forge one. A log may
have 128 MB: of each piece its first and last part are read, never the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

from markupsafe import Markup, escape

from sandbox.builds.progress import Command, Phase
from sandbox.console.ansi import Painter

HEAD, TAIL = 48 << 10, 48 << 10  # bytes that are shown of a piece
WHOLE = 1536 << 10  # bytes that are shown of a log; then only the ends of pieces
SHORT = 2 << 10
OWN = re.compile(r'(<span class="line)">(\[Container\] [\d/]+ [\d:.]+|\[sandbox\]) ')
PLAIN = re.compile(r"<[^>]*>")


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

    @property
    def is_open(self) -> bool:
        """Tell whether the block is open: its command runs, or has failed."""
        return bool(self.command and self.command.status != 0)


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


def painted(html: str) -> str:
    """Return HTML with the marks on lines that CodeBuild or the sandbox has written."""
    return OWN.sub(r'\1 own"><span class="stamp">\2</span> ', html)


def read(path: Path, start: int, end: int | None, limit: int) -> Iterator[tuple[str, int]]:
    """Yield the text of a piece and how many bytes are left out before it: all, or both ends."""
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        end = size if end is None else min(end, size)
        stream.seek(start)
        if end - start <= 2 * limit:
            yield stream.read(max(0, end - start)).decode(errors="replace"), 0
            return
        yield stream.read(limit).decode(errors="replace"), 0
        stream.seek(end - limit)
        yield stream.read(limit).decode(errors="replace"), end - start - 2 * limit


def html_of(path: Path, piece: Piece, limit: int = HEAD) -> tuple[Markup, int]:
    """Return a piece as HTML, and how many bytes of the log that took."""
    parts, size = [], 0
    for text, missing in read(path, piece.start, piece.end, limit):
        size += len(text)
        if missing:
            parts.append(left_out(missing))
        html = Painter().paint(text)
        parts.append(html if piece.command else painted(html))
    return Markup("".join(parts)), size  # escaped by Painter


def left_out(size: int) -> str:
    """Return the line that stands for what is not shown."""
    shown = f"{size / 1e6:.1f} MB" if size > 1e5 else f"{size} bytes"
    return f'<span class="line left-out">… {shown} more in the raw log …\n</span>'


def shown(path: Path, all_pieces: list[Piece], told: str, hint: str) -> list[tuple[Piece, Markup]]:
    """Return the pieces of a log with their HTML, together never more than a browser takes.

    `told` is the line that tells why a command has failed, below which `hint` is shown.
    """
    found, left, hinted = [], WHOLE, False
    for piece in all_pieces:
        html, size = html_of(path, piece, HEAD if left > 0 else SHORT)
        left -= size
        if not hinted and piece.command and piece.command.status not in (0, None):
            html, hinted = with_failure(html, told, hint), True
        found.append((piece, html))
    return found


def with_failure(html: Markup, told: str, hint: str) -> Markup:
    """Mark the line that tells why a command has failed; without one, the last."""
    lines = str(html).split('<span class="line')
    texts = [unescape(PLAIN.sub("", "<" + line)) for line in lines]
    telling = [index for index, text in enumerate(texts) if index and told == text.strip()]
    filled = [index for index, text in enumerate(texts) if index and text.strip()]
    aside = f'<span class="hint">hint: {escape(hint)}\n</span>' if hint else ""
    if not telling and not filled:
        return Markup(
            f'<span class="line failed" id="failed">(it has printed nothing)\n</span>{aside}'
        )
    at = telling[0] if telling else filled[-1]
    lines[at] = lines[at].replace('">', ' failed" id="failed">', 1)
    last = at
    while (
        texts[at].startswith("E  ") and texts[last + 1 :][:1] and texts[last + 1].startswith("E ")
    ):
        last += 1  # what pytest says of one assertion is not torn apart
    lines[last] += aside
    return Markup('<span class="line'.join(lines))


def search(path: Path, wanted: str, most: int = 200) -> list[tuple[int, Markup]]:
    """Return the lines of a log that contain a text, in any case, with their numbers from 1."""
    found = []
    needle = wanted.lower().encode(errors="replace")
    with open(path, "rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(1 << 16), b""), 1):
            if needle in line.lower():
                text = Painter().paint(line[:2000].decode(errors="replace"))
                found.append((number, Markup(text)))
                if len(found) == most:
                    break
    return found

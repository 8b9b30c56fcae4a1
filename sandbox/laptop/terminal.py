"""What a person reads in a terminal: harmless text, colours if wanted, signs of life."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

# All that moves the cursor, changes colours, turns the direction of a text or starts a new line.
HIDDEN = re.compile(
    r"[^\n\t\x20-\x7e\xa0-\U0010ffff]"
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]"
)
RESET, BOLD, DIM, INVERSE = "\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[7m"
CLEAR = "\x1b[K"  # the rest of the line
RED, GREEN = "\x1b[31m", "\x1b[32m"
PATIENCE = 1.5  # seconds without a sign of life


def say(text: str) -> None:
    """Tell the student what is going on."""
    print(f"[sandbox] {text}", file=sys.stderr, flush=True)


def harmless(text: str) -> str:
    """Return text in which nothing can hide or forge a line when a terminal shows it.

    A commit, a path or a command may have escape sequences in it: a terminal never.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return HIDDEN.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def one_line(text: str) -> str:
    """Return a name or a title as one harmless line."""
    return "".join(char if char.isprintable() else "?" for char in text)


def painted(text: str, *codes: str) -> str:
    """Return text in a colour."""
    return f"{''.join(codes)}{text}{RESET}"


def colours_wanted() -> bool:
    """Tell whether there is a terminal with colours, and wanted ones: https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") not in ("dumb", "")


def in_colour(stream: TextIO) -> bool:
    """Tell whether a person reads this stream in a terminal that has colours."""
    return colours_wanted() and stream.isatty()


@contextlib.contextmanager
def busy(text: str) -> Iterator[None]:
    """Say what is going on, then every moment that it still is, and at the end how long it took.

    In a terminal one line is written over and over, in a pipe each sign is a line of its own.
    """
    say(text)
    start, over = time.monotonic(), threading.Event()
    terminal = in_colour(sys.stderr)

    def sign() -> None:
        while not over.wait(0.2 if terminal else PATIENCE):
            shown = f"{time.monotonic() - start:.0f} s"
            if terminal:
                sys.stderr.write(f"\r{CLEAR}{painted(f'          {shown} …', DIM)}")
                sys.stderr.flush()
            else:
                say(f"  {shown} …")

    thread = threading.Thread(target=sign, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        took = time.monotonic() - start
        if terminal:
            sys.stderr.write(f"\r{CLEAR}")
        if took > PATIENCE:
            say(f"  done in {took:.1f} s")

"""What a person reads in a terminal."""

import re
import sys

# All that moves the cursor, changes colours, turns the direction of a text or starts a new line.
HIDDEN = re.compile(
    r"[^\n\t\x20-\x7e\xa0-\U0010ffff]"
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]"
)


def say(text: str) -> None:
    """Tell the student what is going on."""
    print(f"[sandbox] {text}", file=sys.stderr, flush=True)


def harmless(text: str) -> str:
    """Return text in which nothing can hide or forge a line when a terminal shows it.

    A build may print escape sequences: the log file has them as they are, a terminal never.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return HIDDEN.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def one_line(text: str) -> str:
    """Return a name or a title as one harmless line."""
    return "".join(char if char.isprintable() else "?" for char in text)

"""The log of a build as a terminal shows it: in colours for a person, else byte for byte."""

from __future__ import annotations

import codecs
import datetime
import re
import time
from typing import TextIO

from sandbox.laptop.terminal import (
    BOLD,
    CLEAR,
    COLOUR,
    DIM,
    GREEN,
    PATIENCE,
    RED,
    RESET,
    harmless,
    harmless_but_coloured,
    one_line,
    painted,
)

OWN = re.compile(r"(\[Container\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+)) (.*)")
NOTE = re.compile(r"(\[sandbox\]) (.*)")
COMPLETE = re.compile(r"Phase complete: \w+ State: (\w+)")
LONGEST = 4096  # characters that are held back to see how a line goes on
SHORT = 60  # characters of a line without an end that a sign of life repeats


class Screen:
    """Shows a log piece by piece, in colours or without.

    `has_colours` is whether the build was asked for colours, which then are not shown as escapes.
    """

    def __init__(self, out: TextIO, coloured: bool, has_colours: bool = False) -> None:
        self.out, self.coloured, self.has_colours = out, coloured, has_colours
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.held, self.since, self.last, self.is_begun = "", "", "\n", False
        self.at, self.shown_at = time.monotonic(), 0.0  # of the last output, and sign of life

    def write(self, data: bytes) -> None:
        """Show what the log has more."""
        self.clear()
        text = self.decoder.decode(data)
        self.last = text[-1:] or self.last
        if not self.coloured:
            self.out.write(harmless(COLOUR.sub("", text) if self.has_colours else text))
        else:
            *lines, self.held = (self.held + text).split("\n")
            self.out.writelines(f"{self.line(line)}\n" for line in lines)
            self.is_begun = self.is_begun and not lines
            if len(self.held) > LONGEST:
                self.pause()
        self.out.flush()

    def sign(self) -> None:
        """Show that a command goes on that prints nothing, in a line that the next one replaces.

        git's remote end sends a line on as soon as it has an end, and a carriage return is one.
        """
        now = time.monotonic()
        if self.coloured and not self.is_begun and now > max(self.at + PATIENCE, self.shown_at + 1):
            begun = one_line(COLOUR.sub("", self.held))[:SHORT]
            sign = painted(f"{begun} … {now - self.at:.0f} s", DIM)
            self.out.write(f"{sign}{CLEAR}\r")
            self.out.flush()
            self.shown_at = now

    def clear(self) -> None:
        """Take the sign of life away."""
        if self.shown_at > self.at:
            self.out.write(CLEAR)
        self.at = time.monotonic()

    def pause(self) -> None:
        """Show what is held back: the log stands still, or the line is too long."""
        if self.held:
            self.out.write(self.line(self.held))
            self.out.flush()
            self.held, self.is_begun = "", True

    def end(self) -> None:
        """Show the rest, and end its line if the log has not."""
        self.clear()
        self.pause()
        self.out.write("" if self.last == "\n" else "\n")
        self.out.flush()

    def line(self, line: str) -> str:
        """Return a line with its colours."""
        own = OWN.fullmatch(line)
        if own:
            return f"{painted(harmless(own[1]), DIM)} {self.of_codebuild(own[2], harmless(own[3]))}"
        note = NOTE.fullmatch(line)
        if note:
            return f"{painted(note[1], DIM)} {harmless(note[2])}"
        shown = harmless_but_coloured(line)
        return shown + RESET if shown != harmless(line) else shown

    def of_codebuild(self, stamp: str, text: str) -> str:
        """Return what one of CodeBuild's lines says, in its colours."""
        complete = COMPLETE.match(text)
        if text.startswith(("Entering phase", "Running on CodeBuild")):
            self.since = stamp
        if complete:
            good = complete[1] == "SUCCEEDED"
            took = f" ({between(self.since, stamp):.2f} s)" if self.since else ""
            self.since = stamp
            return painted(text, BOLD, GREEN if good else RED) + painted(took, DIM)
        if text.startswith("Running command "):
            return "Running command " + painted(text.removeprefix("Running command "), BOLD)
        if text.startswith("Command did not exit") or "status code: C" in text:
            return painted(text, RED)
        return text


def between(start: str, end: str) -> float:
    """Return the seconds between two of CodeBuild's time stamps."""
    form = "%Y/%m/%d %H:%M:%S.%f"
    moments = [datetime.datetime.strptime(each, form) for each in (start, end)]
    return (moments[1] - moments[0]).total_seconds()

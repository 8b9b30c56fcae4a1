"""The log of a build as a terminal or a pipe shows it, in colours for a person."""

from __future__ import annotations

import codecs
import re
import time
from datetime import datetime
from typing import TextIO

from sandbox.laptop.terminal import BOLD, DIM, GREEN, PATIENCE, RED, harmless, one_line, painted

OWN = re.compile(r"(\[Container\] (\d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d+)|\[sandbox\]) (.*)")
COMPLETE = re.compile(r"Phase complete: \w+ State: (\w+)")
# Lines of CodeBuild's on what it does between the commands, the same in each build. They are in the
# log, on the build's page and in the account, as on AWS.
LEFT_OUT = re.compile(
    r"Waiting for |Phase is DOWNLOAD_SOURCE|CODEBUILD_SRC_DIR=|YAML location is |Moving to dir"
    r"|Processing environment variables|Cache is not defined|Skip cache due to|Registering with "
    r"|Phases found in YAML| [A-Z_]+: \d+ commands|Phase context status code:  Message: $"
    r"|Expanding |Assembling file list|Found \d+ file"
)
# What the common test tools say of a failure, and of none.
BAD = re.compile(r"E  |(FAIL|FAILED|ERROR|not ok)\b|[✖✗] |=+ .*\b\d+ (failed|error)|\w*Error: ")
GOOD = re.compile(r"=+ .*\b\d+ passed")
LONGEST = 4096  # characters that are held back to see how a line goes on
SHORT = 60  # characters of a line without an end that a sign of life repeats


class Screen:
    """Shows a log piece by piece, in colours or without."""

    def __init__(self, out: TextIO, coloured: bool) -> None:
        self.out, self.coloured = out, coloured
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.held, self.since, self.is_begun = "", "", False
        self.at, self.shown_at = time.monotonic(), 0.0  # of the last output, and sign of life
        self.shown = ""

    def write(self, data: bytes) -> None:
        """Show what the log has more."""
        self.clear()
        self.at = time.monotonic()
        *lines, self.held = (self.held + self.decoder.decode(data)).split("\n")
        for line in lines:
            shown = harmless(line) if self.is_begun else self.line(line)
            self.out.write("" if shown is None else f"{shown}\n")
            self.is_begun = False
        if len(self.held) > LONGEST:
            self.pause()
        self.out.flush()

    def sign(self) -> None:
        """Show that a command goes on that prints nothing, in a line that the next one replaces.

        git's remote end sends a line on as soon as it has an end, and a carriage return is one. It
        clears the rest of the line itself, and shows all but colours as text: hence the blanks.
        """
        now = time.monotonic()
        if self.coloured and not self.is_begun and now > max(self.at + PATIENCE, self.shown_at + 1):
            begun = one_line(self.held[:SHORT]) if self.held.isascii() else ""
            self.shown, self.shown_at = f"{begun} … {now - self.at:.0f} s", now
            self.out.write(f"{painted(self.shown, DIM)}\r")
            self.out.flush()

    def clear(self) -> None:
        """Take the sign of life away."""
        if self.shown:
            self.out.write(" " * len(self.shown) + "\r")
        self.shown = ""

    def pause(self) -> None:
        """Show what is held back: the log has ended, or the line is too long."""
        if self.held:
            self.out.write(harmless(self.held) if self.is_begun else self.line(self.held) or "")
            self.held, self.is_begun = "", True

    def end(self) -> None:
        """Show the rest, and end its line if the log has not."""
        self.clear()
        self.pause()
        self.out.write("\n" if self.is_begun else "")
        self.out.flush()

    def line(self, line: str) -> str | None:
        """Return a line as it is shown, or None if it is left out."""
        own = OWN.fullmatch(line)
        if own and own[2] and LEFT_OUT.match(own[3]):
            return None
        text = harmless(line)
        if not self.coloured:
            return text
        if own:
            said = harmless(own[3])
            return f"{painted(own[1], DIM)} {self.of_codebuild(own[2], said) if own[2] else said}"
        colour = RED if BAD.match(text) else GREEN if GOOD.match(text) else ""
        return painted(text, colour) if colour else text

    def of_codebuild(self, stamp: str, text: str) -> str:
        """Return what one of CodeBuild's lines says, in its colours."""
        complete = COMPLETE.match(text)
        if text.startswith(("Entering phase", "Running on CodeBuild")):
            self.since = stamp
        if complete:
            good = complete[1] == "SUCCEEDED"
            form = "%Y/%m/%d %H:%M:%S.%f"
            start, end = (datetime.strptime(each, form) for each in (self.since or stamp, stamp))
            took = f" ({(end - start).total_seconds():.2f} s)" if self.since else ""
            self.since = stamp
            return painted(text, BOLD, GREEN if good else RED) + painted(took, DIM)
        if text.startswith("Running command "):
            return "Running command " + painted(text.removeprefix("Running command "), BOLD)
        if text.startswith("Command did not exit") or "status code: C" in text:
            return painted(text, RED)
        return text

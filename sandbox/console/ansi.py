"""The colours of a terminal as HTML: SGR sequences become classes, other escapes are dropped."""

from __future__ import annotations

import re
from html import escape

from sandbox.laptop.terminal import HIDDEN

# CSI, OSC and other string sequences, then the short ones; SGR is the CSI that ends in m.
SEQUENCE = re.compile(
    r"\x1b\[([0-9;:]*)m"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
)
# What may be the first part of a sequence whose end has not come yet.
OPEN = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]{0,255})?$")
NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike"}
ENDS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("inverse",), 29: ("strike",)}


class Painter:
    """Turns text, piece by piece, into HTML whose lines are spans of their own."""

    def __init__(self) -> None:
        self.colour, self.ground, self.held = "", "", ""
        self.styles: set[str] = set()

    def paint(self, text: str) -> str:
        """Return HTML for the next piece of text; an unfinished escape waits for the next one."""
        text = self.held + text
        cut = OPEN.search(text)
        self.held = cut[0] if cut else ""
        if cut:
            text = text[: cut.start()]
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return "".join(self.line(line) for line in text.splitlines(keepends=True))

    def line(self, line: str) -> str:
        parts, start = [], 0
        for found in SEQUENCE.finditer(line):
            parts.append(self.span(line[start : found.start()]))
            start = found.end()
            if found[0].startswith("\x1b[") and found[0].endswith("m"):
                self.change(found[1] or "")
        parts.append(self.span(line[start:]))
        return '<span class="line">' + "".join(parts) + "</span>"

    def span(self, text: str) -> str:
        if not text:
            return ""
        shown = escape(HIDDEN.sub(lambda match: f"\\x{ord(match[0]):02x}", text))
        classes = sorted(self.styles)
        classes += [f"fg-{self.colour}"] if self.colour else []
        classes += [f"bg-{self.ground}"] if self.ground else []
        return f'<span class="{" ".join(classes)}">{shown}</span>' if classes else shown

    def change(self, codes: str) -> None:
        """Read the numbers of an SGR sequence."""
        # A terminal takes a number that is too large, as one that is missing, for nothing.
        numbers = [int(code[:4] or 0) for code in re.split("[;:]", codes)[:32]]
        while numbers:
            code = numbers.pop(0)
            if code == 0:
                self.colour, self.ground = "", ""
                self.styles.clear()
            elif code in STYLES:
                self.styles.add(STYLES[code])
            elif code in ENDS:
                self.styles.difference_update(ENDS[code])
            elif code in (38, 48):
                name = extended(numbers)
                if code == 38:
                    self.colour = name
                else:
                    self.ground = name
            elif code == 39:
                self.colour = ""
            elif code == 49:
                self.ground = ""
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.colour = NAMES[code % 10]
            elif 40 <= code <= 47 or 100 <= code <= 107:
                self.ground = NAMES[code % 10]


def extended(numbers: list[int]) -> str:
    """Take a colour of 256 or of 24 bits from the numbers; return the nearest of the eight."""
    kind = numbers.pop(0) if numbers else 0
    if kind == 5 and numbers:
        index = numbers.pop(0)
        if index < 16:
            return NAMES[index % 8]
        if index > 231:
            return "white" if index > 243 else "black"
        level = index - 16
        red, green, blue = (51 * part for part in (level // 36, level // 6 % 6, level % 6))
    elif kind == 2 and len(numbers) >= 3:
        red, green, blue = (numbers.pop(0) for _ in range(3))
    else:
        return ""
    most = max(red, green, blue, 1)
    return NAMES[sum(1 << bit for bit, part in enumerate((red, green, blue)) if 2 * part >= most)]

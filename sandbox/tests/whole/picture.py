"""A picture of a terminal, drawn from what a push said, without what differs each time."""

import re
from html import escape

WIDTH = 96  # characters
SHOWN = (
    "Running command",
    "Phase complete",
    " passed",
    " failed",
    "AssertionError",
    "BUILD ",
    "http://",
    "hint: ",
)
COLOURS = {
    "SUCCEEDED": "#3fb950",
    "passed": "#3fb950",
    "FAILED": "#ff7b72",
    "failed": "#ff7b72",
    "Error": "#ff7b72",
}


def lines_of(text):
    """Return the lines that tell how a push went."""
    kept = []
    for line in text.splitlines():
        line = re.sub(r"\[Container\] \S+ \S+ ", "[Container] ", line).replace("remote: ", "", 1)
        line = re.sub(r"\d+\.\d\ds", "…", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", line))
        line = re.sub(r"commit [0-9a-f]{7}", "commit …", line)
        if any(word in line for word in SHOWN) and not line.startswith(("To ", "[sandbox] error")):
            kept.append(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")
    return kept


def draw(command, text):
    """Return an SVG of a terminal with a command and what it said."""
    lines = [f"$ {command}", *lines_of(text)]
    height = 20 * len(lines) + 30
    body = []
    for number, line in enumerate(lines):
        colour = next((colour for word, colour in COLOURS.items() if word in line), "#e6edf3")
        body.append(f'  <text x="14" y="{32 + 20 * number}" fill="{colour}">{escape(line)}</text>')
    return "\n".join(
        [
            '<svg xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {8 * WIDTH + 28} {height}" role="img" aria-labelledby="t d" '
            'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13" '
            'xml:space="preserve">',
            '  <title id="t">The end of a push, in a terminal</title>',
            f'  <desc id="d">{escape(lines[-1])}</desc>',
            '  <rect width="100%" height="100%" rx="8" fill="#0d1117"/>',
            *body,
            "</svg>",
            "",
        ]
    )

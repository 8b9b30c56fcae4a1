"""The pictures of README.md: a terminal, drawn from what a push said, and the console."""

import re
from html import escape

from browsers import browser

from sandbox.laptop.paths import ROOT

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
TEXT, DIM, GREEN, RED = "#e6edf3", "#7d8590", "#3fb950", "#ff7b72"


def lines_of(text):
    """Return the lines that tell how a push went, without what differs each time."""
    kept = []
    for line in text.splitlines():
        line = re.sub(r"\[Container\] \S+ \S+ ", "[Container] ", line).replace("remote: ", "", 1)
        line = re.sub(r"\d+\.\d\ds", "…", re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:…", line))
        line = re.sub(r"commit [0-9a-f]{7}\) in [\d.]+ s", "commit …) in … s", line)
        if any(word in line for word in SHOWN) and not line.startswith(("To ", "[sandbox] error")):
            kept.append(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")
    return kept


def spans(line):
    """Return the parts of a line with their colour and weight, as builds/screen.py paints them."""
    mark, _, rest = line.partition(" ")
    if mark not in ("[Container]", "[sandbox]"):
        bad = any(word in line for word in ("failed", "FAILED", "Error"))
        return [(line, RED if bad else GREEN if " passed" in line else TEXT, "normal")]
    start = [(mark + " ", DIM, "normal")]
    if rest.startswith("Running command "):
        command = rest.removeprefix("Running command ")
        return [*start, ("Running command ", TEXT, "normal"), (command, TEXT, "bold")]
    if rest.startswith(("Phase complete", "BUILD ")):
        good = "SUCCEEDED" in rest
        return [*start, (rest, GREEN if good else RED, "bold")]
    return [*start, (rest, TEXT, "normal")]


def draw(command, text):
    """Return an SVG of a terminal with a command and what it said."""
    lines = [f"$ {command}", *lines_of(text)]
    height = 20 * len(lines) + 30
    body = []
    for number, line in enumerate(lines):
        parts = "".join(
            f'<tspan fill="{colour}" font-weight="{weight}">{escape(part)}</tspan>'
            for part, colour, weight in spans(line)
        )
        body.append(f'  <text x="14" y="{32 + 20 * number}">{parts}</text>')
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


def photograph(address, colour, page_of, height, shown=""):
    """Take the picture of one of the console's pages, light and dark."""
    with browser() as running:
        page = running.new_page(viewport={"width": 1100, "height": height})
        page.goto(address)  # whose key the browser then has
        page.goto(address.split("?")[0] + page_of)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            if shown:
                page.locator(shown).evaluate("it => it.scrollIntoView({block: 'center'})")
            page.wait_for_timeout(500)
            page.screenshot(path=ROOT / "images" / f"console-{colour}-{theme}.png")

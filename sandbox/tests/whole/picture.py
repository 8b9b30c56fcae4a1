"""The pictures of README.md: a terminal, drawn from what a push said, and the console."""

import re
from html import escape
from itertools import groupby

from browsers import browser

from sandbox.laptop.paths import ROOT
from students import screen, seen

WIDTH = 96  # characters
SHOWN = (
    *("Running command pip", "Running command pytest", "Running command aws", "Phase complete"),
    *(" passed", " failed", "said: ", "hint: ", "look at it", "http://", "BUILD "),
)
TEXT, DIM = "#e6edf3", "#7d8590"
COLOURS = {"2": DIM, "31": "#ff7b72", "32": "#3fb950", "33": "#d29922", "36": "#39c5cf"}
LEFT_OUT = [(each, "\x1b[2m") for each in "… lines left out"]
SAME = {  # what differs each time, and what stands for it
    r"(?<=\[Container\] )\S+ \S+": "…",
    r"127\.0\.0\.1:\d+": "127.0.0.1:…",
    r"commit [0-9a-f]{7}\) in [\d.]+ s": "commit …) in … s",
    r"\d+\.\d\d ?s\b": "… s",
}


def lines_of(raw):
    """Return the lines that tell how a push went, as a terminal shows them, and where some lack."""
    kept = []
    for cells in screen(raw):
        text = "".join(each for each, _ in cells).rstrip()
        del cells[len(text) :]
        if any(word in text for word in SHOWN) and not text.startswith("To "):
            for pattern, instead in SAME.items():
                for found in [*re.finditer(pattern, text)][::-1]:
                    style = cells[found.start()][1]
                    cells[found.start() : found.end()] = [(each, style) for each in instead]
                text = "".join(each for each, _ in cells)
            if "[sandbox]" in text:  # wrapped, as a terminal does
                kept += [cells[at : at + WIDTH] for at in range(0, len(cells), WIDTH)]
            else:
                kept.append(cells if len(cells) <= WIDTH else [*cells[: WIDTH - 1], ("…", "")])
        elif text.removeprefix("remote:").strip() and kept[-1:] != [LEFT_OUT]:
            kept.append(LEFT_OUT)
    return kept


def spans(cells):
    """Return the parts of a line with their colour and weight."""
    for style, part in groupby(cells, lambda cell: cell[1]):
        codes = re.findall(r"\d+", style)
        colour = next((COLOURS[code] for code in codes[::-1] if code in COLOURS), TEXT)
        yield "".join(each for each, _ in part), colour, "bold" if "1" in codes else "normal"


def draw(command, raw):
    """Return an SVG of a terminal with a command and what that terminal got."""
    lines = [[(each, "") for each in f"$ {command}"], *lines_of(raw)]
    *_, end = [line for line in seen(raw) if "BUILD " in line]
    end = re.sub(r"\(commit .*", "", end).strip()
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
            f'  <desc id="d">{escape(end)}</desc>',
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

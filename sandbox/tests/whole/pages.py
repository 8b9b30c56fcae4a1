"""The two pages that a student reads, as blocks and tables."""

import re
from dataclasses import dataclass

from sandbox.laptop.paths import ROOT

LEADS = {
    "Put this into": "written",
    "Put one at": "tried",
    "A build and a function get": "packed",
}


@dataclass(frozen=True)
class Block:
    """One fenced block, with the line of prose before it."""

    kind: str
    text: str
    line: int
    lead: str

    @property
    def use(self):
        return next((use for lead, use in LEADS.items() if lead in self.lead), None)


class Page:
    """One page."""

    def __init__(self, name):
        self.path = ROOT / name
        self.text = self.path.read_text(encoding="utf-8")
        self.blocks = list(self.read_blocks())

    def read_blocks(self):
        lines, lead, start = self.text.split("\n"), "", None
        for number, line in enumerate(lines):
            if start is None and line.startswith("```"):
                start = number
            elif start is not None and line == "```":
                text = "\n".join(lines[start + 1 : number]) + "\n"
                yield Block(lines[start][3:], text, start + 1, lead)
                start = None
            elif start is None and line.strip() and not line.startswith("<"):
                lead = line

    def table_below(self, heading, columns):
        """Return the rows of the first table after a text, as lists of cells."""
        rows = []
        for line in self.text[self.text.index(heading) :].splitlines():
            if line.startswith("|"):
                rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
            elif rows:
                break
        assert all(len(row) == columns for row in rows), rows
        return rows[2:]

    def anchors(self):
        headings = [line for line in self.text.splitlines() if re.match(r"#+ ", line)]
        return {slug(line.lstrip("# ")) for line in headings}

    def links(self):
        return re.findall(r"\]\(([^)\s]+)\)", self.text)


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def codes(text):
    return re.findall(r"`([^`]+)`", text)


TUTORIAL, REFERENCE = Page("README.md"), Page("sandbox/README.md")
GUIDE = Page("sandbox/CONTRIBUTING.md")

"""What YAML reads otherwise than it looks, so that a slip of the hand is told and not obeyed."""

from __future__ import annotations

import itertools
import re

import yaml

from sandbox.codebuild.yaml_nodes import QUOTE_IT, Walk, is_null, line_of

# Between two lines with one of these there, nobody has forgotten a dash.
GOES_ON = re.compile(r"(?:[|&;,({\\]|\b(?:then|do|else))\s*$")
IS_REST = re.compile(r"\s*(?:-|[|&;>]+\s*\S|[)}]|\d>|(?:then|do|else|elif|fi|done|esac|in)\b)")


class CarefulWalk(Walk):
    """A walk that warns of what it comes by."""

    def texts(self, node: yaml.Node | None, name: str) -> tuple[str, ...]:
        self.look_at_all(node)
        return super().texts(node, name)

    def look_at_all(self, node: yaml.Node | None) -> None:
        """Look at the texts of a list, or at a lone one."""
        for item in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(item, yaml.ScalarNode) and (said := misreading(item, self.lines)):
                # The line of the text itself, also if a key stands before it.
                self.warnings.append((line_of(item), said))

    def look_at_value(self, node: yaml.Node) -> None:
        """Look at a value that should be one word or in quotation marks."""
        if isinstance(node, yaml.ScalarNode) and (said := lone_quote(node)):
            self.warn(node, said)


def misreading(node: yaml.ScalarNode, lines: list[str]) -> str:
    """Return what may surprise in a text of a list, or nothing; `lines` are those of the file."""
    first, last = node.start_mark, node.end_mark
    if is_null(node):
        return "an empty item is no command"
    if lines[first.line][first.column : first.column + 1] == "!":
        return f"a word that starts with ! is a tag to YAML and no part of the command: {QUOTE_IT}"
    written = lines[first.line : last.line + (1 if last.column else 0)]
    if node.style in ("|", ">"):
        return in_block(node, written[1:])
    for above, below in itertools.pairwise(written):
        if below.lstrip().startswith("- "):
            return (
                "the line below is part of this command: "
                "line up each `- ` of the list in one column"
            )
        if above.rstrip().endswith("\\") and node.style != '"':
            return (
                "YAML makes one line of this and the line below, in which the backslash holds on "
                "to a blank: leave it out, or write the command below `- |`"
            )
        if below.strip() and not GOES_ON.search(above) and not IS_REST.match(below):
            return (
                f"the line below, `{below.strip()[:40]}`, is part of this: "
                "if it is to be one of its own, write `- ` before it"
            )
    return ""


def in_block(node: yaml.ScalarNode, written: list[str]) -> str:
    """Return what may surprise in a text below `|` or `>`, or nothing."""
    text = str(node.value)
    items = [line.strip() for line in written if line.lstrip().startswith("- ")]
    if items and "<<" not in text:  # what goes into a file may be a list of its own
        return f"the line `{items[0][:40]}` is part of this block: line up its `- ` with the others"
    deeper = re.search(r"\n +(\S.*)", text) if node.style == ">" else None
    if deeper:
        return (
            f"the line `{deeper[1][:40]}` is indented deeper than its block, so it keeps its line "
            "break and is a command of its own"
        )
    return ""


def lone_quote(node: yaml.ScalarNode) -> str:
    """Return what to say of a value with a quotation mark at one end only, or nothing."""
    text = str(node.value)
    if not node.style:
        for mark in "'\"":
            if text.startswith(mark) != text.endswith(mark):
                return f"{text}: the quotation mark has no partner, so it is part of the value"
    return ""

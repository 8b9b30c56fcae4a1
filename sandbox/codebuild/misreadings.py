"""What YAML reads otherwise than it looks, so that a slip of the hand is told and not obeyed."""

from __future__ import annotations

import itertools
import re

import yaml

from sandbox.codebuild.yaml_nodes import QUOTE_IT, is_null

# Between two lines with one of these there, nobody has forgotten a dash.
GOES_ON = re.compile(r"(?:[|&;,({\\]|\b(?:then|do|else))\s*$")
IS_REST = re.compile(r"\s*(?:-|[|&;>]+\s*\S|[)}]|\d>|(?:then|do|else|elif|fi|done|esac|in)\b)")


def of_item(node: yaml.ScalarNode, lines: list[str]) -> str:
    """Return what may surprise in a text of a list, or nothing; `lines` are those of the file."""
    first, last = node.start_mark, node.end_mark
    if is_null(node):
        return "an empty item is no command"
    if lines[first.line][first.column : first.column + 1] == "!":
        return f"a word that starts with ! is a tag to YAML and no part of the command: {QUOTE_IT}"
    written = lines[first.line : last.line + (1 if last.column else 0)]
    if node.style in ("|", ">"):
        return of_block(node, written[1:])
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


def of_block(node: yaml.ScalarNode, written: list[str]) -> str:
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


def of_value(node: yaml.Node) -> str:
    """Return what may surprise in a value that should be one word, or nothing."""
    text = str(node.value)
    is_plain = isinstance(node, yaml.ScalarNode) and not node.style
    if is_plain and any(text.startswith(mark) != text.endswith(mark) for mark in "'\""):
        return f"{text}: the quotation mark has no partner, so it is part of the value"
    return ""

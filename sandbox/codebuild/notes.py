"""What is noted of a buildspec while it is read: what is passed over, overlooked, not run."""

from __future__ import annotations

import itertools
import re

import yaml

from sandbox.codebuild.yaml_nodes import NULL, QUOTE_IT

# What CodeBuild honours and a laptop does not; README.md shows the same table.
PASSED_OVER = {
    "run-as": "on a laptop all commands run as you",
    "proxy": "only for builds behind a proxy server, passed over here",
    "batch": "read only by batch builds, and this is none",
    "cache": "passed over: each build here starts clean",
    "artifacts": "passed over if the project has NO_ARTIFACTS, as in template.yml, on AWS, too; "
    "for S3 the files are looked for, and not uploaded",
    "git-credential-helper": "passed over: a build here has no git credentials",
}
# Between two lines with one of these there, nobody has forgotten a dash.
GOES_ON = re.compile(r"(?:[|&;,({\\]|\b(?:then|do|else))\s*$")
IS_REST = re.compile(r"\s*(?:-|[|&;>]+\s*\S|[)}]|\d>|(?:then|do|else|elif|fi|done|esac|in)\b)")


def of_item(node: yaml.ScalarNode, lines: list[str]) -> str:
    """Return what may surprise in a text of a list, or nothing; `lines` are those of the file."""
    first, last = node.start_mark, node.end_mark
    if node.tag == NULL:
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

"""What is noted of a buildspec while it is read: what is passed over, overlooked, not run."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import yaml

from sandbox.codebuild import misreadings
from sandbox.codebuild.buildspec import BuildspecError
from sandbox.codebuild.yaml_nodes import fault, items, key_of, line_of, mapping, text

FILE = "the file"
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


class Notes:
    """The notes on one file, whose lines are `lines`."""

    def __init__(self, lines: list[str], told: list[tuple[int, str]]) -> None:
        self.lines, self.told = lines, [*told]
        self.unknown: list[tuple[str, str]] = []
        self.obstacles: list[BuildspecError] = []
        self.scripts: list[tuple[int, str]] = []

    def tell(self, node: yaml.Node, said: str) -> None:
        """Note something about a value, on the line of its key."""
        self.told.append((line_of(key_of(node)), said))

    def hinder(self, node: yaml.Node, said: str, hint: str) -> None:
        """Note why this machine does not run what CodeBuild would."""
        self.obstacles.append(fault(key_of(node), said, hint))

    def keys(
        self, node: yaml.Node | None, section: str, known: Sequence[str]
    ) -> dict[str, yaml.Node]:
        """Return the values of a section; note each key that we, or CodeBuild, pass over."""
        found = mapping(node, section)
        for key, value in found.items():
            if key not in known:
                near = difflib.get_close_matches(key.lower(), known, 1)
                meant = f"; did you mean `{near[0]}:`?" if near else ""
                self.tell(value, f"{key!r} is no key that counts here, it is passed over{meant}")
                self.unknown += [(section, key)] if section != FILE else []
            elif key in PASSED_OVER:
                self.tell(value, f"{key}: {PASSED_OVER[key]}")
        return found

    def texts(self, node: yaml.Node | None, name: str) -> tuple[str, ...]:
        """Return the texts of a list, or a lone one, and note what may surprise in them."""
        for item in items(node):
            said = isinstance(item, yaml.ScalarNode) and misreadings.of_item(item, self.lines)
            if said:  # on the line of the text itself, also if a key stands before it
                self.told.append((line_of(item), said))
        return tuple(text(item, name) for item in items(node))

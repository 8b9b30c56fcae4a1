"""A part of a buildspec: a value that knows its name, its place, and what to say of it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import yaml

from sandbox.codebuild.buildspec import Buildspec, BuildspecError
from sandbox.codebuild.notes import PASSED_OVER, of_item
from sandbox.codebuild.yaml_nodes import NULL, blank_after_colon, place_of

TAGS = "wrong number of container tags, expected 1"  # CodeBuild's words for a node of another kind


class Part:
    """A value; false if there is nothing (`key:`, `~`, `null`) or no such key.

    What CodeBuild refuses is raised as a `fault`; the rest is noted.
    """

    def __init__(self, spec: Buildspec, name: str, node: yaml.Node | None, key: yaml.Node | None):
        """Take a node and the key before it; if there is no node, what it should be in."""
        self.spec, self.name, self.node, self.key = spec, name, node, key
        self.tag = node.tag if node else NULL
        self.line = place_of(node or key)[0]

    def __bool__(self) -> bool:
        return self.tag != NULL

    def __getitem__(self, key: str) -> Part:
        return self.parts().get(key, Part(self.spec, key, None, self.node or self.key))

    def parts(self) -> dict[str, Part]:
        """Return the values of a mapping by their keys."""
        if not self:
            return {}
        if not isinstance(self.node, yaml.MappingNode):
            hint = "holds keys with values: write `key: value` below it, indented by two spaces"
            written = self.node.value if isinstance(self.node, yaml.ScalarNode) else ""
            raise self.fault(TAGS, blank_after_colon(written) or f"{self.name} {hint}")
        return {
            key.value: Part(self.spec, key.value, value, key)
            for key, value in self.node.value
            if isinstance(key, yaml.ScalarNode)
        }

    def items(self) -> list[Part]:
        """Return the items of a list, or a lone one."""
        if isinstance(self.node, yaml.SequenceNode):
            return [Part(self.spec, self.name, item, None) for item in self.node.value]
        return [self] if self else []

    def holds(self, item: Part) -> bool:
        """Tell whether an item stands in this very value, and not under an anchor elsewhere."""
        if not self.node or not item.node:
            return False
        start, end = self.node.start_mark.index, self.node.end_mark.index
        return bool(start <= item.node.start_mark.index < end)

    def text(self) -> str:
        """Return a scalar as it is written: 3.10 stays 3.10."""
        if not self:
            return ""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.fault(TAGS, f"{self.name} takes one plain value")
        return str(self.node.value)

    def texts(self) -> tuple[str, ...]:
        """Return the texts of a list, or a lone one; note what may surprise in them."""
        for item in self.items():
            said = isinstance(item.node, yaml.ScalarNode) and of_item(item.node, self.spec.lines)
            if said:  # on the line of the text itself, also if a key stands before it
                self.spec.notes.append((item.line, said))
        return tuple(item.text() for item in self.items())

    def pass_over(self, known: Sequence[str], section: str = "") -> None:
        """Note each key that this machine, or CodeBuild itself, passes over."""
        for name, value in self.parts().items():
            if name not in known:
                near = difflib.get_close_matches(name.lower(), known, 1)
                meant = f"; did you mean `{near[0]}:`?" if near else ""
                value.tell(f"{name!r} is no key that counts here, it is passed over{meant}")
                if section:  # what CodeBuild says of the file's own keys is not known
                    self.spec.unknown.setdefault(section, []).append(name)
            elif name in PASSED_OVER:
                value.tell(f"{name}: {PASSED_OVER[name]}")

    def tell(self, said: str) -> None:
        """Note something about a value, on the line of its key."""
        self.spec.notes.append((place_of(self.key or self.node)[0], said))

    def hinder(self, said: str, hint: str) -> None:
        """Note why this machine does not run what CodeBuild would."""
        self.spec.obstacles.append(self.fault(said, hint, is_key=True))

    def fault(self, message: str, hint: str, is_key: bool = False) -> BuildspecError:
        """Return the error that a value, or its key, is."""
        node = self.key if is_key else self.node
        return BuildspecError(message, hint, *place_of(node or self.key))

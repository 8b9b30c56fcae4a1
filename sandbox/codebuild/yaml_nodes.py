"""A YAML document as nodes that know their lines, with a hint for each error that students make.

It is read by libyaml, whose messages are those of CodeBuild's log; where PyYAML has none, by PyYAML
itself.
"""

from __future__ import annotations

from typing import Any

import yaml

from sandbox.codebuild import yaml_errors

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
QUOTE_IT = yaml_errors.QUOTE_IT


class BuildspecError(Exception):
    """A buildspec that CodeBuild, or this laptop, refuses; `line` and `column` count from 1."""

    def __init__(
        self,
        message: str,
        hint: str,
        line: int | None = None,
        column: int | None = None,
        code: str = "YAML_FILE_ERROR",
    ):
        super().__init__(message)
        self.message, self.hint, self.line, self.column, self.code = (
            message,
            hint,
            line,
            column,
            code,
        )
        self.place = f", line {line}, column {column}" if line else ""


def compose(content: bytes) -> yaml.Node | None:
    """Parse YAML to nodes, which know their lines and keep each scalar as it was written."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BuildspecError(
            f"invalid bytes at line {line}: the file is not UTF-8 text",
            "save the file as UTF-8",
            line,
            1,
        ) from None
    loader = None
    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        flatten(loader, node, set())
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BuildspecError(
            f"control characters are not allowed at line {line}",
            "delete the character that your editor does not show",
            line,
            error.position - text.rfind("\n", 0, error.position),
        ) from None
    except yaml.MarkedYAMLError as error:
        raise explained(error, text) from None
    except RecursionError:
        raise BuildspecError(
            "the file is nested too deeply",
            "write `phases:` with the commands two levels below it",
            1,
            1,
        ) from None
    finally:
        if loader:
            loader.dispose()
    return node


def flatten(loader: Any, node: yaml.Node | None, seen: set[int]) -> None:
    """Apply merge keys (<<), and refuse a key that stands twice in one mapping."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            flatten(loader, item, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in lines:
                    first = lines[key.value]
                    raise BuildspecError(
                        f"key {key.value!r} at line {line_of(key)} "
                        f"is already there at line {first}",
                        "put both contents under one key: "
                        "of two, all but the last would be lost without a word",
                        line_of(key),
                        key.start_mark.column + 1,
                    )
                lines[key.value] = line_of(key)
            flatten(loader, value, seen)
        loader.flatten_mapping(node)


def explained(error: yaml.MarkedYAMLError, text: str) -> BuildspecError:
    """Turn a YAML error into CodeBuild's words, with the student's line and a hint."""
    context, problem = str(error.context), error.problem or "the YAML cannot be read"
    unclosed = "scanning a quoted scalar" in context
    mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    lines = text.splitlines()
    start = error.context_mark.line + 1 if error.context_mark else line
    if tab := yaml_errors.of_tab(lines, line, start):
        hint = tab
    elif "cannot start any token" in problem:
        sign = yaml_errors.line_at(lines, line)[column - 1 : column]
        hint = f"{sign!r} cannot start a plain text: {QUOTE_IT}"
    elif "alias" in problem or "alias" in context:
        hint = f"a text that starts with * is an alias in YAML: {QUOTE_IT}"
    elif "expected a single document" in context:
        problem = f"{context}, {problem}"
        hint = "keep one document in the file: delete the line `---` and what follows it"
    elif "unknown escape character" in problem:
        hint = (
            "in double quotes a backslash starts an escape: put the whole command in single "
            "quotes, or write it below `- |`"
        )
    elif unclosed:
        hint = "close the quotation mark that was opened"
    else:
        hint = yaml_errors.of_structure(problem, lines, line, column, start)
    return BuildspecError(f"{problem} at line {line}", hint, line, column)


def line_of(node: yaml.Node) -> int:
    """Return the line where a node starts, from 1."""
    return int(node.start_mark.line) + 1


def is_null(node: yaml.Node) -> bool:
    """Tell whether a node stands for nothing (`key:`, `~` or `null`)."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


class Walk:
    """A walk over the nodes of one file, which collects warnings on the way."""

    def __init__(self, root: yaml.Node | None, lines: list[str]) -> None:
        self.root, self.lines = root, lines
        self.warnings: list[tuple[int, str]] = []
        self.keys: dict[int, yaml.Node] = {}  # of a value's id, the key that stands before it

    def fail(self, node: yaml.Node | None, message: str, hint: str) -> BuildspecError:
        if node is None:
            return BuildspecError(message, hint, 1, 1)
        return BuildspecError(message, hint, line_of(node), node.start_mark.column + 1)

    def warn(self, node: yaml.Node, text: str) -> None:
        self.warnings.append((line_of(self.keys.get(id(node), node)), text))

    def mapping(self, node: yaml.Node | None, name: str) -> dict[str, yaml.Node]:
        if node is None or is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(
                node,
                "wrong number of container tags, expected 1",
                f"{name} holds keys with values: write `key: value` below it, "
                "indented by two spaces",
            )
        self.keys |= {id(value): key for key, value in node.value}
        return {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}

    def texts(self, node: yaml.Node | None, name: str) -> tuple[str, ...]:
        if node is None or is_null(node):
            return ()
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        return tuple(self.text(item, name) for item in items)

    def text(self, node: yaml.Node, name: str) -> str:
        """Return a scalar as it is written: 3.10 stays 3.10."""
        if not isinstance(node, yaml.ScalarNode):
            raise self.fail(
                node, "wrong number of container tags, expected 1", f"{name} takes one plain value"
            )
        return "" if is_null(node) else str(node.value)

"""A YAML document as nodes that know their lines, with a hint for the errors that students make.

It is read by libyaml, whose messages are those of CodeBuild's log; where PyYAML has none, by PyYAML
itself.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from sandbox.codebuild.buildspec import BuildspecError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NULL = "tag:yaml.org,2002:null"
QUOTE_IT = "put the whole command in single quotes, or write it below `- |`"
COLON = f"a colon with a space after it makes a key: {QUOTE_IT}"
QUOTES = f"a quotation mark is not closed, or ends the text too early: {QUOTE_IT}"
LINE_UP = (
    "a command needs `- ` before it and a key `: ` after it, and all of one level, above and "
    "below, stand in one column"
)
# What libyaml says, and what to do about it, if that does not depend on the line.
HINTS = {
    "single document": "keep one document in the file: delete the line `---` and what follows it",
    "unknown escape character": f"in double quotes a backslash starts an escape: {QUOTE_IT}",
    "scanning a quoted scalar": QUOTES,
    "expected ',' or": f"close the bracket that was opened above, or {QUOTE_IT}",
}
# A sign at the start of a text means something to YAML, or nothing at all.
SIGN = re.compile("cannot start any token|alias|alphabetic|comment or line break")


def compose(content: bytes) -> tuple[yaml.Node | None, list[str]]:
    """Parse YAML to nodes, which know their lines and keep each scalar as it was written."""
    loader = None
    try:
        text = content.decode("utf-8-sig")
        loader = LOADER(text)
        node = loader.get_single_node()
        flatten(loader, node, set())
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"invalid bytes at line {line}: the file is not UTF-8 text"
        raise BuildspecError(message, "save the file as UTF-8", line, 1) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BuildspecError(
            f"control characters are not allowed at line {line}",
            "delete the character that your editor does not show",
            line,
            error.position - text.rfind("\n", 0, error.position),
        ) from None
    except yaml.MarkedYAMLError as error:
        raise explained(error, text.splitlines()) from None
    except RecursionError:
        hint = "write `phases:` with the commands two levels below it"
        raise BuildspecError("the file is nested too deeply", hint, 1, 1) from None
    finally:
        if loader:
            loader.dispose()
    return node, text.splitlines()


def flatten(loader: Any, node: yaml.Node | None, seen: set[int]) -> None:
    """Apply merge keys (<<), and refuse a key that stands twice."""
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
                    line, column = place_of(key)
                    raise BuildspecError(
                        f"key {key.value!r} at line {line} "
                        f"is already there at line {lines[key.value]}",
                        "put both contents under one key: "
                        "of two, all but the last would be lost without a word",
                        line,
                        column,
                    )
                lines[key.value], _ = place_of(key)
            flatten(loader, value, seen)
        loader.flatten_mapping(node)


def explained(error: yaml.MarkedYAMLError, lines: list[str]) -> BuildspecError:
    """Turn a YAML error into CodeBuild's words, with the student's line and a hint."""
    context, problem = error.context or "", error.problem or "the YAML cannot be read"
    if "single document" in context:
        problem = f"{context}, {problem}"
    mark = error.problem_mark or error.context_mark
    if "quoted scalar" in context and "escape" not in problem:
        mark = error.context_mark or mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    start = error.context_mark.line + 1 if error.context_mark else line
    hint = hint_of(f"{context}, {problem}", lines, line, column, start)
    return BuildspecError(f"{problem} at line {line}", hint, line, column)


def hint_of(problem: str, lines: list[str], line: int, column: int, start: int) -> str:
    """Return what to do about a problem; it is often not on the line that YAML names.

    `line` and `column` are where YAML has noticed it, `start` is the line where what it was reading
    began; all count from 1.
    """

    def at(number: int) -> str:
        return lines[number - 1] if number <= len(lines) else ""

    written = at(line)
    before, sign = written[: column - 1], written[column - 1 : column]
    is_item = written.lstrip().startswith("- ")
    above = next((n for n in range(line - 1, 0, -1) if at(n).strip()), line)
    for number in (line, start):
        if re.match(r"[ -]*\t", at(number)):
            return f"line {number} is indented with a tab: indent with spaces, YAML takes no tabs"
    for text, hint in HINTS.items():
        if text in problem:
            return hint
    if before.rstrip()[-1:] in ("'", '"') and "did not find expected" in problem:
        return QUOTES
    if SIGN.search(problem) or (is_item and "expected '-'" in problem):
        first = sign if "any token" in problem else written.lstrip(" -")[:1]
        return f"{first!r} cannot start a plain text: {QUOTE_IT}"
    for number in (above, start):
        if hint := blank_after_colon(at(number)):
            return hint
    if "mapping values" in problem and (is_item or ": " in before):
        return COLON
    ill = start if "could not find expected ':'" in problem else line
    if "mapping values" in problem or is_item:
        ill = above
    return f"line {ill}, `{at(ill).strip()[:60]}`: {LINE_UP}"


def blank_after_colon(text: str) -> str:
    """Return the hint for a key whose value follows its colon at once, or nothing."""
    found = re.fullmatch(r"\s*([\w-]+):(?!//)(\S+)\s*", text)
    return f"write a blank after the colon: `{found[1]}: {found[2]}`" if found else ""


def place_of(node: yaml.Node | None) -> tuple[int, int]:
    """Return the line and column where a node starts, from 1."""
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)

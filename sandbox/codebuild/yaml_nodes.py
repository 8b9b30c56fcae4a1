"""A YAML document as nodes that know their lines, with a hint for the errors that students make.

It is read by libyaml, whose messages are those of CodeBuild's log; where PyYAML has none, by PyYAML
itself.
"""

from __future__ import annotations

import re
from collections import defaultdict
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
# What YAML says, and what to do about it, if that does not depend on the line.
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
    text = content.decode("utf-8-sig", errors="surrogateescape")
    try:
        loader = LOADER(text)
        node = loader.get_single_node()
        flatten(loader, node, set())
    except (UnicodeEncodeError, yaml.reader.ReaderError) as error:
        if isinstance(error, UnicodeEncodeError):
            at, said = error.start, "the file is not UTF-8 text"
        else:
            at, said = error.position, "control characters are not allowed"
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        hint = f"save it as UTF-8, without the character in column {column} that no editor shows"
        raise BuildspecError(f"{said} at line {line}", hint, line, column) from None
    except yaml.MarkedYAMLError as error:
        raise explained(error, text.splitlines()) from None
    except RecursionError:
        hint = "write `phases:` with the commands two levels below it"
        raise BuildspecError("the file is nested too deeply", hint, 1, 1) from None
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
                line, column = place_of(key)
                if first := lines.get(key.value):
                    message = f"key {key.value!r} at line {line} is already there at line {first}"
                    hint = "put both contents under one key: "
                    hint += "of two, all but the last would be lost without a word"
                    raise BuildspecError(message, hint, line, column)
                lines[key.value] = line
            flatten(loader, value, seen)
        loader.flatten_mapping(node)


def explained(error: yaml.MarkedYAMLError, lines: list[str]) -> BuildspecError:
    """Turn a YAML error into CodeBuild's words, with the student's line and a hint."""
    whole = f"{error.context or ''}, {error.problem}"
    mark = error.problem_mark
    if "quoted scalar" in whole and "escape" not in whole:
        mark = error.context_mark or mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    start = error.context_mark.line + 1 if error.context_mark else line
    said = whole if "single document" in whole else error.problem
    return BuildspecError(
        f"{said} at line {line}", hint_of(whole, lines, line, column, start), line, column
    )


def hint_of(problem: str, lines: list[str], line: int, column: int, start: int) -> str:
    """Return what to do about a problem; it is often not on the line that YAML names.

    `line` and `column` are where YAML has noticed it, `start` is the line where what it was reading
    began; all count from 1.
    """
    written = defaultdict(str, enumerate(lines, 1))
    here = written[line]
    before, sign = here[: column - 1], here[column - 1 : column]
    is_item = here.lstrip().startswith("- ")
    above = next((number for number in range(line - 1, 0, -1) if written[number].strip()), line)
    for number in (line, start):
        if re.match(r"[ -]*\t", written[number]):
            return f"line {number} is indented with a tab: indent with spaces, YAML takes no tabs"
    for text, hint in HINTS.items():
        if text in problem:
            return hint
    if before.rstrip().endswith(("'", '"')) and "did not find expected" in problem:
        return QUOTES
    if SIGN.search(problem) or (is_item and "expected '-'" in problem):
        first = sign if "any token" in problem else here.lstrip(" -")[:1]
        return f"{first!r} cannot start a plain text: {QUOTE_IT}"
    for number in (above, start):
        if hint := blank_after_colon(written[number]):
            return hint
    ill = start if "could not find expected ':'" in problem else line
    if "mapping values" in problem and (is_item or ": " in before):
        return COLON
    if is_item or "mapping values" in problem:
        ill = above
    return f"line {ill}, `{written[ill].strip()[:60]}`: {LINE_UP}"


def blank_after_colon(text: str) -> str:
    """Return the hint for a key whose value follows its colon at once, or nothing."""
    found = re.fullmatch(r"\s*([\w-]+):(?!//)(\S+)\s*", text)
    return f"write a blank after the colon: `{found[1]}: {found[2]}`" if found else ""


def place_of(node: yaml.Node | None) -> tuple[int, int]:
    """Return the line and column where a node starts, from 1."""
    return (node.start_mark.line + 1, node.start_mark.column + 1) if node else (1, 1)

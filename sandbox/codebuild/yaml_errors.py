"""Where to look when YAML cannot be read: often on another line than the error names."""

from __future__ import annotations

import re

QUOTE_IT = "put the whole command in single quotes, or write it below `- |`"
ABOVE = "look at the lines above, too"
LINE_UP = "line up the keys of one level in one column, and each `- ` of one list in one column"


def of_tab(lines: list[str], *numbers: int) -> str:
    """Return the hint for the first of these lines that is indented with a tab, or nothing."""
    for number in numbers:
        if re.match(r"[ -]*\t", line_at(lines, number)):
            return f"line {number} is indented with a tab: indent with spaces, YAML takes no tabs"
    return ""


def of_structure(problem: str, lines: list[str], line: int, column: int, start: int) -> str:
    """Return the hint for an error after which keys and items do not fit together.

    `line` and `column` are where YAML has noticed it, `start` is the line where what it was reading
    began; all count from 1.
    """
    written = line_at(lines, line)
    is_item = written.lstrip().startswith("- ")
    mark = written[: column - 1].rstrip()[-1:]
    if mark in ("'", '"') and "did not find expected" in problem:
        if written[: column - 1].count(mark) % 2:
            return f"a quotation mark {mark} was opened before line {line} and not closed: {ABOVE}"
        if mark == "'":
            return "in single quotes write an apostrophe twice, or the whole command below `- |`"
        return f"the text goes on after its closing quotation mark: {QUOTE_IT}"
    if "could not find expected ':'" in problem:
        return ill_item(lines, start)
    above = next((n for n in range(line - 1, 0, -1) if line_at(lines, n).strip()), line)
    if "mapping values" in problem:
        if is_item or ": " in written[: column - 1]:
            return f"a colon with a space after it makes a key: {QUOTE_IT}"
        if re.fullmatch(r"[\w-]+", key := line_at(lines, above).strip()):
            return f"a key ends in a colon: write `{key}:` on line {above}"
        return f"{LINE_UP}, and end each key with a colon: {ABOVE}"
    if "expected '-'" in problem:
        return QUOTE_IT if is_item else ill_item(lines, line)
    if "alphabetic" in problem or "comment or line break" in problem:
        return f"a text that starts with &, | or > means something to YAML: {QUOTE_IT}"
    if "expected ',' or" in problem:
        return f"close the bracket that was opened on line {start}, or {QUOTE_IT}"
    if is_item and not re.search(r"^\s*- |:(\s|$)", line_at(lines, above)):
        return ill_item(lines, above)
    return f"{LINE_UP}: {ABOVE}"


def ill_item(lines: list[str], number: int) -> str:
    """Return the hint for a line that is neither an item of a list nor a key."""
    written = line_at(lines, number).strip()[:60]
    if re.match(r"-[^\s-]", written):
        return f"line {number}, `{written}`: write a blank after the `-`"
    return f"line {number}, `{written}`: a command needs `- ` before it, a key `:` after it"


def line_at(lines: list[str], number: int) -> str:
    """Return a line by its number, or an empty one after the end."""
    return lines[number - 1] if number <= len(lines) else ""

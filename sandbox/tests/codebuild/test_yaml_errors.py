"""Which line to look at, and what to type, for the slips that YAML itself explains badly."""

from pathlib import Path

import pytest

from sandbox.codebuild.buildspec import BuildspecError
from sandbox.codebuild.reader import read

OWN = (Path(__file__).parents[3] / "buildspec.yml").read_text(encoding="utf-8").splitlines()
BUILD = "version: 0.2\nphases:\n  build:\n    "
START = f"{BUILD}commands:\n"
DOCKER = "version: 0.2\nphases:\n  install:\n    runtime-versions:\n      "
COLON = "a colon with a space after it makes a key: put the whole command in"
QUOTES = "a quotation mark is not closed, or ends the text too early: put the whole command in"
STAND = "and all of one level, above and below, stand in one column"
# A name, what stands below START (or a whole file), the line that YAML names, part of the hint.
SLIPS = [
    ("tab", "\t- x", 5, "line 5 is indented with a tab: indent with spaces"),
    ("tab after spaces", "    \t- x", 5, "line 5 is indented with a tab: indent with spaces"),
    ("tab after the dash", "      -\tx", 5, "line 5 is indented with a tab: indent with spaces"),
    ("tab in the next item", "      - x\n\t- y", 6, "line 6 is indented with a tab"),
    ("tab in a block", "      - |\n\techo", 6, "line 6 is indented with a tab"),
    (
        "no dash",
        "      - 'x'\n      pytest\n      - y",
        7,
        "line 6, `pytest`: a command needs `- `",
    ),
    ("no dash, a colon", "      - x\n      echo a: b", 6, "line 6, `echo a: b`: a command needs"),
    ("no dash at first", "      'x'\n      - y", 6, "line 5, `'x'`: a command needs `- `"),
    ("no blank", "      - x\n      -y", 7, "line 6, `-y`: a command needs `- ` before it"),
    ("open double", '      - "x\n      - y', 5, QUOTES),
    ("open before another", '      - "x\n      - echo "y"', 6, QUOTES),
    ("open at the end", '      - "echo one', 5, QUOTES),
    ("open single", "      - 'x\n      - 'y'", 6, QUOTES),
    ("apostrophe", "      - 'echo it's'", 5, QUOTES),
    ("text after a quote", '      - "pip" install x', 5, QUOTES),
    ("test with a bracket", "      - [ -f x ] && y", 5, "put the whole command in single quotes"),
    ("open bracket", "      - [ x\n      - y", 7, "close the bracket that was opened above"),
    ("brace", "      - {a} b", 5, "put the whole command in single quotes"),
    ("sign", "      - @echo off", 5, "'@' cannot start a plain text"),
    ("star", "      - *.sh", 5, "'*' cannot start a plain text"),
    ("backquote", "      - `date`", 5, "'`' cannot start a plain text"),
    (
        "backslash",
        '      - "sed s/\\./-/ VERSION"',
        5,
        "in double quotes a backslash starts an",
    ),
    ("brackets", "      - [ -f README.md ]", 5, "put the whole command in single quotes"),
    ("colon", '      - echo first\n      - echo "the answer: 42"', 6, COLON),
    ("colon at the end", "      - echo a:b :c\n      - echo done:", 6, COLON),
    ("second colon", f"{BUILD}commands: echo a: b", 4, COLON),
    ("out of line", "      - x\n     - y", 6, STAND),
    ("in three columns", "      - x\n       - y\n     - z", 7, "line 6, `- y`: a command needs"),
    ("key twice", f"{BUILD}commands: x\n  build: y", 5, "put both contents under one key"),
    ("two documents", "version: 0.2\n---\nversion: 0.2\n", 2, "keep one document in the file"),
    ("empty file", "", 1, "write `version: 0.2` and `phases:` with your commands"),
    ("no such version", "version: 1.0\nphases: {}", 1, "write `version: 0.2`"),
    ("no version", "phases: {build: {commands: x}}", 1, "write `version: 0.2`"),
    ("no phases", "version: 0.2\nenv: {shell: sh}", 1, "write `phases:` with at least one of"),
    ("text for keys", "version: 0.2\nphases: build", 2, "phases holds keys with values"),
    ("list for keys", "version: 0.2\nphases:\n  - build: x", 3, "phases holds keys with values"),
    ("phase with a hyphen", "version: 0.2\nphases:\n  pre-build: x", 3, "write `pre_build:`"),
    ("no phase", "version: 0.2\nphases:\n  pre_deploy: x", 3, "move its commands below one of"),
    ("no such word", f"{BUILD}on-failure: IGNORE", 4, "write `on-failure: ABORT`, or leave"),
    ("no such runtime", f"{DOCKER}docker: 20", 5, "delete the line `docker: …` below runtime-"),
    ("report of nothing", f"{BUILD}commands: x\nreports: {{t: }}", 5, "write `files:` with a list"),
    (
        "no colon",
        "version: 0.2\nphases:\n  build\n    commands:\n",
        4,
        "line 3, `build`: a command",
    ),
    (
        "no colon above",
        "version: 0.2\nphases\n  build:\n    x:\n",
        3,
        "line 2, `phases`: a command",
    ),
    ("too deep", "version: 0.2\n phases:\n", 2, STAND),
    ("no blank in version", "version:0.2\nphases:\n", 2, "blank after the colon: `version: 0.2`"),
    ("only version", "version:0.2", 1, "write a blank after the colon: `version: 0.2`"),
    ("no blank", "version: 0.2\nenv:\n  shell:bash\n", 3, "after the colon: `shell: bash`"),
    ("no blank above", "version: 0.2\nenv:\n  shell:bash\n  a: b\n", 4, "`shell: bash`"),
    ("odd key", START.replace("  build", "\u00a0\u00a0build"), 2, "line 3 is indented with U+00A0"),
    ("odd item", "\u00a0\u00a0\u00a0\u00a0\u00a0\u00a0- x", 6, "line 5 is indented with U+00A0"),
    ("list in a list", "      - *all\nx: &all [a]", 5, "'*' cannot start a plain text"),
    ("list elsewhere", f"x: &all [a]\n{START}      - b\n      - *all", 6, "an alias puts no list"),
]


@pytest.mark.parametrize(
    "text, line, hint", [slip[1:] for slip in SLIPS], ids=[s[0] for s in SLIPS]
)
def test_slip_is_named_with_what_to_type(text, line, hint):
    whole = START + text if text.startswith((" ", "\t", "\u00a0")) else text
    with pytest.raises(BuildspecError) as error:
        read(whole.encode())
    assert error.value.line == line
    assert hint in error.value.hint


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "version: 0.2\nphases:\n\tbuild:\n",
            "found character that cannot start any token at line 3",
        ),
        (f"{BUILD}commands: echo a: b", "mapping values are not allowed in this context at line 4"),
        (f"{BUILD}commands: [a\nx: {{}}", "did not find expected ',' or ']' at line 5"),
        ("version: 0.2\nphases:\n  - build: x", "wrong number of container tags, expected 1"),
        (
            f"{START}      - x\n      - a: b",
            "Expected Commands[1] to be of string type: found subkeys instead at line 6, "
            "value of the key tag on line 5 might be empty",
        ),
        (
            f"{DOCKER}docker: 20",
            "Unknown runtime named 'docker'. This build image has the following runtimes: "
            "dotnet, golang, java, nodejs, php, python, ruby",
        ),
    ],
)
def test_slip_is_told_in_codebuild_s_words(text, message):
    with pytest.raises(BuildspecError) as error:
        read(text.encode())
    assert error.value.message == message


@pytest.mark.parametrize("number", [n for n, line in enumerate(OWN) if line.startswith(" ")])
@pytest.mark.parametrize("how", ["\t{}", "{}\t", "{:.0}\t"])
def test_tab_anywhere_in_an_indentation_is_called_a_tab(number, how):
    written = OWN[number].lstrip()
    blanks = OWN[number][: -len(written)]
    lines = [*OWN[:number], how.format(blanks) + written, *OWN[number + 1 :]]
    with pytest.raises(BuildspecError) as error:
        read("\n".join(lines).encode())
    assert error.value.hint.startswith(f"line {number + 1} is indented with a tab")


def test_blank_that_is_none_is_noted_where_yaml_reads_it_as_a_letter():
    spec = read(f"{START}      -\u00a0x\n      - y\n".encode())
    assert spec.notes[0] == (5, "line 5 is indented with U+00A0: indent with spaces")

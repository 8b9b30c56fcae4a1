"""Which line to look at, and what to type, for the slips that YAML itself explains badly."""

from pathlib import Path

import pytest

from sandbox.codebuild.buildspec import BuildspecError
from sandbox.codebuild.reader import read

OWN = (Path(__file__).parents[3] / "buildspec.yml").read_text(encoding="utf-8").splitlines()
START = "version: 0.2\nphases:\n  build:\n    commands:\n"
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
    ("open single", "      - 'x\n      - 'y'", 6, QUOTES),
    ("apostrophe", "      - 'echo it's'", 5, QUOTES),
    ("text after a quote", '      - "pip" install x', 5, QUOTES),
    ("test with a bracket", "      - [ -f x ] && y", 5, "put the whole command in single quotes"),
    ("open bracket", "      - [ x\n      - y", 7, "close the bracket that was opened above"),
    ("brace", "      - {a} b", 5, "put the whole command in single quotes"),
    ("sign", "      - @x", 5, "'@' cannot start a plain text"),
    ("out of line", "      - x\n     - y", 6, STAND),
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
    whole = text if "version" in text else START + text
    with pytest.raises(BuildspecError) as error:
        read(whole.encode())
    assert error.value.line == line
    assert hint in error.value.hint


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

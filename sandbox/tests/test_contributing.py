"""CONTRIBUTING.md: what it names is there, under the name that it gives."""

import re

import pytest

from sandbox.laptop.paths import ROOT

TEXT = (ROOT / "sandbox" / "CONTRIBUTING.md").read_text(encoding="utf-8")
LAYOUT = re.search(r"```text\n(.*?)```", TEXT, re.DOTALL)[1].splitlines()


def test_layout_has_twelve_lines_at_most_and_names_all_that_is_there():
    assert len(LAYOUT) <= 12
    named = {
        word.rstrip(":;").rstrip("/")
        for line in LAYOUT[1:]
        for word in re.findall(r"[\w-]+(?:\.\w+|/)(?=[\s:;]|$)", line)
    }
    there = {
        path.name
        for path in (ROOT / "sandbox").iterdir()
        if not path.name.startswith((".", "__")) and path.suffix != ".md"
    }
    assert there - {"conftest.py"} <= named


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`([\w./-]+\.(?:py|yml|txt|toml))`", TEXT)))
)
def test_file_that_is_named_is_there(path):
    assert any((ROOT / folder / path).is_file() for folder in ("sandbox", "")), path


@pytest.mark.parametrize(
    "name, path", re.findall(r"`(\w+)`(?: in|,)\s+`(\w+/\w+\.py|commands\.py)`", TEXT)
)
def test_function_that_is_named_is_in_that_file(name, path):
    source = (ROOT / "sandbox" / path).read_text(encoding="utf-8")
    assert re.search(rf"(?m)^(    )?(def|class) {name}\b", source)


def test_way_of_a_push_names_its_functions_with_their_files():
    way = TEXT[TEXT.index("## How a push flows") : TEXT.index("## Where to change what")]
    assert len(re.findall(r"`\w+` in\s+`[\w/]+\.py`", way)) >= 9


def test_commands_that_are_named_are_taken(capsys):
    from sandbox.cli import parser

    for words in re.findall(r"python3 -m sandbox ([a-z]+[^`\n]*)", TEXT):
        parser().parse_known_args(words.split())

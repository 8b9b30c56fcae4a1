"""What README.md and sandbox/README.md say, held against what is here."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from benchmark import GOALS
from pages import GUIDE, REFERENCE, TUTORIAL, codes

from sandbox.cli import COMMANDS, parser
from sandbox.codebuild.notes import PASSED_OVER
from sandbox.laptop.paths import ROOT

PAGES = pytest.mark.parametrize("page", [TUTORIAL, REFERENCE], ids=["tutorial", "reference"])
WORDS = 3000  # of the tutorial


def test_tutorial_is_short():
    assert len(TUTORIAL.text.split()) <= WORDS


@PAGES
def test_each_block_is_of_a_kind_that_a_test_covers(page):
    for block, before in zip(page.blocks, [None, *page.blocks], strict=False):
        known = ("bash", "bash aws", "text", "python", "yaml")
        assert block.kind in (known if page is TUTORIAL else ("bash aws", "python", "yaml")), block
        assert block.kind != "text" or before.kind in ("bash", "bash aws"), block
        assert block.kind not in ("python", "yaml") or block.use, block


@PAGES
def test_no_command_has_what_zsh_takes_for_its_history(page):
    for block in page.blocks:  # zsh reads !" as a command of its own, and waits for another "
        assert block.kind not in ("bash", "bash aws") or '!"' not in block.text, block


@PAGES
def test_links_resolve(page):
    others = {str(other.path): other.anchors() for other in (TUTORIAL, REFERENCE, GUIDE)}
    assert page.links()
    for link in page.links():
        if not link.startswith("https://"):
            file, _, anchor = link.partition("#")
            path = (page.path.parent / file).resolve() if file else page.path
            assert path.is_file(), link
            assert not anchor or anchor in others[str(path)], link


def test_images_are_all_shown():
    shown = {link.removeprefix("images/") for link in TUTORIAL.links() if "images/" in link}
    assert shown == {path.name for path in (ROOT / "images").iterdir()}


def test_commands_are_all_listed_and_all_there():
    rows = REFERENCE.table_below("## Commands", 2)
    assert {codes(first)[0].split()[0] for first, _ in rows} == set(COMMANDS)


@PAGES
def test_commands_in_the_text_are_taken_by_the_command_line(page):
    typed = re.findall(r"python3 -m sandbox ([a-z]+[^`,\n\"')]*)", page.text)
    assert len(typed) > 10
    for words in typed:
        name, *rest = [word for word in words.split() if not word.startswith(("&", "\\"))]
        parser().parse_known_args([name, *[word for word in rest if word.startswith("-")]])


def test_what_is_passed_over_is_listed_as_the_log_says_it():
    rows = REFERENCE.table_below("## What a buildspec may say", 2)
    assert {codes(key)[0]: text for key, text in rows} == PASSED_OVER


def test_speed_table_has_the_rows_that_the_benchmark_prints():
    rows = GUIDE.table_below("## How fast it is", 4)
    assert [(what, goal) for what, goal, _, _ in rows] == [(goal.name, goal.text) for goal in GOALS]
    for goal, (_, _, reached, met) in zip(GOALS, rows, strict=True):
        assert goal.judged(float(reached)) == (reached, met)  # what is beside a figure follows


def test_promises_name_tests_that_exist():
    source = "".join(path.read_text() for path in (ROOT / "sandbox/tests").rglob("test_*.py"))
    rows = REFERENCE.table_below("## Promises", 2)
    assert len(rows) >= 8
    for _, tests in rows:
        for name in codes(tests):
            assert f"\ndef {name}(" in source, name


def test_lines_that_are_explained_are_in_the_buildspec():
    text = (ROOT / "buildspec.yml").read_text()
    rows = TUTORIAL.table_below("## 5. buildspec.yml", 2)
    assert len(rows) >= 10
    for lines, _ in rows:
        assert all(code in text for code in codes(lines)), lines


def test_names_of_the_build_project_are_in_the_template():
    text = (ROOT / "template.yml").read_text()
    start = TUTORIAL.text.index("Look for `BuildProject`")
    named = codes(TUTORIAL.text[start : TUTORIAL.text.index("\n", start)])[:6]
    assert len(named) == 6
    assert all(name in text for name in named)


def test_practices_name_files_and_commands_that_exist():
    for heading, count in (("Ten practices", 10), ("![A deployment pipeline", 3)):
        rows = TUTORIAL.table_below(heading, 2)
        assert len(rows) == count
        for _, where in rows:
            assert all(
                (ROOT / name).exists()
                for name in codes(where)
                if re.fullmatch(r"\w+\.(yml|py|txt)", name)
            )


def test_errors_in_troubleshooting_are_those_that_are_told():
    sources = " ".join(
        re.sub(r'"\s*f?"', "", path.read_text()) for path in (ROOT / "sandbox").rglob("*.py")
    )
    rows = REFERENCE.table_below("## All messages", 3)
    rows += TUTORIAL.table_below("## 10. When something goes wrong", 3)
    assert len(rows) >= 15
    told = [code for row in rows for code in codes(row[0]) if code.startswith("error: ")]
    assert len(told) >= 8
    for error in told:
        pieces = [
            piece
            for piece in re.split(r"\d\.\d+|AWS_ENDPOINT_URL|'[^']*'|…|sandbox already", error[7:])
            if len(piece) > 5
        ]
        assert pieces and all(piece.strip() in sources for piece in pieces), error


def test_exercises_are_red_today_and_can_be_made_green(tmp_path):
    [block] = [block for block in REFERENCE.blocks if block.use == "tried"]
    handler = (ROOT / "hello_user.py").read_text()
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_hello_world.py").write_text(
        (ROOT / "test_hello_world.py").read_text() + "\n\n" + block.text
    )
    count = block.text.count("\ndef ") + 1
    solved = handler.replace(
        '    message = f"Hello {user}!" if user else "hello user"\n',
        """\
    if len(user or "") > 100:
        return {"statusCode": 400, "body": ""}
    hello = "Bonjour" if (event.get("queryStringParameters") or {}).get("lang") == "fr" else "Hello"
    message = f"{hello} {user.strip()}!" if user else "hello user"
""",
    )
    assert solved != handler
    for text, failed in ((handler, count), (solved, 0)):
        (tmp_path / "hello_user.py").write_text(text)
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        said = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env={
                name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
            },
        ).stdout
        assert ("failed" in said) == bool(failed) and (not failed or f"{failed} failed" in said), (
            said
        )


def test_push_without_a_commit_builds_nothing(quick):
    before = len(quick.builds())
    assert "Everything up-to-date" in quick.git("push", "sandbox").stderr
    assert len(quick.builds()) == before


@pytest.mark.parametrize(
    "draw",
    [
        "github-flow.svg",
        "places.svg",
        "zip.svg",
        "delivery.svg",
        "pipeline.svg",
        "red-green.svg",
        "push-red.svg",
        "push-green.svg",
    ],
)
def test_image_is_small_has_a_text_and_knows_dark_and_light(draw):
    text = (ROOT / "images" / draw).read_text(encoding="utf-8")
    assert len(text) < 12_000
    assert 'role="img"' in text and "<title" in text and "<desc" in text
    assert "prefers-color-scheme: dark" in text or "push-" in draw  # a terminal is dark in both
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace(
        "http://127.0.0.1", ""
    )

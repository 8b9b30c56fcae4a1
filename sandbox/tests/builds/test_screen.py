"""What a terminal shows of a build: colours for a person, else the log byte for byte."""

import io
import re

import pytest

from sandbox.builds.screen import Screen
from sandbox.laptop import terminal
from students import in_a_terminal

LOG = b"""[Container] 2026/01/01 00:00:00.000000 Entering phase BUILD
[Container] 2026/01/01 00:00:00.500000 Running command pytest
\x1b[32m1 passed\x1b[0m \x1b[2J<end>
[Container] 2026/01/01 00:00:02.000000 Phase complete: BUILD State: SUCCEEDED
[sandbox] a note
"""
PLAIN = LOG.decode().replace("\x1b", "\\x1b")


def shown(coloured, has_colours=False, piece=7):
    out = io.StringIO()
    screen = Screen(out, coloured, has_colours)
    for start in range(0, len(LOG), piece):
        screen.write(LOG[start : start + piece])
    screen.end()
    return out.getvalue()


def test_screen_without_colours_shows_the_log_as_it_is():
    assert shown(coloured=False) == PLAIN


def test_screen_without_colours_drops_those_that_were_asked_for():
    said = shown(coloured=False, has_colours=True, piece=1000)
    assert "1 passed \\x1b[2J<end>" in said and "\x1b" not in said


def test_screen_in_colours_says_the_same_and_no_more():
    said = shown(coloured=True)
    assert terminal.COLOUR.sub("", said) == PLAIN.replace("\\x1b[32m", "").replace(
        "\\x1b[0m", ""
    ).replace("State: SUCCEEDED", "State: SUCCEEDED (2.00 s)")
    assert "\x1b[1m\x1b[32mPhase complete: BUILD State: SUCCEEDED\x1b[0m" in said
    assert "\x1b[1mpytest\x1b[0m" in said
    assert "\x1b[32m1 passed" in said
    assert "\x1b[2m[Container] 2026/01/01 00:00:00.000000\x1b[0m" in said


def test_screen_gives_a_sign_of_life_that_the_next_line_replaces(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("sandbox.builds.screen.time.monotonic", lambda: now[0])
    out = io.StringIO()
    screen = Screen(out, coloured=True)

    def said() -> str:
        text = terminal.COLOUR.sub("", out.getvalue())
        out.seek(0)
        out.truncate()
        return text

    screen.write(b"one\n")
    screen.sign()
    assert said() == "one\n"
    now[0] += 1.6
    for _ in range(9):
        screen.sign()
    assert said() == " … 2 s\x1b[K\r"
    screen.write(b"t\x1b[1mw\x1b[0mo \x07half")
    assert said() == "\x1b[K"
    now[0] += 3
    screen.sign()
    assert said() == "two ?half … 3 s\x1b[K\r"
    screen.write(b" done\n")
    assert said() == "\x1b[Ktwo \\x07half done\n"
    screen.write(b"x" * 5000)  # too long a line to write it once more
    said()
    now[0] += 9
    screen.sign()
    assert said() == ""


def test_screen_without_colours_gives_no_sign_of_life(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("sandbox.builds.screen.time.monotonic", lambda: now[0])
    out = io.StringIO()
    screen = Screen(out, coloured=False)
    screen.write(b"one\n")
    now[0] += 9
    screen.sign()
    assert out.getvalue() == "one\n"


@pytest.mark.parametrize(
    "variables, wanted",
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_colours_are_wanted_unless_the_student_says_no(monkeypatch, variables, wanted):
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.colours_wanted() is wanted


def test_push_from_a_terminal_is_coloured_unless_told_not_to(quick):
    quick.say("coloured", "echo colours=$PY_COLORS; sleep 4")
    said = in_a_terminal(quick, "git", "push", "sandbox")
    assert "colours=1" in said
    assert re.search(r"\x1b\[1m\x1b\[32mPhase complete: BUILD State: SUCCEEDED", said)
    assert re.search(r"remote: \x1b\[2m … 2 s\x1b\[0m\x1b\[K\s*(\x1b\[K)?\r", said)
    number = quick.newest()
    lines = [line for line in said.splitlines() if "remote:" in line]
    assert re.search(rf"\x1b\[7m\x1b\[32m BUILD {number} SUCCEEDED: ", lines[-1])
    quick.say("plain", "echo colours=$PY_COLORS")
    said = in_a_terminal(quick, "git", "push", "sandbox", NO_COLOR="1")
    assert "colours=1" not in said and "\x1b[32m" not in said and "\x1b[2m" not in said


def test_red_push_ends_in_five_lines_with_the_verdict_last(quick):
    quick.say("red in five lines", "false")
    lines = quick.push()
    number = quick.newest()
    last = [line for line in lines if line.startswith("[sandbox] ")][-4:]
    assert [line.split(":")[0] for line in last] == [
        "[sandbox] error",
        "[sandbox] hint",
        "[sandbox] look at it",
        f"[sandbox] BUILD {number} FAILED in PRE_BUILD",
    ]
    assert last == lines[-4:]
    assert last[2].endswith(f"/console/builds/{number}")
    quick.say("green after five lines")
    assert "SUCCEEDED" in quick.push()[-1]


def test_busy_says_that_it_goes_on_and_how_long_it_took(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "PATIENCE", 0.01)
    told = []
    with terminal.busy("Working", lambda: told.append(1) or f"{len(told)} files"):
        while len(told) < 3:
            pass
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "[sandbox] Working"
    assert all(re.fullmatch(r"\[sandbox\]   \d+ s, \d files …", line) for line in lines[1:-1])
    assert re.fullmatch(r"\[sandbox\]   done in [\d.]+ s", lines[-1])

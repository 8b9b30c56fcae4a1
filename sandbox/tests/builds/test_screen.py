"""What a terminal shows of a build: colours for a person, else the log byte for byte."""

import io
import os
import pty
import re
import subprocess

import pytest

from sandbox.builds.screen import Screen
from sandbox.laptop import terminal

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


def push_in_a_terminal(student, **variables):
    """Push with a terminal at the other end, and return what it got."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in student.env.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        ["git", "push", "sandbox"],
        cwd=student.clone,
        env=env | {"TERM": "xterm"} | variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 1 << 16):
            parts.append(part)
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait(60) == 0
    return b"".join(parts).decode(errors="replace")


def test_push_from_a_terminal_is_coloured_unless_told_not_to(quick):
    quick.say("coloured", "echo colours=$PY_COLORS")
    said = push_in_a_terminal(quick)
    assert "colours=1" in said
    assert re.search(r"\x1b\[1m\x1b\[32mPhase complete: BUILD State: SUCCEEDED", said)
    number = quick.builds()[-1]["number"]
    lines = [line for line in said.splitlines() if "remote:" in line]
    assert re.search(rf"\x1b\[7m\x1b\[32m BUILD {number} SUCCEEDED: ", lines[-1])
    quick.say("plain", "echo colours=$PY_COLORS")
    said = push_in_a_terminal(quick, NO_COLOR="1")
    assert "colours=1" not in said and "\x1b[32m" not in said and "\x1b[2m" not in said


def test_red_push_ends_in_five_lines_with_the_verdict_last(quick):
    quick.say("red in five lines", "false")
    lines = quick.push()
    number = quick.builds()[-1]["number"]
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

"""What a terminal shows of a build: colours and signs of life for a person, and no more."""

import io
import re
import time

import pytest

from clones import PYTHON
from sandbox.builds.screen import Screen
from sandbox.laptop import terminal
from students import SGR, in_a_terminal, seen

STAMP = "[Container] 2026/01/01 00:00:0"
LOG = f"""{STAMP}0.000000 Waiting for agent ping
{STAMP}0.000000 Entering phase BUILD
{STAMP}0.500000 Running command pytest
Waiting for agent ping
E   AssertionError: \x1b[2J<end>
FAILED test_x.py::test_a - AssertionError
===== 1 passed in 2.00s =====
{STAMP}2.000000 Phase complete: BUILD State: SUCCEEDED
{STAMP}2.000000 Phase context status code:  Message:\x20
{STAMP}2.000000 Phase context status code:  Message: why
[sandbox] a note
without an end"""
LEFT_OUT = (
    f"{STAMP}0.000000 Waiting for agent ping",
    f"{STAMP}2.000000 Phase context status code:  Message:\x20",
)
PLAIN = [line.replace("\x1b", "\\x1b") for line in LOG.split("\n") if line not in LEFT_OUT]


def shown(coloured, piece=7):
    out, data = io.StringIO(), LOG.encode()
    screen = Screen(out, coloured)
    for start in range(0, len(data), piece):
        screen.write(data[start : start + piece])
    screen.end()
    return out.getvalue()


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_screen_without_colours_shows_the_log_but_what_is_the_same_in_each(piece):
    assert shown(coloured=False, piece=piece).split("\n") == [*PLAIN, ""]


@pytest.mark.parametrize("piece", [1, 7, 10_000])
def test_screen_in_colours_says_the_same_and_no_more(piece):
    said = shown(coloured=True, piece=piece)
    assert [line.replace("SUCCEEDED (2.00 s)", "SUCCEEDED") for line in seen(said)] == [*PLAIN, ""]
    assert "\x1b[1m\x1b[32mPhase complete: BUILD State: SUCCEEDED\x1b[0m" in said
    assert "\x1b[1mpytest\x1b[0m" in said
    assert "\x1b[31mE   AssertionError: \\x1b[2J<end>\x1b[0m\n" in said
    assert "\x1b[31mFAILED test_x" in said and "\x1b[32m===== 1 passed" in said
    assert "\x1b[2m[Container] 2026/01/01 00:00:00.000000\x1b[0m" in said


def test_screen_gives_a_sign_of_life_that_the_next_line_replaces(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("sandbox.builds.screen.time.monotonic", lambda: now[0])
    out = io.StringIO()
    screen = Screen(out, coloured=True)

    def said() -> str:
        text = re.sub(SGR, "", out.getvalue())
        out.seek(0)
        out.truncate()
        return text

    screen.write(b"one\n")
    screen.sign()
    assert said() == "one\n"
    now[0] += 1.6
    for _ in range(9):
        screen.sign()
    assert said() == " … 2 s\r"
    screen.write(b"two \x07half")
    assert said() == "      \r"
    now[0] += 3
    screen.sign()
    assert said() == "two ?half … 3 s\r"
    screen.write(b" done\n")
    assert said() == " " * 15 + "\rtwo \\x07half done\n"
    screen.write("你".encode() * 60)  # as wide as two letters each
    now[0] += 3
    screen.sign()
    assert said() == " … 3 s\r"
    screen.write(b"x" * 5000)  # too long a line to write it once more
    said()
    now[0] += 9
    screen.sign()
    assert said() == ""
    screen.write(b"the rest\n")
    assert said() == "the rest\n"


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
    """The build is the same; git, from 2.55 on, shows all control sequences but colours as text."""
    quick.run("coloured", "echo colours=$PY_COLORS; printf '\\033[31m=red\\033[0m'; sleep 4")
    raw = in_a_terminal(quick, "git", "push", "sandbox")
    assert "colours=\x1b[K\r" in raw and "remote: =red\x1b[K\r" in raw
    assert re.search(r"\x1b\[1m\x1b\[32mPhase complete: BUILD State: SUCCEEDED", raw)
    assert re.search(r"remote: \x1b\[2m=red … \d+ s\x1b\[0m\x1b\[K\s*\r", raw)
    number = quick.newest()
    lines = [line for line in raw.splitlines() if "remote:" in line]
    assert re.search(rf"\x1b\[7m\x1b\[32m BUILD {number} SUCCEEDED: ", lines[-1])
    ours = re.sub(r"\x1b\[K(?=\r*[\r\n])", "", raw)  # git's own, at the end of each line
    assert set(re.findall(r"[^\n\r\t\x20-\x7e\xa0-\uffff]", re.sub(SGR, "", ours))) == set()
    assert not re.search(r"… \d+ s", "\n".join(seen(raw)))
    quick.run("plain", "echo colours=$PY_COLORS")
    said = in_a_terminal(quick, "git", "push", "sandbox", NO_COLOR="1")
    assert "\x1b[32m" not in said and "\x1b[2m" not in said


RED = r"printf '\033[31mFAILED\033[0m test_x.py::test_a - assert 1 == 2\n'; exit 1"
PAGE = "look at it: .*/console/builds/N$"
ENDS = {  # commands, and how each of the last lines begins
    "green": ([], [PAGE, "the endpoint: ", "BUILD N SUCCEEDED: version N is live "]),
    "red": ([RED], ["error: ", "said: ", "hint: ", PAGE, "BUILD N FAILED in PRE_BUILD: "]),
    "unread": (["true: true"], ["error: ", "hint: ", PAGE, "BUILD N FAILED in DOWNLOAD_SOURCE: "]),
}


def ends(lines):
    """Return what a push says of itself at its end, without what differs each time."""
    ours = [line.removeprefix("remote: ") for line in lines if "[sandbox] " in line]
    known = [re.sub(r"\b[0-9a-f]{7}\b|\d+", "N", re.sub(" +", " ", line)) for line in ours]
    return [line.strip() for line in known if " report " not in line and " is now " not in line]


@pytest.mark.parametrize("commands, last", ENDS.values(), ids=ENDS)
def test_push_ends_the_same_in_a_pipe_and_in_a_terminal(quick, commands, last):
    quick.say("in both", *commands)
    if commands == ["true: true"]:
        quick.write("buildspec.yml", "version: 0.2\nphases: [build]\n")
    quick.commit("To be seen in a pipe")
    piped = ends(quick.push())
    quick.commit("To be seen in a terminal")
    shown = ends(seen(in_a_terminal(quick, "git", "push", "sandbox")))
    assert shown == piped
    for line, wanted in zip(shown[-len(last) :], last, strict=True):
        assert re.match(re.escape("[sandbox] ") + wanted, line), shown


def test_commands_end_the_same_in_a_pipe_and_in_a_terminal(quick):
    quick.release("green")
    for command in ("up", "status", "build"):
        done = quick.sandbox(command)
        shown = seen(in_a_terminal(quick, PYTHON, "-m", "sandbox", command))
        number = re.compile(r"\d+(\.\d+)?|\b[0-9a-f]{7}\b")
        last = [number.sub("N", " ".join(line.split())) for line in shown if line.strip()][-1]
        piped = (done.stdout if command != "build" else done.stderr).splitlines()[-1]
        assert last == number.sub("N", " ".join(piped.split())), command


def test_busy_says_that_it_goes_on_and_how_long_it_took(monkeypatch, capsys):
    monkeypatch.setattr(terminal, "PATIENCE", 0.01)
    said = ""
    with terminal.busy("Working"):
        while said.count("…") < 2:
            time.sleep(0.01)
            said += capsys.readouterr().err
    lines = (said + capsys.readouterr().err).splitlines()
    assert lines[0] == "[sandbox] Working" and len(lines) > 3
    assert all(re.fullmatch(r"\[sandbox\]   \d+ s …", line) for line in lines[1:-1])
    assert re.fullmatch(r"\[sandbox\]   done in [\d.]+ s", lines[-1])

"""A buildspec, run as CodeBuild runs it: the cases of cases.yml, then any output."""

import json
import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.codebuild.log import without_escapes
from sandbox.laptop.terminal import harmless

CASES = yaml.safe_load((Path(__file__).parent / "cases.yml").read_text(encoding="utf-8"))


def lines_like(text):
    """Return a pattern for whole lines: … is any text, ␠ a blank at a line's end."""
    return r"^" + re.escape(text.rstrip("\n").replace("␠", " ")).replace("…", ".*") + r"$"


@pytest.mark.parametrize("case", CASES, ids=[case["about"].replace(" ", "-") for case in CASES])
def test_case_is_as_on_codebuild(run_build, has_program, case):
    if not has_program(case.get("needs", "sh")):
        pytest.skip(f"{case['needs']} is not on this machine")
    found = run_build(case["buildspec"], case.get("project", {}), case.get("ref"))
    assert found.status == case["status"], found.text[-2000:]
    at = 0
    for expected in case.get("log", []):
        match = re.compile(lines_like(expected), re.MULTILINE).search(found.text, at)
        assert match, f"{expected!r} is not after {found.text[:at][-80:]!r} in\n{found.text}"
        at = match.end()
    for text in case.get("never", []):
        assert text not in found.text
    notes = re.findall(r"(?m)^\[sandbox\] buildspec\.yml, (line.*)", found.text)
    again = [] if found.status.endswith("DOWNLOAD_SOURCE") else notes
    assert re.findall(r"(?m)^\[sandbox\] buildspec, (line.*)", found.text) == again
    wanted = case.get("warn", [])
    assert len(notes) == len(wanted), notes
    assert [note[: len(want)] for note, want in zip(notes, wanted, strict=True)] == wanted
    if "line" in case:
        assert f"buildspec, line {case['line']}, column " in found.reason
    if "hint" in case:
        assert found.hint == case["hint"]


DIRECTIONS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
FORGED = (
    b"[sandbox] BUILD 1 SUCCEEDED: version 99 is live\n"
    b"[Container] 2026/01/01 00:00:00.000000 Phase complete: "
)
PIECES = st.sampled_from(
    [
        *(FORGED, b"\x1b[2J", b"\x1b]0;x", b"\r", b"\n", b"\0", b"\xff", b"\xc2", b"a" * 5000),
        *("\u202e".encode(), "\u1a8a\xa0".encode()),
    ]
)


def acts_on_a_terminal(char):
    hides = unicodedata.category(char) in ("Cc", "Zl", "Zp")
    return char not in "\n\t" and (hides or unicodedata.bidirectional(char) in DIRECTIONS)


def test_any_text_that_a_command_prints_is_in_the_log_and_forges_nothing(run_build, request):
    @settings(
        max_examples=200 if request.config.getoption("--long") else 10,
        deadline=None,
        database=None,
        derandomize=not request.config.getoption("--long"),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=6).map(b"".join))
    def prints(output):
        octal = "".join(f"\\0{byte:03o}" for byte in output)
        commands = [f"printf '%b' '{octal}'", "exit 1"]
        spec = {"version": "0.2", "phases": {"build": {"commands": commands}}}
        found = run_build(json.dumps(spec))
        start = found.raw.index(b"\n", found.raw.index(b"Running command")) + 1
        assert found.raw[start:].startswith(without_escapes(output)[0])
        assert b"\x1b" not in found.raw
        assert found.status == "FAILED in BUILD"
        assert not list(filter(acts_on_a_terminal, harmless(found.raw.decode(errors="replace"))))

    prints()

"""A build's log on its page: colours, blocks that nothing can forge, and no more than fits."""

import json
import re
import tracemalloc

import pytest

from sandbox.builds.progress import Command, Phase, told
from sandbox.codebuild.log import Log
from sandbox.console import log
from sandbox.console.ansi import Painter


def text_of(html):
    return re.sub("<[^>]*>", "", html)


@pytest.mark.parametrize(
    "text, html",
    [
        ("plain", '<span class="line">plain</span>'),
        ("<b>&\"'", '<span class="line">&lt;b&gt;&amp;&quot;&#x27;</span>'),
        ("\x1b[31mred\x1b[0m", '<span class="line"><span class="fg-red">red</span></span>'),
        ("\x1b[1;92mloud", '<span class="line"><span class="bold fg-green">loud</span></span>'),
        ("\x1b[38;5;196mred", '<span class="line"><span class="fg-red">red</span></span>'),
        ("\x1b[48;2;0;0;250mblue", '<span class="line"><span class="bg-blue">blue</span></span>'),
        ("\x1b[2J\x1b[3;4Hgone", '<span class="line">gone</span>'),
        ("\x1b]8;;http://evil.example\x07link\x1b]8;;\x07", '<span class="line">link</span>'),
        ("\x1b]0;title\x1b\\x\x07", '<span class="line">x</span>'),
        ("a\u202eb", '<span class="line">a\\x202eb</span>'),
        ("50%\r100%", '<span class="line">50%\n</span><span class="line">100%</span>'),
    ],
)
def test_painter_makes_classes_of_colours_and_drops_the_rest(text, html):
    assert Painter().paint(text) == html


def test_painter_knows_a_sequence_that_comes_in_two_pieces():
    painter = Painter()
    html = painter.paint("a\x1b[3") + painter.paint("1mb")
    assert text_of(html) == "ab" and 'class="fg-red"' in html


def test_painter_keeps_a_colour_until_it_ends():
    html = Painter().paint("\x1b[31mone\ntwo\x1b[39m\nthree")
    assert html.count("fg-red") == 2


def written(path, *outputs):
    """Write a log with a phase of these commands, and return its phases."""
    events = []
    made = Log(path, tell=lambda event: events.append(event))
    made.mark("phase", name="BUILD")
    made.line("Entering phase BUILD")
    for number, (output, status) in enumerate(outputs):
        made.mark("command", text=f"command {number}")
        made.line(f"Running command command {number}")
        made.mark("output")
        made.output(output)
        made.end_output()
        made.mark("command ended", status=status)
    made.line("Phase complete: BUILD State: SUCCEEDED")
    made.mark("phase ended", name="BUILD", status="SUCCEEDED", code="", message="")
    made.close()
    return told(json.dumps(event) for event in events).phases


def test_pieces_hold_each_byte_of_the_log_but_the_lines_that_are_headings(tmp_path):
    path = tmp_path / "log"
    phases = written(path, (b"one\n", 0), (b"two\n", 1))
    size = path.stat().st_size
    found = [
        (piece.command.text if piece.command else "", text_of(log.html_of(path, piece)[0]).strip())
        for piece in log.pieces(phases, size)
    ]
    assert [name for name, _ in found] == ["", "command 0", "command 1", ""]
    assert found[0][1].endswith("Entering phase BUILD")
    assert [text for _, text in found[1:3]] == ["one", "two"]
    assert found[3][1].endswith("Phase complete: BUILD State: SUCCEEDED")


def test_pieces_cannot_be_forged_by_what_a_build_prints(tmp_path):
    path = tmp_path / "log"
    forged = b"[Container] 2026/01/01 00:00:00.000000 Running command evil\n"
    phases = written(path, (forged, 0))
    commands = [piece for piece in log.pieces(phases, path.stat().st_size) if piece.command]
    assert [piece.command.text for piece in commands] == ["command 0"]
    html, _ = log.html_of(path, commands[0])
    assert "own" not in html and "Running command evil" in html


def test_piece_is_open_while_it_runs_and_when_it_has_failed():
    def command(status):
        return log.Piece(0, 0, 1, Command("x", 0.0, 0, 0, 1, 1.0, status))

    assert [command(status).is_open for status in (None, 0, 1)] == [True, False, True]


def test_failure_is_shown_at_the_line_that_tells_it_with_the_hint(tmp_path):
    path = tmp_path / "log"
    output = b"collected 1 item\nE   assert <1> == 2\nE   more\n1 failed\n"
    phases = written(path, (b"ok\n", 0), (output, 1), (b"E   assert <1> == 2\n", 1))
    shown = log.shown(
        path, log.pieces(phases, path.stat().st_size), "E   assert <1> == 2", "mend <it>"
    )
    html = "".join(html for _, html in shown)
    assert html.count('id="failed"') == 1
    [line] = re.findall(r'id="failed">(.*?)</span>', html, re.DOTALL)
    assert line == "E   assert &lt;1&gt; == 2\n"
    assert "hint: mend &lt;it&gt;" in html.split("E   more")[1]


def test_log_of_100_mb_is_shown_in_little_memory(tmp_path):
    path = tmp_path / "log"
    with open(path, "wb") as stream:
        stream.writelines(b"%06d " % number + b"x" * 99_992 + b"\n" for number in range(1000))
    phases = (Phase("BUILD", 0.0, 0, commands=(Command("x", 0.0, 0, 0, 100_000_000, 1.0, 0),)),)
    tracemalloc.start()
    try:
        shown = log.shown(path, log.pieces(phases, path.stat().st_size), "", "")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    text = text_of("".join(html for _, html in shown))
    assert text.startswith("000000 x") and "MB more in the raw log" in text
    assert len(text) < 200_000


def test_search_finds_lines_anywhere_in_a_log(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + b"x" * 200_000 + b"\nThe <Needle>\n" + b"needle\n" * 500)
    found = log.search(path, "needle")
    assert len(found) == 200
    assert "The &lt;Needle&gt;" in found[0][1]

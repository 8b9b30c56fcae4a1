"""A build's log on its page: blocks that nothing can forge, and no more than fits."""

import json
import re
import tracemalloc

from sandbox.builds.progress import Command, Phase, told
from sandbox.codebuild.log import Log
from sandbox.console import log_page
from sandbox.console.render import environment


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


def page_of(path, phases, place=None, hint=""):
    """Return the pieces of a log as a page has them, in HTML."""
    macro = environment().get_template("macros.html").module.piece
    return "".join(macro(*each) for each in log_page.shown(path, phases, place, hint))


def test_pieces_hold_each_byte_of_the_log_but_the_lines_that_are_headings(tmp_path):
    path = tmp_path / "log"
    phases = written(path, (b"one\n", 0), (b"two\n", 1))
    found = [
        (piece.command.text if piece.command else "", "".join(text for _, text in parts).strip())
        for piece, parts in log_page.shown(path, phases)
    ]
    assert [name for name, _ in found] == ["", "command 0", "command 1", ""]
    assert found[0][1].endswith("Entering phase BUILD")
    assert [text for _, text in found[1:3]] == ["one", "two"]
    assert found[3][1].endswith("Phase complete: BUILD State: SUCCEEDED")


def test_pieces_cannot_be_forged_by_what_a_build_prints(tmp_path):
    path = tmp_path / "log"
    forged = b"[Container] 2026/01/01 00:00:00.000000 Running command evil\n<b>\x9b\n"
    phases = written(path, (forged, 0))
    [output] = re.findall(r"<pre class=\"output\".*?</pre>", page_of(path, phases), re.DOTALL)
    assert "stamp" not in output and "Running command evil" in output
    assert "&lt;b&gt;" in output and page_of(path, phases).count("<details") == 1


def test_lines_of_codebuild_have_their_stamps_marked(tmp_path):
    path = tmp_path / "log"
    html = page_of(path, written(path, (b"one\n", 0)))
    stamp = r'<span class="stamp">\[Container\] [\d/]+ [\d:.]+ </span>'
    assert re.search(stamp + "Entering phase BUILD\n", html)
    assert re.search(stamp + "Phase complete: BUILD", html)


def test_command_is_open_while_it_runs_and_when_it_has_failed(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x\n")
    opened = []
    for status in (None, 0, 1):
        phases = (Phase("BUILD", 0.0, 0, commands=(Command("x", 0.0, 0, 0, 1, 1.0, status),)),)
        opened.append(bool(re.search(r"<details [^>]* open>", page_of(path, phases))))
    assert opened == [True, False, True]


def test_failure_is_shown_at_the_line_that_tells_it_with_the_hint(tmp_path):
    path = tmp_path / "log"
    output = b"collected 1 item\nE   assert <1> == 2\nE   more\n1 failed\n"
    phases = written(path, (b"ok\n", 0), (output, 1), (b"E   assert <1> == 2\n", 1))
    failing = phases[0].commands[1]
    place = failing.output + output.index(b"E ")
    html = page_of(path, phases, place, "mend <it>")
    assert html.count('id="failed"') == 1
    [line] = re.findall(r'id="failed">(.*?)</span>', html, re.DOTALL)
    assert line == "E   assert &lt;1&gt; == 2\n"
    assert "hint: mend &lt;it&gt;" in html.split("E   more")[1].split("1 failed")[0]
    html = page_of(path, phases, failing.end, "look")  # no line tells it
    [line] = re.findall(r'id="failed">(.*?)</span>', html, re.DOTALL)
    assert line == "hint: look" and html.index("1 failed") < html.index("hint: look")


def test_failure_is_shown_wherever_it_is_in_a_long_output(tmp_path):
    path = tmp_path / "log"
    output = b"x\n" * 200_000 + b"AError: <1>\n" + b"y\n" * 200_000
    phases = written(path, (output, 1))
    html = page_of(path, phases, phases[0].commands[0].output + 400_000, "mend it")
    [line] = re.findall(r'id="failed">(.*?)</span>', html, re.DOTALL)
    assert line == "AError: &lt;1&gt;\n" and html.count("more in the raw log") == 2
    assert len(html) < 500_000


def test_guard_that_has_failed_says_what_it_is_there_for(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x\n" * 3)
    guard = 'test "$CODEBUILD_BUILD_SUCCEEDING" = 1'
    for text, status, said in ((guard, 1, True), (guard, 0, False), ("false", 1, False)):
        commands = (
            Command("pytest", 0.0, 0, 0, 2, 1.0, 1),
            Command(text, 1.0, 2, 4, 6, 1.0, status),
        )
        html = page_of(path, (Phase("POST_BUILD", 0.0, 0, commands=commands),))
        assert ("there to stop the release" in html) == said


def test_log_of_100_mb_is_shown_in_little_memory(tmp_path):
    path = tmp_path / "log"
    with open(path, "wb") as stream:
        stream.writelines(b"%06d " % number + b"x" * 99_992 + b"\n" for number in range(1000))
    phases = (Phase("BUILD", 0.0, 0, commands=(Command("x", 0.0, 0, 0, 100_000_000, 1.0, 0),)),)
    tracemalloc.start()
    try:
        (_, parts), *_ = log_page.shown(path, phases)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    text = "".join(text for _, text in parts)
    assert text.startswith("000000 x") and "MB more in the raw log" in text
    assert len(text) < 200_000


def test_search_finds_lines_anywhere_in_a_log(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + b"x" * 200_000 + b"\nThe <Needle>\n" + b"needle\n" * 500)
    found = log_page.search(path, "needle")
    assert len(found) == 200
    assert found[0][1] == "The <Needle>\n"

"""The worker: one process beside the account, woken by what is queued."""

from __future__ import annotations

import contextlib
import os
import re
import signal

import psutil
import pytest

from clones import TIMEOUT
from sandbox import Mistake
from sandbox.account import stack, state
from sandbox.builds import queue, worker
from sandbox.codebuild.shell import Stopped


def workers(someone) -> list[int]:
    """Return the numbers of the processes that run builds of this clone."""
    found = psutil.process_iter(["cmdline", "cwd"])
    return [
        process.pid
        for process in found
        if (process.info["cmdline"] or [""])[-1] == "work"
        and process.info["cwd"] == str(someone.clone)
    ]


def queued_without_a_follower(someone) -> None:
    """Push and queue what was pushed, with nobody who waits for it."""
    someone.git(
        "push", "-q", "--receive-pack", "git -c core.hooksPath=/dev/null receive-pack", "sandbox"
    )
    someone.client("codebuild").start_build(projectName="hello_user")


def test_one_worker_runs_one_build_after_the_other(quick):
    [pid] = workers(quick)
    for word in ("one", "two"):
        quick.say(word)
        assert "SUCCEEDED" in quick.push()[-1]
        assert workers(quick) == [pid]
    assert psutil.Process(pid).ppid() == quick.account()["pid"]


def test_killed_worker_is_followed_by_another_that_goes_on(quick):
    """Nobody follows these builds, so nobody but the account notices."""
    quick.say("killed", "sleep 60")
    queued_without_a_follower(quick)
    killed = quick.newest()
    quick.say("runs on")
    queued_without_a_follower(quick)
    quick.wait_for(lambda: "Running command sleep 60" in log_of(quick, killed))
    [pid] = workers(quick)
    os.kill(pid, signal.SIGKILL)
    quick.wait_for(lambda: quick.builds()[-1]["status"] == "SUCCEEDED")
    record = next(build for build in quick.builds() if build["number"] == killed)
    assert (record["status"], record["reason"]) == ("FAULT", "the build's process was killed")
    assert quick.message() == "runs on" and workers(quick) != [pid]


def log_of(someone, number) -> str:
    return (someone.clone / ".sandbox" / "builds" / str(number) / "log").read_text()


def test_worker_ends_with_its_account(quick):
    os.kill(quick.account()["pid"], signal.SIGKILL)
    quick.wait_for(lambda: not workers(quick))
    quick.up()
    assert len(workers(quick)) == 1


def test_worker_hears_of_builds_though_its_bell_is_broken(quick):
    (quick.clone / ".sandbox" / "bell").unlink()
    quick.say("unheard")
    assert "SUCCEEDED" in quick.push()[-1]


def test_who_waits_is_told_for_what_and_how_to_end_it(quick, tmp_path):
    quick.say("hangs", "sleep 300")
    hanging = quick.start_push()
    quick.wait_for(lambda: "Running command sleep 300" in log_of(quick, quick.newest()))
    number = quick.newest()
    quick.say("mended")
    with open(tmp_path / "said", "w") as stream:
        waiting = quick.start_push(stderr=stream)
    said = quick.wait_for(lambda: "to end it" in (text := (tmp_path / "said").read_text()) and text)
    assert re.search(
        rf"\[sandbox\] waiting for build {number}, which has run sleep 300 for \d+ s", said
    )
    assert "[sandbox] hint: type `python3 -m sandbox stop` to end it" in said
    doing = rf"^build {number} has run sleep 300 for \d+ s: `python3 -m sandbox stop` ends it$"
    assert re.search(doing, quick.sandbox("status", code=None).stdout, re.MULTILINE)
    stopped = quick.sandbox("stop").stdout
    still = f"nothing was released, version {quick.builds()[-2]['live_before']} is still live"
    assert stopped == f"BUILD {number} STOPPED in PRE_BUILD: {still}\n"
    assert (hanging.wait(TIMEOUT), waiting.wait(TIMEOUT)) == (0, 0)
    assert f"BUILD {number + 1} SUCCEEDED" in (tmp_path / "said").read_text()
    assert quick.message() == "mended"
    said = quick.sandbox("stop", code=2).stderr
    assert said.splitlines()[0] == "error: no build runs"


def test_push_during_up_waits_until_what_it_needs_is_there(quick, tmp_path):
    """As when the account was killed: it answers, and has no stack yet."""
    script = (
        "import os, time\n"
        "from sandbox.laptop.files import lock\n"
        "with lock('up'):\n"
        f"    open({str(tmp_path / 'held')!r}, 'w').close()\n"
        f"    while not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.02)\n"
    )
    up = quick.start(quick.python, "-c", script)
    quick.wait_for((tmp_path / "held").exists)
    count = len(quick.builds())
    quick.say("during up")
    with open(tmp_path / "said", "w") as stream:
        push = quick.start_push(stderr=stream)
    wanted = "[sandbox] Waiting for `python3 -m sandbox up`"
    quick.wait_for(lambda: wanted in (tmp_path / "said").read_text())
    assert len(quick.builds()) == count
    (tmp_path / "go").touch()
    assert (up.wait(TIMEOUT), push.wait(TIMEOUT)) == (0, 0)
    assert "SUCCEEDED" in (tmp_path / "said").read_text() and quick.message() == "during up"


def test_stack_that_is_not_there_is_told(monkeypatch):
    nothing = state.State({}, [], None, "", "", {}, None)
    monkeypatch.setattr(state, "ask", lambda: nothing)
    with pytest.raises(Mistake, match="the account has no build project"):
        stack.project()


class Marked:
    """A build with a mark that asks for its end."""

    def __init__(self, folder):
        self.stop_mark = folder / "stop"


def test_request_to_stop_ends_the_build_that_it_names_and_no_other(tmp_path):
    mine, other = Marked(tmp_path / "mine"), Marked(tmp_path / "other")
    for build in (mine, other):
        build.stop_mark.parent.mkdir()
    other.stop_mark.touch()
    with worker.stoppable(mine):
        signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)  # between two builds
    with pytest.raises(Stopped), worker.stoppable(mine):
        mine.stop_mark.touch()
        signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    with pytest.raises(Stopped), worker.stoppable(other):  # it was asked before it began
        pytest.fail("it has begun")


def test_bell_is_heard_once_and_whatever_was_in_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(queue, "BELL", tmp_path / "bell")
    queue.ring()  # nobody is there
    (tmp_path / "bell").mkdir()
    bell = queue.listen()
    with contextlib.closing(os.fdopen(bell)):
        queue.ring()
        assert os.read(bell, 10) == b"\n"
        with pytest.raises(BlockingIOError):
            os.read(bell, 10)

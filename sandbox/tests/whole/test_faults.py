"""Faults that a laptop can have: afterwards `up` alone brings everything back.

Each test injects one fault, bounds what it starts, and ends only what it has started.
"""

import contextlib
import functools
import itertools
import json
import os
import pty
import re
import resource
import shutil
import signal
import socket
import subprocess

import psutil
import pytest

from clones import PYTHON, TIMEOUT
from sandbox.laptop.processes import words_of
from students import SLOW, Quick, is_back, lives, until

LONG = pytest.mark.long


def worker(someone):
    """Return the process that runs the builds, or None."""
    found = [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if (process.info["cmdline"] or [])[1:] == words_of("sandbox", "work")
        and process.info["cwd"] == str(someone.clone)
    ]
    return max(found, key=lambda process: len(process.children()), default=None)


def shell_of(someone):
    """Return the shell of the command that a build runs, or None."""
    with contextlib.suppress(psutil.Error):
        return next(iter(worker(someone).children()), None) if worker(someone) else None


def push_until(someone, text, **options):
    """Push and return the push once its build has written this text."""
    count = len(someone.builds())
    push = someone.start_push(**options)
    someone.wait_for(lambda: len(someone.builds()) > count)
    someone.wait_for(lambda: text in log_of_last(someone))
    return push


def log_of_last(someone):
    with contextlib.suppress(FileNotFoundError, ValueError):
        numbers = [int(path.name) for path in (someone.clone / ".sandbox" / "builds").iterdir()]
        return (someone.clone / ".sandbox" / "builds" / str(max(numbers)) / "log").read_text(
            errors="replace"
        )
    return ""


def kill(process):
    with contextlib.suppress(psutil.Error, ProcessLookupError):
        process.send_signal(signal.SIGKILL)


def unlock(someone):
    """Delete what a git that was killed has left locked in the clone, as git itself advises."""
    for path in (someone.clone / ".git").rglob("*.lock"):
        path.unlink()


# Moments of a build, each as the text that its log then ends with.
MOMENTS = {
    "at-the-start": "Waiting for agent ping",
    "in-pre-build": "Running command sleep 0.7",
    "in-the-release": "Running command VERSION=",
}


def kill_shell(someone, push):
    kill(someone.wait_for(lambda: shell_of(someone)))


def kill_worker(someone, push):
    kill(someone.wait_for(lambda: worker(someone)))


def kill_hook(someone, push):
    for process in psutil.Process(push.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "receive" in process.cmdline():
                kill(process)


def kill_client(someone, push):
    os.kill(push.pid, signal.SIGKILL)


def interrupt_client(someone, push):
    os.killpg(push.pid, signal.SIGINT)  # Ctrl-C in a terminal


def kill_account(someone, push):
    os.kill(someone.account()["pid"], signal.SIGKILL)


def kill_all(someone, push):
    os.kill(someone.account()["pid"], signal.SIGKILL)
    kill_worker(someone, push)
    kill_hook(someone, push)
    kill_client(someone, push)


@pytest.mark.parametrize(
    "fault, moment",
    [
        (kill_worker, "in-the-release"),
        *[
            pytest.param(fault, moment, marks=LONG)
            for fault, moment in itertools.product(
                (
                    kill_shell,
                    kill_worker,
                    kill_hook,
                    kill_client,
                    interrupt_client,
                    kill_account,
                    kill_all,
                ),
                MOMENTS,
            )
            if (fault, moment) != (kill_worker, "in-the-release")
        ],
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_kill_then_up_brings_all_back(quick, fault, moment):
    word = f"{fault.__name__} {moment}"
    quick.say(word, "sleep 0.7")
    push = push_until(quick, MOMENTS[moment])
    fault(quick, push)
    push.wait(TIMEOUT)
    unlock(quick)
    said = quick.sandbox("up", code=None)
    assert "Traceback" not in said.stderr
    if fault is kill_shell:  # a command that was killed has failed, and that is the build's answer
        assert quick.builds()[-1]["status"] in ("FAILED", "SUCCEEDED")  # or it had ended before
        quick.sandbox("build")
    is_back(quick, word)


@pytest.mark.parametrize(
    "seconds", [0.2, *[pytest.param(tenths / 20, marks=LONG) for tenths in (0, 1, 2, 3, 5, 6, 8)]]
)
def test_client_killed_while_the_push_lands_is_built(quick, seconds):
    word = f"killed after {seconds}"
    quick.say(word)
    push = quick.start_push()
    with contextlib.suppress(subprocess.TimeoutExpired):
        push.wait(seconds)
    for process in [*psutil.Process(push.pid).children(recursive=True), psutil.Process(push.pid)]:
        kill(process)
    push.wait(TIMEOUT)
    unlock(quick)
    quick.git("push", "sandbox", code=None)  # if it had not landed
    quick.up()
    is_back(quick, word)


def test_closed_terminal_leaves_the_build_running(quick):
    quick.say("closed terminal", "sleep 0.5")
    count = len(quick.builds())
    terminal, inner = pty.openpty()
    push = quick.start_push(
        stdin=inner,
        stdout=inner,
        stderr=inner,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )  # its terminal from now
    os.close(inner)
    quick.wait_for(lambda: len(quick.builds()) > count)
    os.close(terminal)
    push.wait(TIMEOUT)
    quick.wait_for(lambda: quick.builds()[-1]["status"] == "SUCCEEDED")
    is_back(quick, "closed terminal")


@LONG
def test_killed_build_releases_nothing_afterwards(quick):
    """The worker dies; the build's own commands live on and must not release."""
    before = quick.live()
    quick.say("too late", SLOW)
    push = quick.start_push()
    shell = quick.wait_for(
        lambda: shell_of(quick) if "Running command for" in log_of_last(quick) else None
    )
    kill_worker(quick, push)
    push.wait(TIMEOUT)
    assert not lives(shell.pid)
    assert quick.builds()[-1]["status"] == "FAULT"
    assert "the build's process was killed" in quick.builds()[-1]["reason"]
    assert quick.live() == before
    quick.say("in time")
    quick.push()
    is_back(quick, "in time")


def test_kill_after_the_alias_has_moved_takes_it_back(quick):
    before, old = quick.live(), quick.message()
    quick.say("not green")
    quick.write("buildspec.yml", (quick.clone / "buildspec.yml").read_text() + f"      - {SLOW}\n")
    quick.commit("Wait after the release")
    push = push_until(quick, "Running command for")
    assert quick.live() != before
    kill_worker(quick, push)
    push.wait(TIMEOUT)
    assert (quick.live(), quick.message()) == (before, old)
    quick.say("green again")
    quick.push()
    is_back(quick, "green again")


@LONG
def test_machine_restart_keeps_a_rollback_and_loses_nothing(quick):
    quick.say("before the restart")
    quick.push()
    old = quick.builds()[-2]["live_after"] or quick.live()
    quick.move_live(old)
    quick.client("ssm").put_parameter(Name="kept", Type="String", Value="here")
    os.kill(quick.account()["pid"], signal.SIGTERM)  # what a machine that shuts down sends
    quick.wait_for(lambda: not lives(quick.account()["pid"]))
    quick.up()
    assert quick.live() == old
    assert quick.client("ssm").get_parameter(Name="kept")["Parameter"]["Value"] == "here"
    # What the gentle stop has left must not come back, outdated, after a kill.
    word = "after the restart"
    quick.say(word)
    quick.push()
    os.kill(quick.account()["pid"], signal.SIGKILL)
    quick.up()
    is_back(quick, word)


@LONG
def test_restart_in_the_middle_of_a_build_never_leaves_a_red_version_live(quick):
    before, old = quick.live(), quick.message()
    quick.say("never green")
    quick.write(
        "buildspec.yml",
        (quick.clone / "buildspec.yml").read_text() + f"      - {SLOW}\n      - exit 1\n",
    )
    quick.commit("Release, wait, fail")
    push = push_until(quick, "Running command for")
    os.kill(quick.account()["pid"], signal.SIGTERM)  # keeps what it has: the alias moved
    quick.wait_for(lambda: not lives(quick.account()["pid"]))
    kill_worker(quick, push)
    kill_hook(quick, push)
    push.wait(TIMEOUT)
    quick.edit("buildspec.yml", SLOW, "true")
    quick.commit("Fail at once")
    assert quick.sandbox("up", code=1).stderr.count("FAILED in POST_BUILD") == 1
    assert (quick.live(), quick.message()) == (before, old)
    quick.say("green at last")
    quick.push()
    is_back(quick, "green at last")


@LONG
def test_port_taken_by_another_program_gives_another_port(quick):
    port = quick.account()["port"]
    os.kill(quick.account()["pid"], signal.SIGKILL)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        def bound():  # what was killed may have the port a moment longer
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port))
                return True

        quick.wait_for(bound)
        other.listen()
        quick.up()
        assert quick.account()["port"] != port
        assert quick.get()[0] == 200


def test_pid_of_another_process_is_not_taken_for_the_account(quick):
    known = quick.account()
    os.kill(known["pid"], signal.SIGKILL)
    path = quick.clone / ".sandbox" / "account" / "ministack.json"
    path.write_text(json.dumps(known | {"pid": os.getpid()}))
    assert "account   not running" in quick.sandbox("status", code=None).stdout
    quick.up()
    assert quick.get()[0] == 200


def test_lost_state_file_starts_no_second_account(quick):
    pid = quick.account()["pid"]
    (quick.clone / ".sandbox" / "account" / "ministack.json").unlink()
    quick.up()
    assert not lives(pid)
    assert sum(line.endswith(" serve") for line in quick.processes()) == 1
    assert quick.get()[0] == 200


@LONG
def test_deleted_hook_and_remote_come_back(quick):
    (quick.clone / ".sandbox" / "fork.git" / "hooks" / "post-receive").unlink()
    quick.say("without a hook")
    assert quick.push() == []
    quick.git("remote", "remove", "sandbox")
    quick.up()
    is_back(quick, "without a hook")
    quick.say("with a hook")
    assert "SUCCEEDED" in quick.push()[-1]


@LONG
def test_deleted_fork_comes_back_with_head(quick):
    shutil.rmtree(quick.clone / ".sandbox" / "fork.git")
    word = "a new fork"
    quick.say(word)
    quick.up()
    is_back(quick, word)


@LONG
def test_push_without_an_account_lands_and_up_builds_it(quick):
    quick.say("no account")
    os.kill(quick.account()["pid"], signal.SIGKILL)
    assert quick.push() == [
        "[sandbox] error: the account is not running",
        "[sandbox] hint: type `python3 -m sandbox up`",
        "[sandbox] the push has landed and NOTHING WAS BUILT",
    ]
    quick.up()
    is_back(quick, "no account")


def test_full_disk_ends_the_build_with_a_reason(quick):
    """A write that fails stands for a full disk; this works for root, too."""
    quick.say("long log", "head -c 3000000 /dev/zero | tr '\\0' x")
    quick.push()
    before = quick.live()
    for limit, reason in (
        (0, "File too large"),  # no record
        (2000, "`git fetch -q …` failed: "),  # no checkout
        (2_000_000, "File too large"),  # no log
    ):
        limit_files = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        if limit:
            record = run_build(quick, preexec_fn=limit_files)
            assert record["status"] == "FAULT" and reason in record["reason"]
        else:
            said = quick.sandbox("build", code=2, preexec_fn=limit_files).stderr
            assert said.startswith("error: ") and reason in said and "Traceback" not in said
        assert (quick.live(), quick.message()) == (before, "long log")
    quick.up()
    is_back(quick, "long log")


@LONG
def test_full_disk_while_a_release_is_kept_is_not_green(quick):
    before, old = quick.live(), quick.message()
    quick.say("cannot be kept")
    state = quick.clone / ".sandbox" / "account" / "state"
    state.rename(state.with_name("aside"))
    state.write_text("in the way of a folder")
    lines = quick.push()
    assert "FAULT" in lines[-1] and f"version {before} is still live" in lines[-1]
    assert (quick.live(), quick.message()) == (before, old)
    state.unlink()
    state.with_name("aside").rename(state)
    quick.up()
    is_back(quick, "cannot be kept")


@LONG
def test_log_that_cannot_be_written_ends_the_build(quick):
    """Run by itself, as a worker would, a build whose log is a folder."""
    script = (
        "from sandbox.builds import queue, records, worker\n"
        "from sandbox.fork import repository\n"
        "from sandbox.laptop.files import lock\n"
        "with lock('worker'):\n"
        "    item = queue.submit('hello_user', repository.commit_of('main'), 'main', 'root')\n"
        "    item.log.unlink(); item.log.mkdir()\n"
        "    worker.run_build(item)\n"
        "item = records.load(item.number); print(item.status, item.reason)"
    )
    said = python(quick, script).stdout
    assert said.startswith("FAULT the log cannot be written")
    quick.sandbox("build")


def python(someone, script, **options):
    """Run Python code as the sandbox itself would."""
    return someone.type(someone.python, "-c", script, **options)


def test_two_pushes_at_once_leave_the_last_commit_live(quick, tmp_path):
    """Two clones of the same fork push at the same moment: git takes one, refuses the other."""
    quick.git("clone", "-q", quick.clone / ".sandbox" / "fork.git", tmp_path / "other")
    quick.say("one")
    other = Quick.__new__(Quick)
    other.home, other.clone, other.env = quick.home, tmp_path / "other", quick.env
    other.say("other")
    heard = {"stderr": subprocess.PIPE}
    pushes = [quick.start_push(**heard), other.start("git", "push", **heard)]
    said = [push.communicate(timeout=TIMEOUT)[1] for push in pushes]
    assert sorted(push.returncode for push in pushes) == [0, 1], said
    won = quick if pushes[0].returncode == 0 else other
    refused = said[1] if won is quick else said[0]
    assert "rejected" in refused and "cannot lock ref" not in refused
    word = "one" if won is quick else "other"
    quick.wait_for(lambda: quick.builds()[-1]["status"] == "SUCCEEDED")
    assert quick.message() == word
    if won is other:
        quick.push("--force")
    is_back(quick, "one")


def test_pushes_whose_hooks_swap_build_the_later_commit_last(quick):
    """The first push's hook comes to the queue after the second one's."""
    first = quick.say("first")
    hook = quick.clone / ".sandbox" / "fork.git" / "hooks" / "post-receive"
    text = hook.read_text()
    hook.write_text("#!/bin/sh\ncat > ../first\n")
    quick.push()
    hook.write_text(text)
    quick.say("second")
    quick.push()
    count = len(quick.builds())
    with open(quick.clone / ".sandbox" / "first") as stream:
        said = quick.type(quick.python, "-m", "sandbox", "receive", stdin=stream).stderr
    assert f"is now {first[:7]}: Say first; a later push has it at" in said
    assert len(quick.builds()) == count
    is_back(quick, "second")


@LONG
def test_push_during_a_build_waits_for_its_turn(quick):
    quick.say("one at a time", "sleep 1")
    push = push_until(quick, "Running command sleep 1")
    quick.say("and the next")
    quick.push()
    push.wait(TIMEOUT)
    one, next_one = quick.builds()[-2:]
    assert one["ended"] <= next_one["started"]
    is_back(quick, "and the next")


def test_up_during_a_build_shows_it_and_changes_nothing(quick, tmp_path):
    quick.say("up meanwhile", until(tmp_path / "go"))
    push = push_until(quick, "Running command for i in")
    count, shown = len(quick.builds()), tmp_path / "shown"
    with open(shown, "w") as stream:
        up = quick.start(PYTHON, "-m", "sandbox", "up", stdout=stream, stderr=stream)
    quick.wait_for(lambda: "Running command for i in" in shown.read_text())
    said = quick.sandbox("status").stdout
    assert "IN_PROGRESS  " in said and "(killed)" not in said
    (tmp_path / "go").touch()
    assert up.wait(TIMEOUT) == 0
    push.wait(TIMEOUT)
    assert "Phase complete: POST_BUILD State: SUCCEEDED" in shown.read_text()
    assert len(quick.builds()) == count
    is_back(quick, "up meanwhile")


def test_up_while_a_build_releases_does_not_take_the_release_back(quick, tmp_path):
    """`up` looks at the alias before it deploys the template; a build moves it while it does."""
    script = (
        "from sandbox.account import stack\n"
        "aws = stack.aws\n"
        "def slow(*arguments, **options):\n"
        "    done = aws(*arguments, **options)\n"
        f"    open({str(tmp_path / 'deployed')!r}, 'w').close()\n"
        "    import os, time\n"
        f"    while not os.path.exists({str(tmp_path / 'released')!r}): time.sleep(0.02)\n"
        "    return done\n"
        "stack.aws = slow\n"
        "from sandbox.cli import main\n"
        "raise SystemExit(main(['up']))\n"
    )
    quick.say("moves meanwhile", until(tmp_path / "deployed"))
    push = push_until(quick, "Running command for i in")
    env = quick.env | {"IS_BARE": "yes"}  # else it would start itself again, without the above
    up = quick.start(quick.python, "-c", script, env=env, stderr=subprocess.PIPE)
    push.wait(TIMEOUT)
    (tmp_path / "released").touch()
    said = up.communicate(timeout=TIMEOUT)[1]
    assert up.returncode == 0, said
    is_back(quick, "moves meanwhile")


def run_build(someone, *changes, **options):
    """Run the build of the commit at HEAD in a process of its own, with other limits."""
    commit = someone.git("rev-parse", "HEAD").stdout.strip()
    someone.git(
        "push", "-q", "--receive-pack", "git -c core.hooksPath=/dev/null receive-pack", "sandbox"
    )
    script = [
        "import functools",
        "from sandbox.builds import queue, worker",
        "from sandbox.codebuild import log",
        "from sandbox.laptop.files import lock",
        *changes,
        "with lock('worker'):",
        f"    worker.run_build(queue.submit('hello_user', {commit!r}, 'main', 'root'))",
    ]
    python(someone, "\n".join(script), **options)
    return someone.builds()[-1]


# The time is up four seconds after a command began, however long what comes before it took.
SECONDS = (
    "import time",
    "from sandbox.codebuild.shell import Shell",
    "run = Shell.run",
    "def hurried(self, *words):",
    "    self.deadline = time.monotonic() + 4",
    "    return run(self, *words)",
    "Shell.run = hurried",
)


def test_build_that_hangs_ends_with_its_children(quick, tmp_path):
    before = quick.live()
    mark = tmp_path / "pid"
    quick.say("hangs", f"setsid sleep 60 & echo $! > '{mark}'; sleep 60")
    record = run_build(quick, *SECONDS)
    assert (record["status"], record["phase"]) == ("TIMED_OUT", "PRE_BUILD")
    assert not lives(int(mark.read_text()))
    assert quick.live() == before


@LONG
def test_build_that_prints_without_end_has_a_bounded_log(quick):
    quick.say("prints", "yes 'a line' ")
    record = run_build(quick, *SECONDS, "worker.Log = functools.partial(log.Log, limit=100_000)")
    assert record["status"] == "TIMED_OUT"
    text = log_of_last(quick)
    assert len(text) < 110_000
    assert text.count("the log is full: output beyond 100000 bytes is not kept") == 1
    assert "Phase complete: PRE_BUILD State: TIMED_OUT" in text
    quick.say("prints no more")
    quick.push()
    is_back(quick, "prints no more")


@pytest.mark.parametrize(
    "command, status",
    [
        pytest.param(
            'rm -rf "$CODEBUILD_SRC_DIR"', "FAILED", marks=LONG, id="deletes-its-checkout"
        ),
        pytest.param('rm -rf "$TMPDIR"', "FAULT", marks=LONG, id="deletes-its-tmp"),
        pytest.param("kill -9 $PPID", "FAULT", id="kills-its-parent"),
        pytest.param("kill -9 $$", "FAILED", marks=LONG, id="kills-itself"),
    ],
)
def test_build_that_harms_itself_fails_clearly(quick, command, status):
    before, old = quick.live(), quick.message()
    quick.say("harmed", command)
    lines = quick.push()
    assert re.fullmatch(
        rf"\[sandbox\] BUILD \d+ {status}.*: nothing was released, version {before} is still live",
        lines[-1],
    )
    assert any(line.startswith("[sandbox] error: ") for line in lines[-5:])
    assert quick.message() == old
    quick.say(f"after {command}")
    quick.push()
    is_back(quick, f"after {command}")


def test_killed_build_is_no_longer_in_progress(quick):
    """The account is killed, too, so that nobody is left who would end the record."""
    quick.say("killed", SLOW)
    push = push_until(quick, "Running command for")
    kill_all(quick, push)
    push.wait(TIMEOUT)
    unlock(quick)
    quick.wait_for(lambda: not worker(quick))
    said = quick.sandbox("status", code=1).stdout.splitlines()
    number = quick.newest()
    assert any(line.startswith(f"build {number:<4}IN_PROGRESS (killed)  ") for line in said)
    assert said[-1] == (
        "nothing runs these builds any more: `python3 -m sandbox up` ends them, and goes on"
    )
    quick.edit("buildspec.yml", SLOW, "true")
    quick.commit("Be quick")
    quick.up()
    said = quick.sandbox("status").stdout
    assert f"build {number:<4}FAULT" in said and "(killed)" not in said
    is_back(quick, "killed")


def test_record_that_cannot_be_read_is_named_and_passed_over(quick):
    count = quick.newest()
    path = quick.clone / ".sandbox" / "builds" / str(count + 1) / "build.json"
    path.parent.mkdir()
    path.write_text('{"number": "of a later version"}')
    named = f".sandbox/builds/{count + 1}/build.json cannot be read and is passed over"
    assert quick.sandbox("status").stdout.splitlines()[-1] == named
    assert f"[sandbox] {named}" in quick.up().splitlines()
    quick.say("and after it")
    assert f"BUILD {count + 2} SUCCEEDED" in quick.push()[-1]
    assert path.read_text() == '{"number": "of a later version"}'
    path.unlink()
    path.parent.rmdir()
    is_back(quick, "and after it")


def test_interrupted_up_speaks_of_no_build_before_there_is_one(newcomer):
    up = newcomer.start(PYTHON, "-m", "sandbox", "up", stderr=subprocess.PIPE)
    while "Installing uv" not in up.stderr.readline():
        assert up.poll() is None
    os.killpg(up.pid, signal.SIGINT)
    said = up.communicate(timeout=TIMEOUT)[1]
    assert up.returncode == 130
    assert [line for line in said.splitlines() if not line.endswith(" s …")] == [
        "error: interrupted",
        "hint: type the same again: what is there already stays",
    ]


def test_interrupted_command_says_that_a_build_goes_on(quick, tmp_path):
    go = tmp_path / "go"
    quick.say("goes on", until(go))
    count = len(quick.builds())
    push = quick.start_push()
    quick.wait_for(lambda: len(quick.builds()) > count)
    build = quick.start(PYTHON, "-m", "sandbox", "build", stderr=subprocess.PIPE)
    quick.wait_for(lambda: len(quick.builds()) > count + 1)
    os.killpg(build.pid, signal.SIGINT)
    assert "hint: a build that has started goes on" in build.communicate(timeout=TIMEOUT)[1]
    assert build.returncode == 130
    go.touch()
    push.wait(TIMEOUT)
    quick.wait_for(lambda: quick.builds()[-1]["status"] == "SUCCEEDED")
    is_back(quick, "goes on")

"""README.md, read from top to bottom as a student does: each block is run, or compared."""

import os
import pty
import re
import socket
import subprocess
import sys
import time

import picture
import pytest
import yaml
from pages import REFERENCE, TUTORIAL

from sandbox.builds import programs
from sandbox.laptop.network import direct
from sandbox.laptop.paths import ROOT
from students import seen


class Terminal:
    """A shell that stays open from block to block, as a student's does, with a terminal's end.

    `raw` is what the terminal got of the last block.
    """

    END = "that-was-the-block"

    def __init__(self, folder, env, start=""):
        ours, theirs = pty.openpty()
        self.shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=env | {"TERM": "xterm"},
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
            text=True,
        )
        os.close(theirs)
        self.got = open(ours, errors="replace", newline="\n")
        assert self.type(start or "true")[1] == 0

    def type(self, text):
        """Run a block and return what it said and the exit status of its last command."""
        self.shell.stdin.write(f"{{\n{text}\n}} </dev/null\nprintf '\\n{self.END} %d\\n' $?\n")
        self.shell.stdin.flush()
        said = []
        for line in self.got:
            if line.startswith(self.END):
                self.raw = "".join(said)
                return "\n".join(seen(self.raw)).strip("\n"), int(line.split()[1])
            said.append(line)
        raise AssertionError("the shell has ended:\n" + "".join(said))

    def close(self):
        self.shell.stdin.close()
        self.shell.wait(30)
        self.got.close()


def matches(expected, said):
    """Tell whether output is as stated: a line … is any lines, … in a line any text."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in expected.rstrip("\n").split("\n")
    )
    return re.fullmatch(pattern, re.sub(" +", " ", said) + "\n") is not None


# On AWS a build would do this; the emulator knows builds, but runs none. It has no connections to
# GitHub, no quotas and no report groups either: there the real command line checks the arguments,
# up to the moment in which it would connect.
ON_AWS = r"""
aws() {
  case "$1 $2" in --version*) echo aws-cli/2 ;; codeconnections*|service-quotas*|*-report-group*)
    AWS_MAX_ATTEMPTS=1 command aws --endpoint-url http://127.0.0.1:9 "$@" 2>&1 |
      grep -q "Could not connect" || return 9
    case "$2" in
      create-connection) echo arn:aws:codeconnections:us-east-1:000000000000:connection/laptop;;
      get-connection) echo AVAILABLE;;
      list-service-quotas) echo L-00000000;;
      list-report-groups) echo arn:aws:codebuild:us-east-1:000000000000:report-group/{a,b};; esac
  ;; *)
    command aws "$@" || return
    case "$2" in start-build)
      (cd "$CLONE" && PATH="$PATH:$BUILD_PATH" && \
      CODEBUILD_BUILD_SUCCEEDING=1 CODEBUILD_RESOLVED_SOURCE_VERSION=first \
      FUNCTION_NAME=hello_user ALIAS_NAME=live sh -ec "$BUILD") > "$CLONE/../build.log" 2>&1;; esac
  esac
}
"""


@pytest.fixture
def aws_account(tmp_path):
    """An account apart, empty as a new one on AWS: return the environment of a terminal there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "ministack.app"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env=env
        | {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "DOCKER_HOST": f"unix://{tmp_path}/none",
            "TMPDIR": str(tmp_path),
        },
    )
    try:
        url = f"http://127.0.0.1:{port}"
        # A terminal for AWS has no AWS_ENDPOINT_URL: chapter 8 stops where there is one.
        (tmp_path / "config").write_text(f"[default]\nendpoint_url = {url}\n")
        for _ in range(600):
            try:
                direct().open(url + "/_ministack/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield {
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_PAGER": "",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
    finally:
        process.terminate()
        process.wait(30)


def on_github(someone, folder):
    """Let the clone's `origin` be a fork on GitHub, which is a folder here."""
    fork = "your-github-name/the-name-of-your-fork.git"
    bare = folder / "github" / fork
    someone.git("clone", "-q", "--bare", someone.clone, bare)
    someone.git(
        "config", "--global", f"url.file://{folder}/github/.insteadOf", "https://github.com/"
    )
    someone.git("remote", "add", "origin", f"https://github.com/{fork}")
    return bare


def draw_console(someone, said):
    """Draw the console as it is after the red push, and after the green one."""
    if "BUILD 4 FAILED" in said or "BUILD 6 SUCCEEDED" in said:
        address = someone.sandbox("console", env=someone.env | {"BROWSER": "true"}).stdout.strip()
        if "BUILD 4 FAILED" in said:
            picture.photograph(address, "red", "builds/4", 760, "#failed")
        else:
            picture.photograph(address, "green", "", 500)


def test_readme_from_top_to_bottom(newcomer, aws_account, tmp_path, request):
    spec = yaml.safe_load((ROOT / "buildspec.yml").read_text())["phases"]
    bare = on_github(newcomer, tmp_path)
    (newcomer.home / ".curlrc").write_text(
        "silent\n"
    )  # as in a terminal, where curl draws no progress meter
    aws = (
        newcomer.env
        | aws_account
        | {
            "PATH": f"{newcomer.clone}/.sandbox/bin:{newcomer.env['PATH']}",
            "CLONE": str(newcomer.clone),
            "BUILD_PATH": str(newcomer.clone / ".sandbox" / "venv" / "bin"),
            "BUILD": "\n".join(spec["build"]["commands"][1:] + spec["post_build"]["commands"]),
        }
    )
    laptop = Terminal(newcomer.clone, newcomer.env)
    elsewhere, said, status, pushes = None, "", 0, {}
    try:
        for block in TUTORIAL.blocks:
            where = f"README.md, line {block.line}:\n{block.text}"
            if block.kind == "python" and block.use == "written":
                name = re.search(r"Put this into `([\w.]+)`", block.lead)[1]
                newcomer.write(name, block.text)
            elif block.kind == "bash":
                said, status = laptop.type(block.text)
                assert status == 0, f"{where}\n{said}"
                assert "Traceback" not in said
                pushes[block.line] = laptop.raw
                if "OLD=" in block.text:  # also when it is typed once more
                    assert "hello user" in said
                    again = laptop.type(block.text + '\necho "$NEW is not $OLD"')[0]
                    assert re.search(r"^(\d+) is not (?!\1$)\d+$", again, re.MULTILINE), again
                if request.config.getoption("--draw"):
                    draw_console(newcomer, said)
            elif block.kind == "bash aws":
                elsewhere = elsewhere or Terminal(newcomer.clone, aws, ON_AWS)
                said, status = elsewhere.type(block.text)
                gone = "does not exist" in said and "describe-stacks" in block.text.splitlines()[-1]
                assert status == 0 or gone, f"{where}\n{said}"
            elif block.kind == "text":
                assert matches(block.text, said), f"{where}\nis not what was said:\n{said}"
        assert (
            subprocess.run(
                ["git", "--git-dir", bare, "log", "-1", "--format=%s", "main"],
                capture_output=True,
                text=True,
            ).stdout
            == "Test what else may come\n"
        )
    finally:
        laptop.close()
        if elsewhere:
            elsewhere.close()
    for name in ("hello_user.py", "test_hello_world.py"):
        assert (newcomer.clone / name).read_text() == (ROOT / name).read_text()
    assert not (newcomer.clone / ".sandbox").exists()
    drawn = {
        "red": next(text for text in pushes.values() if "BUILD 4 FAILED" in text),
        "green": next(text for text in pushes.values() if "BUILD 6 SUCCEEDED" in text),
    }
    for name, text in drawn.items():
        path = ROOT / "images" / f"push-{name}.svg"
        if request.config.getoption("--draw"):
            path.write_text(picture.draw("git push sandbox", text), encoding="utf-8")
        assert path.read_text(encoding="utf-8") == picture.draw("git push sandbox", text), (
            "type `python3 -m sandbox test sandbox/tests/whole/test_readme.py --draw` "
            f"to draw {path.name} again"
        )


def test_reference_shows_commands_that_aws_takes(aws_account, tmp_path):
    env = os.environ | aws_account | {"AWS_DEFAULT_REGION": "us-east-1"}
    env |= {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CLONE": str(tmp_path)}
    programs.make(tmp_path / "bin")
    terminal = Terminal(ROOT, env, ON_AWS)
    [deploy] = [block for block in TUTORIAL.blocks if "cloudformation deploy" in block.text]
    try:
        names = "REPOSITORY=https://github.com/you/fork CONNECTION_ARN="
        assert terminal.type(f"{names}\n{deploy.text}")[1] == 0
        blocks = [block for block in REFERENCE.blocks if block.kind == "bash aws"]
        assert len(blocks) == 5
        for block in blocks:
            said, status = terminal.type(block.text)
            assert status == 0, f"{block.text}\n{said}"
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("env", "aws", "said"),
    [
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "true", "STOP: open a new terminal"),
        ({}, "echo aws-cli/1", "STOP: install version 2"),
        ({}, "[ $1 = --version ] && echo aws-cli/2", "aws-cli/2\nSTOP: aws login, then this again"),
    ],
    ids=["in the laptop's terminal", "old", "logged out"],
)
def test_chapter_8_stops_in_a_terminal_that_means_another_account(env, aws, said):
    [first] = [block for block in TUTORIAL.blocks if "AWS_ENDPOINT_URL" in block.text]
    terminal = Terminal(ROOT, env, f"aws() {{ {aws}; }}; git() {{ echo pushed; }}")
    try:
        assert terminal.type(first.text)[0] == said
    finally:
        terminal.close()


def test_chapter_8_waits_for_no_build_that_is_not_there():
    [wait] = [block for block in TUTORIAL.blocks if "start-build" in block.text]
    terminal = Terminal(ROOT, {}, "aws() { false; }; curl() { true; }")
    try:
        assert terminal.type(wait.text)[1] == 0
    finally:
        terminal.close()


@pytest.mark.parametrize(
    ("commits", "answers", "said"),
    [
        (
            "First iteration",
            "Hello CI CD Developer! hello user",
            "Not yet: no commit 'Greet the user by name' (see 'A solution')",
        ),
        (
            "Greet the user by name",
            "hello user",
            "Not yet: no greeting by name (see 'A solution')",
        ),
        ("Greet the user by name", "Hello CI CD Developer!", "Not yet: no hello user"),
        ("Greet the user by name", "Hello CI CD Developer! hello user", "Task done"),
    ],
)
def test_task_is_done_when_its_commits_are_on_main_and_its_answers_right(commits, answers, said):
    [check] = [block for block in TUTORIAL.blocks if "Task done" in block.text]
    stubs = f"git() {{ echo '{commits}'; }}; curl() {{ echo '{answers}'; }}; python3() {{ true; }}"
    terminal = Terminal(ROOT, {}, stubs)
    try:
        assert terminal.type(check.text)[0].splitlines()[-1] == said
    finally:
        terminal.close()

"""Students of the tests, each in a temporary folder with a HOME of its own."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from clones import PYTHON, TIMEOUT, WAITS, Clone, caches
from sandbox.laptop import paths, processes
from sandbox.laptop.network import direct
from sandbox.laptop.paths import ROOT

NOT_NEEDED = re.compile(r"(python|pip|pytest|py\.test)[\d.]*|zip|unzip|aws|uv|uvx|virtualenv|sam")
FOLDERS = contextlib.ExitStack()  # conftest.py closes it: xdist may not wait for what atexit does


@functools.cache
def bare_path() -> str:
    """Return a PATH with this machine's programs but those that nobody needs who does the tutorial.

    As on a fresh Debian, there is python3, and neither python nor pip, zip or aws.
    """
    folder = Path(FOLDERS.enter_context(tempfile.TemporaryDirectory(prefix="path-")))
    for each in os.environ["PATH"].split(os.pathsep):
        with contextlib.suppress(OSError):
            for entry in os.scandir(each):
                if not NOT_NEEDED.fullmatch(entry.name):
                    with contextlib.suppress(FileExistsError):
                        (folder / entry.name).symlink_to(entry.path)
    (folder / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(PYTHON)} "$@"\n')
    (folder / "python3").chmod(0o755)
    return str(folder)


@functools.cache
def keeping() -> str:
    """Return a folder for PATH whose `rm` deletes nothing."""
    folder = Path(FOLDERS.enter_context(tempfile.TemporaryDirectory(prefix="keeping-")))
    (folder / "rm").write_text("#!/bin/sh\n")
    (folder / "rm").chmod(0o755)
    return str(folder)


# At the end of a clone's sandbox/__init__.py, which each process of ours runs. There is no coverage
# in the environments of a clone, and neither variables nor .pth files reach all of its processes.
MEASURE = """
import atexit, contextlib, sys
sys.path.append({site!r})
with contextlib.suppress(ImportError):  # another user may not read it
    import coverage
    _measured = coverage.Coverage(data_file={data!r}, data_suffix=True, config_file={config!r})
    _measured.set_option("run:patch", ["_exit", "execv"])  # what it starts comes here, too
    _measured.start()
@atexit.register
def _end():
    with contextlib.suppress(Exception):  # some tests fill the disk
        _measured.stop()
        _measured.save()
sys.path.remove({site!r})
"""


def measures() -> str:
    """Return what makes the processes of a clone count their lines, if this one counts its own."""
    with contextlib.suppress(ImportError):
        import coverage

        if coverage.Coverage.current():
            return MEASURE.format(
                site=str(Path(coverage.__file__).parents[1]),
                data=str(ROOT / ".sandbox" / "coverage"),
                config=str(ROOT / "sandbox" / "pyproject.toml"),
            )
    return ""


def counting() -> dict[str, str]:
    """Return the variables by which a program that this one starts counts its lines, too."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}


class Student(Clone):
    """Someone with a fresh clone who types commands, and asks what has become of them."""

    evaluated: tuple[dict, dict[str, str]] = ({}, {})  # an account, and what `env` said of it

    def __init__(self, folder, settings=None, name="my clone"):
        settings = caches() | {"PATH": bare_path()} | (settings or {})
        super().__init__(folder, settings, name)
        if measured := measures():
            path = self.clone / "sandbox" / "__init__.py"
            path.write_text(path.read_text() + measured)
            self.git("commit", "-qam", "Start", "--amend")

    @property
    def python(self) -> Path:
        """Return the Python that the sandbox itself runs with."""
        return self.clone / ".sandbox" / "venv" / "bin" / "python"

    def account(self) -> dict:
        """Return pid and port of the account, as it was started last."""
        return json.loads((self.clone / ".sandbox" / "account" / "ministack.json").read_text())

    def lives(self) -> bool:
        """Tell whether this student's account runs."""
        with contextlib.suppress(OSError, ValueError):
            return lives(self.account()["pid"])
        return False

    def revive(self) -> None:
        """Start the account again if a test has left it dead, and print why it died."""
        if self.lives():
            return
        log = self.clone / ".sandbox" / "account" / "ministack.log"
        with contextlib.suppress(OSError):
            print(f"the account is dead; its log ends with:\n{log.read_text()[-3000:]}")
        said = self.sandbox("up", code=None)
        print(said.stdout + said.stderr)
        assert self.lives(), said

    def url(self) -> str:
        """Return what `python3 -m sandbox url` prints, and start no program for it."""
        return f"http://127.0.0.1:{self.account()['port']}/_aws/execute-api/hellouser/default/hello_user"

    def get(self, query: str = "") -> tuple[int, str]:
        """Ask the endpoint and return status and body."""
        try:
            with direct().open(self.url() + query, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def message(self, query: str = "") -> str:
        status, body = self.get(query)
        assert status == 200, body
        return json.loads(body)["message"]

    def aws(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run plain aws after the eval that README.md shows: once for each account's process."""
        if self.evaluated[0] != (account := self.account()):
            self.evaluated = account, self.aws_environment()
        return self.type("aws", *arguments, code=code, env=self.evaluated[1])

    def keys(self, user: str = "student") -> tuple[str, str]:
        """Return an access key id and its secret."""
        path = self.clone / ".sandbox" / "account" / "keys.json"
        return tuple(json.loads(path.read_text())[user])

    def client(self, service: str, user: str = "student", token: str | None = None):
        """Return a client for the account; `user` may be a pair of keys."""
        import botocore.session

        key, secret = self.keys(user) if isinstance(user, str) else user
        return botocore.session.Session().create_client(
            service,
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self.account()['port']}",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )

    def live(self) -> str:
        """Return the version that the alias points to."""
        return self.client("lambda").get_alias(FunctionName="hello_user", Name="live")[
            "FunctionVersion"
        ]

    def move_live(self, version: str) -> None:
        """Point the alias at another version, as a person does who rolls back."""
        alias = {"FunctionName": "hello_user", "Name": "live"}
        self.client("lambda").update_alias(**alias, FunctionVersion=version)

    def processes(self) -> list[str]:
        """Return the command lines of what runs out of this clone's .sandbox/."""
        lines = [
            " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
        ]
        return [line for line in lines if str(self.clone / ".sandbox") in line]

    def start(self, *command: str | Path, **options: Any) -> subprocess.Popen[Any]:
        """Start a command, in a session of its own, which goes on beside the test."""
        given = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        given |= {"cwd": self.clone, "env": self.env, "start_new_session": True, "text": True}
        return subprocess.Popen([str(word) for word in command], **given | options)

    def start_push(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a push to the sandbox, which goes on beside the test."""
        return self.start("git", "push", "sandbox", *arguments, **options)

    def leave(self) -> None:
        """Take the sandbox down, whose files are deleted when all tests of this process have ended.

        Where many files were deleted, each new one takes longer for some minutes: see
        benchmark.py.
        """
        if measures() and self.lives():  # one that is killed does not say what it has run
            pid = self.account()["pid"]
            os.kill(pid, signal.SIGTERM)
            processes.wait([psutil.Process(pid)])
        path = f"{keeping()}{os.pathsep}{self.env['PATH']}"
        self.sandbox("down", code=None, env=self.env | {"PATH": path})
        outside = paths.outside(self.clone.resolve())
        for folder in (self.clone, *outside.parent.glob(f"{outside.name}*")):
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        assert self.processes() == []


def lives(pid: int) -> bool:
    """Tell whether there is a process of that number, and lives."""
    with contextlib.suppress(psutil.Error):
        return processes.lives(psutil.Process(pid))
    return False


def is_back(someone: Student, word: str) -> None:
    """Check what every fault must leave: all ended, main built and green, its word live."""
    tip = someone.git("rev-parse", "HEAD").stdout.strip()
    assert someone.git("--git-dir=.sandbox/fork.git", "rev-parse", "main").stdout.strip() == tip
    assert all(build["status"] not in ("QUEUED", "IN_PROGRESS") for build in someone.builds())
    last = [build for build in someone.builds() if build["commit"] == tip][-1]
    assert last["status"] == "SUCCEEDED"
    assert someone.message() == word
    assert someone.live() == last["live_after"]


def change_greeting(someone: Student, word: str) -> str:
    """Change what the handler says to a user, and its tests with it, and return the commit."""
    handler = someone.clone / "hello_user.py"
    old = re.search(r'f"(\w+) \{user\}!"', handler.read_text())[1]
    someone.edit("hello_user.py", f'f"{old} {{user}}!"', f'f"{word} {{user}}!"')
    tests = (someone.clone / "test_hello_world.py").read_text()
    someone.write("test_hello_world.py", tests.replace(f'"{old} ', f'"{word} '))
    return someone.commit(f"Say {word}")


QUICK = """\
version: 0.2
env:
  variables:
    AWS_MAX_ATTEMPTS: 1
phases:
  pre_build:
    commands:
      - python -m doctest test.txt
  build:
    commands:
      - python -m zipfile -c hello_user.zip hello_user.py
  post_build:
    commands:
      - test "$CODEBUILD_BUILD_SUCCEEDING" = 1
      - VERSION=$(aws lambda update-function-code --function-name hello_user \
--zip-file fileb://hello_user.zip --publish --query Version --output text) && \
aws lambda update-alias --function-name hello_user --name live --function-version "$VERSION"
"""


REQUIREMENT = "iniconfig==2.3.1\n"  # what the next build's environment is made for


def listed(commands: Iterable[str]) -> str:
    """Return commands as items of a phase's list in a buildspec."""
    return "".join(f"      - {json.dumps(command)}\n" for command in commands)


class Quick(Student):
    """A student whose builds install nothing, test with doctest, and release in two calls."""

    buildspec = ""  # what releases, as it was had last; nothing after `run`

    def __init__(self, folder, settings=None, name="my clone"):
        """Clone, and have only the tutorial's own files in git: a checkout of all takes long."""
        super().__init__(folder, settings, name)
        others = [".ci", ".github", "images", "sandbox"]
        (self.clone / ".git" / "info" / "exclude").write_text("".join(f"/{x}/\n" for x in others))
        self.git("rm", "-rq", "--cached", *others)
        self.git("commit", "-q", "--amend", "-m", "Start")

    def up(self) -> str:
        return self.sandbox("up").stderr

    def be_quick(self) -> None:
        """Have quick builds again, if others were had meanwhile."""
        if self.buildspec not in ("", QUICK):
            self.release("green")

    def be_thorough(self, buildspec: str) -> None:
        """Have the tutorial's own files and this buildspec, unless that is had already."""
        if self.buildspec != buildspec:
            self.buildspec = buildspec
            (self.clone / "test.txt").unlink(missing_ok=True)  # pytest would run it
            for name in ("hello_user.py", "test_hello_world.py", "requirements.txt"):
                text = (ROOT / name).read_text()
                # The machine has an `aws`, too; of this one would be most files of a build.
                self.write(name, re.sub("(?m)^awscli.*\n", "", text))
            self.write("buildspec.yml", buildspec)
            self.commit("Build as the tutorial")
            assert "SUCCEEDED" in self.push()[-1], self.log()

    def run(self, word: str, *commands: str) -> str:
        """Commit, in a word, a buildspec with commands that releases nothing: a push is shorter."""
        self.buildspec = ""
        self.write("requirements.txt", REQUIREMENT)
        phase = f"pre_build:\n    commands:\n{listed(commands)}"
        self.write("buildspec.yml", f"version: 0.2\nphases:\n  {phase}")
        return self.commit(word)

    def say(self, word: str, *before: str) -> str:
        """Commit a handler that answers with this word, its test, and commands to run first."""
        self.buildspec = QUICK
        self.write(
            "hello_user.py",
            "import json\n\n\ndef hello_user_handler(event, context):\n"
            f"    return {{'statusCode': 200, 'body': json.dumps({{'message': {word!r}}})}}\n",
        )
        self.write(
            "test.txt",
            ">>> import hello_user, json\n"
            ">>> body = hello_user.hello_user_handler({}, None)['body']\n"
            f">>> assert json.loads(body) == {{'message': {word!r}}}\n",
        )
        self.write("requirements.txt", REQUIREMENT)
        with_them = QUICK.replace("commands:\n", f"commands:\n{listed(before)}", 1)
        self.write("buildspec.yml", with_them)
        return self.commit(f"Say {word}")

    def release(self, word: str) -> str:
        """Push a commit that answers with this word, and return its version."""
        self.say(word)
        lines = self.push()
        assert "SUCCEEDED" in lines[-1], lines
        return self.live()

    def wait_for(self, what):
        """Wait until what() is true and return it."""
        deadline = time.monotonic() + TIMEOUT
        while not (found := what()):
            assert time.monotonic() < deadline, what
            time.sleep(0.02)
        return found


def in_a_terminal(student: Clone, *command: str | Path, code: int = 0, **variables: str) -> str:
    """Run a command with a terminal at the other end, and return what that got."""
    ours, theirs = pty.openpty()
    env = {name: value for name, value in student.env.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=student.clone,
        env=env | {"TERM": "xterm"} | variables,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    parts = []
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 1 << 16):
            parts.append(part)
    os.close(ours)
    assert process.wait(TIMEOUT) == code
    return b"".join(parts).decode(errors="replace")


SLOW = "for i in $(seq 1200); do sleep 0.1; done"  # two minutes, if nobody ends it


def until(path: Path) -> str:
    """Return a command that waits for a file; two minutes end what a failed test leaves behind."""
    return f"for i in $(seq 1200); do test -e '{path}' && break; sleep 0.1; done"


SGR, ERASE = r"\x1b\[[0-9;]*m", "\x1b[K"  # a colour; the rest of a line


def screen(raw: str) -> list[list[tuple[str, str]]]:
    """Return the lines that a terminal shows, but for WAITS: characters, each with its colours."""
    lines, style = [], ""
    for line in raw.split("\n"):
        cells: list[tuple[str, str]] = []
        at = 0
        for part in re.split(rf"({SGR}|{re.escape(ERASE)}|\r)", line):
            if part == "\r":
                at = 0
            elif part == ERASE:
                del cells[at:]
            elif re.fullmatch(SGR, part):
                style = "" if part in ("\x1b[m", "\x1b[0m") else style + part
            else:
                cells[at : at + len(part)] = [(each, style) for each in part]
                at += len(part)
        if not WAITS.search("".join(each for each, _ in cells)):
            lines.append(cells)
    return lines


def seen(raw: str) -> list[str]:
    """Return the lines that a terminal then shows: without colours and what was written over."""
    return ["".join(each for each, _ in cells).rstrip() for cells in screen(raw)]

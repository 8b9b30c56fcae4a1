"""A student: a clone of this repository in a temporary folder, with a HOME of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = getattr(sys, "_base_executable", sys.executable)  # the one below the sandbox's environment
TIMEOUT = 300  # seconds; no test waits so long, it only ends one that hangs
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def caches() -> dict[str, str]:
    """Return where this sandbox keeps what it has downloaded, so that a new clone does not download it again."""
    folder = ROOT / ".sandbox"
    return {
        "UV_CACHE_DIR": json.loads((folder / "image" / "settings.json").read_text())["cache"],
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(folder / "cache" / "pip")),
    }


class Student:
    """Someone with a fresh clone who types commands."""

    def __init__(self, folder: Path):
        self.home, self.clone = folder / "home", folder / "my clone"  # a space, as in many a folder
        self.home.mkdir(parents=True)
        self.clone.mkdir()
        self.env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "GIT_", "PYTEST_", "PYTHON", "VIRTUAL_ENV"))
        }
        self.env |= {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1"} | caches()
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout.split(b"\0")
        for name in filter(None, map(os.fsdecode, listed)):
            if (ROOT / name).is_file():
                (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.clone / name)
        for arguments in (
            ["config", "--global", "user.name", "A Student"],
            ["config", "--global", "user.email", "student@example.com"],
            ["init", "-q", "-b", "main"],
            ["add", "-A"],
            ["commit", "-q", "-m", "Start"],
        ):
            self.git(*arguments)

    def type(
        self, *command: str | Path, code: int | None = 0, **options
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit status, unless `code` is None."""
        done = subprocess.run(
            [str(part) for part in command],
            text=True,
            errors="replace",
            capture_output=True,
            **{"cwd": self.clone, "env": self.env, "timeout": TIMEOUT, "stdin": subprocess.DEVNULL}
            | options,
        )
        assert code is None or done.returncode == code, (
            command,
            done.returncode,
            done.stdout,
            done.stderr,
        )
        return done

    def sandbox(
        self, *arguments: str, code: int | None = 0, **options
    ) -> subprocess.CompletedProcess[str]:
        """Run python3 -m sandbox with the Python below the one that runs the tests."""
        return self.type(PYTHON, "-m", "sandbox", *arguments, code=code, **options)

    def git(
        self, *arguments: str, code: int | None = 0, **options
    ) -> subprocess.CompletedProcess[str]:
        return self.type("git", *arguments, code=code, **options)

    def write(self, name: str, text: str) -> None:
        (self.clone / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.clone / name).read_text(encoding="utf-8")
        assert old in text, (name, old)
        self.write(name, text.replace(old, new))

    def commit(self, message: str) -> str:
        """Commit all changes and return the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").stdout.strip()

    def push(self, *arguments: str, code: int | None = 0) -> list[str]:
        """Push to the sandbox and return the lines that the remote said."""
        said = self.git("push", "sandbox", *arguments, code=code).stderr
        return [
            line.removeprefix("remote:").strip()
            for line in said.splitlines()
            if line.startswith("remote:")
        ]

    def url(self) -> str:
        return self.sandbox("url").stdout.strip()

    def get(self, query: str = "") -> tuple[int, str]:
        """Ask the endpoint and return status and body."""
        try:
            with DIRECT.open(self.url() + query, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def message(self, query: str = "") -> str:
        status, body = self.get(query)
        assert status == 200, body
        return json.loads(body)["message"]

    def aws(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run plain aws after the eval that README.md shows."""
        here = f'eval "$({PYTHON} -m sandbox env)"; exec aws "$@"'
        return self.type("bash", "-c", here, "bash", *arguments, code=code)

    def live(self) -> str:
        """Return the version that the alias points to."""
        return self.aws(
            "lambda",
            "get-alias",
            "--function-name",
            "hello_user",
            "--name",
            "live",
            "--query",
            "FunctionVersion",
            "--output",
            "text",
        ).stdout.strip()

    def builds(self) -> list[dict]:
        """Return the records of all builds, the oldest first."""
        paths = sorted(
            (self.clone / ".sandbox" / "builds").glob("*/build.json"),
            key=lambda path: int(path.parent.name),
        )
        return [json.loads(path.read_text()) for path in paths]

    def processes(self) -> list[str]:
        """Return the command lines of what runs out of this clone's .sandbox/."""
        import psutil

        lines = [
            " ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])
        ]
        return [line for line in lines if str(self.clone / ".sandbox") in line]

    def leave(self) -> None:
        self.sandbox("down", code=None)
        assert self.processes() == []


@pytest.fixture(scope="session")
def student(tmp_path_factory):
    """A student whose sandbox is up; tests share it, and each leaves it green."""
    someone = Student(tmp_path_factory.mktemp("student"))
    try:
        someone.first_up = someone.sandbox("up")
        yield someone
    finally:
        someone.leave()


@pytest.fixture
def newcomer(tmp_path):
    """A student with a fresh clone who has not typed anything yet."""
    someone = Student(tmp_path)
    try:
        yield someone
    finally:
        someone.leave()


GREETING = 'f"Hello {user}!"'


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
      - touch -t 198001010000 hello_user.py
      - python -m zipfile -c hello_user.zip hello_user.py
  post_build:
    commands:
      - test "$CODEBUILD_BUILD_SUCCEEDING" = 1
      - VERSION=$(aws lambda update-function-code --function-name hello_user --zip-file fileb://hello_user.zip \
--publish --query Version --output text) && aws lambda update-alias --function-name hello_user --name live \
--function-version "$VERSION"
"""


class Quick(Student):
    """A student whose builds install nothing, test with doctest, and release in two calls."""

    def up(self) -> str:
        return self.sandbox("up").stderr

    def say(self, word: str, *before: str) -> str:
        """Commit a handler that answers with this word, a test for it, and commands that a build runs first."""
        self.write(
            "hello_user.py",
            "import json\n\n\ndef hello_user_handler(event, context):\n"
            f"    return {{'statusCode': 200, 'body': json.dumps({{'message': {word!r}}})}}\n",
        )
        self.write(
            "test.txt",
            ">>> import hello_user, json\n"
            f">>> assert json.loads(hello_user.hello_user_handler({{}}, None)['body']) == {{'message': {word!r}}}\n",
        )
        self.write(
            "requirements.txt", "iniconfig\n"
        )  # what the next build's environment is made for
        self.write(
            "buildspec.yml",
            QUICK.replace(
                "commands:\n",
                "commands:\n" + "".join(f"      - {json.dumps(command)}\n" for command in before),
                1,
            ),
        )
        return self.commit(f"Say {word}")

    def account(self) -> dict:
        """Return pid and port of the account, as it was started last."""
        return json.loads((self.clone / ".sandbox" / "account" / "ministack.json").read_text())

    def client(self, service: str):
        import botocore.session

        return botocore.session.Session().create_client(
            service,
            region_name="us-east-1",
            endpoint_url=f"http://127.0.0.1:{self.account()['port']}",
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def url(self) -> str:
        return f"http://127.0.0.1:{self.account()['port']}/_aws/execute-api/hellouser/default/hello_user"

    def live(self) -> str:
        return self.client("lambda").get_alias(FunctionName="hello_user", Name="live")[
            "FunctionVersion"
        ]

    def wait_for(self, what, seconds: float = 60):
        """Wait until what() is true and return it."""
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, what
            time.sleep(0.02)
        return found


@pytest.fixture(scope="session")
def quick(tmp_path_factory):
    """A student with quick builds whose sandbox is up; each test leaves it up and green."""
    someone = Quick(tmp_path_factory.mktemp("quick"))
    try:
        someone.say("start")
        someone.first_up = someone.up()
        yield someone
    finally:
        someone.leave()

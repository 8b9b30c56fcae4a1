"""A fresh clone of this repository in a folder of its own, whose student types commands."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.laptop import bootstrap
from sandbox.laptop.paths import FOLDER, ROOT, cache

PYTHON = getattr(sys, "_base_executable", sys.executable)  # the one below the sandbox's environment
TIMEOUT = 600  # seconds; nothing waits so long, it only ends what hangs
# What belongs to whoever runs this, and not to a student.
FOREIGN = ("AWS_", "GIT_", "PYTEST_", "PYTHON", "VIRTUAL_ENV", "COVERAGE_", "XDG_")


def caches() -> dict[str, str]:
    """Return where this sandbox keeps what it has downloaded, for clones that shall not again."""
    pip = os.environ.get("PIP_CACHE_DIR", str(cache() / "pip"))
    return {"UV_CACHE_DIR": bootstrap.uv_cache(), "PIP_CACHE_DIR": pip}


# What is said of a build that has shown nothing for a while: on a busy machine of any.
WAITS = re.compile(
    r"\[sandbox\] (waiting for |this is build |hint: type `python3 -m sandbox stop`)"
)


class Clone:
    """A clone, and the student who types commands in it."""

    def __init__(self, folder: Path, settings: Mapping[str, str], name: str = "my clone"):
        """Clone into `folder`; `settings` are variables that this student has set."""
        self.home, self.clone = folder / "home", folder / name  # a space, as in many a folder
        self.home.mkdir(parents=True)
        self.clone.mkdir()
        own = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.env = own | {"HOME": str(self.home), "GIT_CONFIG_NOSYSTEM": "1", **settings}
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        ).stdout.split(b"\0")
        for each in filter(None, map(os.fsdecode, listed)):
            if (ROOT / each).is_file():
                (self.clone / each).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / each, self.clone / each)
        self.git("config", "--global", "user.name", "A Student")
        self.git("config", "--global", "user.email", "student@example.com")
        self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "Start")
        self.changes = 0

    def type(
        self, *command: str | Path, code: int | None = 0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit status, unless `code` is None."""
        given: dict[str, Any] = {"cwd": self.clone, "env": self.env, "timeout": TIMEOUT}
        given |= {"stdin": subprocess.DEVNULL} | options
        words = [str(part) for part in command]
        done = subprocess.run(words, text=True, errors="replace", capture_output=True, **given)
        said = (command, done.returncode, done.stdout[-4000:], done.stderr[-4000:])
        assert code is None or done.returncode == code, said
        return done

    def sandbox(
        self, *arguments: str | Path, code: int | None = 0, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run python3 -m sandbox with the Python below the one that runs this."""
        return self.type(PYTHON, "-m", "sandbox", *arguments, code=code, **options)

    def git(
        self, *arguments: str | Path, code: int | None = 0, **options: Any
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
        """Push to the sandbox and return the lines that the remote said, but for WAITS."""
        said = self.git("push", "sandbox", *arguments, code=code).stderr.splitlines()
        lines = [line for line in said if line.startswith("remote:") and not WAITS.search(line)]
        return [line.removeprefix("remote:").strip() for line in lines]

    def url(self) -> str:
        return self.sandbox("url").stdout.strip()

    def builds(self) -> list[dict[str, Any]]:
        """Return the records of all builds, the oldest first."""
        paths = (self.clone / FOLDER.name / "builds").glob("*/build.json")
        return [
            json.loads(path.read_text())
            for path in sorted(paths, key=lambda path: int(path.parent.name))
        ]

    def newest(self) -> int:
        """Return the number of the newest build; a number may be left out, so it is no count."""
        return int(self.builds()[-1]["number"])

    def log(self) -> str:
        """Return the newest build's log."""
        path = self.clone / FOLDER.name / "builds" / str(self.newest()) / "log"
        return path.read_text(errors="replace")

    def aws_environment(self) -> dict[str, str]:
        """Return what `python3 -m sandbox env` prints, as an environment."""
        text = self.type("bash", "-c", f'eval "$({PYTHON} -m sandbox env)"; env -0').stdout
        return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)

    def change(self) -> str:
        """Change the handler, and return what it then answers to a caller without a user."""
        self.changes += 1
        word = f"hello {self.changes}"
        handler = (self.clone / "hello_user.py").read_text()
        self.write("hello_user.py", re.sub(r'else "[^"]*"', f'else "{word}"', handler))
        tests = (self.clone / "test_hello_world.py").read_text()
        self.write("test_hello_world.py", re.sub(r'"hello [^"]*"}', f'"{word}"}}', tests))
        return word

    def is_ready(self) -> bool:
        """Tell whether the packages of the next build are ready."""
        packages = self.clone / FOLDER.name / "packages"
        return (packages / "full.json").exists() and not (packages / "used").exists()

    def settle(self) -> None:
        """Wait until the packages of the next build are ready and nothing works any more."""
        deadline = time.monotonic() + 120
        while not self.is_ready() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.sync()  # what `up` and the last run have written is not this run's to wait for
        time.sleep(0.5)

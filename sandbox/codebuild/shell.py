"""The shell of a build: each command a new process, with directory and variables carried over.

CodeBuild writes each item of a version 0.2 buildspec to one script, whose first three lines bring
back the directory and the variables of the item before; so shell messages count from line 4. See
https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-cmd.html
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from string import Template

import psutil

CHUNK = 1 << 16
CARRYING = b"""\
cd "$(cat %(dir)s)" || exit
set -a
. %(env)s
%(command)s
CODEBUILD_LAST_EXIT=$?
export -p > %(env)s
pwd > %(dir)s
exit $CODEBUILD_LAST_EXIT
"""
ALONE = b"cd %(start)s || exit\n\n\n%(command)s\n"


class TimedOut(Exception):
    """The build's time is over."""


class Stopped(BaseException):
    """Someone has stopped the build."""


def program_of(name: str) -> str:
    """Return the path of a shell; Ubuntu's sh is dash."""
    return shutil.which("dash" if name == "sh" else name) or f"/bin/{name}"


def syntax_error(name: str, command: str) -> str:
    """Return what a shell says of a command that it cannot read, or nothing; it runs nothing."""
    done = subprocess.run(
        [program_of(name), "-n"],
        input=command.encode(errors="surrogateescape") + b"\n",
        capture_output=True,
    )
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return re.sub(r"^\S+: (line )?\d+: ", "", lines[0]) if done.returncode and lines else ""


class Shell:
    """Runs the commands of one build and hands on their output as it comes."""

    def __init__(
        self,
        name: str,
        folder: Path,
        start: Path,
        env: Mapping[str, str],
        output: Callable[[bytes], None],
        deadline: float,
        carries: bool = True,
    ):
        """Prepare a shell in `folder`; `deadline` is a time.monotonic(), in seconds."""
        self.program = program_of(name)
        self.folder, self.start, self.env = folder, start, dict(env)
        self.output, self.deadline, self.carries = output, deadline, carries
        self.groups: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dir.txt").write_bytes(os.fsencode(start))
        (folder / "env.sh").write_text("")
        # One pipe for the whole build: a background process may go on writing into it.
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)
        # What its children leave behind becomes this process's own, so that close() finds it.
        # Elsewhere a process that makes a session of its own outlives the build.
        if sys.platform == "linux":
            PR_SET_CHILD_SUBREAPER = 36
            with contextlib.suppress(OSError, AttributeError):
                ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def set(self, name: str, value: str) -> None:
        """Set a variable for the commands that follow, over what earlier ones have exported."""
        self.env[name] = value
        with open(self.folder / "env.sh", "a") as stream:
            stream.write(f"export {name}={shlex.quote(value)}\n")

    def get(self, names: Sequence[str]) -> dict[str, str]:
        """Return exported variables as the commands left them."""
        if not names:
            return {}
        script = ". ./env.sh; " + "; ".join(f'printf "%s\\0" "${{{name}-}}"' for name in names)
        done = subprocess.run(
            [self.program, "-c", script],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            stdin=subprocess.DEVNULL,
        )
        values = done.stdout.decode(errors="replace").split("\0")
        return dict(zip(names, values, strict=False))

    def expand(self, text: str) -> str:
        """Return a text with the values of the variables that it names."""
        names = re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", text)
        return Template(text).safe_substitute(self.get(names))

    def run(self, command: str) -> int:
        """Run one item and return its exit status; raises TimedOut when the time is over."""
        script = self.folder / "script.sh"
        places = {b"dir": self.folder / "dir.txt", b"env": self.folder / "env.sh"}
        places[b"start"] = self.start
        parts = {name: shlex.quote(str(path)).encode() for name, path in places.items()}
        parts[b"command"] = command.encode(errors="surrogateescape")
        script.write_bytes((CARRYING if self.carries else ALONE) % parts)
        process = subprocess.Popen(
            [self.program, script],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.writer,
            stderr=self.writer,
            start_new_session=True,
        )
        self.groups.add(process.pid)
        wake_reader, wake_writer = os.pipe()

        def wait() -> None:
            process.wait()
            os.close(wake_writer)

        threading.Thread(target=wait, daemon=True).start()
        try:
            ready: list[int] = []
            while wake_reader not in ready:
                if ready:
                    self.output(os.read(self.reader, CHUNK))
                left = self.deadline - time.monotonic()
                if left <= 0:
                    raise TimedOut
                ready, _, _ = select.select([self.reader, wake_reader], [], [], left)
            self.drain()
        finally:
            os.close(wake_reader)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def drain(self) -> None:
        """Pass on what is in the pipe, at most 64 chunks: a background process may never stop."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(64):
                self.output(os.read(self.reader, CHUNK))

    def close(self) -> None:
        """End all that the commands have started."""
        for group in self.groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        deadline = time.monotonic() + 5
        # Again and again: one whose parent dies while the list is made is not in it.
        while (
            children := psutil.Process().children(recursive=True)
        ) and time.monotonic() < deadline:
            for child in children:
                with contextlib.suppress(psutil.Error):
                    child.kill()
            psutil.wait_procs(children, timeout=1)
        self.drain()
        os.close(self.reader)
        os.close(self.writer)

"""Builds by the runner alone: no emulator, no fork, no packages."""

import base64
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.laptop.paths import ROOT
from students import counting

SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


class Ran:
    """A build that has run: its outcome, and its log with a name for what differs each time."""

    def __init__(self, said):
        assert "traceback" not in said, said["traceback"]
        self.status = said["status"] + (f" in {said['phase']}" if said["phase"] else "")
        self.reason, self.hint, self.exported = said["reason"], said["hint"], said["exported"]
        self.reports = said["reports"]
        self.raw = base64.b64decode(said["log"])
        text = self.raw.decode(errors="replace")
        text = re.sub(r"(?m)^\[Container\] \S+ \S+ ", "[Container] ", text)
        work = re.escape(said["folder"])
        src = rf"{work}/codebuild/output/src\d+/src/github\.com/you/hello-user"
        text = re.sub(src, "SRC", text).replace(said["folder"], "WORK")
        text = text.replace("an-id", "ID").replace(said["commit"], "COMMIT")
        text = re.sub(r"(?m)^CODEBUILD_BUILD_NUMBER=\d+$", "CODEBUILD_BUILD_NUMBER=NUMBER", text)
        start = "CODEBUILD_START_TIME="
        self.text = re.sub(rf"(?m)^{start}\d{{13}}$", f"{start}MILLISECONDS", text)


@pytest.fixture
def has_program():
    """Return a function that tells whether a build finds a program."""
    return lambda name: shutil.which(name, path=SYSTEM_PATH)


@pytest.fixture(scope="session")
def run_build():
    """Return a function that runs a buildspec, or a checkout without one."""
    alone = subprocess.Popen(
        [sys.executable, Path(__file__).parent / "alone.py"],
        cwd=ROOT,
        env=counting()
        | {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{SYSTEM_PATH}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(buildspec, project=None, ref=None, secrets=None, log=None, denied=()):
        if isinstance(buildspec, str):
            buildspec = buildspec.encode()
        text = None if buildspec is None else base64.b64encode(buildspec).decode()
        asked = {"buildspec": text, "project": project or {}, "ref": ref}
        asked |= {"secrets": secrets or {}, "log": log or {}, "denied": denied}
        alone.stdin.write(json.dumps(asked) + "\n")
        alone.stdin.flush()
        return Ran(json.loads(alone.stdout.readline()))

    yield run
    alone.stdin.close()
    assert alone.wait(60) == 0

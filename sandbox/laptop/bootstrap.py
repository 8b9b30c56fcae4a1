"""The first step of every command: the sandbox's own Python environment below .sandbox/."""

# Standard library only: there is no environment yet when this runs.
from __future__ import annotations

import contextlib
import csv
import hashlib
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from sandbox import Mistake
from sandbox.laptop.files import delete, lock, make_folder, write
from sandbox.laptop.paths import (
    FOLDER,
    MAIN,
    PYTHON,
    REQUIREMENTS,
    ROOT,
    STUDENTS_REQUIREMENTS,
    STUDENTS_VENV,
    TEST_REQUIREMENTS,
    VENV,
    cache,
)
from sandbox.laptop.processes import git, outside_git, run
from sandbox.laptop.terminal import busy, in_colour, say

READY = VENV / "ready"
NEXT = FOLDER / "venv.next"  # takes the place of one that is outdated, once it is complete
# Of the settings of pip and uv, those that say how to reach packages are the student's; those that
# say which and where to are not. PYTHON… is for the student's own programs.
FOREIGN = re.compile(r"PIP_|UV_|PYTHON")
THE_WAY = re.compile(
    "INDEX|LINKS|CERT|PROXY|CACHE|CONFIG|TIMEOUT|RETRIES|TRUSTED|INSECURE|KEYRING|TLS|OFFLINE"
)
NOT_MADE = "the sandbox's environment could not be made"
# Starts what can go on while the packages are installed, and returns what ends it if that fails.
Meanwhile = Callable[[], Callable[[], object]]


def check_clone() -> None:
    """Raise Mistake unless git is here and this folder is a clone with a commit."""
    if not shutil.which("git"):
        raise Mistake(
            "git was not found on this machine",
            "install it (`sudo apt install git`, or `xcode-select --install` on macOS) "
            "and try again",
        )
    # Not as all other calls, which trust the clone: the student's own git has to, too.
    top = run("git", "rev-parse", "--show-toplevel", env=outside_git(), check=False)
    if advice := re.search(r"git config .*safe\.directory .*", top.stderr):
        said = top.stderr.partition("\n")[0].partition(": ")[2]
        raise Mistake(said, f"type `{advice[0]}`, then `python3 -m sandbox up`")
    if top.returncode or Path(top.stdout.rstrip("\n")).resolve() != ROOT:
        raise Mistake(
            f"{ROOT} is not a git clone, so there is nothing to push",
            "type `git clone URL` with your fork's URL, or `git init -b main` here, and try again",
        )
    if git("rev-parse", "--verify", "-q", "HEAD", check=False).returncode:
        raise Mistake(
            "this clone has no commit yet, so there is nothing to push",
            "type `git add -A && git commit -m Start`",
        )


def fingerprint(requirements: Path) -> str:
    """Return what the environment depends on; another value means that it is made anew."""
    version = ".".join(map(str, sys.version_info[:2]))  # names the folder of the packages
    known = [requirements.read_bytes(), os.fsencode(VENV), version.encode()]
    return hashlib.sha256(b"\0".join(known)).hexdigest()


def is_current(mark: Path = READY, requirements: Path = REQUIREMENTS) -> bool:
    """Tell whether these requirements are installed, as the mark that `install` leaves says."""
    return mark.exists() and mark.read_text() == fingerprint(requirements)


def is_inside() -> bool:
    """Tell whether this very process runs in the sandbox's environment, whatever is in that."""
    return Path(sys.prefix).resolve() == VENV


def is_whole(venv: Path = VENV) -> bool:
    """Tell whether no file of a package is empty that had something in it when it was installed.

    A power cut can leave so what was written just before it. And there are packages.
    """
    records = [*venv.glob("lib/python*/site-packages/*.dist-info/RECORD")]
    if not (records and all(file.stat().st_size for file in (venv / "pyvenv.cfg", *records))):
        return False
    for record in records:
        for name, _, size in csv.reader(record.read_text().splitlines()):
            with contextlib.suppress(OSError):  # it was not needed, and taken out
                if size.strip("0") and not os.stat(record.parents[1] / name).st_size:
                    return False
    return True


def leave_broken() -> NoReturn:
    """Start this program again in the Python below the sandbox's, which makes that anew."""
    say("The sandbox's Python environment has empty files, as after a power cut, or none")
    READY.unlink()
    base = os.path.realpath(PYTHON)  # pyvenv.cfg, which names it, may be what is empty
    os.execv(base, [base, "-I", str(MAIN), *sys.argv[1:]])


def start_again(env: Mapping[str, str] = os.environ) -> NoReturn:
    """Start this program again, in the sandbox's environment and with these variables."""
    os.execve(PYTHON, [str(PYTHON), "-I", str(MAIN), *sys.argv[1:]], env)


def enter(end_what_runs: Callable[[], None], meanwhile: Meanwhile | None = None) -> None:
    """Make the sandbox's environment if it is missing or outdated, and start again in it.

    One that is there stays until the new one is complete; then what runs in it ends.
    """
    venv = NEXT if is_inside() else VENV
    make_folder(FOLDER)
    with lock("setup"):
        # Python is missing once the one below it is gone.
        if not (PYTHON.exists() and is_current()):
            make_environment(venv, meanwhile)
            if venv == NEXT:
                end_what_runs()
                os.rename(VENV, outdated := FOLDER / "venv.outdated")
                os.rename(NEXT, VENV)
                delete(outdated)
    start_again()


def make_environment(venv: Path, meanwhile: Meanwhile | None) -> None:
    """Install sandbox/requirements.txt into a new environment under .sandbox/."""
    base, python = getattr(sys, "_base_executable", sys.executable), venv / "bin" / "python"
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Mistake(
            "this Python has no venv module",
            f"type `sudo apt install python{version}-venv` (or install Python from python.org)",
        )
    say(f"Making the sandbox's Python environment in {FOLDER.name}/ (only the first time)")
    delete(venv)
    # The Python at hand mostly has a pip that can install for another; making a second is slow.
    lent: list[str | Path] = [sys.executable, "-m", "pip", "--python"] if lends_pip() else []
    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, venv, ignore_errors=True)
        step(base, "-m", "venv", *(["--without-pip"] if lent else []), venv)
        with open(venv / "pyvenv.cfg", "a") as config:
            config.write("relocatable = true\n")  # for uv: what it writes may move with it
        with busy("Installing uv"):
            # Not to the student's home, which a pip.conf may ask for.
            options = ["-q", "--no-user", "--disable-pip-version-check"]
            pip = [*lent, python] if lent else [python, "-m", "pip"]
            step(*pip, "install", *options, pin_of("uv"))
        if meanwhile and venv == VENV:
            undo.callback(meanwhile())
        install(REQUIREMENTS, "MiniStack, the AWS CLI and what they need", venv)
        if not is_whole(venv):  # uv links the files of its cache
            raise Mistake(
                f"a file of what was downloaded to {cache()} is empty, as after a power cut",
                f"type `rm -r {cache()}`, then `python3 -m sandbox up`",
            )
        undo.pop_all()


def add_test_packages() -> None:
    """Install what only the tests need, unless it is there already."""
    mark = "ready-for-tests"
    with lock("setup"):
        if not is_current(VENV / mark, TEST_REQUIREMENTS):
            install(TEST_REQUIREMENTS, "what only the tests need", mark=mark)


def students_python() -> Path:
    """Return a Python that has what requirements.txt names, and no more, as a build's has."""
    if not STUDENTS_REQUIREMENTS.is_file():
        raise Mistake(
            f"there is no {STUDENTS_REQUIREMENTS.name}, which says what your tests need",
            f"type `git checkout HEAD -- {STUDENTS_REQUIREMENTS.name}`",
        )
    with lock("setup"):
        if not is_current(STUDENTS_VENV / READY.name, STUDENTS_REQUIREMENTS):
            shutil.rmtree(STUDENTS_VENV, ignore_errors=True)
            step(VENV / "bin" / "uv", "venv", "-q", "-p", PYTHON, STUDENTS_VENV)
            install(STUDENTS_REQUIREMENTS, "what your tests need", STUDENTS_VENV)
    return STUDENTS_VENV / "bin" / "python"


def install(requirements: Path, what: str, venv: Path = VENV, mark: str = READY.name) -> None:
    """Install a file of requirements into an environment, and leave the mark that it is there.

    A terminal sees uv's own progress.
    """
    uv, python = (NEXT if venv == NEXT else VENV) / "bin" / "uv", venv / "bin" / "python"
    current, failed = fingerprint(requirements), NOT_MADE
    if requirements == STUDENTS_REQUIREMENTS:
        failed = f"{requirements.name} could not be installed"
    command: list[str | Path] = [uv, "pip", "install", "-p", python, "-r", requirements]
    title = f"Installing {requirements.relative_to(ROOT)}: {what}"
    if in_colour(sys.stderr):
        say(title)
        step(*command, shown=True, failed=failed)
    else:
        with busy(title):
            step(*command, "-q", failed=failed)
    if requirements == REQUIREMENTS:
        slim(venv)
    write(venv / mark, current)


def slim(venv: Path) -> None:
    """Take out what stands there twice or is not used here: a half of it all.

    The AWS CLI has its own copy of AWS's models, 125 MB of JSON. botocore's are compressed, some
    weeks newer, and in a form that either reads. Its examples are for `aws help`, pip is for
    builds.
    https://docs.aws.amazon.com/botocore/latest/reference/loaders.html
    """
    packages = next(venv.glob("lib/python*/site-packages"))
    models = packages / "awscli" / "botocore" / "data"
    for unused in (models, packages / "awscli" / "examples", *packages.glob("pip*")):
        shutil.rmtree(unused)
    for file in (*venv.glob("bin/pip*"), *packages.glob("botocore/data/*/*/examples-*.json*")):
        file.unlink()
    models.symlink_to(Path("..", "..", "botocore", "data"))


def step(*command: str | Path, shown: bool = False, failed: str = NOT_MADE) -> None:
    """Run one step of the set-up; raises Mistake with what `failed` and why.

    With `shown`, what it says goes to the terminal as it comes.
    """
    caches = {"UV_CACHE_DIR": uv_cache(), "PIP_CACHE_DIR": str(cache() / "pip")}
    own = {
        name: value
        for name, value in os.environ.items()
        if not FOREIGN.match(name) or THE_WAY.search(name)
    }
    # Not in the clone: it would be first on the import path of what is run with -m.
    done = run(*command, env=caches | own, cwd=FOLDER, check=False, shown=shown)
    if done.returncode:
        raise Mistake(
            f"{failed}:\n{(done.stderr or 'it says why above').strip()[-800:]}",
            "check the network (the first run downloads packages) and what it says above, "
            "then type `python3 -m sandbox up`",
        )


def uv_cache() -> str:
    """Return the folder of uv's cache: ours, unless the student's settings say else."""
    return str(FOLDER / (os.environ.get("UV_CACHE_DIR") or cache() / "uv"))


def pin_of(name: str) -> str:
    """Return the line of sandbox/requirements.txt that pins a package."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.split("==")[0] == name)


def lends_pip() -> bool:
    """Tell whether this Python's pip can install for another one, as pip 22.3 and newer can."""
    import importlib.metadata  # 30 ms, once; to ask pip itself takes half a second

    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
        return [*map(int, importlib.metadata.version("pip").split(".")[:2])] >= [22, 3]
    return False

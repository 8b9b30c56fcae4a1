"""Programs: the one place that starts them, and what they find in their environment."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox import Mistake
from sandbox.laptop import place
from sandbox.laptop.network import LOOPBACK_NAMES, way_to_registry
from sandbox.laptop.paths import MAIN, PYTHON, ROOT

if TYPE_CHECKING:
    import psutil

# What our programs need to know of the student's environment, beside the way to the network.
OWN_VARIABLES = (
    *("HOME", "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TERM", "NO_COLOR"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "UV_CACHE_DIR", "PIP_CACHE_DIR"),
)
AWS_CLI = [str(PYTHON), "-I", str(PYTHON.with_name("aws"))]  # a tenth quicker than -m awscli
SYSTEM_PATH = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]


def clean_environment(
    home: Path, *path: Path, registry: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return an environment that holds nothing of the student's but the way to the network.

    That is the `registry`'s variables, by default those of this process.
    """
    git = shutil.which("git")
    folders = [*map(str, path), *SYSTEM_PATH]
    if git and os.path.dirname(git) not in folders:
        folders.append(os.path.dirname(git))
    return dict(way_to_registry() if registry is None else registry) | {
        "PATH": os.pathsep.join(folders),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": LOOPBACK_NAMES,
        "no_proxy": LOOPBACK_NAMES,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def own_environment() -> dict[str, str]:
    """Return the student's environment without what our programs need not know."""
    known = {name: os.environ[name] for name in OWN_VARIABLES if name in os.environ}
    return way_to_registry() | known


def outside_git() -> dict[str, str]:
    """Return the student's environment without the variables that a git hook inherits."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    check: bool = True,
    shown: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said.

    Raises Mistake with the last two lines of its stderr if it fails and `check` is true. With
    `shown`, its stderr goes to this program's as it comes, and is not returned.
    """
    done = subprocess.run(
        [str(part) for part in command],
        env=env,
        cwd=cwd or ROOT,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if shown else subprocess.PIPE,
    )
    if check and done.returncode:
        lines = (done.stderr or "").strip().splitlines() or [f"exit status {done.returncode}"]
        raise Mistake(
            f"`{shlex.join(map(str, command[:3]))} …` failed: {'; '.join(lines[-2:])}",
            "mend what it says, then type `python3 -m sandbox up`",
        )
    return done


def git(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git in the student's clone, with the student's own settings.

    Where the clone is told and not looked for, git works in it whomever it belongs to.
    """
    here = (f"--git-dir={ROOT / '.git'}", f"--work-tree={ROOT}")
    return run("git", *here, *arguments, env=outside_git(), check=check)


def words_of(*module: str) -> list[str]:
    """Return what stands after Python in the command line of a module of ours.

    Never -m alone: it would put the clone first on the import path. Relative to the clone, so that
    the line stays the same if the clone is moved.
    """
    first = ["-I", str(MAIN.relative_to(ROOT))]
    return [*first, *(module[1:] if module[0] == "sandbox" else ("-m", *module))]


def start(
    *module: str, output: Path, env: Mapping[str, str], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a Python module that outlives this program, in a session of its own."""
    with open(output, "ab") as stream:
        return subprocess.Popen(
            [str(PYTHON), *words_of(*module)],
            env=env,
            cwd=ROOT,
            stdin=stdin,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def started(*module: str) -> list[psutil.Process]:
    """Return the processes of this clone that `start` has started and that live.

    Their directory tells whose they are: it moves with the clone, and the path of Python may be
    another than the one that was called, as on macOS. It stays behind if the clone was moved to
    another disk, that is copied and deleted: Linux says so.
    """
    import psutil

    places = [str(ROOT)]
    if was := place.left():
        places += [str(was), f"{was} (deleted)"]
    return [
        process
        for process in psutil.process_iter(["cmdline", "cwd"])
        if (process.info["cmdline"] or [])[1:] == words_of(*module)
        and process.info["cwd"] in places
    ]


def end(processes: list[psutil.Process], gently: bool = True) -> None:
    """End processes and all their children; gently gives them ten seconds to end by themselves."""
    import psutil

    family = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            family += process.children(recursive=True)
            if gently:
                process.terminate()
    if gently:
        wait(processes)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()
    wait(family)


def lives(process: psutil.Process) -> bool:
    """Tell whether a process lives: one that has ended stays until its parent has noticed."""
    import psutil

    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait(processes: list[psutil.Process], seconds: float = 10) -> None:
    """Wait until processes have ended, so many seconds at most.

    psutil's own wait goes on until a parent has noticed, which in some containers none ever does.
    """
    deadline = time.monotonic() + seconds
    while any(map(lives, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)

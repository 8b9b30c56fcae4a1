"""The student's machine: its tools, the folder .sandbox/, and the programs that are started."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox import Mistake, environment

if TYPE_CHECKING:
    import psutil

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".sandbox"
VENV = FOLDER / "venv"
ACCOUNT = FOLDER / "account"
FORK = FOLDER / "fork.git"
BUILDS = FOLDER / "builds"
RELEASES = FOLDER / "releases"
IMAGE = FOLDER / "image"  # what a build's machine has beside its own environment
CODEBUILD = FOLDER / "codebuild"  # where a build works; on AWS /codebuild
TRASH = FOLDER / "trash"
CACHE = FOLDER / "cache"  # of uv and pip, so that `down` leaves nothing in the student's home
REQUIREMENTS = Path(__file__).parent / "requirements.txt"

# What a program needs to reach a package registry from this network. Nothing else of the
# student's environment is passed on, and no value that could hold a password.
NETWORK = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT", "PIP_INDEX_URL",
           "UV_INDEX_URL", "UV_DEFAULT_INDEX", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


def clean_environment(home: Path, *path: Path) -> dict[str, str]:
    """Return an environment that holds nothing of the student's but the way to the network."""
    passed = {name: os.environ[name] for name in NETWORK if name in os.environ and "@" not in os.environ[name]}
    git = shutil.which("git")
    folders = [*map(str, path), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    if git and os.path.dirname(git) not in folders:
        folders.append(os.path.dirname(git))
    return passed | {
        "PATH": os.pathsep.join(folders),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def run(*command: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said.

    Raises Mistake with the last two lines of its stderr if it fails and `check` is true.
    """
    done = subprocess.run([str(part) for part in command], env=env, cwd=cwd or ROOT, text=True,
                          errors="replace", stdin=subprocess.DEVNULL, capture_output=True)
    if check and done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Mistake(f"`{shlex.join(map(str, command[:3]))} …` failed: {'; '.join(lines[-2:])}",
                      "mend what it says, then type `python3 -m sandbox up`")
    return done


def start(*module: str, output: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a Python module that outlives this program, in a session of its own."""
    with open(output, "ab") as stream:
        return subprocess.Popen([str(VENV / "bin" / "python"), "-m", *module], env=env, cwd=ROOT,
                                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True)


def start_worker() -> None:
    """Start a process that runs what is queued, apart from the push that asked for it."""
    # A build goes on when the push that started it is interrupted, as on AWS.
    start("sandbox", "work", output=FOLDER / "worker.log", env=clean_environment(ACCOUNT / "home", VENV / "bin"))


def started(*module: str) -> list[psutil.Process]:
    """Return the processes of this clone that `start` has started and that live.

    Their directory tells whose they are: it moves with the clone, and the path of Python may be
    another than the one that was called, as on macOS.
    """
    import psutil

    return [process for process in psutil.process_iter(["cmdline", "cwd"])
            if (process.info["cmdline"] or [])[1:] == ["-m", *module] and process.info["cwd"] == str(ROOT)]


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
        psutil.wait_procs(processes, timeout=10)
    for process in family:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(family, timeout=10)


def git(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run git in the student's clone, free of the variables that a hook inherits."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return run("git", *arguments, env=env, check=check)


def write(path: Path, text: str) -> None:
    """Write a file in one step, so that a reader or a crash sees the old text or the new."""
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Return what a JSON file of ours says, or None if it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def lock(name: str, wait: bool = True) -> Iterator[bool]:
    """Hold the lock of that name while the block runs; yield False if another process has it."""
    path = FOLDER / f"{name}.lock"
    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(open(path, "a"))
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            gone = not path.exists()  # `down` has removed it while this process waited
        except BlockingIOError:
            yield False
            return
        except FileNotFoundError:
            gone = True
        if gone:
            raise Mistake("the sandbox has been taken down meanwhile", "type `python3 -m sandbox up`")
        yield True


def refuse_foreign_endpoints(env: Mapping[str, str]) -> None:
    """Raise Mistake if a variable would send AWS calls beyond the loopback."""
    for name, value in env.items():
        if name.startswith("AWS_ENDPOINT_URL") and value and not is_loopback(value):
            raise Mistake(f"{name} is {value!r}; the sandbox talks to an address on this machine only",
                          f"type `unset {name}` and try again")


def is_loopback(url: str) -> bool:
    """Tell whether a URL names this machine's loopback."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return False
    octets = host.split(".")
    is_127 = octets[0] == "127" and len(octets) == 4 and all(part.isdigit() for part in octets)
    return host in ("localhost", "::1") or is_127


def check_clone() -> None:
    """Raise Mistake unless git is here and this folder is a clone with a commit."""
    if not shutil.which("git"):
        raise Mistake("git was not found on this machine",
                      "install it (`sudo apt install git`, or `xcode-select --install` on macOS) and try again")
    top = git("rev-parse", "--show-toplevel", check=False)
    if top.returncode or Path(top.stdout.rstrip("\n")).resolve() != ROOT:
        raise Mistake(f"{ROOT} is not a git clone, so there is nothing to push",
                      "type `git clone URL` with your fork's URL, or `git init -b main` here, and try again")
    if git("rev-parse", "--verify", "-q", "HEAD", check=False).returncode:
        raise Mistake("this clone has no commit yet, so there is nothing to push",
                      "type `git add -A && git commit -m Start`")


def fingerprint() -> str:
    """Return what the environment depends on; another value means that it is made anew."""
    parts = [REQUIREMENTS.read_bytes(), str(VENV).encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def prepare_next() -> None:
    """Clear up after the last build and get the next one's environment ready; nobody waits for it."""
    with lock("spare", wait=False) as free:
        if free:
            for used in TRASH.glob("*/venv"):
                environment.put_by(IMAGE, used)
            shutil.rmtree(TRASH, ignore_errors=True)
            environment.prepare(IMAGE, CODEBUILD / "venv", lock("setup"))


def is_ready() -> bool:
    """Tell whether this very process runs in the sandbox's environment."""
    return Path(sys.prefix).resolve() == VENV and (VENV / "ready").exists()


def enter(spare: bool) -> None:
    """Make the sandbox's environment if it is missing or outdated, and start again in it.

    `spare` makes the first build's environment at the same time.
    """
    base = Path(getattr(sys, "_base_executable", sys.executable))
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    FOLDER.chmod(0o700)
    with lock("setup"):
        ready = VENV / "ready"
        has_python = (VENV / "bin" / "python").exists()  # false once the Python below it is gone
        if not has_python or not ready.exists() or ready.read_text() != fingerprint():
            make_environment(base, spare)
            write(ready, fingerprint())
    os.execv(VENV / "bin" / "python", [str(VENV / "bin" / "python"), "-m", "sandbox", *sys.argv[1:]])


def make_environment(python: Path, spare: bool) -> None:
    """Install sandbox/requirements.txt into a new environment under .sandbox/."""
    if not (importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip")):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise Mistake("this Python has no venv module",
                      f"type `sudo apt install python{version}-venv` (or install Python from python.org)")
    say(f"Making the sandbox's Python environment in {FOLDER.name}/ (only the first time)")
    for outdated in (VENV, IMAGE):  # both hold the path of this folder, which may have been moved
        shutil.rmtree(outdated, ignore_errors=True)
    pins = {line.split("==")[0]: line for line in REQUIREMENTS.read_text().splitlines()}
    env = {"UV_CACHE_DIR": str(CACHE / "uv"), "PIP_CACHE_DIR": str(CACHE / "pip")} | os.environ
    own, uv = VENV / "bin" / "python", VENV / "bin" / "uv"
    # The Python at hand mostly has a pip that can install for another one; making a second is slow.
    lent = [sys.executable, "-m", "pip", "--python", own] if lends_pip() else []

    def step(*command: str | Path) -> str:
        done = run(*command, env=env, check=False)
        if done.returncode:
            raise Mistake("the sandbox's environment could not be made:\n" + done.stderr.strip()[-800:],
                          "check the network (the first run downloads packages), then type `python3 -m sandbox up`")
        return done.stdout.strip()

    with contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, VENV, ignore_errors=True)
        step(python, "-m", "venv", *(["--without-pip"] if lent else []), VENV)
        say("Installing uv")
        step(*(lent or [own, "-m", "pip"]), "install", "-q", "--disable-pip-version-check", pins["uv"])
        tools = IMAGE / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        # CodeBuild's images have the AWS CLI but no pytest: a build finds this folder, not the environment.
        (tools / "aws").write_text(f"#!/bin/sh\nexec {shlex.quote(str(own))} -m awscli \"$@\"\n")
        (tools / "aws").chmod(0o755)
        wanted = environment.requirements(["-r", "requirements.txt"], ROOT) or ""
        write(IMAGE / "settings.json", json.dumps({"uv": str(uv), "cache": step(uv, "cache", "dir"),
                                                   "pip": pins["pip"], "wanted": wanted}))
        if spare:
            preparing = start("sandbox", "prepare", output=FOLDER / "worker.log", env=clean_environment(FOLDER))
            undo.callback(os.killpg, preparing.pid, signal.SIGKILL)
        say("Installing sandbox/requirements.txt: MiniStack, the AWS CLI, pytest and what they need")
        step(uv, "pip", "install", "-q", "-p", own, "-r", REQUIREMENTS)
        undo.pop_all()


def lends_pip() -> bool:
    """Tell whether this Python's pip can install into another environment, as pip 22.3 and newer can."""
    import importlib.metadata  # 30 ms, once

    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
        return [int(part) for part in importlib.metadata.version("pip").split(".")[:2]] >= [22, 3]
    return False


def say(text: str) -> None:
    """Tell the student what is going on."""
    print(f"[sandbox] {text}", file=sys.stderr, flush=True)

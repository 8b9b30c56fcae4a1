"""The Python environment of a build: fresh each time, and ready before the build asks for it.

While nothing runs, a spare environment is installed and put by, its packages apart; a build takes
it, and its first `pip install` of the very same requirements moves the packages in. When the build
has ended, all files are looked at: if none was touched, the environment is put by again without
what the build has added; else another is installed. So no build can spoil the next. It moves from
folder to folder, hence uv's --relocatable: its scripts look for Python beside themselves.

Any other `pip install` goes to uv first, which knows most packages already. Then, always, pip
itself runs with the same arguments: it has the last word, and its messages and exit status are the
build's.
"""

# The `pip` of a build runs this file as a script, hence the standard library only; set_up imports
# what it needs of the sandbox itself.
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

COMPILE = "--compile-bytecode"  # uv does not unless told; a build's first `aws` took twice as long
PIP = """#!/bin/sh
exec {python} -I {script} {folder} "$0" "$@"
"""


def requirements(arguments: list[str], folder: Path) -> str | None:
    """Return what `pip install` with these arguments asks for, or None if it is more than packages.

    Only `-r FILE` and packages by name count, and only files that hold nothing but such names.
    """
    wanted: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "-r" and rest:
            try:
                lines = (folder / rest.pop(0)).read_text(encoding="utf-8").splitlines()
            except (OSError, ValueError):
                return None
        elif word == "-q":
            continue
        else:
            lines = [word]
        lines = [line.split(" #")[0].strip() for line in lines if not line.lstrip().startswith("#")]
        if any(line.startswith("-") or "/" in line or line.endswith("\\") for line in lines):
            return None
        wanted += filter(None, lines)
    return "\n".join(wanted) or None


def key_of(wanted: str) -> str:
    """Return a name for what these requirements install with this Python."""
    return hashlib.sha256(f"{sys.version}\n{wanted}".encode()).hexdigest()


def set_up(prepare: bool) -> Callable[[], object]:
    """Write down what builds need to know; with `prepare`, start making the first one's packages.

    Return what ends that.
    """
    from sandbox.laptop import bootstrap, files, paths, processes

    settings = {
        "uv": str(paths.VENV / "bin" / "uv"),
        "cache": bootstrap.uv_cache(),
        "pip": bootstrap.pin_of("pip"),
        "wanted": requirements(["-r", "requirements.txt"], paths.ROOT) or "",
    }
    files.write(paths.IMAGE / "settings.json", json.dumps(settings))
    if not prepare:
        return lambda: None
    output, env = paths.FOLDER / "worker.log", processes.clean_environment(paths.FOLDER)
    process = processes.start("sandbox", "prepare", output=output, env=env)
    return lambda: os.killpg(process.pid, signal.SIGKILL)


def make(settings: dict[str, str], venv: Path, *options: str) -> None:
    """Make an environment that holds pip and nothing else."""
    uv, cache = settings["uv"], settings["cache"]
    call(uv, "venv", "-q", "--relocatable", "-p", sys.executable, "--cache-dir", cache, venv)
    install(settings, venv, settings["pip"], *options)


def install(settings: dict[str, str], venv: Path, wanted: str, *options: str) -> None:
    """Install requirements through uv; no network is asked for pinned ones that its cache has."""
    lines = wanted.splitlines()
    if not lines:
        return
    python = venv / "bin" / "python"
    command: list[str | Path] = [settings["uv"], "pip", "install", "-q", "-p", python, *options]
    command += ["--link-mode", "copy", "--cache-dir", settings["cache"]]
    if all("==" in line and "*" not in line for line in lines):
        with contextlib.suppress(OSError):
            call(*command, "--offline", "--", *lines)
            return
    call(*command, "--", *lines)


def call(*command: str | Path) -> None:
    """Run a program; raises OSError with what it says if it fails."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        raise OSError(
            f"{Path(command[0]).name} failed: {done.stderr.decode(errors='replace').strip()[-800:]}"
        )


def place_pip(folder: Path, venv: Path) -> None:
    """Write the `pip` commands of an environment; `folder` holds what they need to know."""
    text = PIP.format(python=quoted(sys.executable), script=quoted(__file__), folder=quoted(folder))
    for path in [*venv.glob("bin/pip*")]:
        path.unlink()
        path.write_text(text)
        path.chmod(0o755)


def quoted(path: str | Path) -> str:
    """Return a path as one word of a shell."""
    return "'" + str(path).replace("'", "'\\''") + "'"


def packages_of(venv: Path) -> Path:
    """Return the folder of an environment's packages."""
    return next(venv.glob("lib/python*/site-packages"))


def prepare(folder: Path, others: contextlib.AbstractContextManager[object]) -> None:
    """Install the spare environment for the requirements that the last build asked for.

    `others` lets through when nobody else downloads the same packages any more: the cache has them
    by then.
    """
    settings = json.loads((folder / "settings.json").read_text())
    with contextlib.suppress(OSError):
        settings["wanted"] = (folder / "wanted").read_text()
    spare = folder / "spare"
    if (spare / "key").exists() and (spare / "key").read_text() == key_of(settings["wanted"]):
        return
    shutil.rmtree(spare, ignore_errors=True)
    half, full = folder / "spare.part", folder / "spare.part" / "full"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    make(settings, full, COMPILE)
    shutil.copytree(full, half / "venv", symlinks=True)
    with others:
        pass
    install(settings, full, settings["wanted"], COMPILE)
    key, bare, whole = key_of(settings["wanted"]), stamps(half / "venv"), stamps(full)
    there = {top(name) for name in bare}
    packages = {
        name: stamp for name, stamp in whole.items() if top(name) and top(name) not in there
    }
    (folder / "stamps.json").write_text(
        json.dumps({"key": key, "venv": bare, "packages": packages})
    )
    (half / "key").write_text(key)
    os.rename(half, spare)


def top(name: str) -> str:
    """Return the entry of bin/ or site-packages/ in which a file is, or nothing elsewhere."""
    parts = name.split(os.sep)
    length = {"bin": 2, "lib": 4}.get(parts[0], 0)
    return os.sep.join(parts[:length])


def stamps(tree: Path) -> dict[str, str]:
    """Return for each file of a tree what changes with it.

    That is its inode and ctime, which no write leaves alone. Entries of bin/ and site-packages/
    themselves are moved about, and so their ctime changes: they have a hash.
    """
    found = {}
    for folder, folders, files in os.walk(tree):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in [*files, *links]:
            path = os.path.join(folder, name)
            short = os.path.relpath(path, tree)
            state = os.lstat(path)
            if os.path.islink(path):
                found[short] = os.readlink(path)
            elif top(short) == short:
                found[short] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            else:
                found[short] = f"{state.st_ino} {state.st_ctime_ns} {state.st_size}"
    return found


def put_by(folder: Path, used: Path) -> None:
    """Make the environment of an ended build the spare one again, if none of its files was touched.

    Only where all that a build starts has ended with it: see shell.adopt_orphans.
    """
    taken, half = folder / "packages", folder / "spare.part"
    if sys.platform != "linux" or (folder / "spare").exists():
        return
    with contextlib.suppress(OSError, ValueError, KeyError, StopIteration):
        known = json.loads((folder / "stamps.json").read_text())
        if (folder / "wanted").exists() and key_of((folder / "wanted").read_text()) != known["key"]:
            return
        apart = taken / "full" if (taken / "key").exists() else used
        rewritten = [
            name for name in known["venv"] if name.startswith("bin/pip")
        ]  # by place_pip, for each build
        for tree, expected in ((used, known["venv"]), (apart, known["packages"])):
            found = stamps(tree)
            if any(
                found.get(name) != stamp
                for name, stamp in expected.items()
                if name not in rewritten
            ):
                return
            for name in found.keys() - known["venv"].keys() - known["packages"].keys():
                os.unlink(tree / name)
        for path, _, _ in os.walk(used, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)  # only what is empty goes
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir()
        if apart == used:
            for name in {top(name) for name in known["packages"]}:
                (half / "full" / name).parent.mkdir(parents=True, exist_ok=True)
                os.rename(used / name, half / "full" / name)
        else:
            os.rename(apart, half / "full")
        os.rename(used, half / "venv")
        (half / "key").write_text(known["key"])
        os.rename(half, folder / "spare")


def take(folder: Path, venv: Path) -> None:
    """Put a fresh environment at `venv`: the spare one if it is ready, else a new one."""
    settings = json.loads((folder / "settings.json").read_text())
    shutil.rmtree(venv, ignore_errors=True)
    shutil.rmtree(folder / "packages", ignore_errors=True)
    try:
        os.rename(folder / "spare", folder / "packages")
        os.rename(folder / "packages" / "venv", venv)
    except OSError:
        make(settings, venv)
    place_pip(folder, venv)


def fill(folder: Path, venv: Path, wanted: str) -> None:
    """Bring the requirements into an environment, from the spare packages or through uv."""
    (folder / "wanted").write_text(wanted)
    packages, into = folder / "packages", packages_of(venv)
    there = {path.name for path in into.iterdir()}
    with contextlib.suppress(OSError, StopIteration):
        if (packages / "key").read_text() == key_of(wanted) and all(
            name.startswith(("pip", "_virtualenv", "__pycache__")) for name in there
        ):
            (packages / "key").unlink()
            full = packages / "full"
            for path in packages_of(full).iterdir():
                if path.name not in there:
                    os.rename(path, into / path.name)
            for path in (full / "bin").iterdir():
                if not (venv / "bin" / path.name).exists():
                    os.rename(path, venv / "bin" / path.name)
            return
    install(json.loads((folder / "settings.json").read_text()), venv, wanted)


def pip(folder: Path, program: Path, arguments: list[str]) -> None:
    """Be the `pip` of a build."""
    venv = program.parent.parent
    if arguments[:1] == ["install"]:
        wanted = requirements(arguments[1:], Path.cwd())
        if wanted:
            # Whatever goes wrong here, pip below does it all, and says so.
            with contextlib.suppress(OSError, ValueError, StopIteration):
                fill(folder, venv, wanted)
    python = str(venv / "bin" / "python")
    # Whether there is a newer pip is asked of the network, for up to five seconds if there is none.
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    os.execv(python, [python, "-m", "pip", *arguments])


if __name__ == "__main__":
    pip(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])

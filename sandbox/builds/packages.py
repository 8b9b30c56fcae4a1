"""The Python environment of a build: fresh each time, and ready before the build asks for it.

While nothing runs, a spare environment is installed and put by, its packages apart; a build takes
it, and its first `pip install` of the very same requirements moves the packages in. When the build
has ended, all files are looked at: if none was touched, the environment is put by again without
what the build has added; else another is installed. So no build can spoil the next. It moves from
folder to folder, hence uv's --relocatable: its scripts look for Python beside themselves.
"""

# The `pip` of a build loads it, hence the standard library only; set_up and take import what they
# need of the sandbox itself.
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from sandbox.builds.pins import are_pins, pins
from sandbox.builds.stamps import stamps, top
from sandbox.laptop import paths

COMPILE = "--compile-bytecode"  # uv does not unless told; a build's first `aws` took twice as long
MOST = 1 << 16  # characters of pins
Settings = dict[str, str]
PIP = """#!/bin/sh
exec {python} -I {main} -m sandbox.builds.pip {folder} "$0" "$@"
"""


def key_of(wanted: str, registry: Mapping[str, str]) -> str:
    """Return a name for what these pins install with this Python from this registry."""
    index = [f"{name} {value}" for name, value in sorted(registry.items()) if "INDEX" in name]
    return hashlib.sha256("\0".join([sys.version, wanted, *index]).encode()).hexdigest()


def registry_of_machine() -> dict[str, str]:
    """Return the variables of this process that lead to a package registry."""
    from sandbox.laptop.network import way_to_registry

    return way_to_registry()


def registry_of_build(folder: Path) -> dict[str, str]:
    """Return those variables as they were when the build began, whatever it has set since."""
    found: dict[str, str] = json.loads((folder / "registry.json").read_text())
    return found


def set_up(prepare: bool) -> Callable[[], object]:
    """Write down what builds need to know; with `prepare`, start making the first one's packages.

    Return what ends that.
    """
    from sandbox.builds import image
    from sandbox.laptop import bootstrap, files, processes

    image.make()
    settings = {
        "uv": str(paths.VENV / "bin" / "uv"),
        "cache": bootstrap.uv_cache(),
        "pip": bootstrap.pin_of("pip"),
        "wanted": pins(["-r", "requirements.txt"], paths.ROOT),
    }
    files.write(paths.IMAGE / "settings.json", json.dumps(settings))
    if not prepare:
        return lambda: None
    output, env = paths.FOLDER / "worker.log", processes.clean_environment(paths.FOLDER)
    process = processes.start("sandbox", "prepare", output=output, env=env)
    return lambda: os.killpg(process.pid, signal.SIGKILL)


def make(settings: Settings, venv: Path, *options: str) -> None:
    """Make an environment that holds pip and nothing else."""
    make_empty(settings, venv)
    install(settings, registry_of_machine(), venv, settings["pip"], *options)
    allow_user_site(venv)


def make_empty(settings: Settings, venv: Path) -> None:
    """Make an environment without a package."""
    command = [settings["uv"], "venv", "-q", "--relocatable", "-p", sys.executable]
    call(registry_of_machine(), *command, "--cache-dir", settings["cache"], venv)


def allow_user_site(venv: Path) -> None:
    """Let `pip install --user` work, as it does on CodeBuild, whose Python is no environment.

    Python takes any word but `true` for a no to the packages of the Python below, and pip refuses
    --user for the word `false` only. A .pth file is read twice in an environment, the second time
    after Python has turned the user's packages off.
    """
    config = venv / "pyvenv.cfg"
    no = "include-system-site-packages = "
    config.write_text(config.read_text().replace(f"{no}false", f"{no}False"))
    (packages_of(venv) / "user_site.pth").write_text(
        "import site, sys; site.ENABLE_USER_SITE = not sys.flags.no_user_site; "
        "site.ENABLE_USER_SITE and site.addsitedir(site.getusersitepackages())\n"
    )


def install(
    settings: Settings, registry: Mapping[str, str], venv: Path, wanted: str, *options: str
) -> None:
    """Install pins through uv; no network is asked for those that its cache has."""
    if not wanted:
        return
    python = venv / "bin" / "python"
    command: list[str | Path] = [settings["uv"], "pip", "install", "-q", "-p", python, *options]
    command += ["--link-mode", "copy", "--cache-dir", settings["cache"]]
    if "PIP_INDEX_URL" in registry:
        command += ["--default-index", registry["PIP_INDEX_URL"]]
    with contextlib.suppress(OSError):
        call(registry, *command, "--offline", "--", *wanted.splitlines())
        return
    call(registry, *command, "--", *wanted.splitlines())


def call(registry: Mapping[str, str], *command: str | Path) -> None:
    """Run uv, away from all that a build has set or written; raises OSError with what it says."""
    env = {"PATH": os.defpath, "NO_PROXY": "127.0.0.1,localhost", "UV_NO_CONFIG": "1", **registry}
    done = subprocess.run(command, env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-800:]
        raise OSError(f"{Path(command[0]).name} failed: {said}")


def place_pip(folder: Path, venv: Path) -> None:
    """Write the `pip` commands of an environment; `folder` holds what they need to know."""
    text = PIP.format(python=quoted(sys.executable), main=quoted(paths.MAIN), folder=quoted(folder))
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


def last_wanted(folder: Path, settings: Settings) -> str:
    """Return the pins that the last build asked for; it may have written anything there."""
    with contextlib.suppress(OSError, ValueError):
        with open(folder / "wanted", encoding="utf-8") as stream:
            text = stream.read(MOST)
        if len(text) < MOST and are_pins(text.splitlines()):
            return text
    return settings["wanted"]


def prepare(folder: Path, others: contextlib.AbstractContextManager[object]) -> None:
    """Install the spare environment for the requirements that the last build asked for.

    `others` lets through when nobody else downloads the same packages any more: the cache has them
    by then.
    """
    settings = json.loads((folder / "settings.json").read_text())
    wanted, registry = last_wanted(folder, settings), registry_of_machine()
    spare = folder / "spare"
    if (spare / "key").exists() and (spare / "key").read_text() == key_of(wanted, registry):
        return
    shutil.rmtree(spare, ignore_errors=True)
    half, full = folder / "spare.part", folder / "spare.part" / "full"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    make_empty(settings, full)
    with others:
        pass
    make(settings, half / "venv", COMPILE)
    try:
        # This is no build, so nothing of a package may run: another kind is left to the build.
        install(settings, registry, full, wanted, COMPILE, "--only-binary", ":all:")
    except OSError:
        wanted = ""
    key, bare, whole = key_of(wanted, registry), stamps(half / "venv"), stamps(full)
    there = {top(name) for name in bare}
    packages = {
        name: stamp for name, stamp in whole.items() if top(name) and top(name) not in there
    }
    (folder / "stamps.json").write_text(
        json.dumps({"key": key, "venv": bare, "packages": packages})
    )
    (half / "key").write_text(key)
    os.rename(half, spare)


def put_by(folder: Path, used: Path) -> None:
    """Make the environment of an ended build the spare one again, if none of its files was touched.

    Only where all that a build starts has ended with it: see shell.adopt_orphans.
    """
    taken, half = folder / "packages", folder / "spare.part"
    if sys.platform != "linux" or (folder / "spare").exists():
        return
    with contextlib.suppress(OSError, ValueError, KeyError, StopIteration):
        known = json.loads((folder / "stamps.json").read_text())
        settings = json.loads((folder / "settings.json").read_text())
        if key_of(last_wanted(folder, settings), registry_of_machine()) != known["key"]:
            return
        apart = taken / "full" if (taken / "key").exists() else used
        rewritten = [
            name for name in known["venv"] if name.startswith("bin/pip")
        ]  # by place_pip, for each build
        trees: dict[Path, dict[str, str]] = {used: {**known["venv"]}}
        trees.setdefault(apart, {}).update(known["packages"])
        for tree, expected in trees.items():
            found = stamps(tree)
            if any(
                found.get(name) != stamp
                for name, stamp in expected.items()
                if name not in rewritten
            ):
                return
            # Where the packages are still apart, one in `used` is a build's own.
            for name in found.keys() - expected.keys() - known["venv"].keys():
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
    venv.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "packages", ignore_errors=True)
    try:
        os.rename(folder / "spare", folder / "packages")
        os.rename(folder / "packages" / "venv", venv)
    except OSError:
        make(settings, venv)
    (folder / "registry.json").write_text(json.dumps(registry_of_machine()))
    place_pip(folder, venv)


def fill(folder: Path, venv: Path, wanted: str, registry: Mapping[str, str]) -> None:
    """Bring pins into an environment, from the spare packages or through uv."""
    (folder / "wanted").write_text(wanted)
    packages, into = folder / "packages", packages_of(venv)
    there = {path.name for path in into.iterdir()}
    with contextlib.suppress(OSError, StopIteration):
        if (packages / "key").read_text() == key_of(wanted, registry) and all(
            name.startswith(("pip", "_virtualenv", "__pycache__", "user_site")) for name in there
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
    install(json.loads((folder / "settings.json").read_text()), registry, venv, wanted)

"""The Python environments of builds: an empty one, and a full one with what builds ask pip for.

Neither ever moves. A build's own is a link to the empty one, and its first `pip install` of what
the full one was made for turns the link. After the build all files of both are looked at: what was
added goes, and where anything else differs from what was made, the environment is made anew while
nobody waits. So no build can spoil the next.
"""

# The `pip` of a build loads it: standard library only.
from __future__ import annotations

import contextlib
import hashlib
import json
import os
import py_compile
import re
import signal
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.laptop import bootstrap, files, paths, processes
from sandbox.laptop.network import way_to_registry

PACKAGES = paths.PACKAGES
EMPTY, FULL = PACKAGES / "empty", PACKAGES / "full"
LINK = paths.CODEBUILD / "venv"  # a build's own environment
SETTINGS = PACKAGES / "settings.json"
ASKED = PACKAGES / "asked"  # what the last build asked for: it may have written anything there
USED = PACKAGES / "used"  # there from a build's start until its environments were looked at
COMPILE = "--compile-bytecode"  # uv does not unless told; a build's first `aws` took twice as long
MOST = 500  # characters of a line of requirements, and lines: a build may write anything
BY_NAME = re.compile(
    r"(?!\S*\.(whl|zip|t?gz|tbz|bz2|t?xz|lzma|tlz|tar)\b)[A-Za-z0-9][\w.-]*\s*"
    r"(\[[\w,. -]*\])?\s*((==|[~!<>]=|[<>])\s*\w[\w.*+!-]*\s*,?\s*)*"
    r"(;[\w\s.'\"<>=!~(),]*)?",  # a marker
    re.ASCII,
)
# Options of pip that say how it goes about it, or of which it makes sure itself afterwards: it has
# the last word, its messages and exit status are the build's.
HOW = {
    *("quiet", "verbose", "no_input", "no_color", "progress_bar", "root_user_action", "cert"),
    *("timeout", "retries", "cache_dir", "disable_pip_version_check", "warn_script_location"),
    *("constraints", "override_externally_managed"),
}
# The end of pip's own `install`: it asks us first, with all that its options, variables and files
# say other than usual. Its defaults are copied before it puts what is asked for into them.
HOOK = f"""

import copy, importlib, runpy


class InstallCommand(InstallCommand):
    def add_options(self):
        super().add_options()
        self.usual = copy.deepcopy(self.parser.defaults)

    def pip_version_check(self, *_):  # which waits five seconds for a network that is not there
        return contextlib.nullcontext()

    def run(self, options, args):
        with contextlib.suppress(Exception):  # whatever goes wrong, pip does it all, and says so
            found = {{name: value or None for name, value in vars(options).items()}}
            usual = {{name: value or None for name, value in self.usual.items()}}
            wishes = {{name: found[name] for name in found if found[name] != usual.get(name)}}
            runpy.run_path({str(paths.MAIN)!r})["load_package"]()
            importlib.import_module("sandbox.builds.packages").answer(wishes, args)
            importlib.invalidate_caches()
        return super().run(options, args)
"""
# Lets `pip install --user` work, as it does on CodeBuild, whose Python is no environment: a .pth
# file is read twice in one, the second time after Python has turned the user's packages off.
FIRST = """\
import site, sys; site.ENABLE_USER_SITE = not sys.flags.no_user_site; \
site.ENABLE_USER_SITE and site.addsitedir(site.getusersitepackages())
"""


def note_settings(**settings: object) -> None:
    """Write down what leads to packages: uv's `cache`, and the variables of the `registry`."""
    files.make_folder(PACKAGES)
    found = files.read_object(SETTINGS) | {"registry": way_to_registry()} | settings
    files.write(SETTINGS, json.dumps(found))


def registry() -> dict[str, str]:
    """Return the variables that led to a package registry when a build began, whatever it sets."""
    found: dict[str, str] = files.read_object(SETTINGS).get("registry", {})
    return found


def begin() -> Callable[[], object]:
    """Start making the first build's environments, and return what ends that."""
    note_settings(cache=bootstrap.uv_cache())
    output, env = paths.FOLDER / "worker.log", processes.clean_environment(paths.FOLDER)
    process = processes.start("sandbox.builds.packages", output=output, env=env)
    return lambda: os.killpg(process.pid, signal.SIGKILL)


def make_both() -> None:
    """See to it that both environments are as they were made, unless somebody is at it."""
    with files.lock("packages", wait=False) as free:
        if free:
            mend()


def lend(registry: Mapping[str, str]) -> Path:
    """Return the empty environment, for one build with this registry; another must not run."""
    with files.lock("packages"):  # one that is being made is ready sooner than another
        note_settings(registry=registry)
        # Elsewhere a process that has made a session of its own outlives its build.
        if USED.exists() or not note_of(EMPTY).exists() or sys.platform != "linux":
            mend()
        USED.touch()
    return EMPTY


def mend() -> None:
    """Make each environment anew that is not as it was made."""
    files.make_folder(PACKAGES)
    if not is_as_made(EMPTY, ""):
        make(EMPTY, "")
    with files.lock("setup"):  # whoever has it downloads the same packages: the cache has them then
        pass
    wanted = wanted_next()
    if not is_as_made(FULL, wanted):
        # This is no build, so nothing of a package may run: what has no wheel is left to the build.
        with contextlib.suppress(OSError):
            make(FULL, wanted, "--only-binary", ":all:")
    USED.unlink(missing_ok=True)


def wanted_next() -> str:
    """Return what the last build asked for, or what the clone's requirements.txt says."""
    for path in (ASKED, paths.STUDENTS_REQUIREMENTS):
        with contextlib.suppress(OSError, ValueError):
            lines = lines_of(path)
            if are_by_name(lines):
                return "\n".join(lines)
    return ""


def lines_of(path: Path) -> list[str]:
    """Return the lines of a file of requirements; raises OSError or ValueError if it is none."""
    with open(path, encoding="utf-8") as stream:
        text = stream.read(1 << 16)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines())
    return [*filter(None, lines)]


def are_by_name(lines: Sequence[str]) -> bool:
    """Tell whether these are names of packages, with or without versions, and nothing else."""
    return 0 < len(lines) <= MOST and all(
        len(line) <= MOST and BY_NAME.fullmatch(line) for line in lines
    )


def key_of(wanted: str) -> str:
    """Return a name for what these requirements install, and where."""
    index = [f"{name} {value}" for name, value in sorted(registry().items()) if "INDEX" in name]
    made_of = [sys.version, str(PACKAGES), HOOK, bootstrap.pin_of("pip"), wanted, *index]
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()


def note_of(venv: Path) -> Path:
    """Return the file that says what is in an environment, and is there once it is complete."""
    return venv.with_suffix(".json")


def make(venv: Path, wanted: str, *options: str) -> None:
    """Make an environment with pip and these requirements; raises OSError with what uv says."""
    note_of(venv).unlink(missing_ok=True)
    files.delete(venv)
    uv("venv", "-q", "-p", sys.executable, venv)
    # Python takes any word but `true` for a no, and pip refuses --user for the word `false` only.
    config, no = venv / "pyvenv.cfg", "include-system-site-packages = "
    config.write_text(config.read_text().replace(f"{no}false", f"{no}False"))
    (packages_of(venv) / "build_user.pth").write_text(FIRST)
    install(venv, f"{bootstrap.pin_of('pip')}\n{wanted}", COMPILE, *options)
    files.delete(packages_of(venv) / "awscli" / "examples")  # half of all files, for `aws help`
    code = packages_of(venv) / "pip" / "_internal" / "commands" / "install.py"
    code.write_text(code.read_text(encoding="utf-8") + HOOK, encoding="utf-8")
    py_compile.compile(str(code))
    for script in venv.glob("bin/pip*"):  # runs in the build's own environment, wherever that leads
        text = script.read_text().replace("""'"'"'""", "'")  # as uv writes it where a shell reads
        script.write_text(text.replace(str(venv), str(LINK)))
    files.write(note_of(venv), json.dumps({"key": key_of(wanted), **stamps(venv)}))


def install(venv: Path, wanted: str, *options: str) -> None:
    """Install requirements through uv; no network is asked for those that its cache has."""
    if not wanted:
        return
    command = ["pip", "install", "-q", "-p", str(venv / "bin" / "python"), "--link-mode", "copy"]
    command += [*options, "--", *wanted.splitlines()]
    try:
        uv("--offline", *command)
    except OSError:
        uv(*command)


def uv(*command: str | Path) -> None:
    """Run uv, away from all that a build has set or written; raises OSError with what it says."""
    env = {"PATH": os.defpath, "NO_PROXY": "127.0.0.1,localhost", "UV_NO_CONFIG": "1", **registry()}
    env["UV_CACHE_DIR"] = files.read_object(SETTINGS).get("cache", str(PACKAGES / "cache"))
    if "PIP_INDEX_URL" in env:
        env["UV_DEFAULT_INDEX"] = env["PIP_INDEX_URL"]
    done = processes.run(paths.VENV / "bin" / "uv", *command, env=env, cwd=Path("/"), check=False)
    if done.returncode:
        raise OSError(f"uv failed: {done.stderr.strip()[-800:]}")


def packages_of(venv: Path) -> Path:
    """Return the folder of an environment's packages."""
    return next(venv.glob("lib/python*/site-packages"))


def stamps(tree: Path) -> dict[str, str]:
    """Return for each path in a tree what changes with it; "" is the tree itself.

    That is inode and mode and, but for a folder, size and ctime, which no write leaves alone.
    """
    found = {"": stamp(str(tree))}
    for folder, folders, names in [] if tree.is_symlink() else os.walk(tree):
        for path in (f"{folder}/{name}" for name in folders + names):
            found[path[len(str(tree)) + 1 :]] = stamp(path)
    return found


def stamp(path: str) -> str:
    """Return what stands for one path."""
    state = os.lstat(path)
    kind = f"{state.st_ino} {state.st_mode}"
    return kind if stat.S_ISDIR(state.st_mode) else f"{kind} {state.st_size} {state.st_ctime_ns}"


def is_as_made(venv: Path, wanted: str) -> bool:
    """Take out what was added to an environment; tell if the rest is as made, and as wanted."""
    made = files.read_object(note_of(venv))
    if made.pop("key", None) != key_of(wanted):
        return False
    try:
        found = stamps(venv)
    except OSError:
        return False
    if any(found.get(path) != known for path, known in made.items()):
        return False
    for path in sorted(found.keys() - made.keys()):  # a folder before what is in it
        files.delete(venv / path)
    return True


def answer(asked: dict[str, Any], words: Sequence[str]) -> None:
    """Bring what the pip in whose process this is asks for, if uv may answer in its place.

    That is names, with or without versions, from the index that the machine itself uses. Anything
    else is pip's alone: other kinds of requirements, and whatever its options, variables and files
    say (of those uv reads none: https://github.com/astral-sh/uv/issues/1859).
    """
    usual = registry()
    lines = [line for name in asked.pop("requirements", ()) for line in lines_of(Path(name))]
    lines += words
    of_machine = {name for name in asked if asked[name] == usual.get(f"PIP_{name.upper()}", "")}
    if asked.keys() - HOW - of_machine or not are_by_name(lines):
        return
    wanted = "\n".join(lines)
    if LINK.resolve() == EMPTY.resolve() and is_empty():
        files.write(ASKED, wanted)
        if files.read_object(note_of(FULL)).get("key") == key_of(wanted):
            LINK.unlink()
            LINK.symlink_to(FULL)
            return
    install(LINK, wanted)


def is_empty() -> bool:
    """Tell whether nothing was installed into the empty environment."""
    made, site = files.read_object(note_of(EMPTY)), packages_of(EMPTY)
    return all(str(path.relative_to(EMPTY)) in made for path in site.iterdir())


if __name__ == "__main__":
    make_both()

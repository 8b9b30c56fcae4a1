"""The benchmark: what a push costs beside the bare commands of its buildspec, on a fresh clone.

Runs take turns (A B A B), figures are medians, and the table quotes ratios: absolute seconds depend
on the machine and on what else it does. `python3 -m sandbox benchmark` runs this.
"""

import contextlib
import functools
import http.client
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # `sandbox`, which is not installed

import psutil
import yaml

from clones import PYTHON, Clone
from sandbox.laptop.bootstrap import pin_of
from sandbox.laptop.network import direct
from sandbox.laptop.paths import FOLDER, VENV
from sandbox.laptop.terminal import say

REQUESTS = 50  # of each kind, of which the median is taken


@dataclass(frozen=True)
class Goal:
    """One row of the table: a figure, and the bound that it should keep."""

    name: str
    bound: float
    figure: Callable[[dict[str, list[float]]], float]

    def row(self, found: dict[str, list[float]]) -> tuple[str, str, str, str]:
        """Return what, goal, reached, and whether that meets the goal."""
        return self.name, self.text, *self.judged(self.figure(found))

    @property
    def text(self) -> str:
        return f"≤ {self.bound:g}"

    def judged(self, value: float) -> tuple[str, str]:
        """Return the figure and whether it meets the goal, as texts."""
        return f"{value:.2f}", "yes" if value <= self.bound else "no"


def median(name: str) -> Callable[[dict[str, list[float]]], float]:
    return lambda found: statistics.median(found[name])


def ratio(name: str, other: str) -> Callable[[dict[str, list[float]]], float]:
    return lambda found: statistics.median(found[name]) / statistics.median(found[other])


def more(name: str, other: str) -> Callable[[dict[str, list[float]]], float]:
    """Return what takes the difference of two medians, in milliseconds."""
    return lambda found: 1000 * (statistics.median(found[name]) - statistics.median(found[other]))


COLD, WARM = "fresh clone, empty caches", "fresh clone, packages in the cache"
GOALS = (
    Goal(f"{COLD} → first 200, against the bare installs", 1.15, ratio(COLD, "bare installs")),
    Goal(f"{WARM} → first 200, s", 20, median(WARM)),
    Goal(".sandbox/ at the end, MB", 330, median(".sandbox/, MB")),
    Goal("request to the endpoint over the health page, ms", 2, more("endpoint", "health page")),
    Goal("url over python3 -c pass, ms", 150, more("url", "python3 -c pass")),
    Goal("push → live against the floor", 1.10, ratio("push", "floor")),
    Goal(
        "red push → verdict against pip install and pytest",
        1.3,
        ratio("red push", "pip install and pytest"),
    ),
    Goal("the account and its processes at the end, MB", 280, median("account, MB")),
)


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    os.sync()  # what was written before is not this one's to wait for
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def answer(url: str) -> str:
    with contextlib.suppress(OSError, ValueError), direct().open(url, timeout=30) as reply:
        return str(json.load(reply)["message"])
    return ""


def until_live(url: str, wanted: str, action: Callable[[], object]) -> float:
    """Return the seconds until the endpoint gives the wanted answer, and wait for the action."""
    start = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(action)
        while answer(url) != wanted:
            if time.perf_counter() - start > 300 or (done.done() and done.exception()):
                raise RuntimeError(f"{url} never answered {wanted!r}") from done.exception(0)
            time.sleep(0.05)
        live = time.perf_counter() - start
        done.result()
    return live


def own_caches(folder: Path) -> dict[str, str]:
    """Return settings by which uv and pip keep what they download in a folder, empty at first."""
    return {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}


def bare(clone: Clone, folder: Path) -> None:
    """Install what `up` and its first build install, and do nothing else."""
    ours, build = folder / "ours", folder / "build"
    uv = ours / "bin" / "uv"
    clone.type(PYTHON, "-m", "venv", ours)
    clone.type(ours / "bin" / "pip", "install", "-q", pin_of("uv"))
    clone.type(uv, "pip", "install", "-q", "-p", ours, "-r", "sandbox/requirements.txt")
    clone.type(uv, "venv", "-q", build)
    clone.type(uv, "pip", "install", "-q", "-p", build, "-r", "requirements.txt")


def first_answer(clone: Clone) -> None:
    """Bring a sandbox up, and see its endpoint answer."""
    url = clone.sandbox("up").stdout.splitlines()[0]
    if answer(url) != "hello user":
        raise RuntimeError("the endpoint did not answer")


def megabytes(folder: Path) -> float:
    """Return how much of a disk a folder takes; a file with two names counts once."""
    size, seen = 0, set()
    for path, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            with contextlib.suppress(OSError):
                state = os.lstat(os.path.join(path, name))
                if (state.st_dev, state.st_ino) not in seen:
                    size += 512 * state.st_blocks
                seen.add((state.st_dev, state.st_ino))
    return size / 1e6


def fresh(folder: Path, found: dict[str, list[float]], run: int) -> list[Clone]:
    """Measure fresh clones beside the bare installs and return the clones, the last one quiet.

    The first one's cache is empty, and the second one finds the same there as `up` finds after a
    `down`.
    """
    beside = Clone(folder / "bare", own_caches(folder / "bare" / "cache"), "clone")
    clone = Clone(folder / "first", own_caches(folder / "cache"), "clone")
    again = Clone(folder / "again", own_caches(folder / "cache"), "clone")
    turns = [
        ("bare installs", functools.partial(bare, beside, folder / "bare")),
        (COLD, functools.partial(first_answer, clone)),
    ][:: 1 if run % 2 else -1]  # neither is always the first
    for name, action in [*turns, (WARM, functools.partial(first_answer, again))]:
        found.setdefault(name, []).append(timed(action))
        for each in (clone, again):
            if (each.clone / FOLDER.name).exists():
                each.settle()  # the next one shall have the machine for itself
    return [clone, again]


def pushes(clone: Clone, url: str, found: dict[str, list[float]], runs: int) -> None:
    """Measure a push against the same commands in a plain shell, in turn, and a red push."""
    venv = clone.clone.parent / "floor"
    clone.type(VENV / "bin" / "uv", "venv", "-q", "--seed", venv)
    clone.type(venv / "bin" / "pip", "install", "-q", "-r", "requirements.txt")
    spec = yaml.safe_load((clone.clone / "buildspec.yml").read_text())
    phases = (spec["phases"][name]["commands"] for name in ("pre_build", "build", "post_build"))
    script = "set -e\n" + "\n".join(command for phase in phases for command in phase)
    env = clone.aws_environment() | spec["env"]["variables"]
    env |= {
        "PATH": f"{venv}/bin:{env['PATH']}",
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": "floor",
    }
    run = functools.partial(clone.type, "sh", "-c", env=env)
    run(script)  # compiles what the floor needs, as a ready environment has it
    right, wrong = '== {"message": "', '== {"message": "not '
    for _ in range(runs):
        clone.settle()
        clone.edit("test_hello_world.py", right, wrong)
        clone.git("commit", "-qam", "Red")
        tested = timed(lambda: run("pip install -q -r requirements.txt; pytest -q", code=1))
        red = timed(lambda: clone.git("push", "-q", "sandbox"))
        clone.edit("test_hello_world.py", wrong, right)
        clone.settle()
        floor = until_live(url, clone.change(), lambda: run(script))
        clone.settle()
        wanted = clone.change()
        clone.git("commit", "-qam", wanted)
        push = until_live(url, wanted, lambda: clone.git("push", "-q", "sandbox"))
        for name, took in (
            ("pip install and pytest", tested),
            ("red push", red),
            ("floor", floor),
            ("push", push),
        ):
            found.setdefault(name, []).append(took)


def requests(clone: Clone, url: str, found: dict[str, list[float]]) -> None:
    """Measure warm requests, and a command beside a Python that does nothing, in turn."""
    host = urlsplit(url).netloc
    paths = {"endpoint": urlsplit(url).path, "health page": "/_ministack/health"}
    for _ in range(REQUESTS):
        for name, path in paths.items():
            with contextlib.closing(http.client.HTTPConnection(host, timeout=30)) as connection:
                start = time.perf_counter()
                connection.request("GET", path)
                connection.getresponse().read()
                found.setdefault(name, []).append(time.perf_counter() - start)
    for _ in range(10):
        nothing = functools.partial(clone.type, PYTHON, "-c", "pass")
        found.setdefault("python3 -c pass", []).append(timed(nothing))
        found.setdefault("url", []).append(timed(functools.partial(clone.sandbox, "url")))


def memory(clone: Clone) -> float:
    """Return the megabytes of the account with all that it has started."""
    state = json.loads((clone.clone / ".sandbox/account/ministack.json").read_text())
    account = psutil.Process(state["pid"])
    every = (account, *account.children(recursive=True))
    return sum(process.memory_info().rss for process in every) / 1e6


def measure(runs: int) -> dict[str, list[float]]:
    """Run the whole benchmark and return what it measured, in seconds unless named otherwise."""
    found: dict[str, list[float]] = {}
    clones: list[Clone] = []
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name:
        try:
            for run in range(runs):
                say(f"Fresh clone beside the bare installs: {run + 1} of {runs}")
                clones += fresh(Path(name) / str(run), found, run)
            clone = clones[-1]
            url = clone.url()
            say("Push → live, and the floor: the same commands in a ready environment")
            pushes(clone, url, found, runs)
            clone.settle()
            found[".sandbox/, MB"] = [megabytes(clone.clone / FOLDER.name)]
            say("Requests, and a command that only tells")
            requests(clone, url, found)
            found["account, MB"] = [memory(clone)]
        finally:
            # Not before the end: when many files were deleted, each new one takes ext4 longer for
            # some minutes if it has no journal, as in many a virtual machine: recently_deleted() in
            # Linux' fs/ext4/ialloc.c.
            for each in clones:
                each.sandbox("down", code=None)
    return found


def report(found: dict[str, list[float]]) -> str:
    """Return what was measured as Markdown: the table of goals, then the medians behind it."""
    rows = [("", "goal", "reached", "met"), *(goal.row(found) for goal in GOALS)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---|---|---|")
    lines.append("")
    for name, taken in found.items():
        middle, best = statistics.median(taken), min(taken)
        lines.append(f"{name}: median {middle:.3f} of {len(taken)}, {best:.3f} at best")
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(measure(int(sys.argv[1]))))

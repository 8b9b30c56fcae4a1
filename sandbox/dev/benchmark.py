"""The benchmark: what a push costs beside the bare commands of its buildspec, on a fresh clone.

Runs take turns (A B A B), figures are medians, and the table quotes ratios: absolute seconds depend
on the machine and on what else it does.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.dev import loads, pushes
from sandbox.dev.student import Student, caches
from sandbox.laptop.terminal import say


@dataclass(frozen=True)
class Goal:
    """One row of the table: a figure, and the bound that it should keep."""

    name: str
    sign: str
    bound: float

    @property
    def text(self) -> str:
        return f"{self.sign} {self.bound:g}"

    def judged(self, value: float | None) -> tuple[str, str]:
        """Return the figure and whether it meets the goal, as texts."""
        if value is None:
            return "not measured", ""
        met = value <= self.bound if self.sign == "≤" else value >= self.bound
        return f"{value:.2f}", "yes" if met else "no"


GOALS = (
    Goal("push → live against the floor", "≤", 1.35),
    Goal("sam build && sam deploy against git push, each to its end", "≥", 2),
    Goal("runner's cost per command over sh -c, ms", "≤", 10),
    Goal("fresh clone → first 200, warm caches, s", "≤", 20),
    Goal("handler, warm, against json.dumps of the same answer", "≤", 1.5),
    Goal("push → live after 1,000 builds against the first", "≤", 1.1),
    Goal("memory with a 100 MB log over the idle runner, MB", "≤", 100),
)


def measure(runs: int, growth: tuple[int, ...]) -> dict[str, Any]:
    """Run the whole benchmark and return what it measured, in seconds unless named otherwise."""
    found: dict[str, Any] = {
        "machine": {
            "cores": os.cpu_count(),
            "python": sys.version.split()[0],
            "platform": sys.platform,
        },
        "runs": runs,
    }
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as end,
    ):

        def new_clone(folder: str, warm: bool) -> Student:
            cold = {"UV_CACHE_DIR": str(Path(name, folder, "cache")), "PIP_NO_CACHE_DIR": "1"}
            clone = Student(Path(name, folder), caches() if warm else cold, "clone")
            # Not before the end: when many files were deleted, each new one takes ext4 longer for
            # some minutes if it has no journal, as in many a virtual machine: recently_deleted() in
            # Linux' fs/ext4/ialloc.c.
            end.callback(clone.sandbox, "down")
            return clone

        for title, count in (("warm caches", runs), ("empty caches", 1)):
            say(f"Fresh clone → first 200, {title}")
            found[f"fresh clone, {title}"] = [
                pushes.first_answer(new_clone(f"{title} {run}", title == "warm caches"))
                for run in range(count)
            ]
        clone = new_clone("main", warm=True)
        clone.sandbox("up")
        url = clone.url()
        found |= pushes.pushes(clone, url, runs)
        found |= pushes.by_sam(clone, runs)
        found |= loads.commands(clone)
        found |= loads.big_log(clone)
        found |= loads.handler(clone)
        found |= loads.grown(clone, url, runs, growth)
    return found


def table(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table: what, goal, reached, and whether that meets the goal."""
    median = statistics.median
    peaks, growth = found["peak memory, bytes"], found["growth"]
    by_sam = by_push = per_growth = None
    if found["sam"]:
        by_sam = median(found["sam, to its end"])
        by_push = median(found["push beside sam, to its end"])
    if "1000" in growth:
        per_growth = median(growth["1000"]) / median(growth["0"])
    memory = max(peaks["100 MB"][kind] - peaks["idle"][kind] for kind in peaks["idle"])
    reached = [
        median(found["push"]) / median(found["floor"]),
        by_sam / by_push if by_sam and by_push else None,
        1000 * (median(found["command in a build"]) - median(found["sh -c"])),
        median(found["fresh clone, warm caches"]),
        found["handler, warm"] / found["json.dumps"],
        per_growth,
        memory / 1e6,
    ]
    return [
        (goal.name, goal.text, *goal.judged(value))
        for goal, value in zip(GOALS, reached, strict=True)
    ]


def report(found: dict[str, Any]) -> str:
    """Return what was measured as Markdown: the table of goals, then the medians behind it."""
    rows = [("", "goal", "reached", "met"), *table(found)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---|---|---|")
    lines.append("")
    for name in (
        "floor",
        "push",
        "push at once",
        "sam",
        "push beside sam",
        "sam, to its end",
        "push beside sam, to its end",
        "fresh clone, warm caches",
        "fresh clone, empty caches",
    ):
        taken = found.get(name, [])
        lines += [f"{name}: median {statistics.median(taken):.2f} s of {len(taken)}"] * bool(taken)
    lines += [
        f"push after {size} builds: median {statistics.median(taken):.2f} s, account "
        f"{found['account memory, bytes'][size] / 1e6:.0f} MB"
        for size, taken in found["growth"].items()
    ]
    kept = found["100 MB log, bytes kept"] / 1e6
    lines += [
        f"100 MB log: {found['100 MB log, seconds']:.1f} s, {kept:.0f} MB kept",
        f"handler: import and first call {1000 * found['handler, import and first call']:.2f} ms, "
        f"warm {1e6 * found['handler, warm']:.2f} µs, json.dumps "
        f"{1e6 * found['json.dumps']:.2f} µs, zip {found['zip, bytes']} bytes",
    ]
    return "\n".join(lines)

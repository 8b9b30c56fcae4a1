"""The benchmark: what a push costs beside the bare commands of its buildspec, on a fresh clone.

Runs take turns (A B A B), figures are medians, and the table quotes ratios: absolute seconds depend
on the machine and on what else it does.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.dev import answers, installs, loads, pushes


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
    Goal("fresh clone, empty caches → first 200, against the bare installs", "≤", 1.15),
    Goal("fresh clone, packages in the cache, against the first one", "≤", 0.5),
    Goal("fresh clone, packages in the cache → first 200, s", "≤", 20),
    Goal(".sandbox/ after up and one push, MB", "≤", 330),
    Goal(".sandbox/ after up and one push, files and folders", "≤", 30000),
    Goal("down against rm -rf of the same tree", "≤", 1.2),
    Goal("request to the endpoint over the account's health page, ms", "≤", 5),
    Goal("push → live against the floor", "≤", 1.10),
    Goal("red push → verdict against pip install and pytest", "≤", 1.3),
    Goal("check over python3 -c pass, ms", "≤", 150),
    Goal("status over python3 -c pass, ms", "≤", 150),
    Goal("url over python3 -c pass, ms", "≤", 150),
    Goal("warm processes of the account after 100 versions", "≤", 3),
    Goal("the account and its processes after 100 versions, MB", "≤", 250),
    Goal("push → live after 1,000 builds against the first", "≤", 1.1),
    Goal("sam build && sam deploy against git push, each to its end", "≥", 2),
    Goal("runner's cost per command over sh -c, ms", "≤", 10),
    Goal("handler, warm, against json.dumps of the same answer", "≤", 1.5),
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
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name:
        clones = installs.fresh(Path(name), runs, found)
        try:
            clone = clones[-1]
            url = clone.url()
            found |= pushes.pushes(clone, url, runs)
            clone.settle()
            found[".sandbox/"] = installs.size_of(clone.clone / ".sandbox")
            found |= answers.answers(clone, url, runs)
            found |= pushes.by_sam(clone, runs)
            found |= loads.commands(clone)
            found |= loads.big_log(clone)
            found |= loads.handler(clone)
            found |= loads.grown(clone, url, runs, growth)
        finally:
            # Not before the end: when many files were deleted, each new one takes ext4 longer for
            # some minutes if it has no journal, as in many a virtual machine: recently_deleted() in
            # Linux' fs/ext4/ialloc.c.
            found |= installs.down(clones)
    return found


def table(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table: what, goal, reached, and whether that meets the goal."""

    def ratio(name: str, other: str) -> float | None:
        taken, beside = found.get(name), found.get(other)
        return statistics.median(taken) / statistics.median(beside) if taken and beside else None

    def over(name: str, other: str) -> float:
        more = statistics.median(found[name]) - statistics.median(found[other])
        return 1000 * float(more)

    peaks, growth = found["peak memory, bytes"], found["growth"]
    after = found["account"].get("100")
    cold, warm = "fresh clone, empty caches", "fresh clone, packages in the cache"
    reached = [
        ratio(cold, "bare installs"),
        ratio(warm, cold),
        statistics.median(found[warm]),
        found[".sandbox/"]["bytes"] / 1e6,
        found[".sandbox/"]["entries"],
        ratio("down", "rm -rf"),
        over("endpoint", "health page"),
        ratio("push", "floor"),
        ratio("red push", "pip install and pytest"),
        *(over(name, "python3 -c pass") for name in ("check", "status", "url")),
        after and after["warm processes"],
        after and after["bytes"] / 1e6,
        statistics.median(growth["1000"]) / statistics.median(growth["0"])
        if "1000" in growth
        else None,
        ratio("sam, to its end", "push beside sam, to its end"),
        over("command in a build", "sh -c"),
        found["handler, warm"] / found["json.dumps"],
        max(peaks["100 MB"][kind] - peaks["idle"][kind] for kind in peaks["idle"]) / 1e6,
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
    for name, taken in found.items():
        if isinstance(taken, list) and taken:
            middle, count = statistics.median(taken), len(taken)
            lines.append(f"{name}: median {middle:.3f} s of {count}, {min(taken):.3f} at best")
    for size, taken in found["growth"].items():
        account, kept = found["account"][size], found["kept"][size]
        lines.append(
            f"after {size} builds and versions: push {statistics.median(taken):.2f} s, account "
            f"{account['bytes'] / 1e6:.0f} MB in {1 + account['warm processes']} processes, "
            f".sandbox/builds {kept['builds']['bytes'] / 1e6:.1f} MB, "
            f".sandbox/account {kept['account']['entries']} files"
        )
    kept = found["100 MB log, bytes kept"] / 1e6
    lines += [
        f"100 MB log: {found['100 MB log, seconds']:.1f} s, {kept:.0f} MB kept",
        f"handler: import and first call {1000 * found['handler, import and first call']:.2f} ms, "
        f"warm {1e6 * found['handler, warm']:.2f} µs, json.dumps "
        f"{1e6 * found['json.dumps']:.2f} µs, zip {found['zip, bytes']} bytes",
    ]
    return "\n".join(lines)

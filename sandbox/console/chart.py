"""The chart of the last builds: where each bar stands, how high its phases are, and its colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sandbox.builds import progress
from sandbox.builds.records import Build

BARS = 30
WIDTH, HEIGHT = 720, 150  # of the drawing, in units of its own
LEFT, TOP, BOTTOM = 40, 10, 24
STEPS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600)
SHADES = {
    "QUEUED": 0,
    "DOWNLOAD_SOURCE": 1,
    "INSTALL": 2,
    "PRE_BUILD": 3,
    "BUILD": 4,
    "POST_BUILD": 5,
    "UPLOAD_ARTIFACTS": 6,
    "FINALIZING": 6,
}


@dataclass(frozen=True)
class Part:
    """One phase in a bar."""

    y: float
    height: float
    shade: int


@dataclass(frozen=True)
class Bar:
    """One build; `told` says in words what the bar shows."""

    number: int
    x: float
    width: float
    good: bool
    parts: tuple[Part, ...]
    told: str


@dataclass(frozen=True)
class Chart:
    """A chart; `lines` are heights with their labels."""

    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = HEIGHT - BOTTOM


def draw(builds: Sequence[Build]) -> Chart:
    """Return the chart of ended builds, the oldest first."""
    ended = [build for build in builds if build.ended and build.started][-BARS:]
    longest = max((seconds(build) for build in ended), default=0.0)
    step = next((step for step in STEPS if longest <= 4 * step), STEPS[-1])
    top = step * max(1, -int(-longest // step))
    scale = (HEIGHT - TOP - BOTTOM) / top
    room = (WIDTH - LEFT) / max(len(ended), 12)
    bars = tuple(
        bar(build, LEFT + room * index + 0.15 * room, 0.7 * room, scale)
        for index, build in enumerate(ended)
    )
    lines = tuple(
        (HEIGHT - BOTTOM - scale * value, f"{value:g} s")
        for value in (step * count for count in range(int(top / step) + 1))
    )
    return Chart(bars, lines)


def bar(build: Build, x: float, width: float, scale: float) -> Bar:
    """Return the bar of one build."""
    parts, y, left = [], float(HEIGHT - BOTTOM), seconds(build)
    for phase in progress.read(build.progress).phases:
        took = max(0.0, (phase.ended or build.ended or 0) - phase.started)
        parts.append((took, SHADES.get(phase.name, 6)))
        left -= took
    parts.append((max(0.0, left), 6))  # FINALIZING
    drawn = []
    for took, shade in parts:
        height = took * scale
        if height > 0.2:
            y -= height
            drawn.append(Part(round(y, 2), round(height, 2), shade))
    told = f"Build {build.number}: {build.status}, {seconds(build):.1f} s"
    return Bar(
        build.number, round(x, 2), round(width, 2), build.status == "SUCCEEDED", tuple(drawn), told
    )


def seconds(build: Build) -> float:
    """Return how long a build ran, which is 36 hours at most."""
    took = (build.ended or 0) - (build.started or 0) if build.ended and build.started else 0.0
    return min(took, 36 * 3600.0)


@dataclass(frozen=True)
class Trend:
    """The test cases of one build, for the trend of its reports."""

    number: int
    passed: int
    failed: int
    skipped: int
    x: float = 0
    width: float = 0
    heights: tuple[float, float, float] = (0, 0, 0)

    @property
    def told(self) -> str:
        return (
            f"Build {self.number}: {self.passed} passed, {self.failed} failed, "
            f"{self.skipped} skipped"
        )


def trend(builds: Sequence[Build]) -> tuple[Trend, ...]:
    """Return how many test cases passed in the last builds that have reports, the oldest first."""
    found = []
    for build in builds:
        counts: dict[str, int] = {}
        for report in build.reports:
            for status, count in report.counts:
                counts[status] = counts.get(status, 0) + count
        if counts:
            passed, skipped = counts.get("SUCCEEDED", 0), counts.get("SKIPPED", 0)
            found.append(
                Trend(build.number, passed, sum(counts.values()) - passed - skipped, skipped)
            )
    found = found[-BARS:]
    most = max((each.passed + each.failed + each.skipped for each in found), default=1)
    room = WIDTH / max(len(found), 12)
    scale = (HEIGHT - TOP - BOTTOM) / most
    return tuple(
        Trend(
            each.number,
            each.passed,
            each.failed,
            each.skipped,
            round(room * index + 0.15 * room, 2),
            round(0.7 * room, 2),
            (each.passed * scale, each.failed * scale, each.skipped * scale),
        )
        for index, each in enumerate(found)
    )

"""The charts of the last builds: a bar for each, of seconds or of test cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox.builds.records import Build

BARS = 30
TOPS = (2, 4, 10, 20, 40, 60, 120, 240, 600, 1200, 3600)
Phases = Iterable[tuple[str, str, float | None]]  # names, statuses and seconds


@dataclass(frozen=True)
class Bar:
    """One build; `told` says in words what its parts show, each a CSS class and its height."""

    build: Build
    good: bool
    told: str
    parts: tuple[tuple[str, float], ...]

    def placed(self, top: float) -> Iterator[tuple[str, float, float]]:
        """Yield each part, the lowest first, with its distance from the top and its height."""
        for kind, height in self.parts:
            top -= height
            yield kind, top, height


def top(bars: Iterable[Bar]) -> float:
    """Return how high a chart of these bars is."""
    longest = max((sum(height for _, height in bar.parts) for bar in bars), default=0)
    return next((top for top in TOPS if top >= longest), longest)


def durations(builds: Iterable[tuple[Build, Phases]]) -> list[Bar]:
    """Return the bars of ended builds, which are given with their phases."""
    bars = []
    for build, phases in builds:
        if build.started and build.ended:
            parts = tuple((f"shade-{at}", took or 0) for at, (_, _, took) in enumerate(phases))
            told = f"Build {build.number}: {build.status}, {build.ended - build.started:.1f} s"
            bars.append(Bar(build, build.status == "SUCCEEDED", told, parts))
    return bars[-BARS:]


def cases(builds: Iterable[Build]) -> list[Bar]:
    """Return the bars of the test cases of those builds that have reports."""
    bars = []
    for build in builds:
        counts = [each for report in build.reports for each in report.counts]
        passed = sum(count for status, count in counts if status == "SUCCEEDED")
        skipped = sum(count for status, count in counts if status == "SKIPPED")
        failed = sum(count for _, count in counts) - passed - skipped
        if counts:
            told = f"Build {build.number}: {passed} passed, {failed} failed, {skipped} skipped"
            parts = (("passed", passed), ("skipped", skipped), ("unhappy", failed))
            bars.append(Bar(build, not failed, told, parts))
    return bars[-BARS:]

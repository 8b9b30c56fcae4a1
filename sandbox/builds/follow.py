"""What a terminal shows of a build, while it runs and at its end."""

from __future__ import annotations

import re
import time
from typing import TextIO

from sandbox import Mistake
from sandbox.account import endpoint, releases, stack
from sandbox.builds.queue import WORKER_LOG, start_worker, worker_lives
from sandbox.builds.records import Build, load, unfinished
from sandbox.builds.screen import Screen
from sandbox.fork import repository
from sandbox.laptop.files import taken_down
from sandbox.laptop.paths import ROOT
from sandbox.laptop.processes import started
from sandbox.laptop.terminal import BOLD, GREEN, INVERSE, RED, harmless, painted, say

RESTARTS = 3
PATIENCE = 1  # seconds without a worker after which one is looked for


def follow(build: Build, out: TextIO, coloured: bool = False) -> Build:
    """Show a build's log as it grows, until the build has ended, and return its last record.

    Raises Mistake if the sandbox is taken down, or if no worker stays alive.
    """
    screen = Screen(out, coloured, build.coloured)
    restart_at, stuck, tries = time.monotonic() + PATIENCE, build, 0
    told = False
    with open(build.log, "rb") as stream:
        while True:
            known = load(build.number)
            if not known or known.id != build.id:  # or another has been set up since
                raise taken_down()
            while piece := stream.read(1 << 16):
                screen.write(piece)
            if known.has_ended:
                screen.end()
                return known
            screen.sign()
            time.sleep(0.02)
            if worker_lives():
                restart_at = time.monotonic() + PATIENCE
            elif time.monotonic() > restart_at and started("sandbox", "work"):
                restart_at = time.monotonic() + PATIENCE
                if not told:
                    say("waiting for the program that runs the builds: it is starting")
                told = True
            elif time.monotonic() > restart_at:
                # It was killed. A new one ends the record and takes the rest of the queue.
                oldest = next(iter(unfinished()), known)
                stuck, tries = oldest, tries + 1 if oldest == stuck else 1
                if tries > RESTARTS:
                    raise Mistake(
                        f"the program that runs the builds ends at once: read {WORKER_LOG}",
                        "is the disk full? Mend it, then type `python3 -m sandbox up`",
                    )
                start_worker()
                restart_at = time.monotonic() + 3


def row(build: Build, killed: bool) -> str:
    """Return the line of a build in a list of builds; a killed one has no worker any more."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(build.submitted))
    where = f" in {build.phase}" if build.phase and build.status != "SUCCEEDED" else ""
    state = f"{build.status} (killed)" if killed else f"{build.status}{where}"
    log = build.log.relative_to(ROOT)
    return f"build {build.number:<4}{state}  {build.commit[:7]}  {when}  {log}"


def verdict(build: Build, page: str, coloured: bool = False) -> list[str]:
    """Return the last lines that a student reads after a build; the very last is the verdict.

    `page` is the address of the build's page, or nothing.
    """
    version, look = build.live_after or "1", [f"look at it: {page}"] if page else []
    if build.status == "SUCCEEDED":
        known = f"version {version} is live"
        if build.reason:
            known = f"{build.reason}, version {version} is still live"
        elif not build.released:
            known = f"it released nothing, version {version} is still live"
        elif build.released != version:
            known = f"version {build.released} was released; version {version} is live since then"
        if build.released and (answer := endpoint.ask()).failed:
            known += f", but {harmless(str(answer))}"
        took = (build.ended or build.submitted) - build.submitted
        said = f"BUILD {build.number} SUCCEEDED: {known} (commit {build.commit[:7]})"
        return [*look, stack.url(), loud(f"{said} in {took:.1f} s", coloured, GREEN)]
    lines = [f"error: {in_one_line(build.reason)}"] if build.reason else []
    lines += [f"said: {build.said}"] if build.said else []
    lines += [f"hint: {build.hint}"] if build.hint else []
    where = f" in {build.phase}" if build.phase else ""
    still = f"nothing was released, version {version} is still live"
    said = f"BUILD {build.number} {build.status}{where}: {still}"
    return [*lines, *look, loud(said, coloured, RED)]


def loud(text: str, coloured: bool, colour: str) -> str:
    """Return a verdict that is not overlooked."""
    return painted(f" {text} ", BOLD, INVERSE, colour) if coloured else text


def standing(newest: Build, head: str) -> list[str]:
    """Return how the fork's main stands, whose last build has ended, beside the clone's HEAD."""
    built = f"build {newest.number} has built ({newest.status})"
    lines = [f"The fork's main is at {newest.commit[:7]}, which {built}"]
    if head != newest.commit:
        way = repository.way_to_main(head, newest.commit)
        lines.append(f"Your HEAD is at {head[:7]}, {way}")
    moved = releases.live().version != newest.live_after
    if moved or newest.status != "SUCCEEDED":
        lines.append(what_is_live())
    if moved and newest.status == "SUCCEEDED":
        lines.append("hint: type `python3 -m sandbox build` to make the fork's main live")
    return lines


def what_is_live() -> str:
    """Return which version is live, and from which commit."""
    live = releases.live()
    return f"Version {live.version} is live ({named(live)})"


def named(release: releases.Release) -> str:
    """Return which commit a version is of, or what its description says instead."""
    if repository.commit_of(release.commit):
        return f"commit {release.commit[:7]}: {repository.subject(release.commit)}"
    return release.commit or "no description"


def in_one_line(reason: str) -> str:
    """Return a reason with the first line only of a command that has several."""
    short = re.sub(r"\n.*(?=\. Reason: exit status \d+$)", " …", reason, flags=re.DOTALL)
    return harmless(short)

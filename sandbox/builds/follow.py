"""What a terminal shows of a build, while it runs and at its end."""

from __future__ import annotations

import time
from typing import TextIO

from sandbox import Mistake
from sandbox.account import endpoint, stack
from sandbox.builds.queue import WORKER_LOG, start_worker, worker_lives
from sandbox.builds.records import Build, load, unfinished
from sandbox.builds.screen import Screen
from sandbox.laptop.files import taken_down
from sandbox.laptop.processes import started
from sandbox.laptop.terminal import BOLD, GREEN, INVERSE, RED, harmless, one_line, painted, say

RESTARTS = 3
LONGEST = 400  # characters of a reason
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
            if not known:
                raise taken_down()
            while piece := stream.read(1 << 16):
                screen.write(piece)
            if known.has_ended:
                screen.end()
                return known
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


def verdict(build: Build, page: str, coloured: bool = False) -> list[str]:
    """Return the last lines that a student reads after a build; the very last is the verdict.

    `page` is the address of the build's page, or nothing.
    """
    version, look = build.live_after or "1", [f"look at it: {page}"] if page else []
    if build.status == "SUCCEEDED":
        known = f"version {version} is live"
        if not build.released:
            known = f"it released nothing, version {version} is still live"
        elif build.released != version:
            known = f"version {build.released} was released; version {version} is live since then"
        if build.released and (answer := endpoint.ask()).failed:
            known += f", but {harmless(str(answer))}"
        took = (build.ended or build.submitted) - build.submitted
        said = f"BUILD {build.number} SUCCEEDED: {known} (commit {build.commit[:7]})"
        return [*look, stack.url(), loud(f"{said} in {took:.1f} s", coloured, GREEN)]
    reason = " ".join(one_line(line) for line in build.reason.splitlines())[:LONGEST]
    lines = [f"error: {reason}"] if reason else []
    lines += [f"hint: {build.hint}"] if build.hint else []
    where = f" in {build.phase}" if build.phase else ""
    still = f"nothing was released, version {version} is still live"
    said = f"BUILD {build.number} {build.status}{where}: {still}"
    return [*lines, *look, loud(said, coloured, RED)]


def loud(text: str, coloured: bool, colour: str) -> str:
    """Return a verdict that is not overlooked."""
    return painted(f" {text} ", BOLD, INVERSE, colour) if coloured else text

"""What a terminal shows of a build, while it runs and at its end."""

from __future__ import annotations

import codecs
import time
from typing import TextIO

from sandbox import Mistake
from sandbox.account import stack
from sandbox.builds.queue import WORKER_LOG, start_worker, worker_lives
from sandbox.builds.records import Build, load, unfinished
from sandbox.laptop.files import taken_down
from sandbox.laptop.paths import ROOT
from sandbox.laptop.terminal import harmless

RESTARTS = 3


def follow(build: Build, out: TextIO) -> Build:
    """Show a build's log as it grows, until the build has ended, and return its last record.

    Raises Mistake if the sandbox is taken down, or if no worker stays alive.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    restart_at, stuck, tries = time.monotonic() + 1, build, 0
    with open(build.log, "rb") as stream:
        while True:
            known = load(build.number)
            if not known or known.id != build.id:  # or another has been set up since
                raise taken_down()
            while piece := stream.read(1 << 16):
                out.write(harmless(decoder.decode(piece)))
                out.flush()
            if known.has_ended:
                return known
            time.sleep(0.02)
            if worker_lives():
                restart_at = time.monotonic() + 1
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


def verdict(build: Build) -> list[str]:
    """Return the last lines that a student reads after a build."""
    version = build.live_after or "1"
    if build.status == "SUCCEEDED":
        known = f"version {version} is live"
        if version == build.live_before:
            known = f"version {version} was live already: the code has not changed"
        commit = build.commit[:7]
        return [f"BUILD {build.number} SUCCEEDED: {known} (commit {commit})", stack.url()]
    lines = [f"error: {build.reason}"] if build.reason else []
    lines += [f"hint: {build.hint}"] if build.hint else []
    where = f" in {build.phase}" if build.phase else ""
    still = f"nothing was released, version {version} is still live"
    return [*lines, f"BUILD {build.number} {build.status}{where}: {still}"]

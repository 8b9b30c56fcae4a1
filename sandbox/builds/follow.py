"""What a terminal shows of a build, while it runs and at its end."""

from __future__ import annotations

import contextlib
import re
import time
from typing import TextIO

from sandbox import Mistake
from sandbox.account import emulator, endpoint, releases, stack
from sandbox.builds import progress, queue
from sandbox.builds.records import Build, load, unfinished
from sandbox.builds.screen import Screen
from sandbox.fork import repository
from sandbox.laptop.files import taken_down
from sandbox.laptop.paths import ROOT
from sandbox.laptop.terminal import BOLD, GREEN, INVERSE, RED, harmless, one_line, painted, say

LOOK, LOOKS = 2, 3  # seconds between two looks for a worker; so many without one are too many
SILENCE, AGAIN = 10, 30  # seconds without output until a follower is told why, and told again
SHORT = 60  # characters of a command
UP = "type `python3 -m sandbox up`"


def to_its_end(build: Build, out: TextIO, coloured: bool = False) -> Build:
    """Show a build's log as it grows, until the build has ended, and return its last record.

    Raises Mistake if the sandbox is taken down, or if nothing is left that runs builds.
    """
    screen = Screen(out, coloured)
    look_at, told_at, alone = time.monotonic() + LOOK, 0.0, 0
    with open(build.log, "rb") as stream:
        while True:
            known = load(build.number)
            if not known or known.id != build.id:  # or another has been set up since
                raise taken_down()
            while piece := stream.read(1 << 16):
                screen.write(piece)
                look_at, told_at = time.monotonic() + SILENCE, 0.0
            if known.has_ended:
                screen.end()
                return known
            screen.sign()
            time.sleep(0.01)
            if time.monotonic() < look_at:
                continue
            look_at = time.monotonic() + LOOK
            alone = 0 if queue.worker_lives() else alone + 1
            if alone == LOOKS:
                raise no_worker()
            if time.monotonic() > told_at + AGAIN:
                told_at = time.monotonic()
                screen.clear()
                for text in what_goes_on(known):
                    say(text)


def no_worker() -> Mistake:
    """Return the mistake of somebody for whom nobody builds."""
    if not emulator.running():
        return Mistake("the account has ended, and the build with it", UP)
    return Mistake(
        f"the program that runs the builds ends at once: read {queue.WORKER_LOG}",
        f"is the disk full? Mend it, then {UP}",
    )


def what_goes_on(build: Build) -> list[str]:
    """Return what a build does that shows nothing, or what it waits for, and how to end that."""
    first = next(iter(unfinished()), build)
    if first.status != "IN_PROGRESS":
        return ["waiting for the worker, which gets ready for the next build"]
    what = f"build {first.number}, which {doing(first)}"
    return [
        f"waiting for {what}" if first.number != build.number else f"this is {what}",
        "hint: type `python3 -m sandbox stop` to end it",
    ]


def doing(build: Build) -> str:
    """Return what a build that runs is at, and for how long."""
    phases = progress.read(build.progress).phases
    if not phases:
        return "has just begun"
    what, since = f"been in {phases[-1].name}", phases[-1].started
    if phases[-1].commands and phases[-1].commands[-1].ended is None:
        last = phases[-1].commands[-1]
        text = one_line(last.text.strip().partition("\n")[0])[:SHORT]
        what, since = f"run {text}", last.started
    return f"has {what} for {time.time() - since:.0f} s"


def row(build: Build, killed: bool) -> str:
    """Return the line of a build in a list of builds; a killed one has no worker any more."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(build.submitted))
    where = f" in {build.phase}" if build.phase and build.status != "SUCCEEDED" else ""
    state = f"{build.status} (killed)" if killed else f"{build.status}{where}"
    log = build.log.relative_to(ROOT)
    return one_line(
        f"build {build.number:<4}{state}  {build.commit[:7]}  {when}  {build.project}  {log}"
    )


def verdict(build: Build, page: str, coloured: bool = False) -> list[str]:
    """Return the last lines that a student reads after a build; the very last is the verdict.

    `page` is the address of the build's page, or nothing.
    """
    version, lines = build.live_after, []
    look = [f"look at it: {page}"] if page else []
    still_live = f"version {version} is still live" if version else "nothing is live"
    apart = is_apart(build)
    kind = "tag" if (build.ref or "").startswith("refs/tags/") else "branch"
    nothing = f"nothing is released from a {kind}" if apart else "nothing was released"
    if build.status == "SUCCEEDED":
        known = f"version {version} is live"
        if build.reason:
            known = f"{build.reason}, {still_live}"
        elif not build.released and apart:
            known = f"the commit is tested; {nothing}, {still_live}"
        elif not build.released:
            known = f"it released nothing, {still_live}"
        elif build.released != version:
            known = f"version {build.released} was released; version {version} is live since then"
        if build.released and (trouble := endpoint.trouble()):
            known += f", but {harmless(trouble)}"
        took = (build.ended or 0) - (build.started or build.ended or 0)
        where = f" in {build.project}" if apart else ""
        said = f"BUILD {build.number} SUCCEEDED{where}: {known} (commit {build.commit[:7]})"
        said += f" in {took:.1f} s"
        look += [] if apart else [f"the endpoint: {stack.url()}"]
    else:
        # The first line only of a command that has several.
        reason = re.sub(r"\n.*(?=\. Reason: exit status \d+$)", " …", build.reason, flags=re.DOTALL)
        told = {"error": harmless(reason), "said": build.said, "hint": build.hint}
        lines = [f"{kind}: {text}" for kind, text in told.items() if text]
        where = f" in {build.phase}" if build.phase else ""
        where += f" of {build.project}" if apart else ""
        still = f"{nothing}, {still_live}"
        still += f"; taken back: {build.taken_back}" if build.taken_back else ""
        said = f"BUILD {build.number} {build.status}{where}: {still}"
    colour = GREEN if build.status == "SUCCEEDED" else RED
    last = painted(f" {said} ", BOLD, INVERSE, colour) if coloured else said
    return [*lines, *look, last]


def is_apart(build: Build) -> bool:
    """Tell whether a build is of another project than the one that releases."""
    with contextlib.suppress(Mistake):
        return build.project != stack.output("ProjectName")
    return False


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
    return f"Version {live.version} is live ({named(live.description)})"


def named(description: str) -> str:
    """Return which commit a version is of, if its description names one, or the description."""
    if repository.commit_of(description):
        return f"commit {description[:7]}: {repository.subject(description)}"
    return description or "no description"

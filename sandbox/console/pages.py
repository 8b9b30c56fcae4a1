"""What each page shows, gathered from the records of the builds and from the account."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from itertools import islice
from typing import Any

from sandbox import Mistake
from sandbox.account import releases, stack
from sandbox.account.state import ALIAS, State
from sandbox.builds import progress, records, service
from sandbox.builds.records import Build
from sandbox.codebuild.buildspec import PHASES
from sandbox.codebuild.project import Project
from sandbox.codebuild.reports import Report
from sandbox.console import chart, log_page, project_details
from sandbox.console import function as function_page
from sandbox.console.project_details import is_secret
from sandbox.console.render import label
from sandbox.laptop import paths
from sandbox.laptop.files import read_json

HISTORY = 20  # builds on one page
PICTURED = ("DOWNLOAD_SOURCE", *PHASES, "UPLOAD_ARTIFACTS", "FINALIZING")


def state() -> dict[str, Any]:
    """Return what all pages watch."""
    last, now = records.newest(), live()
    seen: list[object] = [now and (now.outputs, now.version, now.weights)]
    if last:
        running = records.unfinished()
        seen += [last.number, last.status, *((each.number, each.status) for each in running)]
        for each in running[:1]:
            with contextlib.suppress(OSError):
                seen += [each.progress.stat().st_size, each.log.stat().st_size]
    return {
        "seen": hashlib.sha256(repr(seen).encode()).hexdigest()[:16],
        "tone": tone_of(last),
        "status": told(last),
        "newest": last.number if last else None,
    }


def tone_of(build: Build | None) -> str:
    """Return the colour of the page's icon."""
    if not build:
        return "idle"
    if not build.has_ended:
        return "busy"
    return "good" if build.status == "SUCCEEDED" else "bad"


def told(build: Build | None) -> str:
    """Return in one sentence how the newest build stands."""
    if not build:
        return "No build yet"
    if build.status == "SUCCEEDED":
        known = f"version {build.released} went live" if build.released else "nothing new is live"
        return f"Build {build.number} succeeded: {known}"
    if build.has_ended:
        where = f" in {build.phase}" if build.phase else ""
        still = f": version {build.live_after} is still live" if build.live_after else ""
        ended = label(build.status).lower()
        return f"Build {build.number} {ended}{where}{still}"
    return f"Build {build.number} is {'queued' if build.status == 'QUEUED' else 'in progress'}"


def live() -> State | None:
    """Return what the account says if a version is live."""
    with contextlib.suppress(Mistake):
        return releases.live()
    return None


def common() -> dict[str, Any]:
    """Return what each page needs."""
    return {"state": state(), "live": live(), "folder": paths.ROOT.name}


def project(before: str | None = None) -> dict[str, Any]:
    """Return the values of the page of the project."""
    numbers = records.numbers()[::-1]
    if before and re.fullmatch("[0-9]{1,9}", before):
        numbers = [number for number in numbers if number < int(before)]
    builds = list(filter(None, map(records.load, numbers[:HISTORY])))
    last = records.newest()
    values, url = common(), ""
    now = values["live"]
    with contextlib.suppress(Mistake):
        url = stack.url()
    drawn = list(islice(records.newest_first(), chart.BARS + 1))[::-1]
    released = next((each for each in drawn[::-1] if each.released), None)
    is_moved = now and released and (now.version != released.released or now.weights)
    return values | {
        "title": "hello_user",
        "url": url,
        "projects": projects(),
        "details": project_details.of_projects(),
        "builds": builds,
        "more": numbers[HISTORY - 1] if len(numbers) > HISTORY else None,
        "bars": (bars := chart.durations((each, picture(each)) for each in drawn)),
        "top": chart.top(bars),
        "newest": last,
        "phases": picture(last) if last else [],
        "moved": released if is_moved else None,  # by hand, since a build has released
        "answer": None,
        "failure": "",
        "query": "user=CI CD Developer",
    }


def projects() -> list[tuple[Project, Build | None]]:
    """Return the build projects, each with its newest build."""
    with contextlib.suppress(Mistake):  # the account has none
        return [(each, records.newest(each.name)) for each in stack.projects()]
    return []


def called(query: str) -> dict[str, Any]:
    """Call the endpoint, and return the values of the page with its answer."""
    found: dict[str, Any] = {}
    try:
        found["answer"] = function_page.call(stack.url(), query)
    except (OSError, Mistake) as error:
        found["failure"] = str(error)
    return project() | {"query": query} | found


def phases_of(build: Build) -> list[dict[str, Any]]:
    """Return a build's phases as CodeBuild's API has them; one that runs has a status, too."""
    lacking = {"phaseStatus": "" if build.has_ended else "IN_PROGRESS", "endTime": None}
    return [lacking | {"contexts": ()} | each for each in service.phases_of(build)]


def picture(build: Build) -> list[tuple[str, str, float | None]]:
    """Return each phase of the pipeline's picture with its status and its seconds."""
    none = {"phaseStatus": "not reached" if build.has_ended else "", "endTime": None}
    done = {each["phaseType"]: each for each in phases_of(build)}
    found = [(name, done.get(name, none)) for name in PICTURED]
    return [
        (name, each["phaseStatus"], (end := each["endTime"]) and end - each["startTime"])
        for name, each in found
    ]


def of_build(build: Build, tab: str) -> dict[str, Any]:
    """Return what all tabs of a build need."""
    numbers = records.numbers()
    return common() | {
        "title": f"{build.project}:{build.number}",
        "build": build,
        "tab": tab,
        "seconds": (build.ended or time.time()) - build.started if build.started else None,
        "is_last": not numbers or build.number == numbers[-1],
    }


def log(build: Build, wanted: str) -> dict[str, Any]:
    """Return the values of the tab Build logs; `wanted` is a text to look for."""
    phases, wanted = progress.read(build.progress).phases, wanted[:200]
    values = of_build(build, "log") | {"phases": phases, "wanted": wanted, "shown": [], "size": 0}
    with contextlib.suppress(OSError):
        values["size"] = build.log.stat().st_size
        if wanted:
            values["shown"] = log_page.search(build.log, wanted)
        else:
            values["shown"] = log_page.shown(build.log, phases, build.place, build.hint)
    return values


def tab(build: Build, name: str) -> dict[str, Any]:
    """Return the values of another tab."""
    values = of_build(build, name)
    if name == "phases":
        values["rows"] = phases_of(build)
    elif name == "reports":
        values["reports"] = ()
        with contextlib.suppress(TypeError, ValueError):
            values["reports"] = records.made(tuple[Report, ...], read_json(build.cases))
        values["bars"] = chart.cases([*islice(records.newest_first(), 2 * chart.BARS)][::-1])
        values["top"] = chart.top(values["bars"])
    elif name == "variables":
        values["variables"] = [
            (each, is_secret(each.name, each.kind)) for each in variables_of(build)
        ]
    elif name == "details":
        secret = {each.name for each in variables_of(build) if is_secret(each.name, each.kind)}
        values["exported"] = [
            (each, value, each in secret or is_secret(each))
            for each, value in build.exported.items()
        ]
    return values


def variables_of(build: Build) -> tuple[progress.Variable, ...]:
    """Return the variables that project and buildspec have set."""
    return progress.read(build.progress).variables


def function(version: str) -> dict[str, Any]:
    """Return the values of the page of the function; `version` is the one whose code is shown."""
    values = common() | {"title": "Function hello_user", "alias": ALIAS}
    values |= {"versions": {}, "lines": [], "chosen": None, "before": None, "code": {}, "diff": []}
    values |= {"back": None, "never_live": set()}
    now = values["live"]
    if not now:
        return values
    name = now.outputs["FunctionName"]
    values["versions"] = versions = function_page.versions(name)
    numbers = [*versions]
    chosen = version if version in numbers else now.version
    values["chosen"] = chosen
    # A red build may have published one: that is no way back.
    good = {releases.FIRST, now.version, *now.weights, *(each.released for each in records.green())}
    values["never_live"] = {*numbers} - good
    if chosen in numbers:
        older = numbers[numbers.index(chosen) + 1 :]
        values["before"] = older[0] if older else None
        values["back"] = next((number for number in older if number in good), None)
        values["code"] = function_page.code(versions[chosen]["code_zip"])
        if older:
            before = function_page.code(versions[older[0]]["code_zip"])
            values["diff"] = function_page.difference(before, values["code"])
    values["lines"] = function_page.recent_lines(now.log_group)
    return values

"""CodeBuild's API, answered from the records: the very builds that pushes make.

https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sandbox import Mistake
from sandbox.builds import progress, queue
from sandbox.builds.records import Build, newest_first
from sandbox.fork import repository

INITIATOR = "student"  # the user whose keys `python3 -m sandbox env` prints
# Of StartBuild; the laptop's project has no other source, environment or buildspec to offer.
TAKEN = {"projectName", "sourceVersion", "idempotencyToken"}


def start(project: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """Start a build and return it; raises Mistake for what the laptop cannot start.

    Deviation from AWS: there, a source version that does not exist is a build that fails.
    """
    unknown = sorted(set(asked) - TAKEN)
    if unknown:
        raise Mistake(f"this laptop starts builds without {', '.join(unknown)}", "leave it out")
    version = str(asked.get("sourceVersion") or project.get("sourceVersion") or "main")
    commit = repository.commit_to_build(version)
    return described(project, queue.submit(commit, version, INITIATOR))


def retry(project: Mapping[str, Any], build_id: str) -> dict[str, Any]:
    """Build the same commit again and return the new build; raises Mistake if there is none."""
    known = find(project, build_id)
    build = queue.submit(known.commit, known.source_version, INITIATOR)
    return described(project, build)


def stop(project: Mapping[str, Any], build_id: str) -> dict[str, Any]:
    """Stop a build that runs or waits, and return it; raises Mistake if there is none."""
    known = find(project, build_id)
    if not known.has_ended:
        queue.stop(known)
    return described(project, find(project, build_id))


def batch_get(project: Mapping[str, Any], ids: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the builds with these ids, and the ids of which there is none."""
    wanted = set(ids)
    builds = {id_of(project, build): build for build in newest_first()}
    found = [described(project, builds[name]) for name in ids if name in builds]
    return found, sorted(wanted - builds.keys())


def ids(project: Mapping[str, Any], descending: bool = True) -> list[str]:
    """Return the ids of all builds, the newest first unless told otherwise."""
    found = [id_of(project, build) for build in newest_first()]
    return found if descending else found[::-1]


def id_of(project: Mapping[str, Any], build: Build) -> str:
    """Return a build's id as CodeBuild writes it."""
    return f"{project['name']}:{build.id}"


def find(project: Mapping[str, Any], build_id: str) -> Build:
    """Return the build with an id or an ARN; raises Mistake if there is none."""
    name = build_id.rpartition(":build/")[2]
    for build in newest_first():
        if id_of(project, build) == name:
            return build
    raise Mistake(f"there is no build {build_id}", "type `aws codebuild list-builds`")


def described(project: Mapping[str, Any], build: Build) -> dict[str, Any]:
    """Return a build in CodeBuild's form."""
    arn = str(project["arn"]).replace(":project/", ":build/")
    logs = (project.get("logsConfig") or {}).get("cloudWatchLogs") or {}
    group = logs.get("groupName") or f"/aws/codebuild/{project['name']}"
    phases = [*phases_of(build)]
    found = {
        "id": id_of(project, build),
        "arn": f"{arn}:{build.id}",
        "buildNumber": build.number,
        "startTime": build.submitted,
        "currentPhase": phases[-1]["phaseType"],
        # A build that waits is IN_PROGRESS, too: its phase says what it waits for.
        "buildStatus": build.status if build.has_ended else "IN_PROGRESS",
        "sourceVersion": build.source_version,
        "resolvedSourceVersion": build.commit,
        "projectName": project["name"],
        "phases": phases,
        "source": project.get("source", {}),
        "artifacts": {"location": ""},
        "environment": project.get("environment", {}),
        "serviceRole": project.get("serviceRole", ""),
        "logs": {"groupName": group, "streamName": build.id},
        "timeoutInMinutes": project.get("timeoutInMinutes", 60),
        "buildComplete": build.has_ended,
        "initiator": build.initiator,
        "exportedEnvironmentVariables": [
            {"name": name, "value": value} for name, value in build.exported.items()
        ],
    }
    return found | ({"endTime": build.ended} if build.ended else {})


def phases_of(build: Build) -> Iterator[dict[str, Any]]:
    """Yield a build's phases in CodeBuild's form, with those before and after the buildspec's."""
    yield phase("SUBMITTED", build.submitted, build.submitted)
    yield phase("QUEUED", build.submitted, build.started or build.ended)
    known = progress.read(build.progress).phases
    if build.started:
        yield phase("PROVISIONING", build.started, known[0].started if known else build.ended)
    for item in known:
        ended = item.ended or build.ended
        status = item.status if item.ended else build.status
        yield phase(item.name, item.started, ended, status, item.code, item.message)
    if build.ended:
        last = max((item.ended or 0 for item in known), default=0) or build.ended
        yield phase("FINALIZING", last, build.ended)
        yield {"phaseType": "COMPLETED", "startTime": build.ended}


def phase(
    name: str,
    started: float,
    ended: float | None,
    status: str = "SUCCEEDED",
    code: str = "",
    message: str = "",
) -> dict[str, Any]:
    """Return one phase; times are in seconds since 1970."""
    found: dict[str, Any] = {"phaseType": name, "startTime": started}
    if ended:
        found |= {"phaseStatus": status, "endTime": ended}
        found |= {"durationInSeconds": int(ended - started)}
        found |= {"contexts": [{"statusCode": code, "message": message}]}
    return found

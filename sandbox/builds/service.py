"""CodeBuild's API, answered from the records: the very builds that pushes make.

https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Build.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus as quoted

from sandbox import Mistake
from sandbox.account.emulator import ACCOUNT_ID, REGION
from sandbox.builds import progress, queue
from sandbox.builds.records import Build, newest_first
from sandbox.codebuild.reports import COVERAGE_FORMATS, Report
from sandbox.fork import repository
from sandbox.laptop.files import read_json, write

INITIATOR = "student"  # the user whose keys `python3 -m sandbox env` prints
# Of StartBuild; what else is asked for must be what the project has.
TAKEN = {"projectName", "sourceVersion", "idempotencyToken", "environmentVariablesOverride"}
OWN = {
    "sourceTypeOverride": ("source", "type"),
    "sourceLocationOverride": ("source", "location"),
    "gitCloneDepthOverride": ("source", "gitCloneDepth"),
    "buildspecOverride": ("source", "buildspec"),
    "imageOverride": ("environment", "image"),
    "computeTypeOverride": ("environment", "computeType"),
    "environmentTypeOverride": ("environment", "type"),
}
Asked = Mapping[str, Any]
Projects = Mapping[str, Asked]  # by name, as BatchGetProjects says them
KINDS = ("PLAINTEXT", "PARAMETER_STORE", "SECRETS_MANAGER")


def start(projects: Projects, asked: Asked) -> dict[str, Any]:
    """Start a build and answer with it; raises Mistake for what the laptop cannot start.

    Deviation from AWS: there, a source version that does not exist is a build that fails.
    """
    given = {name: value for name, value in asked.items() if value}
    project = projects[given["projectName"]]
    for name in sorted(set(given) - TAKEN):
        section, key = OWN.get(name, ("", ""))
        own = (project.get(section) or {}).get(key)
        if not own or str(given[name]).removesuffix(".git") != str(own).removesuffix(".git"):
            instead = f"it is {own} here" if own else "leave it out"
            raise Mistake(f"this laptop starts builds without another {name}", instead)
    version = str(given.get("sourceVersion") or project.get("sourceVersion") or "main")
    variables = tuple(map(variable, given.get("environmentVariablesOverride", [])))
    token = given.pop("idempotencyToken", "")
    if token:  # with another request it is another one; AWS says that the parameters do not match
        token = f"{token} {hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()}"
    commit = repository.commit_to_build(version)
    name = given["projectName"]
    build = queue.submit(name, commit, version, INITIATOR, variables=variables, token=token)
    return {"build": described(projects, build)}


def variable(given: Mapping[str, Any]) -> dict[str, str]:
    """Return a variable that was asked for; raises Mistake if it cannot be one."""
    found = {key: str(given.get(key, "")) for key in ("name", "value")}
    found["type"] = str(given.get("type") or KINDS[0])
    is_odd = "\0" in found["name"] + found["value"] or "=" in found["name"] or not found["name"]
    if is_odd or found["type"] not in KINDS:
        raise Mistake(f"{found['name']!r} cannot be a variable", f"its type is {', '.join(KINDS)}")
    return found


def retry(projects: Projects, asked: Asked) -> dict[str, Any]:
    """Build the same commit again and answer with that build; raises Mistake if there is none."""
    known = find(asked.get("id", ""))
    same = known.project, known.commit, known.source_version, INITIATOR
    build = queue.submit(*same, variables=known.variables)
    return {"build": described(projects, build)}


def stop(projects: Projects, asked: Asked) -> dict[str, Any]:
    """Stop a build that runs or waits, and answer with it; raises Mistake if there is none."""
    known = find(asked.get("id", ""))
    if not known.has_ended:
        queue.stop(known)
    return {"build": described(projects, find(asked["id"]))}


def batch_get(projects: Projects, asked: Asked) -> dict[str, Any]:
    """Answer with the builds with these ids, and the ids of which there is none."""
    ids = asked.get("ids", [])
    builds = {id_of(build): build for build in newest_first()}
    found = [described(projects, builds[name]) for name in ids if name in builds]
    return {"builds": found, "buildsNotFound": sorted({*ids} - builds.keys())}


def list_builds(_: Projects, asked: Asked) -> dict[str, Any]:
    """Answer with the ids of a project's builds, or of all, the newest first unless asked else."""
    project = asked.get("projectName", "")
    found = [id_of(build) for build in newest_first() if project in ("", build.project)]
    return {"ids": found[:: -1 if asked.get("sortOrder") == "ASCENDING" else 1]}


def id_of(build: Build) -> str:
    """Return a build's id as CodeBuild writes it."""
    return f"{build.project}:{build.id}"


def arn_of(kind: str, name: str) -> str:
    """Return the ARN of something of CodeBuild's."""
    return f"arn:aws:codebuild:{REGION}:{ACCOUNT_ID}:{kind}/{name}"


def find(build_id: str) -> Build:
    """Return the build with an id or an ARN; raises Mistake if there is none."""
    name = build_id.rpartition(":build/")[2]
    for build in newest_first():
        if id_of(build) == name:
            return build
    raise Mistake(f"there is no build {build_id}", "type `aws codebuild list-builds`")


def described(projects: Projects, build: Build) -> dict[str, Any]:
    """Return a build in CodeBuild's form; it stays when its project is deleted."""
    project = projects.get(build.project, {})
    settings = (project.get("logsConfig") or {}).get("cloudWatchLogs") or {}
    # Until the stream is there, CodeBuild says so in this way.
    group = stream = "null"
    if build.sent.exists():
        group, stream = settings.get("groupName") or f"/aws/codebuild/{build.project}", build.id
    place = f"group={quoted(group)};stream={quoted(stream)}"
    logs = {
        "deepLink": f"https://console.aws.amazon.com/cloudwatch/home?region={REGION}"
        f"#logEvent:{place}",
        "cloudWatchLogsArn": f"arn:aws:logs:{REGION}:{ACCOUNT_ID}:log-group:{group}"
        f":log-stream:{stream}",
        "cloudWatchLogs": settings or {"status": "ENABLED"},
    }
    if stream != "null":
        logs |= {"groupName": group, "streamName": stream}
    environment = dict(project.get("environment") or {})
    variables = [*environment.get("environmentVariables", []), *build.variables]
    environment["environmentVariables"] = [*{each["name"]: each for each in variables}.values()]
    phases = [*phases_of(build)]
    found = {
        "id": id_of(build),
        "arn": arn_of("build", id_of(build)),
        "buildNumber": build.number,
        "startTime": build.submitted,
        "currentPhase": phases[-1]["phaseType"],
        # A build that waits is IN_PROGRESS, too: its phase says what it waits for.
        "buildStatus": build.status if build.has_ended else "IN_PROGRESS",
        "sourceVersion": build.source_version,
        "resolvedSourceVersion": build.commit,
        "projectName": build.project,
        "phases": phases,
        "source": project.get("source", {}),
        "artifacts": {"location": ""},
        "environment": environment,
        "serviceRole": project.get("serviceRole", ""),
        "logs": logs,
        "reportArns": [report_of(build, each)["arn"] for each in build.reports],
        "timeoutInMinutes": project.get("timeoutInMinutes", 60),
        "buildComplete": build.has_ended,
        "initiator": build.initiator,
        "exportedEnvironmentVariables": [
            {"name": name, "value": value} for name, value in build.exported.items()
        ],
    }
    return found | ({"endTime": build.ended} if build.ended else {})


def report_of(build: Build, report: Report) -> dict[str, Any]:
    """Return a report in CodeBuild's form.

    https://docs.aws.amazon.com/codebuild/latest/APIReference/API_Report.html
    """
    return {
        "arn": arn_of("report", f"{report.group}:{build.id}"),
        "name": build.id,
        "reportGroupArn": arn_of("report-group", report.group),
        "type": "CODE_COVERAGE" if report.file_format in COVERAGE_FORMATS else "TEST",
        "executionId": arn_of("build", id_of(build)),
        "status": report.status,
        "created": build.ended,
        "testSummary": {
            "total": sum(count for _, count in report.counts),
            "statusCounts": dict(report.counts),
        },
    }


def reports(group: str = "") -> list[dict[str, Any]]:
    """Return the reports of all builds, the newest first, or those of the group with an ARN."""
    found = [report_of(build, each) for build in newest_first() for each in build.reports]
    return [each for each in found if group in ("", each["reportGroupArn"])]


def list_groups(*_: object) -> dict[str, Any]:
    """Answer with the ARNs of the report groups."""
    return {"reportGroups": [*dict.fromkeys(each["reportGroupArn"] for each in reports())]}


def list_reports(_: Projects, asked: Asked) -> dict[str, Any]:
    """Answer with the ARNs of all reports, or those of a group, or of a status."""
    status = (asked.get("filter") or {}).get("status")
    found = reports(asked.get("reportGroupArn", ""))
    return {"reports": [each["arn"] for each in found if status in (None, each["status"])]}


def batch_get_reports(_: Projects, asked: Asked) -> dict[str, Any]:
    """Answer with the reports with these ARNs, and the ARNs of which there is none."""
    arns, found = asked.get("reportArns", []), {each["arn"]: each for each in reports()}
    return {
        "reports": [found[arn] for arn in arns if arn in found],
        "reportsNotFound": [arn for arn in arns if arn not in found],
    }


def delete_group(_: Projects, asked: Asked) -> dict[str, Any]:
    """Delete a report group; raises Mistake if there are reports in it that shall be kept."""
    group = asked.get("arn", "")
    if not asked.get("deleteReports") and reports(group):
        raise Mistake(f"{group} has reports", "type the command with `--delete-reports`")
    for build in newest_first():
        kept = {each for each in build.reports if report_of(build, each)["reportGroupArn"] != group}
        if build.has_ended and len(kept) < len(build.reports):
            names = {each.group for each in kept}
            build.change(reports=tuple(each for each in build.reports if each in kept))
            cases = [each for each in read_json(build.cases) or [] if each["group"] in names]
            write(build.cases, json.dumps(cases))
    return {}


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


ACTIONS: dict[str, Callable[[Projects, Asked], dict[str, Any]]] = {
    "StartBuild": start,
    "RetryBuild": retry,
    "StopBuild": stop,
    "BatchGetBuilds": batch_get,
    "ListBuilds": list_builds,
    "ListBuildsForProject": list_builds,
    "ListReportGroups": list_groups,
    "ListReports": list_reports,
    "ListReportsForReportGroup": list_reports,
    "BatchGetReports": batch_get_reports,
    "DeleteReportGroup": delete_group,
}

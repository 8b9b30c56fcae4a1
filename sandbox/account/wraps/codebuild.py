"""CodeBuild: the laptop's builds, where MiniStack has a record that succeeded at once.

https://docs.aws.amazon.com/codebuild/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ministack.core.responses import error_response_json, json_response

from sandbox import Mistake
from sandbox.account import internals
from sandbox.account.wraps import wrap

Answer = tuple[int, dict[str, str], bytes]
Data = Mapping[str, Any]
Projects = Mapping[str, Data]


class Builds(Protocol):
    """Who knows the builds; the account itself does not."""

    def start(self, projects: Projects, asked: Data) -> dict[str, Any]: ...
    def retry(self, projects: Projects, build_id: str) -> dict[str, Any]: ...
    def stop(self, projects: Projects, build_id: str) -> dict[str, Any]: ...
    def batch_get(
        self, projects: Projects, ids: list[str]
    ) -> tuple[list[dict[str, Any]], list[str]]: ...
    def ids(self, project: str = "", descending: bool = True) -> list[str]: ...
    def reports(self, group: str = "") -> list[dict[str, Any]]: ...
    def delete_group(self, group: str, also_reports: bool) -> None: ...


SERVED_BY: list[Builds] = []


def serve(builds: Builds) -> None:
    """Let these builds answer."""
    SERVED_BY[:] = [builds]


def refused(kind: str, text: str) -> Answer:
    """Return an error of CodeBuild's."""
    found: Answer = error_response_json(kind, text, 400)
    return found


def batch_get_builds(builds: Builds, projects: Projects, data: Data) -> dict[str, Any]:
    found, missing = builds.batch_get(projects, data.get("ids", []))
    return {"builds": found, "buildsNotFound": missing}


def list_builds(builds: Builds, projects: Projects, data: Data) -> dict[str, Any]:
    newest_first = data.get("sortOrder", "DESCENDING") == "DESCENDING"
    return {"ids": builds.ids(data.get("projectName", ""), newest_first)}


def list_report_groups(builds: Builds, projects: Projects, data: Data) -> dict[str, Any]:
    groups = dict.fromkeys(each["reportGroupArn"] for each in builds.reports())
    return {"reportGroups": [*groups]}


def list_reports(builds: Builds, projects: Projects, data: Data) -> dict[str, Any]:
    status = (data.get("filter") or {}).get("status")
    found = builds.reports(data.get("reportGroupArn", ""))
    return {"reports": [each["arn"] for each in found if status in (None, each["status"])]}


def batch_get_reports(builds: Builds, projects: Projects, data: Data) -> dict[str, Any]:
    found = {each["arn"]: each for each in builds.reports()}
    arns = data.get("reportArns", [])
    return {
        "reports": [found[arn] for arn in arns if arn in found],
        "reportsNotFound": [arn for arn in arns if arn not in found],
    }


def delete_report_group(builds: Builds, projects: Projects, data: Data) -> dict[str, Any]:
    builds.delete_group(data.get("arn", ""), bool(data.get("deleteReports")))
    return {}


ANSWERS: dict[str, Callable[[Builds, Projects, Data], dict[str, Any]]] = {
    "StartBuild": lambda builds, projects, data: {"build": builds.start(projects, data)},
    "RetryBuild": lambda builds, projects, data: {
        "build": builds.retry(projects, data.get("id", ""))
    },
    "StopBuild": lambda builds, projects, data: {
        "build": builds.stop(projects, data.get("id", ""))
    },
    "BatchGetBuilds": batch_get_builds,
    "ListBuilds": list_builds,
    "ListBuildsForProject": list_builds,
    "ListReportGroups": list_report_groups,
    "ListReports": list_reports,
    "ListReportsForReportGroup": list_reports,
    "BatchGetReports": batch_get_reports,
    "DeleteReportGroup": delete_report_group,
}


@wrap(internals.handle_codebuild)
def handle(original: Any, method: str, path: str, headers: Any, body: Any, query: Any) -> Answer:
    """Answer from the builds, with AWS's errors; without them, and all else, as MiniStack does."""
    how = ANSWERS.get(str(headers.get("x-amz-target", "")).rpartition(".")[2])
    projects = internals.projects
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        data = None
    if not how or not SERVED_BY or not projects or not isinstance(data, dict):
        found: Answer = original(method, path, headers, body, query)
        return found
    name = data.get("projectName", "")
    if (name or how is ANSWERS["StartBuild"]) and str(name) not in projects:
        text = f"Project cannot be found: arn:aws:codebuild:::project/{name}"
        return refused("ResourceNotFoundException", text)
    try:
        found = json_response(how(SERVED_BY[0], projects, data))
    except Mistake as mistake:
        missing = str(mistake).startswith("there is no build")
        kind = "ResourceNotFoundException" if missing else "InvalidInputException"
        return refused(kind, f"{mistake}; {mistake.hint}")
    return found

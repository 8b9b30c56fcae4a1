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
Project = Mapping[str, Any]


class Builds(Protocol):
    """Who knows the builds; the account itself does not."""

    def start(self, project: Project, asked: Mapping[str, Any]) -> dict[str, Any]: ...
    def retry(self, project: Project, build_id: str) -> dict[str, Any]: ...
    def stop(self, project: Project, build_id: str) -> dict[str, Any]: ...
    def batch_get(
        self, project: Project, ids: list[str]
    ) -> tuple[list[dict[str, Any]], list[str]]: ...
    def ids(self, project: Project, descending: bool = True) -> list[str]: ...


SERVED_BY: list[Builds] = []


def serve(builds: Builds) -> None:
    """Let these builds answer."""
    SERVED_BY[:] = [builds]


def answer(original: Any, data: Mapping[str, Any], how: Callable[[Builds, Project], Any]) -> Answer:
    """Answer from the builds, with AWS's errors; without them, as MiniStack does."""
    names = list(internals.projects)
    if not SERVED_BY or not names:
        found: Answer = original(data)
        return found
    name = data.get("projectName", names[0])
    if name not in names:
        text = f"Project cannot be found: arn:aws:codebuild:::project/{name}"
        return refused("ResourceNotFoundException", text)
    try:
        done: Answer = json_response(how(SERVED_BY[0], internals.projects[name]))
    except Mistake as mistake:
        missing = str(mistake).startswith("there is no build")
        kind = "ResourceNotFoundException" if missing else "InvalidInputException"
        return refused(kind, f"{mistake}; {mistake.hint}")
    return done


def refused(kind: str, text: str) -> Answer:
    """Return an error of CodeBuild's."""
    found: Answer = error_response_json(kind, text, 400)
    return found


@wrap(internals.start_build)
def start_build(original: Any, data: Any) -> Answer:
    """Start a build of the fork."""
    return answer(original, data, lambda builds, project: {"build": builds.start(project, data)})


@wrap(internals.batch_get_builds)
def batch_get_builds(original: Any, data: Any) -> Answer:
    """Return builds with their phases."""

    def get(builds: Builds, project: Project) -> dict[str, Any]:
        found, missing = builds.batch_get(project, data.get("ids", []))
        return {"builds": found, "buildsNotFound": missing}

    return answer(original, data, get)


@wrap(internals.stop_build)
def stop_build(original: Any, data: Any) -> Answer:
    """Stop a build."""
    return answer(
        original,
        data,
        lambda builds, project: {"build": builds.stop(project, data.get("id", ""))},
    )


def listed(original: Any, data: Any) -> Answer:
    """Return the ids of the builds."""
    descending = data.get("sortOrder", "DESCENDING") == "DESCENDING"
    return answer(original, data, lambda builds, project: {"ids": builds.ids(project, descending)})


wrap(internals.list_builds)(listed)
wrap(internals.list_builds_for_project)(listed)


@wrap(internals.handle_codebuild)
def retry_build(
    original: Any, method: str, path: str, headers: Any, body: Any, query: Any
) -> Answer:
    """Answer RetryBuild, which MiniStack does not know."""
    if not str(headers.get("x-amz-target", "")).endswith(".RetryBuild"):
        found: Answer = original(method, path, headers, body, query)
        return found
    data = json.loads(body or b"{}")
    return answer(
        lambda _: refused("InvalidAction", "Unknown action: RetryBuild"),
        data,
        lambda builds, project: {"build": builds.retry(project, data.get("id", ""))},
    )

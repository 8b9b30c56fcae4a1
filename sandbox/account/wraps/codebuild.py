"""CodeBuild: the laptop's builds, where MiniStack has a record that succeeded at once.

https://docs.aws.amazon.com/codebuild/latest/APIReference/Welcome.html
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import error_response_json, json_response

from sandbox import Mistake
from sandbox.account import internals
from sandbox.account.wraps import wrap

# By the name of an action, what answers: from the projects, and the request's parameters. Those
# who know the builds put it here; the account itself does not.
Actions = Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]]
ACTIONS: dict[str, Any] = {}


@wrap(internals.handle_codebuild)
def builds_are_the_laptop_s(
    original: Any, method: str, path: str, headers: Any, body: Any, query: Any
) -> Any:
    """Answer from the builds, with AWS's errors; without them, and all else, as MiniStack does."""
    action = str(headers.get("x-amz-target", "")).rpartition(".")[2]
    projects = internals.projects
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        data = None
    if action not in ACTIONS or not projects or not isinstance(data, dict):
        return original(method, path, headers, body, query)
    name = data.get("projectName", "")
    if (name or action == "StartBuild") and str(name) not in projects:
        text = f"Project cannot be found: arn:aws:codebuild:::project/{name}"
        return error_response_json("ResourceNotFoundException", text, 400)
    try:
        return json_response(ACTIONS[action](projects, data))
    except Mistake as mistake:
        missing = str(mistake).startswith("there is no build")
        kind = "ResourceNotFoundException" if missing else "InvalidInputException"
        return error_response_json(kind, f"{mistake}; {mistake.hint}", 400)

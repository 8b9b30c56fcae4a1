"""CloudFormation: what a stack makes of a template."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from ministack.services import apigateway, iam

from sandbox.account import internals
from sandbox.account.wraps import wrap
from sandbox.account.wraps.awslambda import named

# What gives a resource a name of the template's choice, which no two may have.
NAMES = {"AWS::Lambda::Function": "FunctionName", "AWS::Logs::LogGroup": "LogGroupName"}


@wrap(internals.zip_inline)
def inline_code_is_index_py(_: Any, source: Any, handler: str, runtime: str = "") -> bytes | None:
    """Put a template's inline code into index.py, whatever the handler is called, for all to read.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/, the page
    aws-properties-lambda-function-code.html
    """
    if not source:
        return None
    stream = io.BytesIO()
    entry = zipfile.ZipInfo("index.js" if runtime.startswith("nodejs") else "index.py")
    entry.external_attr = 0o100644 << 16
    with zipfile.ZipFile(stream, "w") as code:
        code.writestr(entry, source)
    return stream.getvalue()


@wrap(internals.provision)
def nothing_is_made_in_the_place_of_another(
    original: Any, kind: str, logical_id: str, properties: Mapping[str, Any], stack: str
) -> Any:
    """Refuse what there is by that name: to go back would delete what another stack has made.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/, the page
    aws-properties-name.html
    """
    name = properties.get(NAMES.get(kind, ""))
    if name and is_there(kind, name, properties):
        raise ValueError(f"{name} already exists")
    return original(kind, logical_id, properties, stack)


def is_there(kind: str, name: str, properties: Mapping[str, Any]) -> bool:
    """Tell whether nobody has deleted a resource that a stack has made, by its physical id."""
    function, _ = named(properties.get("FunctionName", ""))
    func = internals.functions.get(function)
    match kind.removeprefix("AWS::").split("::"):
        case "Lambda", "Alias":
            return func is not None and properties["Name"] in func["aliases"]
        case "Lambda", "Permission":
            statements = func["policy"]["Statement"] if func else []
            return name in [statement["Sid"] for statement in statements]
        case "Lambda", _:  # a version goes with its function, or else it has been somebody's wish
            return func is not None
        case "Logs", _:
            return name in internals.log_groups
        case "IAM", "Role":
            role = iam.get_state()["roles"].get(name, {})
            policies = [policy["PolicyName"] for policy in properties.get("Policies", [])]
            return bool(role) and role["InlinePolicies"].keys() >= {*policies}
        case "CodeBuild", "Project":
            return name in internals.projects
        case "ApiGatewayV2", "Api":
            return name in internals.apis
        case "ApiGatewayV2", ("Integration" | "Route" | "Stage") as part:
            made = apigateway.get_state()[f"{part.lower()}s"].get(properties["ApiId"], {})
            return name.rpartition("/")[2] in made
    return True


def forget_gone(stack: Mapping[str, Any]) -> list[str]:
    """Let the next deploy of a stack make anew what somebody has deleted of it, and return that.

    On AWS one would delete the stack, and deploy it again.
    """
    gone = [
        name
        for name, made in stack.get("_resources", {}).items()
        if not is_there(made["ResourceType"], made["PhysicalResourceId"], made["Properties"])
    ]
    for name in gone:
        del stack["_resources"][name]
        stack["_template"]["Resources"].pop(name, None)
    return gone

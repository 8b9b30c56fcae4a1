"""What template.yml, as it was deployed, says of each build project, and in which of its lines."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from sandbox.account import state, template

# In the order of CodeBuild's console, and in its words:
# https://docs.aws.amazon.com/codebuild/latest/userguide/create-project-console.html
SHOWN = {
    "Name": "Project name",
    "Source.Type": "Source provider",
    "Source.Location": "Repository",
    "SourceVersion": "Source version",
    "Source.GitCloneDepth": "Git clone depth",
    "Triggers.FilterGroups": "Webhook event filter groups",
    "Environment.Image": "Image",
    "Environment.ComputeType": "Compute",
    "ServiceRole": "Service role",
    "TimeoutInMinutes": "Timeout, in minutes",
    "Environment.EnvironmentVariables": "Environment variables",
    "Source.BuildSpec": "Buildspec",
    "Artifacts.Type": "Artifacts",
    "LogsConfig.CloudWatchLogs.GroupName": "CloudWatch logs group",
}
SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|PRIVATE", re.IGNORECASE)
Row = tuple[str, str, "int | None"]


def of_projects() -> dict[str, list[Row]]:
    """Return by a build project's name what is set: its name, value, and line in the template."""
    from sandbox.account import internals  # loads all of MiniStack

    stack, found = internals.stacks.get(state.STACK) or {}, {}
    with contextlib.suppress(*template.BROKEN):
        where = dict(lines(yaml.compose(stack["_template_body"], template.TemplateLoader)))
        for name, each in stack["_resources"].items():
            if each["ResourceType"] == "AWS::CodeBuild::Project":
                path = f"Resources.{name}.Properties."
                found[each["PhysicalResourceId"]] = [*rows(each["Properties"], path, where)]
    return found


def lines(node: yaml.Node | None, name: str = "") -> Iterator[tuple[str, int]]:
    """Yield each key below a node, as Source.Type, with its line; of an If, the first branch."""
    if isinstance(node, yaml.SequenceNode) and node.tag == "!If":
        node = node.value[1]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield f"{name}{key.value}", key.start_mark.line + 1
            yield from lines(value, f"{name}{key.value}.")


def rows(properties: Any, path: str, where: Mapping[str, int]) -> Iterator[Row]:
    """Yield what the resolved properties of a build project, which stand at `path`, say."""
    for name, label in SHOWN.items():
        value = properties
        for key in name.split("."):
            value = (value or {}).get(key)
        if value:
            yield label, words(name, value), where.get(path + name)


def words(name: str, value: Any) -> str:
    """Return a property's value as text, without a secret."""
    if name == "Environment.EnvironmentVariables":
        kinds = [(each["Name"], each["Value"], each.get("Type", "PLAINTEXT")) for each in value]
        return "\n".join(f"{key}={'…' if is_secret(key, kind) else it}" for key, it, kind in kinds)
    if name == "Triggers.FilterGroups":
        return "\nor ".join(", ".join(map(filter_of, group)) for group in value)
    return str(value)


def filter_of(each: Mapping[str, Any]) -> str:
    """Return a filter of a webhook as text."""
    is_not = str(each.get("ExcludeMatchedPattern")).lower() == "true"
    return f"{'not ' * is_not}{each['Type']} {each['Pattern']}"


def is_secret(name: str, kind: str = "PLAINTEXT") -> bool:
    """Tell whether a variable is not to be shown: by where it is kept, or by its name."""
    return kind != "PLAINTEXT" or bool(SECRET.search(name))

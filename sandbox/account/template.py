"""template.yml as a text: what its build project says, without a running account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from sandbox import Mistake
from sandbox.codebuild.yaml_nodes import LOADER
from sandbox.laptop.paths import TEMPLATE

BROKEN = (
    OSError,
    ValueError,
    yaml.YAMLError,
    LookupError,
    TypeError,
    AttributeError,
    StopIteration,
)

# Of the build project; README.md says of machine and image that they are the laptop's.
HONOURED = {
    *("Name", "Description", "Tags", "ServiceRole", "TimeoutInMinutes", "SourceVersion"),
    *("Source.Type", "Source.Location", "Source.GitCloneDepth", "Source.BuildSpec", "Source.Auth"),
    "Source.BuildStatusConfig",  # what GitHub shows
    *("Environment.Type", "Environment.ComputeType", "Environment.Image"),
    *("Environment.ImagePullCredentialsType", "Environment.EnvironmentVariables", "Artifacts"),
    *("LogsConfig.CloudWatchLogs.Status", "LogsConfig.CloudWatchLogs.GroupName"),
    *("Triggers.Webhook", "Triggers.FilterGroups"),
}
OFF = ("none", "false", "disabled", "no_cache", "private", "[]", "")


class TemplateLoader(LOADER):  # type: ignore[misc, valid-type]  # libyaml's, if it is there
    """Read CloudFormation's short forms; of an If it takes the branch that has the connection."""

    def short_form(self, name: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return {name: node.value}
        if isinstance(node, yaml.SequenceNode):
            values = self.construct_sequence(node, deep=True)
            return values[1] if name == "If" and len(values) == 3 else {name: values}
        return {name: self.construct_mapping(node, deep=True)}


TemplateLoader.add_multi_constructor("!", TemplateLoader.short_form)


def load(text: str) -> dict[str, Any]:
    """Return a template's content."""
    loaded = yaml.load(text, TemplateLoader)  # a SafeLoader
    return dict(loaded)


def project_properties(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties of a template's build project."""
    return next(
        dict(resource["Properties"])
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::CodeBuild::Project"
    )


def passed_over(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the properties of a build project that are set, and that no build here honours."""
    return tuple(name for name in settings(properties) if name not in HONOURED)


def settings(value: Any, name: str = "") -> Iterator[str]:
    """Yield the names, as Source.Type, of what is set; what is off or left out is not."""
    parts = value if isinstance(value, dict) else {}
    if not name or any(known.startswith(f"{name}.") for known in HONOURED):
        for key, inner in parts.items():
            yield from settings(inner, f"{name}.{key}".lstrip("."))
    elif is_on(value):
        yield name


def is_on(value: Any) -> bool:
    """Tell whether a property says more than that something is off, or is left out."""
    if isinstance(value, dict):
        return any(map(is_on, value.values()))
    return str(value).lower() not in OFF


def filter_groups(properties: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
    """Return the filter groups of a build project's webhook; one without filters is for all."""
    triggers = properties.get("Triggers") or {}
    webhook = str(triggers.get("Webhook", "")).lower()
    groups = [] if webhook == "false" else list(triggers.get("FilterGroups") or [])
    return groups or ([[]] if webhook == "true" else [])


def buildspec_of_project() -> str:
    """Return the path, or the text, of the buildspec that template.yml names.

    Raises Mistake if it cannot be read.
    """
    try:
        template = load(TEMPLATE.read_text(encoding="utf-8"))
        return str(project_properties(template)["Source"].get("BuildSpec") or "buildspec.yml")
    except BROKEN as error:
        raise Mistake(
            f"template.yml cannot be read: {error}",
            "type `git diff template.yml` to see what has changed, "
            "or name the buildspec: `python3 -m sandbox check buildspec.yml`",
        ) from None

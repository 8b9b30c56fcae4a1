"""A build project, and what StartBuild asks of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

NO_COMMIT = "0" * 40  # what git names where there was or is none
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


@dataclass(frozen=True)
class Project:
    """A build project; `variables` are those of its environment, in CodeBuild's form.

    `artifacts` is their place in S3, if they have one; `filter_groups` are those of its webhook;
    `passed_over` are properties that a laptop does not honour.
    """

    name: str
    arn: str
    role_arn: str = ""
    source_url: str = ""
    source_version: str = "main"
    clone_depth: int = 0  # 0 is the whole history
    buildspec: str = "buildspec.yml"
    image: str = "aws/codebuild/standard:8.0"
    timeout_minutes: int = 60
    variables: tuple[dict[str, Any], ...] = ()
    artifacts: str = ""
    log_group: str = ""
    filter_groups: tuple[list[dict[str, Any]], ...] = ()
    passed_over: tuple[str, ...] = ()

    @property
    def region(self) -> str:
        return self.arn.split(":")[3]

    @property
    def account_id(self) -> str:
        return self.arn.split(":")[4]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One build that was asked for; times are in seconds since 1970.

    `ref` and `before` are those of the push whose webhook asked.
    """

    number: int
    id: str
    commit: str
    source_version: str
    initiator: str
    submitted: float
    ref: str | None = None
    before: str | None = None
    started: float | None = None
    variables: tuple[dict[str, str], ...] = ()  # over the project's, in CodeBuild's form


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

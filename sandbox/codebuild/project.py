"""A build project, and what StartBuild asks of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NO_COMMIT = "0" * 40  # what git names where there was or is none


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

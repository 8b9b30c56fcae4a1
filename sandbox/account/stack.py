"""The stack of template.yml: deployed as on AWS, and what it has made."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from sandbox import Mistake
from sandbox.account import state
from sandbox.account.clients import aws, client
from sandbox.account.emulator import ACCOUNT_ID, REGION, endpoint
from sandbox.codebuild.project import Project, filter_groups, passed_over
from sandbox.laptop.paths import TEMPLATE
from sandbox.laptop.processes import git
from sandbox.laptop.terminal import say

# The laptop's webhook needs no approval by GitHub; the ARN only switches the template's condition.
CONNECTION = f"arn:aws:codeconnections:{REGION}:{ACCOUNT_ID}:connection/laptop"


def deploy() -> None:
    """Deploy template.yml with the same command as on AWS; raises Mistake with its reasons."""
    from sandbox.account import template  # which a push need not wait for

    with contextlib.suppress(*template.BROKEN):  # which CloudFormation says in its own words
        check(template.load(TEMPLATE.read_text(encoding="utf-8")))
    if gone := state.mend().gone:
        say(f"Made anew, because somebody has deleted it: {', '.join(gone)}")
    before = {event["EventId"] for event in events()}
    done = aws(
        *("cloudformation", "deploy", "--stack-name", state.STACK, "--template-file", TEMPLATE),
        *("--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset"),
        # MiniStack makes this the API's id, so that the URL is the same when it starts anew.
        *("--tags", "ms-custom-id=hellouser"),
        "--parameter-overrides",
        f"RepositoryUrl={repository_url()}",
        f"ConnectionArn={CONNECTION}",
        check=False,
    )
    if done.returncode:
        reasons = [*done.stderr.strip().splitlines(), *failures(before)]
        raise not_deployed(reasons)


def not_deployed(reasons: list[str]) -> Mistake:
    """Return the mistake of a template that is not deployed, with its reasons."""
    return Mistake(
        "template.yml could not be deployed:\n" + "\n".join(dict.fromkeys(reasons)),
        "mend template.yml, then type `python3 -m sandbox up`; what is live stays as it was",
    )


def check(found: Mapping[str, Any]) -> None:
    """Raise Mistake for what Lambda would refuse and MiniStack would not."""
    from sandbox.account import function_limits

    for name, resource in found["Resources"].items():
        is_lambda_s = str(resource.get("Type")).startswith("AWS::Lambda::")
        refusal = is_lambda_s and function_limits.refusal(resource.get("Properties") or {})
        if refusal:
            raise not_deployed([f"{name}: {refusal[1]}"])


def events() -> Iterator[dict[str, Any]]:
    """Yield what has happened to the stack, the last event first; nothing if it is not there."""
    stacks = client("cloudformation")
    with contextlib.suppress(stacks.exceptions.ClientError):
        yield from stacks.describe_stack_events(StackName=state.STACK)["StackEvents"]


def failures(before: set[str]) -> list[str]:
    """Return why resources have failed beyond these events, the last one first."""
    return [
        event["ResourceStatusReason"]
        for event in events()
        if "FAILED" in event["ResourceStatus"]
        and event.get("ResourceStatusReason")
        and event["EventId"] not in before
    ]


def repository_url() -> str:
    """Return the GitHub URL of the clone's origin, or an example if it has none."""
    origin = git("config", "--get", "remote.origin.url", check=False).stdout.strip()
    path = origin.removeprefix("git@github.com:").removeprefix("https://github.com/")
    if path != origin and path.count("/") == 1:
        return f"https://github.com/{path}"
    return "https://github.com/you/hello-user.git"


def output(key: str) -> str:
    """Return one output of the stack; raises Mistake if the stack is not there."""
    found = state.ask().outputs
    if key in found:
        return found[key]
    raise Mistake(
        f"the account has no stack {state.STACK} with an output {key}",
        "type `python3 -m sandbox up`",
    )


def url() -> str:
    """Return the endpoint's URL in the form that needs no name server.

    MiniStack's own form, API.execute-api.localhost, resolves with curl but not on every system.
    """
    host, _, path = output("Url").partition("://")[2].partition("/")
    return f"{endpoint()}/_aws/execute-api/{host.split('.')[0]}/{path}"


def projects() -> list[Project]:
    """Return the build projects as the account has them, in the order of the template."""
    return [*map(read_project, state.ask().projects)]


def project(name: str = "") -> Project:
    """Return the build project of that name, or the first; raises Mistake if there is none."""
    for each in projects():
        if name in ("", each.name):
            return each
    raise Mistake(
        f"the account has no build project {name}".rstrip(), "type `python3 -m sandbox up`"
    )


def read_project(found: Mapping[str, Any]) -> Project:
    """Return a build project from what the account says of it.

    The webhook and the log group are the template's, as BatchGetProjects of MiniStack has none.
    """
    properties = found["properties"]
    logs = (properties.get("LogsConfig") or {}).get("CloudWatchLogs") or {}
    to = found.get("artifacts") or {}
    place = [to.get("location"), (to.get("path") or "").strip("/"), to.get("name") or found["name"]]
    return Project(
        name=found["name"],
        arn=found["arn"],
        role_arn=found["serviceRole"],
        source_url=found["source"].get("location", ""),
        source_version=found.get("sourceVersion") or "main",
        clone_depth=int(found["source"].get("gitCloneDepth") or 0),
        buildspec=found["source"].get("buildspec") or "buildspec.yml",
        image=found["environment"]["image"],
        timeout_minutes=found["timeoutInMinutes"],
        variables=tuple(found["environment"].get("environmentVariables", [])),
        artifacts="/".join(filter(None, place)) if to.get("type") == "S3" else "",
        log_group=logs.get("GroupName") or f"/aws/codebuild/{found['name']}",
        filter_groups=tuple(filter_groups(properties)),
        passed_over=passed_over(properties),
    )

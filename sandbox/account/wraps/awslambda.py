"""Lambda: updates that take their time, versions and aliases."""

from __future__ import annotations

import contextvars
import io
import random
import re
import time
import zipfile
from typing import Any
from urllib.parse import unquote

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json
from ministack.services import cloudtrail, lambda_svc

from sandbox.account import environments, internals
from sandbox.account.wraps import wrap
from sandbox.account.wraps.lambda_runtime import retire

# Seconds after which an update is over though nobody has asked. AWS takes about as long.
UPDATE = 5.0
ENDS: dict[str, float] = {}
FUNCTION = re.compile(r"/[^/]+/functions/([^/]+)(?:/([^/]+))?$")
# Whether a request is being answered, not CloudFormation, which waits until an update is over.
OVER_HTTP: contextvars.ContextVar[bool] = contextvars.ContextVar("over_http", default=False)


def under_update(func: dict[str, Any]) -> bool:
    """Tell whether an update of the function is in progress."""
    return bool(func["config"].get("LastUpdateStatus") == "InProgress")


def end_update(func: dict[str, Any]) -> None:
    """Let an update of the function be over."""
    ENDS.pop(func["config"]["FunctionArn"], None)
    for config in (func["config"], *(version["config"] for version in func["versions"].values())):
        if config.get("LastUpdateStatus") == "InProgress":
            config.update(
                State="Active",
                StateReason="",
                StateReasonCode="",
                LastUpdateStatus="Successful",
                LastUpdateStatusReason="",
                LastUpdateStatusReasonCode="",
            )


@wrap(internals.schedule_state_transition)
def update_lasts_until_it_is_asked_for(_: Any, name: str, delay: float) -> None:
    """Leave an update InProgress until somebody asks how it is going, or for `UPDATE` seconds.

    A function that was there stays Active meanwhile; MiniStack makes it Pending, for 0.5 seconds.
    https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
    """
    func = internals.functions[name]
    if not OVER_HTTP.get():
        end_update(func)
        return
    ENDS[func["config"]["FunctionArn"]] = time.monotonic() + UPDATE
    if func["config"].get("StateReasonCode") == "Updating":
        func["config"].update(
            State="Active",
            StateReason="",
            StateReasonCode="",
            LastUpdateStatusReason="The function is being created.",
            LastUpdateStatusReasonCode="Creating",
        )


@wrap(lambda_svc.handle_request)
async def update_in_progress_refuses_another(
    original: Any, method: str, path: str, headers: Any, body: bytes, query: Any
) -> Any:
    """Answer ResourceConflictException to a publish or an update during an update.

    This is what scripts that leave out `aws lambda wait` meet on AWS:
    https://github.com/aws/aws-cli/issues/6718
    """
    OVER_HTTP.set(True)
    found = FUNCTION.match(unquote(path))
    name = internals.name_in_request(found[1]) if found else ""
    func = internals.functions.get(name)
    if found and func and under_update(func):
        call = method, found[2]
        asks = method == "GET" and found[2] in (None, "configuration")
        if asks or time.monotonic() > ENDS.get(func["config"]["FunctionArn"], 0):
            end_update(func)
        elif call in (("PUT", "code"), ("PUT", "configuration"), ("POST", "versions")):
            return error_response_json(
                "ResourceConflictException",
                "The operation cannot be performed at this time. "
                f"An update is in progress for resource: {func['config']['FunctionArn']}",
                409,
            )
    return await original(method, path, headers, body, query)


@wrap(internals.reject_unreadable_zip)
def empty_zip_is_refused(original: Any, content: bytes | None) -> Any:
    """Refuse a zip that holds no file, as one that names a file that is not there.

    With these words: https://github.com/aws-samples/amazon-textract-a2i-pdf/issues/5
    """
    refusal = original(content)
    if content and refusal is None and not zipfile.ZipFile(io.BytesIO(content)).namelist():
        text = "Uploaded file must be a non-empty zip"
        return error_response_json("InvalidParameterValueException", text, 400)
    return refusal


@wrap(internals.publish_version)
def publish_compares_what_it_is_given(original: Any, name: str, data: dict[str, Any]) -> Any:
    """Refuse to publish when CodeSha256 or RevisionId is not that of $LATEST.

    https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
    """
    config = (internals.functions.get(name) or {}).get("config", {})
    wanted, there = data.get("CodeSha256"), config.get("CodeSha256")
    if config and wanted and wanted != there:
        return error_response_json(
            "InvalidParameterValueException",
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({there}). "
            "Please try again with the CodeSHA256 in $LATEST.",
            400,
        )
    return (config and internals.revision_refused(config, data)) or original(name, data)


def alias_refused(name: str, data: dict[str, Any]) -> Any:
    """Return why an alias may not be so, or None.

    It names versions that are there, and routes to at most one other, which is not $LATEST:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
    """
    func = internals.functions.get(name)
    if func is None:
        return None
    shares = (data.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    for version in filter(None, [data.get("FunctionVersion"), *shares]):
        if version != "$LATEST" and version not in func["versions"]:
            return internals.qualifier_not_found(name, version)
    if shares and (len(shares) > 1 or "$LATEST" in (data.get("FunctionVersion"), *shares)):
        return error_response_json(
            "InvalidParameterValueException",
            "An alias routes to one additional version, and to no $LATEST",
            400,
        )
    return None


@wrap(internals.create_alias)
def new_alias_points_to_a_version_that_is_there(
    original: Any, name: str, data: dict[str, Any]
) -> Any:
    """Answer 404 to an alias of a version that is not there."""
    return alias_refused(name, data) or original(name, data)


@wrap(internals.update_alias)
def alias_moves_to_a_version_that_is_there(
    original: Any, name: str, alias: str, data: dict[str, Any]
) -> Any:
    """Answer 404 to an alias of a version that is not there."""
    return alias_refused(name, data) or original(name, alias, data)


def recorded(call: str, name: str, alias: str, data: dict[str, Any]) -> None:
    """Let CloudTrail know who has moved an alias.

    MiniStack records UpdateAlias as ListAliases, each caller as an IAM user, and refused calls too.
    https://docs.aws.amazon.com/lambda/latest/dg/logging-using-cloudtrail.html
    """
    caller = iam_evaluator.caller_arn()
    cloudtrail.record_event(
        service="lambda",
        event_name=call,
        username=re.split("[:/]", caller)[-1],
        access_key_id="",
        resources=[{"ResourceName": name, "ResourceType": "AWS::Lambda::Function"}],
        region=lambda_svc.get_region(),
        request_id=lambda_svc.new_uuid(),
        user_agent="",
        request_params={
            "functionName": name,
            "name": alias,
            **{key[0].lower() + key[1:]: value for key, value in data.items()},
        },
        method="PUT",
    )


@wrap(internals.create_alias)
def making_an_alias_is_recorded(original: Any, name: str, data: dict[str, Any]) -> Any:
    """Record CreateAlias."""
    answer = original(name, data)
    if answer[0] < 300 and OVER_HTTP.get():
        recorded("CreateAlias20150331", name, data.get("Name", ""), data)
    return answer


@wrap(internals.update_alias)
def moving_an_alias_is_recorded(original: Any, name: str, alias: str, data: dict[str, Any]) -> Any:
    """Record UpdateAlias."""
    answer = original(name, alias, data)
    if answer[0] < 300 and OVER_HTTP.get():
        recorded("UpdateAlias20150331", name, alias, data)
    return answer


@wrap(internals.update_alias)
def version_without_an_alias_keeps_no_process(
    original: Any, name: str, alias: str, data: dict[str, Any]
) -> Any:
    """End the processes of versions that no alias names any more; MiniStack keeps one for each."""
    answer = original(name, alias, data)
    if answer[0] < 300:
        retire_what_no_alias_names(name)
    return answer


@wrap(internals.publish_version)
def version_that_was_only_tried_keeps_no_process(
    original: Any, name: str, data: dict[str, Any]
) -> Any:
    """End the processes of versions that were invoked and never got an alias, as of red builds."""
    retire_what_no_alias_names(name)
    return original(name, data)


def retire_what_no_alias_names(name: str) -> None:
    """End the processes of a function's versions but for those that an alias names."""
    if func := internals.functions.get(name):
        kept = {version for known in func["aliases"].values() for version in shares_of(known)}
        retire(func["config"], kept)


def shares_of(alias: dict[str, Any]) -> dict[str, float]:
    """Return for each version of an alias which share of the requests it gets."""
    others = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    shares = {version: float(share) for version, share in others.items()}
    return {alias.get("FunctionVersion", "$LATEST"): 1 - sum(shares.values()), **shares}


def version_for(func: dict[str, Any] | None, qualifier: str | None) -> str | None:
    """Draw the version that gets a request to an alias with several; return the qualifier else."""
    alias = ((func or {}).get("aliases") or {}).get(qualifier or "")
    if not alias or not alias.get("RoutingConfig"):
        return qualifier
    shares = shares_of(alias)
    return random.choices([*shares], [*shares.values()])[0]


@wrap(internals.invoke)
async def weighted_alias_shares_its_invocations(
    original: Any,
    name: str,
    event: Any,
    headers: Any,
    path_qualifier: str | None = None,
    query: Any = None,
) -> Any:
    """Invoke the versions of an alias in the proportion of its weights, under the alias' name.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    func = internals.functions.get(name)
    named = internals.qualifier_in_request(path_qualifier, query)
    drawn = version_for(func, named)
    if drawn == named:
        return await original(name, event, headers, path_qualifier, query)
    environments.INVOKED.set(f"{internals.function_arn(name)}:{named}")
    return await original(name, event, headers, drawn, {})

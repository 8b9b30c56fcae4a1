"""IAM and STS: who is root, which action a call is, and what a trust policy may ask."""

from __future__ import annotations

import contextvars
import dataclasses
import os
import time
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_actions, iam_evaluator
from ministack.services import sts

from sandbox.account import internals
from sandbox.account.wraps import wrap

ADMINISTRATOR = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
)
# What a service says about the resource on whose behalf it assumes a role.
SOURCE: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar("source")


@wrap(iam_evaluator.is_root_access_key)
def root_has_one_key(_: Any, key: str) -> bool:
    """Know root by the key made at `up`, not by `test`, nothing, or twelve digits."""
    return bool(key) and key == os.environ["AWS_ACCESS_KEY_ID"]


@wrap(internals.is_root_key)
def root_signs_as_all_do(_: Any, key: str) -> bool:
    """Check root's signatures; MiniStack takes this name for "let it through unchecked"."""
    return False


@wrap(internals.authorization_type)
def path_without_a_route_needs_no_credentials(original: Any, *route: str) -> str:
    """Let API Gateway answer 404; with root no longer being "nobody" it would be a 403.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
    """
    return original(*route) or "NONE"


@wrap(internals.lambda_action)
def alias_calls_are_actions_of_their_own(original: Any, method: str, path: str) -> str | None:
    """Ask for UpdateAlias, GetAlias, DeleteAlias; MiniStack asks for ListAliases.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_awslambda.html
    """
    parts = [part for part in path.split("/") if part]
    if parts[1:2] == ["functions"] and parts[3:4] == ["aliases"] and len(parts) == 5:
        return {"PUT": "UpdateAlias", "DELETE": "DeleteAlias"}.get(method, "GetAlias")
    found: str | None = original(method, path)
    return found


@wrap(iam_actions.extract_resource_arn)
def version_or_alias_is_part_of_the_resource(original: Any, service: str, *request: Any) -> str:
    """Ask for the permission on function:NAME:QUALIFIER where a request names one.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-api-permissions-ref.html
    """
    arn: str = original(service, *request)
    _, _, _, _, query, *_ = request
    qualifier = (query.get("Qualifier") or [""])[0] if service == "lambda" else ""
    if qualifier and arn.count(":") == 6 and ":function:" in arn:
        return f"{arn}:{qualifier}"
    return arn


@wrap(sts.handle_request)
async def service_names_its_source(
    original: Any, method: str, path: str, headers: dict[str, str], *request: Any
) -> Any:
    """Read the two headers with which a service says for which account and resource it asks.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
    """
    SOURCE.set(
        {
            f"aws:source{name}": headers[f"x-amz-source-{name}"]
            for name in ("account", "arn")
            if headers.get(f"x-amz-source-{name}")
        }
    )
    return await original(method, path, headers, *request)


@wrap(iam_evaluator.evaluate_trust_policy)
def trust_policy_may_ask_for_the_source(
    original: Any, document: Any, caller: str, context: Any = None
) -> bool:
    """Let aws:SourceAccount and aws:SourceArn be asked for; only a service, here root, has them."""
    if context is not None and caller.endswith(":root"):
        known = {**context.service_context, **SOURCE.get({})}
        context = dataclasses.replace(context, service_context=known)
    return bool(original(document, caller, context))


def make_student(name: str, key: str, secret: str) -> None:
    """Make an IAM user with this access key who may do everything, unless it is there.

    Not through the API: that would give each new emulator another key, and the terminal in which
    the student has typed the `eval` line would not know it.
    """
    for old in [each for each, found in internals.access_keys.items() if found["UserName"] == name]:
        if old == key:
            return
        del internals.access_keys[old]  # the file of keys was lost
    internals.create_user({"UserName": [name]})
    internals.user_policies[name] = {"administrator": ADMINISTRATOR}
    internals.access_keys[key] = {
        "UserName": name,
        "AccessKeyId": key,
        "SecretAccessKey": secret,
        "Status": "Active",
        "CreateDate": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def end_session(name: str) -> None:
    """End all sessions of this name, as a build's when the build is over."""
    for session in internals.sessions.values():
        if session["Arn"].endswith(f"/{name}") and ":assumed-role/" in session["Arn"]:
            session["Expiration"] = 0

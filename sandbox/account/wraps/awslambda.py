"""Lambda: updates that take their time, invocations, versions and aliases."""

from __future__ import annotations

import base64
import contextvars
import json
import random
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from ministack.core.concurrency import run_reentrant
from ministack.core.responses import error_response_json
from ministack.services import lambda_svc

from sandbox.account import function_limits, function_updates, internals
from sandbox.account.invocations import known_as, run
from sandbox.account.wraps import wrap

FUNCTION = re.compile(r"/[^/]+/functions/([^/]+)(?:/(.+))?$")
# Whether a request is being answered, not CloudFormation, which waits until an update is over.
OVER_HTTP: contextvars.ContextVar[bool] = contextvars.ContextVar("over_http", default=False)


@wrap(internals.schedule_state_transition)
def update_lasts_until_it_is_asked_for(_: Any, name: str, delay: float) -> None:
    """Leave an update InProgress, where MiniStack ends it after half a second."""
    begins = function_updates.start_update if OVER_HTTP.get() else function_updates.end_update
    begins(internals.functions[name])


@wrap(lambda_svc.handle_request)
async def call_is_answered_as_by_lambda(
    original: Any, method: str, path: str, headers: Any, body: bytes, query: Any
) -> Any:
    """Refuse what Lambda refuses, before MiniStack changes anything, and invoke functions."""
    OVER_HTTP.set(True)
    found = FUNCTION.match(unquote(path))
    name, qualifier = named(found[1]) if found else ("", None)
    func, call = internals.functions.get(name), (method, found[2] if found else None)
    if found and func and found[1].startswith("arn:"):
        own = f"{found[1]}:".startswith(f"{func['config']['FunctionArn']}:")
        func = func if own else None  # else it is of another account
    if func and call == ("POST", "invocations"):
        qualifier = qualifier or (query.get("Qualifier") or [None])[0]
        if answer := await invoked(func, qualifier, headers, body):
            return answer
    elif refusal := refused(func, call, body):
        return error_response_json(*refusal)
    return await original(method, path, headers, body, query)


def refused(func: Any, call: tuple[str, str | None], body: bytes) -> function_limits.Refusal | None:
    """Return why a call about a function is refused, or None."""
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        return None
    if not isinstance(data, dict) or call[0] not in ("POST", "PUT"):
        data = {}
    made = data.get("Code")  # of CreateFunction
    code = made.get("ZipFile") if isinstance(made, dict) else data.get("ZipFile")
    return (
        function_limits.refusal(data)
        or (function_limits.refused_zip(code) if isinstance(code, str) else None)
        or (function_updates.in_progress(func, call) if func else None)
        or (other_than_latest(func, data) if func and call == ("POST", "versions") else None)
    )


def other_than_latest(func: Any, data: Mapping[str, Any]) -> function_limits.Refusal | None:
    """Refuse to publish when CodeSha256 or RevisionId is not that of $LATEST.

    https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
    """
    wanted, there = data.get("CodeSha256"), func["config"].get("CodeSha256")
    if wanted and wanted != there:
        text = (
            f"CodeSHA256 ({wanted}) is different from current CodeSHA256 in $LATEST ({there}). "
            "Please try again with the CodeSHA256 in $LATEST."
        )
        return "InvalidParameterValueException", text, 400
    if data.get("RevisionId", "") not in ("", func["config"].get("RevisionId")):
        text = (
            "The RevisionId provided does not match the latest RevisionId for the Lambda function "
            "or alias. Call the GetFunction or the GetAlias API to retrieve the latest RevisionId "
            "for your resource."
        )
        return "PreconditionFailedException", text, 412
    return None


async def invoked(
    func: Any, qualifier: str | None, headers: Mapping[str, str], event: bytes
) -> Any:
    """Answer Invoke; return None for a function that is not in Python, which MiniStack runs.

    https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
    """
    version, record = drawn(func, qualifier)
    arn = func["config"]["FunctionArn"] + (f":{qualifier}" if qualifier else "")
    if record and not is_python(record):
        return None
    if not record:
        return error_response_json("ResourceNotFoundException", f"Function not found: {arn}", 404)
    if refusal := function_limits.refused_event(event):
        return error_response_json(*refusal)
    event = event or b"{}"
    answered = {"X-Amz-Executed-Version": version}
    kind = headers.get("x-amz-invocation-type", "RequestResponse")
    if kind == "DryRun":
        return 204, answered, b""
    if kind == "Event":
        lambda_svc.invoke_async_with_retry(known_as(record, arn), json.loads(event))
        return 202, answered, b""
    said = await run_reentrant(internals.execute_function, known_as(record, arn), event)
    if said.get("throttle"):
        why = {**said["body"], "Type": "User", "message": "Rate Exceeded."}
        return 429, {"Content-Type": "application/json"}, json.dumps(why).encode()
    if said["error"]:
        answered["X-Amz-Function-Error"] = said["function_error"]
    if headers.get("x-amz-log-type", "").lower() == "tail":
        answered["X-Amz-Log-Result"] = base64.b64encode(said["log"].encode()[-4096:]).decode()
    return 200, {"Content-Type": "application/json", **answered}, said["text"]


@wrap(internals.dispatch_function)
def function_runs_in_an_environment(
    original: Any, func: Any, config: Any, event: Any, request_id: str, started: float
) -> Any:
    """Run a Python function in an environment of ours, whoever invokes it."""
    if is_python(func):
        return run(func, event, request_id)
    return original(func, config, event, request_id, started)


def named(name: str) -> tuple[str, str | None]:
    """Return a function's name and the qualifier, if there is one, of a name or an ARN of it."""
    name, _, qualifier = name.rpartition(":function:")[2].partition(":")
    return name, qualifier or None


def is_python(record: Mapping[str, Any]) -> bool:
    """Tell whether we can run a version of a function: it is in Python, and a zip."""
    runtime = str(record["config"].get("Runtime", ""))
    return runtime.startswith("python") and bool(record.get("code_zip"))


def drawn(func: Any, qualifier: str | None) -> tuple[str, dict[str, Any] | None]:
    """Draw the version of a request, for an alias in the proportion of its weights.

    Return its number and its record, None if it is not there.
    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    version = qualifier or "$LATEST"
    if func and version in func["aliases"]:
        alias = func["aliases"][version]
        shares = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        rest = 1 - sum(shares.values())
        version = random.choices([alias["FunctionVersion"], *shares], [rest, *shares.values()])[0]
    if not func or version == "$LATEST":
        return version, func
    return version, func["versions"].get(version)
